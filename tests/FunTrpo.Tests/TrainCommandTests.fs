module FunTrpo.Tests.TrainCommandTests

open System
open System.IO
open System.Text.Json.Nodes
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Cli
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.CommandRuns

let private training =
    [ inNewFolder "improves the policy by PPO with rule=ppo, which has no δ and no line search" (fun folder ->
          let train more =
              let ended = funtrpo folder ([ "train"; "--env"; "CartPole-v1"; "--steps"; "3k"; "--plain" ] @ more)

              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
              ended.Output

          let output = train [ "--set"; "rule=ppo"; "--set"; "targetKl=0.003"; "--out"; "ppo" ]
          train [ "--out"; "trpo" ] |> ignore
          let line = output.Split '\n' |> Array.find (fun line -> line.TrimStart().StartsWith "1024 ")
          let cells = line.Split(' ', StringSplitOptions.RemoveEmptyEntries)
          Expect.equal [ cells[3]; cells[5]; cells[7] ] [ "–"; "–"; "–" ] "KL/δ, cg and tries"
          let summary = expectConsistentFiles (Path.Combine(folder, "ppo"))
          let trpo = json (Path.Combine(folder, "trpo", "summary.json"))
          let sha = get<string> "parametersSha256"
          Expect.notEqual (sha summary) (sha trpo) "parameters"
          let columns, rows = progressOf (Path.Combine(folder, "ppo"))
          let column name = rows |> Array.map (Array.item (Array.IndexOf(columns, name)))
          Expect.all (column "outcome") ((=) "moved") "outcome"
          Expect.all (column "delta") ((=) "") "delta"
          Expect.all (column "lineSearchTries") ((=) "0") "tries"
          Expect.all (column "meanKl") (fun kl -> float kl > 0.0) "KL"
          Expect.all (column "stepFraction") (fun fraction -> 0.0 < float fraction && float fraction <= 1.0) "fraction"
          Expect.exists (column "stepFraction") (fun fraction -> float fraction < 1.0) "the target KL ends some")

      inNewFolder
          "leaves progress, configuration, policy and summary, the same on 1 and 2 threads, and evaluates"
          (fun folder ->
              let train threads more =
                  let out = Path.Combine(folder, $"threads-{threads}-{List.length more}")

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
                            "gamma=0.98"
                            yield! more ]

                  // The steps ran out: that is no failure.
                  Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
                  Expect.stringContains ended.Output "not solved" "output"
                  out, expectConsistentFiles out

              let out, summary = train 1 []
              let _, again = train 2 []
              let _, inFlight = train 1 [ "--in-flight"; "5" ]
              Expect.equal (get<string> "environment" summary) "CartPole-v1" "environment"
              Expect.equal (get<int64> "seed" summary) -3L "seed"
              Expect.equal (get<int64> "steps" summary) 1000L "steps"
              Expect.equal (get<int> "iterations" summary) 3 "iterations"
              Expect.isFalse (get<bool> "solved" summary) "solved"
              Expect.isGreaterThan (get<float> "meanReturn100" summary) 8.0 "mean return"
              Expect.isNull summary["bestMeanReturn100"] "best mean of 100 episodes, where there are not so many"

              for field in summaryFields |> List.except [ "wallSeconds" ] do
                  Expect.isTrue (JsonNode.DeepEquals(summary[field], again[field])) $"{field} on 2 threads"
                  Expect.isTrue (JsonNode.DeepEquals(summary[field], inFlight[field])) $"{field} with 5 in flight"

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
                  [ "mean"
                    "meanLow95"
                    "meanHigh95"
                    "std"
                    "median"
                    "interquartileMean"
                    "min"
                    "max"
                    "episodes" ]
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
              ended "first" ([ "--env"; "Pendulum-v1"; "--seed"; "7"; "--steps"; "0.2k"; "--stop-at"; "-1" ] @ sets)

          Expect.equal (get<int64> "steps" config, get<float> "stopAt" config) (200L, -1.0) "limits"
          let same, sameSummary = ended "same" (from "first")
          Expect.isEmpty (differences config same) "the same"
          Expect.isEmpty (differences summary sameSummary |> List.except [ "wallSeconds" ]) "the same run"

          let other, _ =
              ended
                  "other"
                  (from "first" @ [ "--seed"; "8"; "--steps"; "160"; "--set"; "delta=0.01"; "--stop-at"; "-2" ])

          Expect.equal (differences config other) [ "seed"; "steps"; "stopAt"; "configuration" ] "what is overridden"

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

              let options: Run.Options =
                  { Seed = 1L
                    Steps = 128L
                    StopAt = None
                    SolvedAt = registered.SolvedAt
                    EnvironmentFrom = None
                    Folder = out
                    SaveEvery = TimeSpan.FromSeconds 1.0
                    Threads = 2
                    Workers = None
                    Configuration = registered.Preset
                    Preset = registered.Preset
                    IsLive = false
                    HasReport = false
                    HasEvents = false
                    CheckpointEvery = None
                    Evaluation = None
                    StartedFrom = None }

              use output = new StringWriter()
              use errors = new StringWriter()

              let code =
                  registered.Use
                      { new EnvironmentUse<_> with
                          member _.With environment = Train.run options None environment output errors }

              Expect.equal (code, string errors) (0, "") registered.Id
              let summary = expectConsistentFiles out
              Expect.equal (get<int64> "steps" summary) 128L "steps")

      inNewFolder "without --steps is given five times those of the preset" (fun folder ->
          let ended = funtrpo folder [ "train"; "--stop-at"; "1"; "--out"; "run" ]
          Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
          let config = json (Path.Combine(folder, "run", "config.json"))
          Expect.equal (get<int64> "steps" config) (5L * Registry.all.Head.Steps) "steps") ]

let private refused =
    let train more = fun _ -> "train" :: more

    let withSettings text =
        fun folder ->
            let text = $"{{\"environment\": \"CartPole-v1\", \"seed\": 1, {text}, \"configuration\": {{}}}}"
            [ "train"; "--config"; file folder "c.json" text ]

    refusals
        [ "an unknown option", train [ "--nonsense"; "3" ], [ "--nonsense" ]
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
          "a folder to start from", (fun folder -> [ "train"; "--from"; folder ]), [ "it is a folder" ]
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
          [ "missing.json" ] ]

let tests = testList "train" (training @ [ refused ])
