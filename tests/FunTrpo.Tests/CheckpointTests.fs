/// Training states in files: they come back in every bit, and training goes on from them as if nothing had happened.
module FunTrpo.Tests.CheckpointTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

// ---- Environments with states of every kind ----

/// A mutable simulator: a walk on a line that ends at its edges.
type Walk() =
    let mutable x = 0f

    interface Simulator with
        member _.Id = "Walk"
        member _.ObservationSpace = Space.box 1 -100.0 100.0
        member _.ActionSpace = Space.box 1 -1.0 1.0

        member _.Reset(seed, observation) =
            x <- float32 (seed % 1000) / 500f - 1f
            observation[0] <- x

        member _.Step(action, observation) =
            x <- float32 (sin (2.0 * float x)) + action[0]
            observation[0] <- x
            { Reward = float x; Terminated = (abs x > 1.4f); Truncated = false }

type Board = { Cells: int[]; Moves: (int * bool) list; Last: string }

/// A task whose states are records of arrays and lists, and whose actions are several choices.
let board =
    { new Environment<Board> with
        member _.Id = "Board"
        member _.ObservationSpace = MultiDiscrete [ 3; 3; 3 ]
        member _.ActionSpace = MultiDiscrete [ 3; 2 ]

        member _.Reset key =
            { Cells = Array.init 3 (fun i -> int (2.99 * Key.uniform (Key.at (int64 i) key)))
              Moves = []
              Last = null }

        member _.Step(_, action, state) =
            let place, up = int action[0], action[1] = 1f
            let cells = Array.copy state.Cells
            cells[place] <- (cells[place] + (if up then 1 else 2)) % 3
            let next = { Cells = cells; Moves = (place, up) :: state.Moves; Last = $"{place}" }

            { State = next
              Reward = (if Array.sum cells = 0 then 1.0 else -0.1)
              Terminated = (Array.sum cells = 0)
              Truncated = (next.Moves.Length >= 9) }

        member _.Observe(state, observation) =
            for i in 0..2 do
                observation[i] <- float32 state.Cells[i] }

/// A class is no plain value: it needs a codec.
[<Sealed; AllowNullLiteral>]
type private Counter(time: int) =
    member _.Time = time

    override _.Equals other =
        match other with
        | :? Counter as other -> other.Time = time
        | _ -> false

    override _.GetHashCode() = time

let private counterTransition (state: Counter) =
    { State = Counter(state.Time + 1)
      Reward = sin (float state.Time)
      Terminated = (state.Time % 7 = 6)
      Truncated = false }

type private CounterTask() =
    interface Environment<Counter> with
        member _.Id = "Counter"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Discrete 2
        member _.Reset key = Counter(int (6.0 * Key.uniform key))
        member _.Step(_, _, state) = counterTransition state
        member _.Observe(state, observation) = observation[0] <- float32 (cos (float state.Time))

type private CodedCounterTask() =
    inherit CounterTask()

    interface CheckpointableEnvironment<Counter> with
        member _.StateCodec =
            Ok
                { new StateCodec<Counter> with
                    member _.Encode state = BitConverter.GetBytes state.Time
                    member _.Decode bytes = Counter(BitConverter.ToInt32 bytes.Span) }

