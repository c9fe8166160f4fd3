/// States of mutable simulators as values: they are continued in any order, any number of times.
module FunTrpo.Tests.ReplayPointTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

let key = Key.ofSeed 0L

/// The position of a walk after its seed and actions: a plain function of them.
let walked seed (actions: float32 list) =
    actions
    |> List.fold (fun x action -> float32 (sin (2.0 * float x)) + action) (float32 (seed % 1000) / 100f)

/// The same walk as a mutable simulator. An action of 9 terminates it.
type Walk(onDispose: unit -> unit) =
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

/// The simulator with a call of `before` before each of its steps.
let interrupted (before: unit -> unit) (inner: Simulator) =
    { new Simulator with
        member _.Id = inner.Id
        member _.ObservationSpace = inner.ObservationSpace
        member _.ActionSpace = inner.ActionSpace
        member _.Reset(seed, observation) = inner.Reset(seed, observation)

        member _.Step(action, observation) =
            before ()
            inner.Step(action, observation)
      interface IDisposable with
          member _.Dispose() =
              match inner with
              | :? IDisposable as disposable -> disposable.Dispose()
              | _ -> () }

let walks () = Simulator.environment (fun () -> new Walk(ignore))

let step action state (environment: Environment<'State>) = environment.Step(key, ReadOnlySpan [| action |], state)

let seen state (environment: Environment<'State>) = (Environment.observation environment state)[0]

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
let idling show =
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

let tests = testList "Simulator" [ continuing; forgetting; memory ]
