/// Environments of Gymnasium, in a Python process: they carry over exactly. Without the real Gymnasium, which the folder that the variable
/// FUNTRPO_TESTS_GYMNASIUM names has, a stand-in with its interface takes its place.
module FunTrpo.Tests.GymnasiumTests

open System
open System.IO
open System.Text.Json.Nodes
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Remote
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.CommandRuns

/// The Python interpreter, if it has NumPy.
let private python =
    lazy
        ([ "/usr/bin/python3"; "python3" ]
         |> List.tryFind (fun python ->
             try
                 (runProgram (Path.GetTempPath()) python [ "-c"; "import numpy" ]).Code = 0
             with _ ->
                 false))

let private standIn = Path.Combine(DocumentationTests.root, "tests", "gymnasium")

/// The variables with which a process finds a Gymnasium in a folder.
let private variables folder =
    [ "PYTHONPATH", folder
      Gymnasium.PythonVariable, defaultArg python.Value "python3"
      "PYTHONDONTWRITEBYTECODE", "1" ]

/// A test that needs Python with NumPy. It finds the stand-in.
let private needsPython name work =
    testCase name (fun () ->
        if python.Value.IsNone then
            skiptest "there is no python3 with NumPy"

        for variable, value in variables standIn do
            Environment.SetEnvironmentVariable(variable, value)

        work ())

let private quick = RemoteOptions(AnswerTime = TimeSpan.FromSeconds 10.0)

let private numbers (remote: RemoteSimulators) index seed (actions: float32 list list) =
    let width = Space.width remote.ObservationSpace
    let observation = Array.zeroCreate<float32> width
    RemoteTests.resetAll remote [| index |] [| seed |] observation

    let results =
        [ for action in actions do
              let seen = Array.zeroCreate<float32> width
              let results = Array.zeroCreate<SimulatorStep> 1
              RemoteTests.stepAll remote [| index |] (Array.ofList action) seen results
              List.ofArray seen, results[0] ]

    List.ofArray observation, results

let private spaces =
    needsPython "spaces, seeds, rewards and ends carry over exactly" (fun () ->
        use walk = Gymnasium.Start "Walk-v0"
        Expect.equal walk.Id "gym:Walk-v0" "the name"
        Expect.equal walk.ObservationSpace (Space.boxOfShape [ 2; 2 ] -infinity infinity) "a box with a shape"
        Expect.equal walk.ActionSpace (Discrete 3) "indices"
        let start, steps = numbers walk 5 2123 [ [ 0f ]; [ 2f ]; [ 0f ] ]
        let x0 = 0.123
        let x1 = 0.5 * x0 + 3.0 - 4.5
        let x2 = 0.5 * x1 + 5.0 - 4.5
        let x3 = 0.5 * x2 + 3.0 - 4.5
        let seen x time = [ float32 x; float32 time; 1f; float32 -x ]
        Expect.equal start (seen x0 0) "the start"

        Expect.equal
            steps
            [ seen x1 1, { Reward = x1; Terminated = true; Truncated = false }
              seen x2 2, { Reward = x2; Terminated = false; Truncated = false }
              seen x3 3, { Reward = x3; Terminated = true; Truncated = false } ]
            "the steps"

        use choices = Gymnasium.Start "Choices-v0"
        Expect.equal choices.ObservationSpace (MultiDiscrete [ 2; 3; 5 ]) "choices"
        let start, steps = numbers choices 0 4 (List.replicate 4 [ 1f; 2f; 4f ])
        Expect.equal start [ 0f; 1f; 4f ] "the start"

        Expect.equal
            (List.last steps)
            ([ 1f; 2f; 4f ], { Reward = 7.0; Terminated = false; Truncated = true })
            "the last step"

        use switches = Gymnasium.Start "Switches-v0"
        Expect.equal switches.ObservationSpace (MultiBinary 4) "switches"
        Expect.equal switches.ActionSpace (Space.boxOfShape [ 2; 2 ] -1.0 1.0) "a box"
        let start, steps = numbers switches 0 3 [ [ 0.5f; -0.5f; -0.25f; 1f ] ]
        Expect.equal start [ 1f; 0f; 1f; 0f ] "the start"
        Expect.equal steps [ [ 1f; 0f; 0f; 1f ], { Reward = -0.25; Terminated = false; Truncated = false } ] "the step")

