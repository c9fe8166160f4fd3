/// `funtrpo ddpg`: trains with DDPG, and `funtrpo resume` goes on with such a run.
module FunTrpo.Tests.DdpgCommandTests

open System
open System.IO
open Expecto
open FunTrpo.Cli
open FunTrpo.Ddpg
open FunTrpo.Plots
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PageCases
open FunTrpo.Tests.TestFiles
open FunTrpo.Watch

/// Small networks, and four iterations in 800 steps.
let private train out steps =
    [ "ddpg"
      "--env"
      "Pendulum-v1"
      "--seed"
      "7"
      "--steps"
      steps
      "--out"
      out
      "--checkpoint-every"
      "2"
      "--set"
      "actor=dense 8 tanh"
      "--set"
      "critic=dense 8 tanh"
      "--set"
      "warmup=100"
      "--set"
      "batchSize=16"
      "--set"
      "iterationSteps=200" ]

let private succeeded what (ended: Ended) =
    Expect.equal (ended.Code, ended.Errors) (0, "") what
    ended

/// progress.csv without the columns that hold times.
let private progress folder =
    let columns, rows = progressOf folder
    Expect.equal (List.ofArray columns) (DdpgReport.fields |> List.map _.Name) "columns"
    let times = [ "seconds"; "stepsPerSecond" ]

    [ for row in rows ->
          [ for i in 0 .. columns.Length - 1 do
                if not (List.contains columns[i] times) then
                    row[i] ] ]

let private titles data = all "charts" data |> List.map (text "title")

/// The pages of runs read those of DDPG as those of TRPO.
let private pages =
    [ inNewFolder "ends with a report, which report makes again" (fun folder ->
          let trained = funtrpo folder (train "run" "800") |> succeeded "train"
          Expect.stringContains trained.Output "The report is run/report.html" "output"
          let path = Path.Combine(folder, "run", "report.html")
          let data = dataOf (File.ReadAllText path)
          Expect.equal (titles data) [ "Return"; "Q"; "Policy gradient"; "Noise"; "Speed" ] "charts"
          let _, rows = progressOf (Path.Combine(folder, "run"))
          let columns = DdpgReport.fields |> List.map _.Name

          let expected =
              [| for row in rows do
                     let cell name = row[List.findIndex ((=) name) columns]

                     if cell "meanQ" <> "" then
                         float (cell "steps"), Panel.rounded (float (cell "meanQ")) |]

          Expect.equal (pointsOf "Q" "mean of Q" data) expected "the points of Q"

          let read =
              Progress.ofCsv "p" (File.ReadAllText(Path.Combine(folder, "run", "progress.csv"))) |> expectOk

          Expect.equal (read.Algorithm, Progress.length read) (RunAlgorithm.Ddpg, 4) "progress.csv"

          let settings =
              all "settings" data |> List.map (fun setting -> text "name" setting, text "value" setting)

          let recorded = RunSettings.ofFolder (Path.Combine(folder, "run")) |> expectOk
          Expect.equal (Set settings) (Set recorded.Fields) "settings"
          Expect.equal (List.head settings |> fst) "actor" "those that were changed come first"
          let written = File.ReadAllText path
          File.Delete path
          funtrpo folder [ "report"; "run" ] |> succeeded "report" |> ignore
          Expect.equal (File.ReadAllText path) written "the same page"
          let again = funtrpo folder (train "plain" "200" @ [ "--no-report" ]) |> succeeded "no report"
          Expect.isFalse (again.Output.Contains "report") "no report")

      inNewFolder "is watched and compared beside a run of TRPO" (fun folder ->
          funtrpo folder (train "ddpg" "400") |> succeeded "ddpg" |> ignore

          funtrpo
              folder
              [ "train"
                "--env"
                "Pendulum-v1"
                "--steps"
                "4096"
                "--out"
                "trpo"
                "--no-report"
                "--set"
                "gamma=0.9" ]
          |> succeeded "trpo"
          |> ignore

          let source = WatchedRuns.source folder (EnvironmentFiles.known [] |> expectOk)
          let run = source.Runs() |> List.find (fun run -> run.Name = "ddpg")
          Expect.equal (run.State, run.Steps, run.Budget) (RunState.Finished, 400L, 400L) "the run"
          Expect.isSome run.Return "return"
          let page = source.Page "ddpg" |> expectOk
          Expect.equal (Progress.length page.Progress) 2 "iterations"

          match source.Episode "ddpg" with
          | "Pendulum-v1", Recorded recording -> Expect.equal recording.Rewards.Length 200 "an episode"
          | other -> failtest $"{other}"

          funtrpo folder [ "compare"; "." ] |> succeeded "compare" |> ignore
          let page = File.ReadAllText(Path.Combine(folder, "compare.html"))

          // Their steps and γ differ too, but the rule says it all.
          let verdict = dataOf page |> text "verdict"
          Expect.stringContains verdict "2 runs in 2 groups: rule=ddpg; rule=single-step." "the groups"

          let groups =
              dataOf page |> all "tables" |> List.find (fun table -> text "title" table = "Settings") |> string

          Expect.stringContains groups "actor=dense 8 tanh" "what differs from DDPG's preset"
          Expect.isFalse (groups.Contains "tau=") "what is as in DDPG's preset"
          Expect.isFalse (page.Contains "=none") "a group is not named by settings that it does not have"
          let refused = funtrpo folder [ "train"; "--config"; "ddpg/config.json" ]
          Expect.equal refused.Code 2 refused.Output
          Expect.stringContains refused.Errors "funtrpo ddpg" "the other command") ]

