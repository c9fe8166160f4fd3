module FunTrpo.Tests.CommandTests

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text.Json.Nodes
open System.Threading
open Expecto
open FsCheck
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Cli
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.Tasks

// ---- The command as a process ----

type Ended = { Code: int; Output: string; Errors: string }

let private host =
    match Environment.GetEnvironmentVariable "DOTNET_HOST_PATH" with
    | null
    | "" -> "dotnet"
    | path -> path

/// The program lies beside the tests.
let private program = Path.Combine(AppContext.BaseDirectory, "FunTrpo.Cli.dll")

let private startProgram folder (name: string) (arguments: string list) variables =
    let start =
        ProcessStartInfo(
            name,
            arguments,
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    for variable, value in variables do
        start.Environment[variable] <- value

    Process.Start start

let private ended (running: Process) =
    let output = running.StandardOutput.ReadToEndAsync()
    let errors = running.StandardError.ReadToEndAsync()
    running.WaitForExit()

    { Code = running.ExitCode; Output = output.Result; Errors = errors.Result }

/// `funtrpo …`, started as its users start it.
let start folder arguments = startProgram folder host (program :: arguments) []

/// `funtrpo …`, from its start to its end.
let funtrpo folder arguments =
    use running = start folder arguments
    ended running

/// What stands for `funtrpo` in a line of a shell.
let commandLine = $"'{host}' '{program}'"

/// A line of a shell, from its start to its end.
let shell line variables =
    use running = startProgram (Path.GetTempPath()) "/bin/sh" [ "-c"; line ] variables
    ended running

let json path = JsonNode.Parse(File.ReadAllText path).AsObject()

let get<'T> (name: string) (node: JsonObject) = node[name].GetValue<'T>()

let loaded folder = PolicyFile.load (Path.Combine(folder, "policy.json")) |> expectOk

let private summaryFields =
    [ "environment"
      "seed"
      "steps"
      "iterations"
      "episodes"
      "meanReturn100"
      "bestMeanReturn100"
      "solved"
      "wallSeconds"
      "parametersSha256" ]

let private progressOf folder =
    let lines = File.ReadAllLines(Path.Combine(folder, "progress.csv")) |> Array.map _.Split(',')
    lines[0], Array.tail lines

/// What must hold of the files of any run.
let expectConsistentFiles folder =
    let names =
        [| for path in Directory.GetFileSystemEntries folder -> Path.GetFileName path |] |> Array.sort

    Expect.equal names [| "config.json"; "policy.json"; "progress.csv"; "summary.json" |] "files"

    let summary = json (Path.Combine(folder, "summary.json"))
    Expect.equal [ for field in summary -> field.Key ] summaryFields "fields of summary.json"

    let saved = loaded folder
    let parameters = saved.Actor.Parameters
    Expect.equal (get<string> "parametersSha256" summary) (Sha256.ofParameters parameters) "checksum of the parameters"
    Expect.equal saved.Environment (get<string> "environment" summary) "environment"
    Expect.isGreaterThanOrEqual (get<float> "wallSeconds" summary) 0.0 "wall seconds"

    let columns, rows = progressOf folder
    Expect.equal columns[0..3] [| "iteration"; "steps"; "episodes"; "batchSteps" |] "first columns"
    Expect.equal (Array.distinct columns) columns "columns"
    Expect.hasLength rows (get<int> "iterations" summary) "lines of progress.csv"

    for number, row in Array.indexed rows do
        Expect.hasLength row columns.Length "numbers in a line"
        Expect.equal row[0] (string (number + 1)) "iteration"

        for column, text in Array.zip columns row do
            if column <> "outcome" && column <> "cgStop" && text <> "" then
                Expect.isTrue
                    (fst (Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture)))
                    $"{column} = {text} is a number"

    if rows.Length > 0 then
        let last = Array.last rows
        Expect.equal last[1] (string (get<int64> "steps" summary)) "steps"
        Expect.equal last[2] (string (get<int64> "episodes" summary)) "episodes"

    summary