let private parts =
    needsPython "Dict and Tuple are parts, in the order of Gymnasium" (fun () ->
        use remote = Gymnasium.Start "Parts-v0"
        let box = Space.box 2 -1.0 1.0

        Expect.equal
            remote.ObservationSpace
            (Parts [ "last", Parts [ "0", Discrete 3; "1", box ]; "time", Discrete 9 ])
            "observations"

        Expect.equal
            remote.ActionSpace
            (Parts [ "0", Discrete 3; "1", Parts [ "lamp", MultiBinary 2; "point", box ] ])
            "actions"

        let start, steps = numbers remote 0 5 [ [ 1f; 0f; 1f; 0.5f; -0.25f ]; [ 2f; 1f; 0f; -1f; 1f ] ]
        Expect.equal start [ 2f; 0f; 0f; 0f ] "the start"

        Expect.equal
            steps
            [ [ 1f; 0.5f; -0.25f; 1f ], { Reward = 1.5; Terminated = false; Truncated = false }
              [ 2f; -1f; 1f; 2f ], { Reward = -1.0; Terminated = false; Truncated = false } ]
            "the steps")

let private masks =
    testList
        "masks"
        [ needsPython "come from the info, or from a method inside of wrappers" (fun () ->
              for id in [ "Masked-v0"; "MaskedByMethod-v0" ] do
                  use remote = Gymnasium.Start id
                  let space = Masked(Space.boxOfShape [ 2; 2 ] -infinity infinity, [ 3 ])
                  Expect.equal remote.ObservationSpace space id
                  let start, steps = numbers remote 5 2123 [ [ 2f ]; [ 1f ]; [ 0f ]; [ 2f ] ]
                  Expect.equal (List.skip 4 start) [ 0f; 1f; 1f ] "the start"

                  for time, (seen, result) in List.indexed steps do
                      let legal = [ for i in 0..2 -> if (i + time + 1) % 3 <> 0 || i = 2 then 1f else 0f ]
                      let expected = if result.Terminated then [ 0f; 0f; 0f ] else legal
                      Expect.equal (List.skip 4 seen) expected $"step {time + 1}")
          needsPython "may be a tuple of masks, one for each choice" (fun () ->
              use remote = Gymnasium.Start "MaskedChoices-v0"
              Expect.equal remote.ObservationSpace (Masked(MultiDiscrete [ 2; 3; 5 ], [ 2; 3; 5 ])) "the space"
              let start, steps = numbers remote 0 4 [ [ 1f; 2f; 4f ]; [ 0f; 0f; 0f ] ]
              let first = [ 1f; 0f; 1f; 0f; 0f; 1f; 0f; 0f; 0f; 0f ]
              Expect.equal (List.skip 3 start) (List.replicate 10 1f) "the start"
              Expect.equal (steps |> List.map (fst >> List.skip 3)) [ first; List.replicate 10 1f ] "the steps")
          needsPython "may have the names of the parts of actions" (fun () ->
              use remote = Gymnasium.Start "MaskedParts-v0"
              Expect.equal remote.ActionSpace (Parts [ "a", MultiDiscrete [ 3; 1 ]; "b", Discrete 2 ]) "actions"

              Expect.equal
                  remote.ObservationSpace
                  (Masked(Space.boxOfShape [ 2; 2 ] -infinity infinity, [ 3; 1; 2 ]))
                  "the space"

              let start, _ = numbers remote 0 4 [ [ 2f; 0f; 0f ] ]
              Expect.equal (List.skip 4 start) [ 1f; 0f; 1f; 1f; 1f; 0f ] "the mask")
          needsPython "train a policy that takes no illegal action" (fun () ->
              use environment = Simulator.environmentOfBatches (fun () -> Gymnasium.Start "Masked-v0")
              let setup = Setup.create 1 RemoteTests.settings environment |> expectOk

              TrainingState.start setup 1L
              |> Training.run setup
              |> Seq.truncate 3
              |> Seq.iter (expectOk >> ignore))
          needsPython "of continuous actions are refused" (fun () ->
              Expect.throwsC (fun () -> Gymnasium.Start "MaskedBox-v0" |> ignore) (fun error ->
                  Expect.stringContains error.Message "masks are for Discrete and MultiDiscrete actions" "why"))
          for id, words in
              [ "LongMask-v0", "a mask has 4 values, and the actions have 3 alternatives"
                "HalfMask-v0", "a mask has other values than 0 and 1"
                "NoMask-v0", "the info has no action_mask" ] do
              needsPython $"{id} is a fault with instance and step" (fun () ->
                  use environment = Simulator.environmentOfBatches (fun () -> Gymnasium.Start id)
                  RemoteTests.expectFaultAtStep5 words environment |> ignore)
          needsPython "without a legal action are a fault with instance and step" (fun () ->
              use environment = Simulator.environmentOfBatches (fun () -> Gymnasium.Start "EmptyMask-v0")
              let setup = Setup.create 1 RemoteTests.settings environment |> expectOk

              match Training.update setup (TrainingState.start setup 1L) with
              | Error fault -> Expect.equal fault (NoLegalAction("gym:EmptyMask-v0", 0, 5L)) "the fault"
              | Ok _ -> failtest "it has not failed") ]

