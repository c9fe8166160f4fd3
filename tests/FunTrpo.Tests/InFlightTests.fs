/// Simulators that make you wait: so many are waited for at the same time, and the results do not depend on it.
module FunTrpo.Tests.InFlightTests

open System
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.ReplayPointTests

/// The state after three iterations, and the scores of its policy in five episodes.
let trainedAndPlayed configuration threads (environment: Environment<'State>) =
    let setup = Setup.create threads configuration environment |> expectOk
    let next state = Training.update setup state |> expectOk |> fst
    let state = TrainingState.start setup 3L |> next |> next |> next
    let play evaluate = evaluate threads environment (TrainingState.actor setup state) 5 (Key.ofSeed 4L) |> expectOk
    state.PolicyParameters, state.Critic.Parameters, state.RecentReturns, play Evaluation.run, play Evaluation.sample

let private sameBits =
    property
        "training, branches and evaluation have the same bits with any number in flight"
        (Gen.zip (shortTrainings 9) (Gen.choose (1, 12)))
        (fun ((configuration, limit), inFlight) ->
            use expectedOf = walks ()
            let expected = expectedOf |> Environment.withTimeLimit limit |> trainedAndPlayed configuration 1
            use outside = walks ()

            let actual =
                outside
                |> Environment.withTimeLimit limit
                |> Environment.inFlight (Some inFlight)
                |> trainedAndPlayed configuration 2

            Expect.equal actual expected "with the limit inside"
            use inside = walks ()

            let actual =
                Environment.inFlight (Some inFlight) inside
                |> Environment.withTimeLimit limit
                |> trainedAndPlayed configuration 2

            Expect.equal actual expected "with the limit outside")

/// Episodes of six steps of CartPole, in which each reset and each step waits until `parties` calls are waiting.
let private meeting (parties: int) =
    let barrier = new Barrier(parties)

    let meet () =
        if not (barrier.SignalAndWait(TimeSpan.FromSeconds 60.0)) then
            failtest $"{parties} calls were not in flight at the same time"

    { new Wrapped<_>(CartPole.environment) with
        override _.Reset key =
            meet ()
            CartPole.environment.Reset key

        override _.Step(key, action, state) =
            meet ()
            { CartPole.environment.Step(key, action, state) with Terminated = false; Truncated = false } }
    |> Environment.withTimeLimit 6
    |> Environment.inFlight (Some parties)

let private together =
    test "as many are waited for at the same time as may be in flight, however few processors there are" {
        let parties = 4 * Environment.ProcessorCount

        let configuration =
            { Configuration.standard with
                Environments = parties
                Horizon = 6
                Branches = 2
                BranchSteps = 3
                Hidden = [ 4 ]
                CriticHidden = [ 4 ] }

        let setup = Setup.create 1 configuration (meeting parties) |> expectOk
        let state = TrainingState.start setup 1L |> Training.update setup |> expectOk |> fst
        Expect.equal state.Iteration 1 "an iteration with branches"

        Evaluation.run 1 (meeting parties) (TrainingState.actor setup state) parties (Key.ofSeed 2L)
        |> expectOk
        |> ignore
    }

let private atMost =
    property
        "no more are in flight than may be"
        (Gen.zip (Gen.choose (1, 6)) (Gen.choose (1, 12)))
        (fun (inFlight, environments) ->
            let now, most = ref 0, ref 0

            let watched =
                { new Wrapped<_>(CartPole.environment) with
                    override _.Step(key, action, state) =
                        let started = Interlocked.Increment now
                        lock most (fun () -> most.Value <- max most.Value started)
                        Thread.Yield() |> ignore
                        Interlocked.Decrement now |> ignore
                        CartPole.environment.Step(key, action, state) }
                |> Environment.inFlight (Some inFlight)

            let configuration =
                { Configuration.standard with
                    Environments = environments
                    Horizon = 5
                    Hidden = [ 2 ]
                    CriticHidden = [ 2 ] }

            let setup = Setup.create 2 configuration watched |> expectOk
            TrainingState.start setup 1L |> Training.update setup |> expectOk |> ignore
            Expect.isLessThanOrEqual most.Value (min inFlight environments) "at the same time")

/// The place of the first failure.
let private failures =
    property
        "the first fault is that of stepping one after another"
        (Gen.zip3 (Gen.choose (1, 8)) (Gen.choose (0, 9)) (Gen.choose (2, 8)))
        (fun (inFlight, failing, environments) ->
            let failingAt =
                { new Wrapped<_>(CartPole.environment) with
                    override _.Step(key, action, state) =
                        if
                            failing > 0 && (Key.bits 0UL key |> fun (struct (bits, _)) -> bits % 10UL) < uint64 failing
                        then
                            raise (TimeoutException "no answer")

                        CartPole.environment.Step(key, action, state)

                    override _.Reset key =
                        if failing = 0 && Key.uniform key < 0.3 then
                            raise (TimeoutException "no answer")

                        CartPole.environment.Reset key }

            let configuration =
                { Configuration.standard with Environments = environments; Horizon = 5; Hidden = [ 2 ] }

            let faultOf environment =
                let setup = Setup.create 1 configuration environment |> expectOk

                match TrainingState.start setup 1L |> Training.update setup with
                | Ok _ -> None
                | Error fault -> Some(Fault.message fault)

            let expected = faultOf failingAt
            Expect.equal (failingAt |> Environment.inFlight (Some inFlight) |> faultOf) expected "the fault")

let tests =
    testList
        "In flight"
        [ sameBits
          together
          atMost
          failures
          test "keeps what the environment can do, and can be changed and taken away" {
              use simulators = walks ()
              let inFlight count = Environment.inFlight count simulators
              Expect.equal (InFlight.ofEnvironment (inFlight (Some 3))) (Some 3) "the number"
              let changed = inFlight (Some 3) |> Environment.inFlight (Some 5)
              Expect.equal (InFlight.ofEnvironment changed) (Some 5) "the later number"
              let plain = Environment.inFlight None changed
              Expect.isTrue (obj.ReferenceEquals(plain, simulators)) "the environment itself"
              let state = changed.Reset key
              let codec = StateCodec.ofEnvironment<ReplayPoint> changed |> Result.defaultWith failtest
              Expect.equal (codec.Decode(codec.Encode state)) state "states are written and read"
              Expect.throwsT<ArgumentException> (fun () -> inFlight (Some 0) |> ignore) "none in flight"
          } ]
