/// Training with files and a table of progress, in this process: what the command does with an environment of our own.
module FunTrpo.Tests.TrainTests

open System
open System.Globalization
open System.IO
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Cli
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.CommandRuns

let small = withFourUnits 2 20

let optionsFor folder steps : Run.Options =
    { Seed = 1L
      Steps = steps
      StopAt = None
      SolvedAt = Some 1e9
      EnvironmentFrom = None
      Folder = folder
      SaveEvery = TimeSpan.FromSeconds 1.0
      Threads = 1
      Workers = None
      Configuration = small
      Preset = small
      IsLive = false
      HasReport = false
      HasEvents = false
      CheckpointEvery = None
      Evaluation = None
      StartedFrom = None }

let private runFrom from options (environment: Environment<'State>) =
    use output = new StringWriter()
    use errors = new StringWriter()
    let code = Train.run options from environment output errors

    { Code = code; Output = string output; Errors = string errors }

let run options environment = runFrom None options environment

let failing = failingWith (fun () -> nan)

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

let private refusals =
    testList
        "refuses"
        [ inNewFolder "a folder that another run is writing to" (fun folder ->
              let path = Path.Combine(folder, "run")

              match FunTrpo.Cli.RunFolder.prepare path with
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

let tests = testList "runs" [ endings; refusals ]