let private failures =
    testList
        "is a fault with instance and step"
        [ for id, words in
              [ "Fails-v0", "ValueError: out of fuel"
                "Dies-v0", "exit code 7"
                "Hangs-v0", "did not answer within 10 s" ] do
              needsPython id (fun () ->
                  use environment = Simulator.environmentOfBatches (fun () -> Gymnasium.Start(id, quick))
                  RemoteTests.expectFaultAtStep5 words environment |> ignore) ]

let private command =
    testList
        "the command"
        [ needsPython "trains, repeats, evaluates and resumes" (fun () ->
              inFolder (fun folder ->
                  let funtrpo arguments = funtrpoWith (variables standIn) folder arguments

                  let train out more =
                      let ended =
                          funtrpo (
                              [ "train"; "--env"; "gym:Walk-v0"; "--steps"; "600"; "--out"; out; "--no-report" ]
                              @ more
                          )

                      Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
                      let summary = json (Path.Combine(folder, out, "summary.json"))
                      get<string> "parametersSha256" summary

                  let first = train "first" [ "--checkpoint-every"; "1"; "--set"; "horizon=30" ]
                  Expect.equal (train "second" [ "--threads"; "1"; "--set"; "horizon=30" ]) first "on one thread"

                  let resumed = funtrpo [ "resume"; "first"; "--steps"; "900"; "--no-report" ]
                  Expect.equal (resumed.Code, resumed.Errors) (0, "") "resumed"

                  let scores =
                      funtrpo [ "evaluate"; "--policy"; Path.Combine("first", "policy.json"); "--episodes"; "7" ]

                  Expect.equal (scores.Code, scores.Errors) (0, "") "evaluated"
                  Expect.equal (JsonNode.Parse(scores.Output).AsObject() |> get<int> "episodes") 7 "episodes"))
          needsPython "replaces a process that dies" (fun () ->
              inFolder (fun folder ->
                  let train id marker more =
                      let ended =
                          funtrpoWith
                              (("FUNTRPO_TESTS_MARKER", Path.Combine(folder, marker)) :: variables standIn)
                              folder
                              ([ "train"; "--env"; id; "--steps"; "200"; "--out"; marker; "--no-report" ] @ more)

                      ended, Path.Combine(folder, marker + "", "summary.json")

                  let ended, summary =
                      train "gym:DiesOnce-v0" "once" [ "--restart-failed"; "1"; "--set"; "environments=3" ]

                  Expect.equal (ended.Code, ended.Errors) (0, "") "it goes on"
                  let plain, expected = train "gym:Walk-v0" "plain" [ "--set"; "environments=3" ]
                  Expect.equal plain.Code 0 "without a failure"
                  let hash path = get<string> "parametersSha256" (json path)
                  Expect.equal (hash summary) (hash expected) "the same parameters"))
          for id in [ "gym:Walk-v0"; "gym:Interruptible-v0" ] do
              needsPython $"saves the last iteration if a terminal interrupts {id}, too" (fun () ->
                  inFolder (fun folder ->
                      let arguments = [ "train"; "--env"; id; "--steps"; "1e8"; "--stop-at"; "100"; "--out"; "run" ]
                      let progress = Path.Combine("run", "progress.csv")

                      let interrupted =
                          funtrpoInterrupted
                              (variables standIn)
                              folder
                              python.Value.Value
                              progress
                              (arguments @ [ "--no-report"; "--checkpoint-every"; "1"; "--plain" ])

                      Expect.equal interrupted.Code 130 interrupted.Errors
                      Expect.stringContains interrupted.Output "was interrupted" "what it says"
                      // An update may have been running, where the simulator's end is not noticed.
                      if id = "gym:Walk-v0" || interrupted.Errors.Length > 0 then
                          let lost = "was interrupted and is not saved: gym:Interruptible-v0"
                          Expect.equal (interrupted.Errors.Contains lost) (id <> "gym:Walk-v0") "what is lost"

                      let saved = json (Path.Combine(folder, "run", "summary.json")) |> get<int64> "steps"

                      let resumed =
                          funtrpoWith
                              (variables standIn)
                              folder
                              [ "resume"; "run"; "--steps"; $"{saved + 1L}"; "--no-report" ]

                      Expect.equal (resumed.Code, resumed.Errors) (0, "") "resumed"))
          needsPython "says what is missing, with the exit code 2" (fun () ->
              inFolder (fun folder ->
                  let refused variables id words =
                      let ended = funtrpoWith variables folder [ "train"; "--env"; id ]
                      Expect.equal ended.Code 2 "exit code"

                      for word in words do
                          Expect.stringContains ended.Errors word "the message"

                  let empty = Directory.CreateDirectory(Path.Combine(folder, "empty")).FullName
                  refused (variables empty) "gym:Walk-v0" [ "gymnasium"; "pip install" ]
                  refused (variables standIn) "gym:Wakl-v0" [ "Wakl-v0"; "cannot be made" ]
                  refused (variables standIn) "gym:Unknown-v0" [ "flatten" ]
                  refused (variables standIn) "gym:Deep-v0" [ "more than 16 levels" ]
                  let without = [ Gymnasium.PythonVariable, "/no/such/python" ]
                  refused without "gym:Walk-v0" [ "/no/such/python"; "cannot be started" ])) ]

