/// Several simulators in one object are the same as single ones, and are called together.
module FunTrpo.Tests.BatchSimulatorTests

open System
open System.Collections.Concurrent
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ReplayPointTests

/// What happened to batches of walks.
type private Log() =
    member val Made = 0 with get, set
    member val Disposed = 0 with get, set
    /// The numbers of simulators in each call of Step.
    member val Steps = ConcurrentQueue<int>()

/// Several walks in one object. `fail` may throw before each call of Step, which it is given the number of.
type private Walks(count, log: Log, fail: int -> unit) =
    let walks = Array.init count (fun _ -> new Walk(ignore) :> Simulator)
    let mutable steps = 0
    let mutable users = 0

    do log.Made <- log.Made + 1

    let enter () = Expect.equal (Interlocked.Increment &users) 1 "threads at a time"

    interface BatchSimulator with
        member _.Id = "Walk"
        member _.ObservationSpace = walks[0].ObservationSpace
        member _.ActionSpace = walks[0].ActionSpace
        member _.Count = count

        member _.Reset(indices, seeds, observations) =
            enter ()

            for i in 0 .. indices.Length - 1 do
                walks[indices[i]].Reset(seeds[i], observations.Slice(i, 1))

            Interlocked.Decrement &users |> ignore

        member _.Step(indices, actions, observations, results) =
            enter ()
            log.Steps.Enqueue indices.Length
            steps <- steps + 1
            fail steps

            for i in 0 .. indices.Length - 1 do
                results[i] <- walks[indices[i]].Step(actions.Slice(i, 1), observations.Slice(i, 1))

            Interlocked.Decrement &users |> ignore

    interface IDisposable with
        member _.Dispose() = log.Disposed <- log.Disposed + 1

let private batches restarts count log fail =
    let environment = Simulator.environmentOfBatches (fun () -> new Walks(count, log, fail))
    environment.AllowRestarts restarts
    environment

let private sameBits =
    property
        "training, branches and evaluation have the bits of single simulators"
        (Gen.zip3 (Tasks.shortTrainings 9) (Gen.choose (1, 12)) (Gen.choose (0, 4)))
        (fun ((configuration, limit), count, inFlight) ->
            let train simulators =
                simulators
                |> Environment.withTimeLimit limit
                |> Environment.inFlight (if inFlight = 0 then None else Some inFlight)
                |> InFlightTests.trainedAndPlayed configuration 2

            use simulators = walks ()
            let log = Log()
            let batched = batches 0 count log ignore
            Expect.equal (train batched) (train simulators) "the results"
            (batched :> IDisposable).Dispose()
            Expect.equal log.Disposed log.Made "all are disposed of once")

let private together =
    property
        "a thread steps all of its instances in one call"
        (Gen.zip (Gen.choose (1, 9)) (Gen.choose (0, 5)))
        (fun (environments, more) ->
            let log = Log()
            use batched = batches 0 (environments + more) log ignore

            let configuration =
                { Configuration.standard with
                    Environments = environments
                    Horizon = 7
                    Hidden = [ 4 ]
                    CriticHidden = [ 4 ] }

            let setup = batched |> Environment.withTimeLimit 5 |> Setup.create 1 configuration |> expectOk
            TrainingState.start setup 1L |> Training.update setup |> expectOk |> ignore
            Expect.sequenceEqual log.Steps (List.replicate 7 environments) "the calls"
            Expect.equal log.Made 1 "one batch")

let private sticky =
    property
        "sticky actions around them have the bits of single simulators, in one call for all"
        (Gen.choose (1, 9))
        (fun environments ->
            let settings =
                { Configuration.standard with
                    Environments = environments
                    Horizon = 7
                    Hidden = [ 4 ]
                    CriticHidden = [ 4 ] }

            let train simulators =
                let environment = simulators |> StickyActions.wrap 0.4 |> Environment.withTimeLimit 5
                let setup = Setup.create 1 settings environment |> expectOk
                (TrainingState.start setup 1L |> Training.update setup |> expectOk |> fst).PolicyParameters

            let log = Log()
            use batched = batches 0 environments log ignore
            use simulators = walks ()
            Expect.equal (train batched) (train simulators) "the parameters"
            Expect.sequenceEqual log.Steps (List.replicate 7 environments) "the calls")

let private failureCase =
    gen {
        let! environments = Gen.choose (1, 8)
        let! count = Gen.choose (1, 8)
        let! failing = Gen.choose (1, 20)
        let! position = Gen.choose (0, 7)
        return environments, count, failing, position
    }

let private settingsFor environments =
    { Configuration.standard with
        Environments = environments
        InitialLogSigma = -3.0 // No action is so large that it ends an episode.
        Horizon = 9
        Hidden = [ 4 ]
        CriticHidden = [ 4 ] }