/// A claim on an environment whose states have each of the forms that checkpoints keep. A new environment is made for each use.
type OnNewEnvironment =
    abstract Check<'State when 'State: equality> : make: (unit -> Environment<'State>) -> unit

let everyKind name (check: OnNewEnvironment) =
    testList
        name
        [ test "a struct with a time limit" { check.Check(fun () -> CartPole.environment) }
          test "continuous actions" { check.Check(fun () -> Pendulum.environment) }
          test "records of arrays and lists" { check.Check(fun () -> board) }
          test "a codec of its own" { check.Check(fun () -> CodedCounterTask() :> Environment<Counter>) }
          test "a codec of its own, with a time limit" {
              check.Check(fun () -> CodedCounterTask() |> Environment.withTimeLimit 4)
          }
          test "mutable simulators" {
              check.Check(fun () -> Simulator.environment (fun () -> Walk()) :> Environment<ReplayPoint>)
          }
          test "mutable simulators with a time limit" {
              check.Check(fun () -> Simulator.environment (fun () -> Walk()) |> Environment.withTimeLimit 20)
          } ]

// ---- Going on ----

let private variants =
    [ small
      { small with Critic = CriticKind.Adam; NormaliseReturns = false }
      { small with NormaliseObservations = false; EntropyBonus = 0.05 }
      { ppo with TargetKl = 1e-3 } ]

let isSame (state: TrainingState<'State>) (other: TrainingState<'State>) =
    same { state with Instances = other.Instances } other
    && same (List.ofSeq state.Instances) (List.ofSeq other.Instances)

/// The state, after it has been saved with one setup and loaded with another.
let private throughFile folder saving loading (state: TrainingState<'State>) =
    let path = Path.Combine(folder, "checkpoint")
    Checkpoint.save path saving "note" state |> expectOk
    let loaded = Checkpoint.load path loading |> expectOk
    Expect.equal loaded.Note "note" "the note"
    Expect.isTrue (isSame loaded.State state) "the state comes back in every bit"
    loaded.State

let private interrupted =
    everyKind
        "a run that is interrupted anywhere, any number of times, ends with the same state and reports"
        { new OnNewEnvironment with
            member _.Check make =
                for configuration in variants do
                    for case in
                        Gen.sample 2 (Gen.listOfLength 6 (Gen.zip (Gen.elements [ true; false ]) (Gen.choose (1, 3)))) do
                        inFolder (fun folder ->
                            let whole = setupOf 1 configuration (make ())
                            let start = TrainingState.start whole 3L
                            let expected = iterations case.Length whole start
                            let mutable setup = setupOf 1 configuration (make ())
                            let mutable state = TrainingState.start setup 3L

                            for (isInterrupted, threads), (_, report) in List.zip case expected do
                                if isInterrupted then
                                    let next = setupOf threads configuration (make ())
                                    state <- throughFile folder setup next state
                                    setup <- next

                                let next, itsReport = Training.update setup state |> expectOk
                                Expect.isTrue (same itsReport report) "the report"
                                state <- next

                            Expect.isTrue (isSame state (fst (List.last expected))) "the last state") }

/// A setup, a state of it and the bytes of its checkpoint.
let private saved =
    lazy
        (inFolder (fun folder ->
            let setup = setupOf 1 small Pendulum.environment
            let state = iterations 2 setup (TrainingState.start setup 5L) |> last
            let path = Path.Combine(folder, "checkpoint")
            Checkpoint.save path setup "a note" state |> expectOk
            setup, state, File.ReadAllBytes path))

let private loadBytes (bytes: byte[]) =
    inFolder (fun folder ->
        let path = Path.Combine(folder, "checkpoint")
        File.WriteAllBytes(path, bytes)
        let setup, _, _ = saved.Value
        Checkpoint.load path setup)

let private damage =
    testList
        "a damaged file"
        [ property
              "with a changed bit is refused"
              (Gen.zip (Gen.choose (0, 1_000_000)) (Gen.choose (0, 7)))
              (fun (place, bit) ->
                  let _, _, bytes = saved.Value
                  let changed = Array.copy bytes
                  let place = place % bytes.Length
                  changed[place] <- changed[place] ^^^ byte (1 <<< bit)
                  Expect.isError (loadBytes changed) $"bit {bit} of byte {place}")

          property
              "that is cut is refused, and the fault names a section and a byte"
              (Gen.choose (16, 1_000_000))
              (fun length ->
                  let _, _, bytes = saved.Value

                  match loadBytes (Array.truncate (length % bytes.Length) bytes) with
                  | Error(Damaged(_, why)) when length % bytes.Length >= 16 ->
                      Expect.stringContains why "byte" "the place"
                  | Error(Damaged _) -> ()
                  | other -> failtest $"%A{other}")

          test "with something behind its end is refused" {
              let _, _, bytes = saved.Value
              Expect.isError (loadBytes (Array.append bytes [| 0uy |])) "one byte more"
          }

          inNewFolder "that is a folder, or not there, is refused" (fun folder ->
              let setup, _, _ = saved.Value

              for path in [ folder; Path.Combine(folder, "nothing"); Path.Combine(folder, "no", "folder") ] do
                  match Checkpoint.load path setup with
                  | Error(Damaged _) -> ()
                  | other -> failtest $"%A{other}") ]

let private mismatches =
    testList
        "the checkpoint of another training is refused"
        [ inNewFolder "with another environment, other networks or other normalisers" (fun folder ->
              let setup, state, _ = saved.Value
              let path = Path.Combine(folder, "checkpoint")
              Checkpoint.save path setup "" state |> expectOk

              let refusal (fault: Result<_, Fault>) =
                  match fault with
                  | Error fault -> Fault.message fault
                  | Ok _ -> failtest "accepted"

              let load configuration = Checkpoint.load path (setupOf 1 configuration Pendulum.environment) |> refusal
              Expect.stringContains (load { small with Hidden = [ 7 ] }) "hidden" "the policy"
              Expect.stringContains (load { small with CriticHidden = [ 7 ] }) "criticHidden" "the critic"
              Expect.stringContains (load { small with Environments = 4 }) "environments" "the instances"
              Expect.stringContains (load { small with NormaliseReturns = false }) "normaliseReturns" "the return unit"

              let other = Checkpoint.load path (setupOf 1 small CartPole.environment) |> refusal
              Expect.stringContains other "Pendulum-v1" "the environment")

          inNewFolder "but fields that may change during training may differ" (fun folder ->
              let setup, state, _ = saved.Value
              let path = Path.Combine(folder, "checkpoint")
              Checkpoint.save path setup "" state |> expectOk
              let changed = setupOf 2 { small with Delta = 0.5; Horizon = 9; Gamma = 0.9 } Pendulum.environment
              Expect.isTrue (isSame (Checkpoint.load path changed |> expectOk).State state) "the state"
              let origin = Checkpoint.origin path |> expectOk
              Expect.equal (origin.Environment, origin.Configuration) ("Pendulum-v1", small) "the origin") ]

let private unwritable =
    testList
        "a state that cannot be written"
        [ inNewFolder "because it is no plain value: the fault says what to implement" (fun folder ->
              let environment = CounterTask()
              let setup = setupOf 1 small environment
              let path = Path.Combine(folder, "checkpoint")

              for fault in
                  [ Checkpoint.requireCodec environment
                    Checkpoint.save path setup "" (TrainingState.start setup 1L) ] do
                  match fault with
                  | Error(Mismatch why) -> Expect.stringContains why "CheckpointableEnvironment" "the remedy"
                  | other -> failtest $"%A{other}"

              Expect.isFalse (File.Exists path) "no file")

          inNewFolder "because the folder is not there: the fault is that of the file system" (fun folder ->
              let setup, state, _ = saved.Value

              match Checkpoint.save (Path.Combine(folder, "no", "checkpoint")) setup "" state with
              | Error(NotSaved _) -> ()
              | other -> failtest $"%A{other}") ]

let tests = testList "checkpoints" [ interrupted; damage; mismatches; unwritable ]