let private training =
    testList
        "train"
        [ inNewFolder
              "leaves progress, configuration, policy and summary, the same on 1 and 2 threads, and evaluates"
              (fun folder ->
                  let train threads =
                      let out = Path.Combine(folder, $"threads-{threads}")

                      let ended =
                          funtrpo
                              folder
                              [ "train"
                                "--env"
                                "CartPole-v1"
                                "--seed"
                                "-3"
                                "--steps"
                                "1000"
                                "--threads"
                                string threads
                                "--out"
                                out
                                "--set"
                                "horizon=50"
                                "--set"
                                "hidden=8,4"
                                "--set"
                                "gamma=0.98" ]

                      // The steps ran out: that is no failure.
                      Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
                      Expect.stringContains ended.Output "not solved" "output"
                      out, expectConsistentFiles out

                  let out, summary = train 1
                  let _, again = train 2
                  Expect.equal (get<string> "environment" summary) "CartPole-v1" "environment"
                  Expect.equal (get<int64> "seed" summary) -3L "seed"
                  Expect.equal (get<int64> "steps" summary) 1000L "steps"
                  Expect.equal (get<int> "iterations" summary) 3 "iterations"
                  Expect.isFalse (get<bool> "solved" summary) "solved"
                  Expect.isGreaterThan (get<float> "meanReturn100" summary) 8.0 "mean return"
                  Expect.isNull summary["bestMeanReturn100"] "best mean of 100 episodes, where there are not so many"

                  for field in summaryFields |> List.except [ "wallSeconds" ] do
                      Expect.isTrue (JsonNode.DeepEquals(summary[field], again[field])) $"{field} on 2 threads"

                  let config = json (Path.Combine(out, "config.json"))
                  Expect.equal (get<string> "environment" config) "CartPole-v1" "environment"
                  Expect.equal (get<int64> "seed" config) -3L "seed"
                  Expect.equal (get<int64> "steps" config) 1000L "steps"
                  let fields = config["configuration"].AsObject()

                  Expect.equal
                      [ for field in fields -> field.Key ]
                      (Configuration.fields |> List.map _.Name)
                      "fields of config.json"

                  Expect.equal (get<int> "horizon" fields) 50 "horizon"
                  Expect.equal (get<float> "gamma" fields) 0.98 "gamma"
                  Expect.equal (get<string> "hidden" fields) "8,4" "hidden"
                  Expect.isTrue (get<bool> "normaliseAdvantages" fields) "normaliseAdvantages"

                  let policy = Path.Combine(out, "policy.json")

                  let evaluate more =
                      let ended =
                          funtrpo folder ([ "evaluate"; "--policy"; policy; "--episodes"; "7"; "--seed"; "5" ] @ more)

                      Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
                      Expect.hasLength (ended.Output.Trim().Split '\n') 1 "lines of output"
                      ended.Output

                  let scores = JsonNode.Parse(evaluate []).AsObject()

                  Expect.equal
                      [ for field in scores -> field.Key ]
                      [ "mean"; "std"; "min"; "max"; "episodes" ]
                      "scores"

                  let expected = Evaluation.run 2 CartPole.environment (loaded out).Actor 7 (Key.ofSeed 5L) |> expectOk

                  Expect.equal (get<float> "mean" scores) (Seq.average expected.Returns) "mean"
                  Expect.equal (get<float> "min" scores) (Seq.min expected.Returns) "min"
                  Expect.equal (get<float> "max" scores) (Seq.max expected.Returns) "max"
                  Expect.equal (get<int> "episodes" scores) 7 "episodes"

                  Expect.floatClose
                      Accuracy.high
                      (get<float> "std" scores)
                      (MathNet.Numerics.Statistics.Statistics.PopulationStandardDeviation expected.Returns)
                      "std"

                  Expect.equal
                      (evaluate [ "--threads"; "1"; "--env"; "CartPole-v1" ])
                      (evaluate [])
                      "the same scores again")

          inNewFolder "goes on from a saved policy, with its layers, and refuses to go on with others" (fun folder ->
              let train more = funtrpo folder ([ "train"; "--steps"; "80" ] @ more)

              let first = Path.Combine(folder, "runs", "CartPole-v1-0")
              let ended = train [ "--set"; "hidden=5"; "--set"; "activation=relu" ]
              Expect.equal (ended.Code, ended.Errors) (0, "") "the first run"
              expectConsistentFiles first |> ignore
              let from = [ "--from"; Path.Combine(first, "policy.json"); "--out"; "second" ]
              let ended = train from
              Expect.equal (ended.Code, ended.Errors) (0, "") "the second run"
              let second = loaded (Path.Combine(folder, "second"))

              Expect.equal second.Architecture (Architecture.uniform [ 5 ] Activation.Relu) "architecture"

              Expect.notEqual second.Actor.Parameters (loaded first).Actor.Parameters "it moved"

              for set in [ "hidden=6"; "hidden=5,5"; "activation=tanh" ] do
                  let ended = train (from @ [ "--set"; set ])
                  Expect.equal ended.Code 2 $"exit code with {set}"
                  Expect.isNotWhitespace ended.Errors $"errors with {set}"

              let ended = train (from @ [ "--env"; "Pendulum-v1" ])
              Expect.equal ended.Code 2 "exit code in another environment"
              Expect.stringContains ended.Errors "Pendulum-v1" "errors")

          inNewFolder "repeats a run from its config.json, but for what other options say" (fun folder ->
              let ended out more =
                  let ended = funtrpo folder ("train" :: "--out" :: out :: more)
                  Expect.equal (ended.Code, ended.Errors) (0, "") $"{out}: exit code and errors"
                  let path = Path.Combine(folder, out)
                  json (Path.Combine(path, "config.json")), expectConsistentFiles path

              let from name = [ "--config"; Path.Combine(name, "config.json") ]

              let differences (a: JsonObject) (b: JsonObject) =
                  [ for field in a do
                        if not (JsonNode.DeepEquals(field.Value, b[field.Key])) then
                            field.Key ]

              let sets = [ "--set"; "hidden=5"; "--set"; "horizon=20"; "--set"; "delta=0.03" ]

              let config, summary =
                  ended
                      "first"
                      ([ "--env"; "Pendulum-v1"; "--seed"; "7"; "--steps"; "0.2k"; "--stop-at"; "-1" ] @ sets)

              Expect.equal (get<int64> "steps" config, get<float> "stopAt" config) (200L, -1.0) "limits"
              let same, sameSummary = ended "same" (from "first")
              Expect.isEmpty (differences config same) "the same"
              Expect.isEmpty (differences summary sameSummary |> List.except [ "wallSeconds" ]) "the same run"

              let other, _ =
                  ended
                      "other"
                      (from "first" @ [ "--seed"; "8"; "--steps"; "160"; "--set"; "delta=0.01"; "--stop-at"; "-2" ])

              Expect.equal
                  (differences config other)
                  [ "seed"; "steps"; "stopAt"; "configuration" ]
                  "what is overridden"

              Expect.equal
                  (differences (config["configuration"].AsObject()) (other["configuration"].AsObject()))
                  [ "delta" ]
                  "one field"

              // A run that started from a policy needs it again.
              let policy = Path.Combine("first", "policy.json")
              let steps = [ "--steps"; "100" ]
              let _, once = ended "once" ([ "--env"; "Pendulum-v1"; "--from"; policy ] @ steps)
              let refused = funtrpo folder ([ "train"; "--out"; "twice" ] @ from "once")
              Expect.equal refused.Code 2 "without its policy"
              Expect.stringContains refused.Errors "--from" "what is missing"
              let _, again = ended "again" (from "once" @ [ "--from"; policy ])
              Expect.isEmpty (differences once again |> List.except [ "wallSeconds" ]) "the same run")

          inNewFolder "of every environment runs with its preset" (fun folder ->
              for registered in Registry.all do
                  let out = Path.Combine(folder, registered.Id)

                  let options: Train.Options =
                      { Seed = 1L
                        Steps = 128L
                        StopAt = None
                        SolvedAt = registered.SolvedAt
                        EnvironmentFrom = None
                        Folder = out
                        SaveEvery = TimeSpan.FromSeconds 1.0
                        Threads = 2
                        Configuration = registered.Preset
                        CheckpointEvery = None
                        StartedFrom = None }

                  use output = new StringWriter()
                  use errors = new StringWriter()

                  let code =
                      registered.Use
                          { new EnvironmentUse<_> with
                              member _.With environment = Train.run options None environment output errors }

                  Expect.equal (code, string errors) (0, "") registered.Id
                  let summary = expectConsistentFiles out
                  Expect.equal (get<int64> "steps" summary) 128L "steps") ]