/// The real Gymnasium, whose CartPole is that of the library, digit for digit.
let private real =
    test "CartPole-v1 of Gymnasium has the steps of the library's" {
        match Environment.GetEnvironmentVariable "FUNTRPO_TESTS_GYMNASIUM" with
        | null
        | "" -> skiptest "FUNTRPO_TESTS_GYMNASIUM names no folder with Gymnasium"
        | folder ->
            for variable, value in variables folder do
                Environment.SetEnvironmentVariable(variable, value)

            use environment = Simulator.environmentOfBatches (fun () -> Gymnasium.Start "CartPole-v1")
            let remote = environment :> Environment<ReplayPoint>
            Expect.equal remote.ObservationSpace CartPole.environment.ObservationSpace "observations"
            Expect.equal remote.ActionSpace CartPole.environment.ActionSpace "actions"
            let setup = Setup.create 1 { Configuration.standard with Environments = 4 } remote |> expectOk
            let reports = TrainingState.start setup 0L |> Training.run setup |> Seq.truncate 5 |> Seq.map expectOk
            let returns = [ for state, _ in reports -> TrainingState.meanReturn state ]
            Expect.isTrue (returns |> List.forall Option.isSome) "episodes end"
    }

let tests = testSequenced (testList "Gymnasium" [ spaces; parts; masks; failures; command; real ])
