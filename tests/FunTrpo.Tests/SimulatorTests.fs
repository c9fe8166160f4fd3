/// Mutable simulators as values: an environment made of them is the same as a pure one.
module FunTrpo.Tests.SimulatorTests

open System
open System.Threading
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

let private key = Key.ofSeed 0L

/// The position of a walk after its seed and actions: a plain function of them.
let private walked seed (actions: float32 list) =
    actions
    |> List.fold (fun x action -> float32 (sin (2.0 * float x)) + action) (float32 (seed % 1000) / 100f)

/// The same walk as a mutable simulator. An action of 9 terminates it.
type private Walk(onDispose: unit -> unit) =
    let mutable x = 0f

    interface Simulator with
        member _.Id = "Walk"
        member _.ObservationSpace = Space.box 1 -100.0 100.0
        member _.ActionSpace = Space.box 1 -9.0 9.0

        member _.Reset(seed, observation) =
            x <- walked seed []
            observation[0] <- x

        member _.Step(action, observation) =
            x <- float32 (sin (2.0 * float x)) + action[0]
            observation[0] <- x
            { Reward = float x; Terminated = (action[0] = 9f); Truncated = false }

    interface IDisposable with
        member _.Dispose() = onDispose ()

let private walks () = Simulator.environment (fun () -> new Walk(ignore))

let private step action state (environment: Environment<'State>) =
    environment.Step(key, ReadOnlySpan [| action |], state)

let private seen state (environment: Environment<'State>) = (Environment.observation environment state)[0]

/// A tree of states: each entry says from which of the earlier ones the next one comes (0: a new episode), and by which action.
let private trees = Gen.listOf (Gen.zip (Gen.choose (0, 100)) (Gen.elements [ -1f; 0.25f; 0.5f; 9f ]))

let private continuing =
    property
        "states are continued in any order, any number of times, with the transitions of a plain function"
        trees
        (fun tree ->
            use environment = walks ()
            let reset i = (environment :> Environment<_>).Reset(Key.at (int64 i) (Key.ofSeed 1L))
            let start = reset 0
            let known = ResizeArray [ start, start.Seed, [] ]

            for i, (from, action) in List.indexed tree do
                let state, seed, actions = known[from % known.Count]

                if from = 0 || List.contains 9f actions then
                    let start = reset i
                    known.Add((start, start.Seed, []))
                else
                    let next = step action state environment
                    let actions = actions @ [ action ]
                    Expect.equal (seen next.State environment) (walked seed actions) "the observation"
                    Expect.equal next.Reward (float (walked seed actions)) "the reward"
                    Expect.equal next.Terminated (action = 9f) "the end"
                    known.Add((next.State, seed, actions))

            for a, seedOfA, actionsOfA in known do
                for b, seedOfB, actionsOfB in known do
                    let same = seedOfA = seedOfB && actionsOfA = actionsOfB
                    Expect.equal (a = b) same "states are equal if their seeds and actions are"

                    if same then
                        Expect.equal (hash a) (hash b) "and then their hashes are, too")

let private forgetting =
    property
        "an episode that never ends can be continued again as long as its actions are kept, and then no more"
        (Gen.zip (Gen.choose (1, 30)) (Gen.choose (1, 60)))
        (fun (maxActionNumbers, steps) ->
            let walks () = new SimulatorEnvironment((fun () -> new Walk(ignore) :> Simulator), maxActionNumbers)
            let environment = walks ()
            let action i = if i % 3 = 0 then -1f else 0.25f

            /// The states of an episode, one after another.
            let walk (environment: Environment<ReplayPoint>) =
                [ 1..steps ]
                |> List.scan
                    (fun state i -> (step (action i) state environment).State)
                    (environment.Reset(Key.ofSeed 5L))

            let known = walk environment
            Expect.equal (walk (walks ())) known "the same episode again: states are equal, kept or not"
            Expect.hasLength (List.distinct known) (steps + 1) "and different from each other"

            for i, state in List.indexed known do
                let again () = (step (action (i + 1)) state environment).State

                if i <= maxActionNumbers then
                    let next = again ()

                    if i < steps then
                        Expect.equal next known[i + 1] "what follows, once more"
                elif i < steps then // The last one has not been continued.
                    Expect.throwsC (again >> ignore) (fun error ->
                        Expect.stringContains error.Message "cannot be continued" "what is not possible"
                        Expect.stringContains error.Message "time limit" "what to do"))

/// A simulator whose steps do nothing. Actions are 16 numbers, and the first observation is what `show` gives.
let private idling show =
    { new Simulator with
        member _.Id = "Idling"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Space.box 16 -1.0 1.0
        member _.Reset(_, observation) = observation[0] <- show ()
        member _.Step(_, _) = { Reward = 0.0; Terminated = false; Truncated = false } }

let private memory =
    testSequenced (
        test "an episode without an end takes no more memory, however long it is" {
            let environment: Environment<_> = Simulator.environment (fun () -> idling (fun () -> 0f))
            let action = Array.create 16 0.5f
            let mutable state = environment.Reset(Key.ofSeed 1L)

            let growth steps =
                let before = GC.GetTotalMemory true

                for _ in 1..steps do
                    state <- environment.Step(key, ReadOnlySpan action, state).State

                float (GC.GetTotalMemory true - before) / 1048576.0

            // What is kept at most is 4 MB; all actions would be 12.
            Expect.isLessThan (growth 200_000) 5.0 "MB"
            GC.KeepAlive state
        }
    )

// ---- Training ----

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

let private configurations =
    gen {
        let! environments = Gen.choose (1, 5)
        let! horizon = Gen.choose (5, 20)
        let! branches = Gen.elements [ 0; 2; 3 ]
        let! branchSteps = Gen.choose (1, 6)
        let! limit = Gen.choose (1, 30)
        let! threads = Gen.choose (1, 3)

        let configuration =
            { Configuration.standard with
                Environments = environments
                Horizon = horizon
                Branches = branches
                BranchSteps = branchSteps
                Hidden = [ 4 ]
                CriticHidden = [ 4 ] }

        return configuration, limit, threads
    }

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
        configurations
        (fun (configuration, limit, threads) ->
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
            let walk = new Walk(fun () -> disposed.Value <- disposed.Value + 1)
            let inner = walk :> Simulator

            { new Simulator with
                member _.Id = inner.Id
                member _.ObservationSpace = inner.ObservationSpace
                member _.ActionSpace = inner.ActionSpace
                member _.Reset(seed, observation) = inner.Reset(seed, observation)

                member _.Step(action, observation) =
                    if fails.Value then
                        raise (TimeoutException())

                    inner.Step(action, observation)
              interface IDisposable with
                  member _.Dispose() = (walk :> IDisposable).Dispose() }

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

let tests =
    testList "Simulator" [ continuing; forgetting; memory; training; reuse; failing; refusals; refusedReplays; making ]
