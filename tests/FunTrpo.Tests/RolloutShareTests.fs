/// Rollouts whose instances are stepped by several processes: in parts, and as tasks and answers in bytes.
module FunTrpo.Tests.RolloutShareTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.CheckpointTests
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

// ---- Parts ----

let private joining =
    everywhere
        "the parts of a rollout, stepped one by one, make the whole of it"
        { new OnEnvironment with
            member _.Check environment =
                let cases = Gen.zip3 (Gen.choose (1, 9)) (Gen.choose (1, 20)) (Gen.listOfLength 2 (Gen.choose (0, 9)))

                for count, horizon, edges in Gen.sample 20 cases do
                    let limited = environment |> Environment.withTimeLimit 7
                    let setup = setupOf 1 { small with Environments = count; Horizon = horizon } limited
                    let state = TrainingState.start setup 3L
                    let actor, key = TrainingState.actor setup state, Key.ofSeed 5L
                    let edges = [ yield! edges |> List.map (min count); 0; count ] |> List.distinct |> List.sort

                    let collected =
                        [| for first, last in List.pairwise edges do
                               let part = state.Instances.Slice(first, last - first)
                               Rollout.collectFrom first limited actor horizon 2 key part |> expectOk |]

                    let batch, after = Rollout.join state.Instances collected
                    let whole, itsAfter = Rollout.collect limited actor horizon 1 key state.Instances |> expectOk

                    let parts (batch: Batch) =
                        List.ofSeq batch.Rewards, List.ofSeq batch.Ends, List.ofSeq batch.Episodes

                    let matrices (batch: Batch) =
                        [ batch.Observations; batch.Actions; batch.Memory; batch.BootstrapObservations ]

                    Expect.equal (matrices batch) (matrices whole) "the matrices"
                    Expect.equal (parts batch) (parts whole) "rewards, ends and episodes"
                    Expect.equal (List.ofSeq after) (List.ofSeq itsAfter) "the instances afterwards" }

// ---- Processes ----

