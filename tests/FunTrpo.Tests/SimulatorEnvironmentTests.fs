/// An environment of mutable simulators is the same as a pure one, and makes, uses and disposes of them as it needs them.
module FunTrpo.Tests.SimulatorEnvironmentTests

open System
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ReplayPointTests

/// A walk as a pure environment, whose state is its position. The start is that of the simulator.
let private pureWalk =
    { new Environment<float32> with
        member _.Id = "Walk"
        member _.ObservationSpace = Space.box 1 -100.0 100.0
        member _.ActionSpace = Space.box 1 -9.0 9.0

        member _.Reset key =
            let struct (bits, _) = Key.bits 0UL key
            walked (int (bits >>> 33)) []

        member _.Step(_, action, x) =
            let x = float32 (sin (2.0 * float x)) + action[0]
            { State = x; Reward = float x; Terminated = (action[0] = 9f); Truncated = false }

        member _.Observe(x, observation) = observation[0] <- x }

/// The parameters after three iterations, and those after the second and a third one once more.
let private trained configuration threads (environment: Environment<'State>) =
    let setup = Setup.create threads configuration environment |> expectOk
    let next state = Training.update setup state |> expectOk |> fst
    let second = TrainingState.start setup 3L |> next |> next
    let third = next second
    Expect.equal (next second).PolicyParameters third.PolicyParameters "continued a second time"
    second.PolicyParameters, third.PolicyParameters, third.RecentReturns

let private training =
    property
        "training is that of the same dynamics as a pure environment, bit for bit, with branches and time limits, too"
        (Gen.zip (Tasks.shortTrainings 5) (Gen.choose (1, 3)))
        (fun ((configuration, limit), threads) ->
            let expected = pureWalk |> Environment.withTimeLimit limit |> trained configuration threads
            use simulators = walks ()
            let actual = simulators |> Environment.withTimeLimit limit |> trained configuration threads
            Expect.equal actual expected "parameters")

// ---- Simulators are made, used again and disposed of ----

let private reuse =
    property
        "as many simulators are made as are in use at a time, and each is disposed of once"
        (Gen.zip (Gen.choose (1, 6)) (Gen.choose (1, 4)))
        (fun (environments, limit) ->
            let made = ref 0
            let disposed = Collections.Concurrent.ConcurrentBag<int>()

            let make () =
                let number = Interlocked.Increment made
                new Walk(fun () -> disposed.Add number)

            let simulators = Simulator.environment make

            let configuration =
                { Configuration.standard with
                    Environments = environments
                    Horizon = 9
                    Hidden = [ 4 ]
                    CriticHidden = [ 4 ] }

            let setup = simulators |> Environment.withTimeLimit limit |> Setup.create 2 configuration |> expectOk

            let start = TrainingState.start setup 1L
            Training.run setup start |> Seq.truncate 3 |> Seq.iter (expectOk >> ignore)
            Expect.equal made.Value environments "simulators"
            Expect.isEmpty disposed "none is disposed of before the end"
            (simulators :> IDisposable).Dispose()
            Expect.sequenceEqual (Seq.sort disposed) [ 1..environments ] "each once"
            (simulators :> IDisposable).Dispose()
            Expect.hasLength disposed environments "and not again")

let private failing =
    test "a simulator that fails is disposed of at once, and its state is continued with another one" {
        let fails = ref true
        let disposed = ref 0

        let make () =
            new Walk(fun () -> disposed.Value <- disposed.Value + 1)
            |> interrupted (fun () ->
                if fails.Value then
                    raise (TimeoutException()))

        use environment = Simulator.environment make
        let start = (environment :> Environment<_>).Reset(Key.ofSeed 1L)
        Expect.throwsT<TimeoutException> (fun () -> step 1f start environment |> ignore) "it fails"
        Expect.equal disposed.Value 1 "disposed of"
        fails.Value <- false
        Expect.equal (seen (step 1f start environment).State environment) (walked start.Seed [ 1f ]) "the same step"
        Expect.equal disposed.Value 1 "the other one is in use"
    }

let private refusals =
    let refused (make: unit -> Simulator) what =
        Expect.throwsC
            (fun () ->
                use environment = Simulator.environment make
                // Two episodes at a time need two simulators.
                for seed in [ 1L; 2L ] do
                    (environment :> Environment<_>).Reset(Key.ofSeed seed) |> ignore)
            (fun error -> Expect.stringContains error.Message what "the message")

    testList
        "refuses"
        [ test "a factory that gives nothing" {
              refused (fun () -> Unchecked.defaultof<Simulator>) "the factory gave null"
          }
          test "a factory that gives the same simulator twice" {
              let walk = new Walk(ignore)
              refused (fun () -> walk) "the same instance a second time"
          }
          test "simulators with different spaces" {
              let made = ref 0

              refused
                  (fun () -> if Interlocked.Increment made = 1 then new Walk(ignore) else idling (fun () -> 0f))
                  "the spaces of this instance are not those of the first one"
          }
          test "to continue a second time if the randomness does not come from the seed" {
              let resets = ref 0

              let show () = float32 (Interlocked.Increment resets)

              let environment: Environment<_> = Simulator.environment (fun () -> idling show)
              let start = environment.Reset key
              let go () = environment.Step(key, ReadOnlySpan(Array.zeroCreate<float32> 16), start) |> ignore
              go ()

              Expect.throwsC go (fun error ->
                  Expect.stringContains
                      error.Message
                      "it cannot be continued from this state a second time"
                      "what is not possible"

                  Expect.stringContains
                      error.Message
                      "All its randomness must come from the seed of Reset"
                      "what to do")
          } ]

let private making =
    test "the factory is called by one thread at a time" {
        let busy = ref 0
        let collisions = ref 0

        let make () =
            if Interlocked.Increment busy <> 1 then
                Interlocked.Increment collisions |> ignore

            Thread.Sleep 2
            Interlocked.Decrement busy |> ignore
            new Walk(ignore)

        let environment: Environment<_> = Simulator.environment make
        let reset (i: int) = environment.Reset(Key.ofSeed (int64 i)) |> ignore
        Tasks.Parallel.For(0, 16, reset) |> ignore
        Expect.equal collisions.Value 0 "collisions"
    }

let private refusedReplays =
    property "a simulator that has shown something else is used again" (Gen.choose (1, 20)) (fun attempts ->
        let made = ref 0
        let resets = ref 0
        let show () = float32 (Interlocked.Increment resets)

        use environment =
            Simulator.environment (fun () ->
                Interlocked.Increment made |> ignore
                idling show)

        let start = (environment :> Environment<_>).Reset key

        let continues () =
            (environment :> Environment<_>).Step(key, ReadOnlySpan(Array.zeroCreate<float32> 16), start)
            |> ignore

        continues ()

        for _ in 1..attempts do
            Expect.throwsT<InvalidOperationException> continues "it does not come from the seed"

        Expect.equal made.Value 2 "one simulator is at the state that follows, and the other one is played again")

let tests = testList "Simulator" [ training; reuse; failing; refusals; refusedReplays; making ]