// ---- In this process: what the command does with an environment of our own ----

let private small = withFourUnits 2 20

let private optionsFor folder steps : Train.Options =
    { Seed = 1L
      Steps = steps
      StopAt = None
      SolvedAt = Some 1e9
      EnvironmentFrom = None
      Folder = folder
      SaveEvery = TimeSpan.FromSeconds 1.0
      Threads = 1
      Configuration = small
      CheckpointEvery = None
      StartedFrom = None }

let private runFrom from options (environment: Environment<'State>) =
    use output = new StringWriter()
    use errors = new StringWriter()
    let code = Train.run options from environment output errors

    { Code = code; Output = string output; Errors = string errors }

let private run options environment = runFrom None options environment

let private failing = failingWith (fun () -> nan)

let private endings =
    testList
        "a run"
        [ for failAt, good in [ 1, 0; 20, 0; 21, 1; 50, 2 ] do
              inNewFolder
                  $"of an environment that gives NaN at step {failAt} exits with 1, says where, and keeps {good} iterations"
                  (fun folder ->
                      let options = optionsFor folder 1000L
                      let ended = run options (failing failAt)
                      Expect.equal ended.Code 1 "exit code"

                      for part in [ "Failing-v0"; "reward"; $"step {failAt}" ] do
                          Expect.stringContains ended.Errors part "errors"

                      let summary = expectConsistentFiles folder
                      Expect.equal (get<int> "iterations" summary) good "iterations"
                      Expect.isFalse (get<bool> "solved" summary) "solved"

                      let setup = setupOf 1 small (failing failAt)
                      let start = TrainingState.start setup options.Seed

                      let expected =
                          (start, Training.run setup start |> Seq.truncate good)
                          ||> Seq.fold (fun _ result -> expectOk result |> fst)

                      Expect.equal (loaded folder).Actor.Parameters expected.PolicyParameters "the last good policy")

          inNewFolder "with a reward that float32 cannot hold names it, and where it came from" (fun folder ->
              for reward in [ 1e160; -4e38 ] do
                  let ended = run (optionsFor folder 1000L) (failingWith (fun () -> reward) 21)
                  Expect.equal ended.Code 1 "exit code"

                  for part in
                      [ "Failing-v0"
                        "reward"
                        reward.ToString("G4", CultureInfo.InvariantCulture)
                        "float32"
                        "step 21" ] do
                      Expect.stringContains ended.Errors part "errors"

              let ended = run (optionsFor folder 100L) (failingWith (fun () -> 3e38) 21)
              Expect.isFalse (ended.Errors.Contains "too large") "one that it can hold")

          inNewFolder "with an observation that the network cannot bear names it, and where it came from" (fun folder ->
              let blinding =
                  { new Wrapped<int>(failing Int32.MaxValue) with
                      override _.Id = "Blinding-v0"
                      override _.ObservationSpace = Space.box 1 -infinity infinity
                      override _.Observe(time, seen) = seen[0] <- if time = 3 then 3e38f else 0.5f }

              let options =
                  { optionsFor folder 100L with
                      Configuration = { small with Hidden = []; NormaliseObservations = false } }

              // With weights above 1, 3e38 becomes infinite.
              let steep =
                  let setup = setupOf 1 options.Configuration blinding
                  let parameters = (TrainingState.start setup 1L).PolicyParameters

                  { Environment = "Blinding-v0"
                    Actor =
                      { Policy = setup.Policy
                        Parameters = parameters |> Vector.map (fun _ -> 5f)
                        Normaliser = Unnormalised } }

              let ended = runFrom (Some steep) options blinding
              Expect.equal ended.Code 1 "exit code"

              for part in [ "Blinding-v0"; "observation"; "3E+38"; "float32"; "step 3" ] do
                  Expect.stringContains ended.Errors part "errors")

          inNewFolder "is solved, and stops, when the mean of 100 episodes reaches the goal" (fun folder ->
              let options = { optionsFor folder 100_000L with StopAt = Some 0.99 }

              let ended = run options (failing Int32.MaxValue)
              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
              let summary = expectConsistentFiles folder
              Expect.isTrue (get<bool> "solved" summary) "solved"
              // 8 episodes an iteration: it takes 13 for 100 of them.
              Expect.equal (get<int> "iterations" summary) 13 "iterations"
              Expect.equal (get<int64> "episodes" summary) 104L "episodes"
              Expect.floatClose Accuracy.high (get<float> "meanReturn100" summary) 1.0 "mean return"
              Expect.floatClose Accuracy.high (get<float> "bestMeanReturn100" summary) 1.0 "best mean return")

          inNewFolder "goes on beyond where the task is solved when no goal is set" (fun folder ->
              let options = { optionsFor folder 800L with SolvedAt = Some 0.5 }

              let ended = run options (failing Int32.MaxValue)
              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
              let summary = expectConsistentFiles folder
              Expect.isTrue (get<bool> "solved" summary) "solved"
              Expect.equal (get<int64> "steps" summary) 800L "steps")

          inNewFolder "is solved by the mean of 100 episodes and no fewer, whatever follows" (fun folder ->
              // Episodes of five steps that are worth 1 up to some step, and 0 from there on.
              let solved steps goodSteps =
                  let made = ref 0
                  let inner = failing Int32.MaxValue

                  let fading =
                      { new Wrapped<int>(inner) with
                          override _.Id = "Fading-v0"

                          override _.Step(key, action, time) =
                              made.Value <- made.Value + 1
                              let isGood = made.Value <= goodSteps
                              { inner.Step(key, action, time) with Reward = (if isGood then 0.2 else 0.0) } }

                  let ended = run { optionsFor folder steps with SolvedAt = Some 0.9 } fading
                  Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
                  get<bool> "solved" (expectConsistentFiles folder)

              Expect.isFalse (solved 440L Int32.MaxValue) "88 episodes"
              Expect.isTrue (solved 600L Int32.MaxValue) "120 episodes"
              Expect.isTrue (solved 2000L 600) "120 good episodes, and then bad ones"
              Expect.isFalse (solved 2000L 400) "80 good episodes, and then bad ones")

          inNewFolder "writes what the pipeline reports to progress.csv" (fun folder ->
              let options = { optionsFor folder 200L with Configuration = { small with Horizon = 30 } }
              let ended = run options CartPole.environment
              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
              let setup = setupOf 1 options.Configuration CartPole.environment

              let reports =
                  Training.runFor options.Steps setup (TrainingState.start setup options.Seed)
                  |> Seq.map (expectOk >> snd)
                  |> Array.ofSeq

              let columns, rows = progressOf folder
              Expect.hasLength rows reports.Length "lines"

              for row, report in Array.zip rows reports do
                  let read name = float row[Array.findIndex ((=) name) columns]
                  let improvement, comparison = report.Improvement, report.Improvement.Comparison

                  let fraction, tries =
                      match improvement.Outcome with
                      | Moved(fraction, tries) -> fraction, tries
                      | LineSearchFailed tries -> 0.0, tries
                      | _ -> 0.0, 0

                  for name, expected in
                      [ "iteration", float report.Iteration
                        "steps", float report.Steps
                        "episodes", float report.Episodes
                        "meanKl", comparison.MeanKl
                        "maxKl", comparison.MaxKl
                        "surrogateGain", comparison.Gain
                        "gradientNorm", improvement.GradientNorm
                        "cgIterations", float improvement.Solution.Value.Iterations
                        "cgResidual", improvement.Solution.Value.Residual
                        "lineSearchTries", float tries
                        "stepFraction", fraction
                        "explainedVariance", report.ExplainedVariance
                        "entropy", comparison.Entropy ] do
                      Expect.equal (read name) expected name)

          inNewFolder "without --steps is given five times those of the preset" (fun folder ->
              let ended = funtrpo folder [ "train"; "--stop-at"; "1"; "--out"; "run" ]
              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
              let config = json (Path.Combine(folder, "run", "config.json"))
              Expect.equal (get<int64> "steps" config) (5L * Registry.all.Head.Steps) "steps")

          testProperty "takes the integers of a range, its ends too, and no others"
          <| fun (low: int64) (width: uint16) (value: int64) ->
              let low = max -1_000_000L (min 1_000_000L low)
              let high = low + int64 width

              for value in [ low; high; low - 1L; high + 1L; value ] do
                  let taken = Arguments.integer "--steps" low high (string value)

                  Expect.equal
                      (Result.toOption taken)
                      (if low <= value && value <= high then Some value else None)
                      "taken"

          inNewFolder "makes the steps it is asked for, to within one of each environment" (fun folder ->
              let ended = run (optionsFor folder 99L) (failing Int32.MaxValue)
              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
              Expect.equal (get<int64> "steps" (expectConsistentFiles folder)) 100L "steps")

          inNewFolder "into the folder of an earlier one replaces its files" (fun folder ->
              run (optionsFor folder 400L) (failing Int32.MaxValue) |> ignore
              let before = File.ReadAllText(Path.Combine(folder, "policy.json"))
              let ended = run { optionsFor folder 80L with Seed = 2L } (failing Int32.MaxValue)
              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
              let summary = expectConsistentFiles folder
              Expect.equal (get<int64> "steps" summary) 80L "steps"
              Expect.notEqual (File.ReadAllText(Path.Combine(folder, "policy.json"))) before "policy")

          inNewFolder "is refused where the configuration is, and leaves no file" (fun folder ->
              let out = Path.Combine(folder, "out")

              let ended =
                  run { optionsFor out 80L with Configuration = { small with Gamma = 1.2 } } (failing Int32.MaxValue)

              Expect.equal ended.Code 2 "exit code"
              Expect.stringContains ended.Errors "gamma = 1.2" "errors"
              Expect.isFalse (Directory.Exists out) "the folder exists") ]

// ---- Refusals ----

let private refusals =
    let file folder name (text: string) =
        let path = Path.Combine(folder, name)
        File.WriteAllText(path, text)
        path

    /// Arguments (in a folder that may be used), and what the errors must name.
    let cases: (string * (string -> string list) * string list) list =
        let train more = fun _ -> "train" :: more

        let withSettings text =
            fun folder ->
                let text = $"{{\"environment\": \"CartPole-v1\", \"seed\": 1, {text}, \"configuration\": {{}}}}"
                [ "train"; "--config"; file folder "c.json" text ]

        [ "no command", (fun _ -> []), [ "ommand" ]
          "an unknown command", (fun _ -> [ "learn" ]), [ "learn" ]
          "an unknown option", train [ "--nonsense"; "3" ], [ "--nonsense" ]
          "an unknown environment",
          train [ "--env"; "CartPole-v7" ],
          "--env" :: "CartPole-v7" :: (Registry.all |> List.map _.Id)
          "an unknown field", train [ "--set"; "gama=0.9" ], [ "gama"; "0.9"; "gamma" ]
          "an ill-typed field", train [ "--set"; "environments=many" ], [ "environments"; "many"; "[1, 65536]" ]
          "no value", train [ "--set"; "gamma" ], [ "--set"; "gamma"; "key=value" ]
          "γ = 1.2", train [ "--set"; "gamma=1.2" ], [ "gamma"; "1.2"; "[0, 1]" ]
          "δ = −1", train [ "--set"; "delta=-1" ], [ "delta"; "-1"; "(0, ∞)" ]
          "δ = NaN", train [ "--set"; "delta=NaN" ], [ "delta"; "NaN"; "(0, ∞)" ]
          "a layer of 0 units", train [ "--set"; "hidden=0" ], [ "hidden"; "0"; "[1, 65536]" ]
          "weights without number", train [ "--set"; "criticHidden=65536,65536" ], [ "criticHidden"; "65536,65536" ]
          "a bad field after a good one",
          train [ "--set"; "gamma=0.9"; "--set"; "lambda=2" ],
          [ "lambda"; "2"; "[0, 1]" ]
          "a mistyped command", (fun _ -> [ "trian" ]), [ "did you mean train?" ]
          "a word after a command that has none", (fun _ -> [ "list"; "x" ]), [ "x"; "The commands are" ]
          "an option of a command that has none", (fun _ -> [ "list"; "--foo" ]), [ "--foo"; "The commands are" ]
          "a mistyped option", train [ "--stpes"; "3" ], [ "did you mean --steps?" ]
          "a mistyped environment", train [ "--env"; "cartpole-v1" ], [ "did you mean CartPole-v1?" ]
          "a mistyped field", train [ "--set"; "lamda=0.9" ], [ "lamda"; "did you mean lambda?" ]
          "a field that is set twice",
          train [ "--set"; "gamma=0.9"; "--set"; "hidden=3"; "--set"; " gamma =0.9" ],
          [ "--set"; "gamma"; "set before" ]
          "a configuration that is not there",
          (fun folder -> [ "train"; "--config"; Path.Combine(folder, "missing.json") ]),
          [ "missing.json" ]
          "a folder for a configuration", (fun folder -> [ "train"; "--config"; folder ]), [ "it is a folder" ]
          "a configuration that is none",
          (fun folder -> [ "train"; "--config"; file folder "list.json" "[1, 2]" ]),
          [ "list.json"; "config.json of a run" ]
          "half a configuration",
          (fun folder -> [ "train"; "--config"; file folder "half.json" "{\"seed\": 3" ]),
          [ "half.json"; "not all of it" ]
          "a configuration without its steps",
          (fun folder ->
              [ "train"
                "--config"
                file folder "c.json" "{\"environment\": \"CartPole-v1\", \"seed\": 1, \"configuration\": {}}" ]),
          [ "c.json"; "no steps" ]
          "a configuration with a mistyped key",
          (fun folder -> [ "train"; "--config"; file folder "c.json" "{\"enviroment\": \"CartPole-v1\"}" ]),
          [ "c.json"; "did you mean environment?" ]
          "a configuration with a field out of its range",
          (fun folder ->
              [ "train"
                "--config"
                file
                    folder
                    "c.json"
                    "{\"environment\": \"CartPole-v1\", \"seed\": 1, \"steps\": 80, \"configuration\": {\"gamma\": 1.5}}" ]),
          [ "gamma"; "1.5"; "[0, 1]" ]
          "a configuration with more steps than can be asked for",
          withSettings "\"steps\": 1000000000001",
          [ "c.json"; "steps = 1000000000001"; "[1, 1000000000000]" ]
          "a configuration with no steps", withSettings "\"steps\": 0", [ "c.json"; "steps = 0"; "[1, " ]
          "a configuration with an infinite goal",
          withSettings "\"steps\": 80, \"stopAt\": 1e999",
          [ "c.json"; "stopAt = 1e999"; "finite" ]
          "a configuration that is too large",
          (fun folder -> [ "train"; "--config"; file folder "c.json" (String(' ', 1_000_001)) ]),
          [ "c.json"; "1000001 bytes" ]
          "an empty configuration", (fun folder -> [ "train"; "--config"; file folder "c.json" "" ]), [ "it is empty" ]
          "a folder for a policy", (fun folder -> [ "evaluate"; "--policy"; folder ]), [ "it is a folder" ]
          "a run's folder for its policy",
          (fun folder ->
              let ended = run (optionsFor folder 40L) CartPole.environment
              Expect.equal ended.Code 0 "exit code"
              [ "evaluate"; "--policy"; folder ]),
          [ "it is a folder; did you mean"; "policy.json?" ]
          "a folder to start from", (fun folder -> [ "train"; "--from"; folder ]), [ "it is a folder" ]
          "a policy of somebody's own environment",
          (fun folder ->
              let ended = run (optionsFor folder 40L) (failing Int32.MaxValue)
              Expect.equal ended.Code 0 "exit code"
              [ "evaluate"; "--policy"; Path.Combine(folder, "policy.json") ]),
          [ "was trained on Failing-v0"; "CartPole-v1"; "--env" ]
          "no environment to check", (fun _ -> [ "check" ]), [ "--env" ]
          "no steps", train [ "--steps"; "0" ], [ "--steps"; "0"; "[1, " ]
          "steps that are no number", train [ "--steps"; "many" ], [ "--steps"; "many"; "[1, "; "100k" ]
          "a seed that is no number", train [ "--seed"; "x" ], [ "--seed"; "x"; "[" ]
          "no threads", train [ "--threads"; "0" ], [ "--threads"; "0"; "[1, 1024]" ]
          "an infinite goal", train [ "--stop-at"; "Infinity" ], [ "--stop-at"; "Infinity"; "finite" ]
          "a folder below a file",
          (fun folder -> [ "train"; "--steps"; "80"; "--out"; Path.Combine(file folder "existing" "kept", "below") ]),
          [ "--out"; "existing"; "folder" ]
          "no folder at all", train [ "--steps"; "80"; "--out"; "" ], [ "--out"; "folder" ]
          "a policy to start from that is not there",
          (fun folder -> [ "train"; "--from"; Path.Combine(folder, "missing.json") ]),
          [ "missing.json" ]
          "a damaged policy",
          (fun folder ->
              let space = Discrete 2

              let policy =
                  Policy.create (Architecture.uniform [] Activation.Tanh) 0.0 false (Space.box 4 -10.0 10.0) space

              let text =
                  PolicyFile.print
                      { Environment = "CartPole-v1"
                        Actor =
                          { Policy = policy
                            Parameters = policy.Network.Initialise(Key.ofSeed 1L)
                            Normaliser = Unnormalised } }

              [ "evaluate"
                "--policy"
                file folder "damaged.json" (text.Replace("\"scaledActions\": false", "\"scaledActions\": true")) ]),
          [ "damaged.json" ]
          "a policy that is not there",
          (fun folder -> [ "evaluate"; "--policy"; Path.Combine(folder, "missing.json") ]),
          [ "missing.json" ]
          "a policy without a name", (fun _ -> [ "evaluate"; "--policy"; "" ]), [ "cannot be used" ]
          "no policy", (fun _ -> [ "evaluate" ]), [ "--policy" ]
          "no episodes",
          (fun folder ->
              let ended = run (optionsFor folder 40L) CartPole.environment
              Expect.equal ended.Code 0 "exit code"
              [ "evaluate"; "--policy"; Path.Combine(folder, "policy.json"); "--episodes"; "0" ]),
          [ "--episodes"; "0"; "[1, " ] ]

    let counts =
        testProperty "whole numbers are read as people write them, and no others"
        <| fun (number: uint32) (digits: byte) ->
            let number, exponent = int64 number % 1_000_000L, int digits % 8
            let read = Arguments.count "--steps" 0L 1_000_000_000_000L
            let plain = read (string number)
            Expect.equal plain (Ok number) "digits"
            Expect.equal (read $"{number}k") (Ok(1000L * number)) "thousands"
            Expect.equal (read $"{number}K") (Ok(1000L * number)) "thousands"
            Expect.equal (read $"{number}M") (Ok(1_000_000L * number)) "millions"
            Expect.equal (read $"{number}.5k") (Ok(1000L * number + 500L)) "halves of thousands"
            let power = pown 10L exponent

            Expect.equal
                (read $"{number}e{exponent}")
                (if number * power <= 1_000_000_000_000L then Ok(number * power) else read "refused")
                "powers of ten"

            for wrong in
                [ $"-{number + 1L}"
                  $"{number}.5"
                  $"{number} k"
                  $"{number}kk"
                  $"{number}m"
                  "k"
                  ""
                  "1e99"
                  "NaN" ] do
                Expect.isError (read wrong) wrong

    testList
        "exits with 2, and errors that name the field, the value and the range, at"
        [ for name, arguments, parts in cases do
              inNewFolder name (fun folder ->
                  let working = Path.Combine(folder, "working")
                  Directory.CreateDirectory working |> ignore
                  let ended = funtrpo working (arguments folder)
                  Expect.equal ended.Code 2 $"exit code; {ended.Errors}"
                  Expect.equal ended.Output "" "output"
                  Expect.isFalse (ended.Errors.Contains "   at ") "a stack trace"

                  for part in parts do
                      Expect.stringContains ended.Errors part "errors"

                  Expect.isEmpty (Directory.GetFileSystemEntries working) "files left behind")

          counts

          if not (OperatingSystem.IsWindows()) then
              inNewFolder "a configuration that is no regular file, at once" (fun folder ->
                  withStrangeFiles folder (fun names ->
                      for name in names do
                          let path = Path.Combine(folder, name)
                          let reading = Tasks.Task.Run(fun () -> RunFiles.settings path)
                          Expect.isTrue (reading.Wait(TimeSpan.FromMinutes 1.0)) $"{name}: it ends"

                          match reading.Result with
                          | Error fault -> Expect.stringContains (Fault.message fault) "no regular file" name
                          | Ok _ -> failtest $"{name} was read"))

          inNewFolder "a folder that another run is writing to" (fun folder ->
              let path = Path.Combine(folder, "run")

              match FunTrpo.Cli.RunFiles.prepare path with
              | Error fault -> failtest (Fault.message fault)
              | Ok held ->
                  use _ = held
                  let ended = run (optionsFor path 40L) CartPole.environment
                  Expect.equal ended.Code 2 "exit code"
                  Expect.stringContains ended.Errors "another run" "errors"
                  Expect.stringContains ended.Errors path "errors"

              let ended = run (optionsFor path 40L) CartPole.environment
              Expect.equal ended.Code 0 "exit code afterwards")

          inNewFolder "an existing file is not harmed by a folder below it" (fun folder ->
              let path = file folder "existing" "kept"
              let ended = run (optionsFor (Path.Combine(path, "below")) 40L) CartPole.environment
              Expect.equal ended.Code 2 "exit code"
              Expect.equal (File.ReadAllText path) "kept" "the file") ]

let private information =
    testList
        "tells"
        [ inNewFolder "with list every environment, its spaces, and its preset" (fun folder ->
              let ended = funtrpo folder [ "list" ]
              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"

              for registered in Registry.all do
                  Expect.stringContains ended.Output registered.Id "environments"

                  let spaces =
                      registered.Use
                          { new EnvironmentUse<_> with
                              member _.With environment = [ environment.ObservationSpace; environment.ActionSpace ] }

                  for space in spaces do
                      Expect.stringContains ended.Output (Space.describe space) "spaces"

                  for field in Configuration.fields do
                      let value = field.Get registered.Preset

                      if value <> field.Get Configuration.standard then
                          Expect.stringContains ended.Output $"{field.Name}={value}" "presets")

          inNewFolder "with config every field, its meaning, its range and its value" (fun folder ->
              let standard = funtrpo folder [ "config" ]
              let preset = funtrpo folder [ "config"; "--env"; "Pendulum-v1" ]
              let registered = Registry.tryFind "Pendulum-v1" |> Option.get

              for ended, configuration in [ standard, Configuration.standard; preset, registered.Preset ] do
                  Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"

                  for field in Configuration.fields do
                      for part in [ $"{field.Name} = {field.Get configuration}"; field.Meaning; field.Allowed ] do
                          Expect.stringContains ended.Output part "output"

              Expect.notEqual standard.Output preset.Output "the preset differs")

          inNewFolder "with check what random play has found" (fun folder ->
              let quiet = funtrpo folder [ "check"; "--env"; "CartPole-v1" ]

              Expect.equal
                  (quiet.Code, quiet.Output.Trim(), quiet.Errors)
                  (0, "CartPole-v1: nothing was found", "")
                  "CartPole"

              let found = funtrpo folder [ "check"; "--env"; "MountainCar-v0"; "--seed"; "3" ]
              Expect.equal (found.Code, found.Errors) (0, "") "MountainCar: exit code and errors"
              let registered = Registry.tryFind "MountainCar-v0" |> Option.get

              for finding in Check.runFor registered.Preset MountainCar.environment 3L do
                  Expect.stringContains found.Output (Finding.message finding) "message"
                  Expect.stringContains found.Output (Finding.remedy finding) "remedy")

          inNewFolder "with --help every command, and with train --help every option" (fun folder ->
              let root = funtrpo folder [ "--help" ]
              Expect.equal root.Code 0 "exit code"

              for command in [ "train"; "evaluate"; "check"; "list"; "config" ] do
                  Expect.stringContains root.Output command "commands"

              let train = funtrpo folder [ "train"; "--help" ]
              Expect.equal train.Code 0 "exit code"

              for option in
                  [ "--env"; "--seed"; "--config"; "--steps"; "--stop-at"; "--out"; "--from"; "--threads"; "--set" ] do
                  Expect.stringContains train.Output option "options") ]

let tests = testList "Command" [ training; endings; refusals; information ]