let private failures =
    property
        "a failure is that of its simulator, at its step; training goes on from the state with another batch"
        (Gen.zip (Gen.choose (1, 8)) (Gen.zip (Gen.choose (1, 9)) (Gen.choose (0, 7))))
        (fun (environments, (failing, position)) ->
            let position = position % environments
            let hasFailed = ref false

            let fail call =
                if not hasFailed.Value && call = failing then
                    hasFailed.Value <- true
                    raise (BatchException(position, TimeoutException "no answer"))

            let log = Log()
            use batched = batches 0 environments log fail
            let setup = batched |> Setup.create 1 (settingsFor environments) |> expectOk
            let start = TrainingState.start setup 1L

            match Training.update setup start with
            | Error(FailedEnvironment(:? TimeoutException, "Walk", instance, step)) ->
                Expect.equal (instance, step) (position, int64 failing) "the place"
            | Error fault -> failtest (Fault.message fault)
            | Ok _ -> failtest "it has not failed"

            Expect.equal log.Disposed 1 "the failed batch is disposed of"
            use simulators = walks ()
            let expected = simulators |> Setup.create 1 (settingsFor environments) |> expectOk
            let expected = Training.update expected (TrainingState.start expected 1L) |> expectOk |> fst
            let again = Training.update setup start |> expectOk |> fst
            Expect.equal again.PolicyParameters expected.PolicyParameters "the same future"
            Expect.equal log.Made 2 "another batch")

let private restarts =
    property
        "batches and simulators that fail are replaced, so many times, and the results have the same bits"
        failureCase
        (fun (environments, count, failing, position) ->
            let failures = ref 0

            let fail call =
                if failures.Value < 2 && call = failing then
                    failures.Value <- failures.Value + 1
                    raise (BatchException(position, TimeoutException "no answer"))

            let train simulators =
                let setup = simulators |> Setup.create 1 (settingsFor environments) |> expectOk
                TrainingState.start setup 1L |> Training.update setup |> Result.map (fst >> _.PolicyParameters)

            use simulators = walks ()
            let expected = train simulators |> expectOk
            let log = Log()
            use batched = batches 2 count log fail
            Expect.equal (train batched |> expectOk) expected "with restarts"
            Expect.isGreaterThanOrEqual log.Made (1 + failures.Value) "fresh ones"

            // Without enough restarts, the failure is a fault.
            if failures.Value = 2 then
                failures.Value <- 0
                use batched = batches 1 count (Log()) fail
                Expect.isTrue (Result.isError (train batched)) "too few restarts")

let private singleRestarts =
    test "a single simulator that fails is replaced, and its episode is played again" {
        let failures = ref 0
        let made = ref 0

        let make () =
            made.Value <- made.Value + 1
            let steps = ref 0

            new Walk(ignore)
            |> interrupted (fun () ->
                steps.Value <- steps.Value + 1

                if steps.Value = 4 && failures.Value < 3 then
                    failures.Value <- failures.Value + 1
                    raise (TimeoutException()))

        let play restarts =
            failures.Value <- 0
            use environment = Simulator.environment make
            environment.AllowRestarts restarts
            let start = (environment :> Environment<_>).Reset key

            let last = (start, [ 1..6 ]) ||> List.fold (fun state _ -> (step 0.5f state environment).State)

            Expect.equal (seen last environment) (walked start.Seed (List.replicate 6 0.5f)) "the walk"

        play 3
        Expect.equal made.Value 4 "simulators"
        Expect.throwsT<TimeoutException> (fun () -> play 2) "too few restarts"

        let cancelled =
            Simulator.environment (fun () ->
                { new Simulator with
                    member _.Id = "Cancelled"
                    member _.ObservationSpace = Discrete 1
                    member _.ActionSpace = Discrete 1
                    member _.Reset(_, _) = raise (OperationCanceledException())
                    member _.Step(_, _) = failtest "there is no step" })

        cancelled.AllowRestarts 3

        Expect.throwsT<OperationCanceledException>
            (fun () -> (cancelled :> Environment<_>).Reset key |> ignore)
            "a cancellation is no failure"
    }

let private refusals =
    let refused (make: unit -> BatchSimulator) what =
        Expect.throwsC
            (fun () ->
                use environment = Simulator.environmentOfBatches make

                for seed in [ 1L; 2L ] do
                    (environment :> Environment<_>).Reset(Key.ofSeed seed) |> ignore)
            (fun error -> Expect.stringContains error.Message what "the message")

    test "refuses factories that give nothing, an empty batch, or the same one twice" {
        refused (fun () -> Unchecked.defaultof<BatchSimulator>) "the factory gave null"
        let one = new Walks(1, Log(), ignore) :> BatchSimulator
        refused (fun () -> one) "the same batch a second time"

        let none =
            { new BatchSimulator with
                member _.Id = "None"
                member _.ObservationSpace = Discrete 1
                member _.ActionSpace = Discrete 1
                member _.Count = 0
                member _.Reset(_, _, _) = ()
                member _.Step(_, _, _, _) = () }

        refused (fun () -> none) "at least 1 simulator"
    }

let tests =
    testList "Batch simulators" [ sameBits; together; sticky; failures; restarts; singleRestarts; refusals ]