/// Other processes, whose number changes from iteration to iteration. Each has an environment of its own. Where an answer is lost, another
/// process answers the task again.
type private Processes<'State when 'State: equality>(make: unit -> Environment<'State>, plan: (int * bool) list) =
    let runners = Array.init 5 (fun i -> RolloutShare.runner (1 + i % 2) (make ()) |> expectOk)
    let mutable iteration = 0
    let current () = plan[iteration % plan.Length]

    interface ShareWorkers with
        member _.Count = fst (current ())

        member _.Answers tasks =
            let _, isLost = current ()
            iteration <- iteration + 1

            tasks
            |> Array.mapi (fun i task ->
                let answer = runners[i].Answer task
                if isLost then runners[i + 1].Answer task else answer)

    interface IDisposable with
        member _.Dispose() =
            for runner in runners do
                runner.Dispose()

let private onProcesses make plan threads configuration =
    setupOf threads configuration (make ())
    |> RolloutShare.onWorkers (new Processes<_>(make, plan))
    |> expectOk

let private networks =
    [ small
      { small with NormaliseObservations = false; Branches = 2; BranchSteps = 3 }
      { small with
          Architecture = [ HiddenLayer.Dense(3, FunTrpo.Kernels.Activation.Tanh); HiddenLayer.Gru 3 ]
          CriticArchitecture = [ HiddenLayer.Dense(4, FunTrpo.Kernels.Activation.Tanh) ] } ]

let private training =
    everyKind
        "training has the same bits on any number of processes, also where answers are lost"
        { new OnNewEnvironment with
            member _.Check make =
                let plans = Gen.listOfLength 4 (Gen.zip (Gen.choose (1, 4)) (Gen.elements [ true; false ]))

                for configuration in networks do
                    for plan in Gen.sample 2 plans do
                        let alone = setupOf 1 configuration (make ())
                        let shared = onProcesses make plan 2 configuration
                        let start setup = TrainingState.start setup 3L
                        let expected = iterations 4 alone (start alone)
                        let results = iterations 4 shared (start shared)
                        Expect.isTrue (isSame (last results) (last expected)) "the last state"

                        Expect.equal
                            (results |> List.map (fun (_, report) -> List.ofSeq report.Finished))
                            (expected |> List.map (fun (_, report) -> List.ofSeq report.Finished))
                            "the episodes" }

let private faults =
    property
        "the first fault of a rollout is that of the whole, wherever its instance is stepped"
        (Gen.zip (Gen.choose (1, 5)) troubles)
        (fun (processes, (trouble, at, length)) ->
            let make () = holding (ref 0) length trouble at
            let configuration = { small with Environments = 5; Horizon = 15 }
            // Two failures of the same exception are equal if their messages are.
            let first setup =
                TrainingState.start setup 1L
                |> Training.update setup
                |> Result.map (fun (state, _) -> Sha256.ofParameters state.PolicyParameters)
                |> Result.mapError Fault.message

            let codec =
                { new StateCodec<HoldingState> with
                    member _.Encode state = BitConverter.GetBytes state.Time
                    member _.Decode bytes = { Time = BitConverter.ToInt32 bytes.Span; Held = ref 1 } }

            let coded () =
                let inner = make ()

                { new Wrapped<HoldingState>(inner) with
                    override _.Id = inner.Id
                  interface CheckpointableEnvironment<HoldingState> with
                      member _.StateCodec = Ok codec }
                :> Environment<HoldingState>

            Expect.equal
                (first (onProcesses coded [ processes, false ] 1 configuration))
                (first (setupOf 1 configuration (make ())))
                "the result")

// ---- Bytes that are not right ----

/// A task, the answer to it, and what reads the answer.
let private exchange =
    lazy
        (let setup = setupOf 1 small Pendulum.environment
         let mutable exchanged = [||], [||]
         use runner = RolloutShare.runner 1 Pendulum.environment |> expectOk

         let remembering =
             { new ShareWorkers with
                 member _.Count = 1

                 member _.Answers tasks =
                     exchanged <- tasks[0], runner.Answer tasks[0]
                     [| snd exchanged |] }

         let shared = RolloutShare.onWorkers remembering setup |> expectOk
         iterations 1 shared (TrainingState.start shared 5L) |> ignore
         exchanged)

/// The result of an iteration whose share is answered so.
let private answeredBy answer =
    let workers =
        { new ShareWorkers with
            member _.Count = 1
            member _.Answers tasks = tasks |> Array.map answer }

    let setup = setupOf 1 small Pendulum.environment |> RolloutShare.onWorkers workers |> expectOk
    Training.update setup (TrainingState.start setup 5L) |> Result.mapError Fault.message

let private mutated (bytes: byte[]) =
    let changed =
        gen {
            let! places = Gen.nonEmptyListOf (Gen.zip (Gen.choose (0, bytes.Length - 1)) (Gen.choose (1, 255)))
            let copy = Array.copy bytes

            for place, change in places do
                copy[place] <- copy[place] ^^^ byte change

            return copy
        }

    let cut = Gen.choose (0, bytes.Length - 1) |> Gen.map (fun length -> Array.truncate length bytes)
    let longer = Gen.choose (1, 9) |> Gen.map (fun more -> Array.append bytes (Array.create more 7uy))
    Gen.oneof [ changed; cut; longer ] |> Gen.filter ((<>) bytes)

/// The task of an older library, or of a processor with other vectors: the section says so, and its hash is right.
let private rewritten version width =
    let bytes, _ = exchange.Value
    let sections = SectionReader(new MemoryStream(bytes), "FunTrpoT", 1)

    let section name =
        let reader = sections.Bytes name
        Section.ofBytes name ((reader.Take reader.Remaining).ToArray())

    let before = [ section "environment"; section "configuration" ]
    let share = sections.Bytes "share"
    let itsVersion, itsWidth = share.Text(), share.Int32()
    let rest = (share.Take share.Remaining).ToArray()

    let changed =
        Section.written "share" (fun writer ->
            ByteWriter.writeText writer (version itsVersion)
            writer.Write(width itsWidth: int)
            writer.Write rest)

    let after = [ section "policy"; section "normaliser"; section "instances" ]
    use stream = new MemoryStream()
    SectionFile.write "FunTrpoT" 1 (before @ [ changed ] @ after) stream
    stream.ToArray()

let private answerTo environment task =
    use runner = RolloutShare.runner 1 environment |> expectOk
    answeredBy (fun _ -> runner.Answer task)

let private isRefused text result =
    match result with
    | Ok _ -> failtest "it is accepted"
    | Error message -> Expect.stringContains message text "the message"

let private bytes =
    testList
        "bytes"
        [ testCase "of tasks that are not changed are answered" (fun () ->
              answerTo Pendulum.environment (rewritten id id) |> Expect.isOk <| "the answer")

          property
              "of tasks that are changed, cut or too long are answered by a fault"
              (gen { return! mutated (fst exchange.Value) })
              (fun task -> answerTo Pendulum.environment task |> Expect.isError <| "the answer")

          property
              "of answers that are changed, cut or too long end the iteration with a fault"
              (gen { return! mutated (snd exchange.Value) })
              (fun answer -> answeredBy (fun _ -> answer) |> Expect.isError <| "the iteration")

          testCase "of a training with another library are refused" (fun () ->
              answerTo Pendulum.environment (rewritten (fun version -> version + ".1") id)
              |> isRefused "both must have the same")

          testCase "of a training on a processor with other vectors are refused" (fun () ->
              answerTo Pendulum.environment (rewritten id (fun width -> 2 * width))
              |> isRefused "results would be rounded differently")

          testCase "of a training on another environment are refused" (fun () ->
              answerTo CartPole.environment (fst exchange.Value) |> isRefused "this process steps CartPole-v1") ]

/// An environment whose states are objects of a class.
let private distant =
    let here = Uri "about:here"

    { new Environment<Uri> with
        member _.Id = "Distant"
        member _.ObservationSpace = Space.box 1 -1.0 1.0
        member _.ActionSpace = Discrete 2
        member _.Reset _ = here
        member _.Step(_, _, _) = { State = here; Reward = 0.0; Terminated = true; Truncated = false }
        member _.Observe(_, _) = () }

let private unsendable =
    testCase "an environment whose states cannot be sent is refused" (fun () ->
        match RolloutShare.runner 1 distant with
        | Ok _ -> failtest "it is accepted"
        | Error fault -> Expect.stringContains (Fault.message fault) "CheckpointableEnvironment" "the message")

let private failing =
    testCase "an exception of the workers is a fault of the environment" (fun () ->
        answeredBy (fun _ -> failwith "no silo is there") |> isRefused "no silo is there")

let tests = testList "RolloutShare" [ joining; training; faults; bytes; unsendable; failing ]