let tests =
    testList
        "ddpg"
        [ inNewFolder "trains, and resume ends as a run that was not cut" (fun folder ->
              let at name = Path.Combine(folder, name)
              let trained = funtrpo folder (train "once" "800") |> succeeded "train"

              for heading in [ "return"; "loss"; "mean Q"; "gradient"; "steps/s" ] do
                  Expect.stringContains trained.Output heading "headings"

              funtrpo folder (train "cut" "400") |> succeeded "a part" |> ignore
              funtrpo folder [ "resume"; "cut"; "--steps"; "800" ] |> succeeded "the rest" |> ignore
              Expect.hasLength (progress (at "once")) 4 "iterations"
              Expect.equal (progress (at "cut")) (progress (at "once")) "progress.csv"

              for file in [ "policy.json"; "config.json" ] do
                  let bytes name = File.ReadAllBytes(Path.Combine(at name, file))

                  if file = "policy.json" then
                      Expect.equal (bytes "cut") (bytes "once") file

              let filesOf () =
                  [ for path in Directory.GetFiles(at "once") |> Array.sort -> path, File.ReadAllBytes path ]

              let before = filesOf ()
              let again = funtrpo folder [ "resume"; "once" ] |> succeeded "a finished run"
              Expect.stringContains again.Output "is finished" "finished"
              Expect.equal (filesOf ()) before "the files of a finished run"

              for option in [ [ "--cluster"; "local" ]; [ "--tensorboard" ]; [ "--in-flight"; "2" ] ] do
                  let refused = funtrpo folder ([ "resume"; "once"; "--steps"; "1000" ] @ option)
                  Expect.equal refused.Code 2 refused.Output
                  Expect.stringContains refused.Errors option.Head "the option"

              let played =
                  funtrpo folder [ "evaluate"; "--policy"; "once/policy.json"; "--episodes"; "3" ]
                  |> succeeded "evaluate"

              Expect.stringContains played.Output "\"episodes\":3" "scores")
          inNewFolder "shows its settings" (fun folder ->
              let shown = funtrpo folder [ "ddpg"; "--settings"; "--set"; "tau=0.25" ] |> succeeded "settings"

              for field in DdpgSettings.fields do
                  for part in [ field.Name; field.Meaning; field.Allowed ] do
                      Expect.stringContains shown.Output part "output"

              Expect.stringContains shown.Output "tau = 0.25" "changed")
          testList "pages" pages
          refusals
              [ "actions that are no box",
                (fun _ -> [ "ddpg"; "--env"; "CartPole-v1" ]),
                [ "box of actions"; "CartPole-v1" ]
                "an unknown setting", (fun _ -> [ "ddpg"; "--set"; "taus=1" ]), [ "taus"; "tau" ]
                "a bad setting", (fun _ -> [ "ddpg"; "--set"; "tau=2" ]), [ "tau = 2" ]
                "no steps", (fun _ -> [ "ddpg"; "--steps"; "0" ]), [ "--steps" ] ] ]
