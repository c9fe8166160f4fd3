/// `funtrpo report`, and the page that `train` and `resume` leave.
module FunTrpo.Tests.ReportCommandTests

open System
open System.IO
open Expecto
open FunTrpo
open FunTrpo.Cli
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.PageCases
open FunTrpo.Tests.TestFiles

let private train more =
    [ "train"
      "--steps"
      "3000"
      "--seed"
      "5"
      "--out"
      "run"
      "--set"
      "horizon=50"
      "--set"
      "hidden=8" ]
    @ more

let private succeeded (ended: Ended) =
    Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
    ended

let private reportIn folder = Path.Combine(folder, "run", "report.html")
let private dataIn folder = dataOf (File.ReadAllText(reportIn folder))

/// The steps of all iterations, in progress.csv and in the page.
let private expectAllIterations folder =
    let columns, rows = progressOf (Path.Combine(folder, "run"))
    let column = Array.findIndex ((=) "steps") columns
    let shown = pointsOf "Entropy" "mean entropy" (dataIn folder) |> Array.map fst
    Expect.equal shown (rows |> Array.map (fun row -> float row[column])) "iterations"

let private written =
    [ inNewFolder "is left by train when all else is written, and made again, byte for byte, by report" (fun folder ->
          let ended = funtrpo folder (train [ "--evaluate-every"; "1000" ]) |> succeeded
          let lines = ended.Output.TrimEnd().Split '\n'

          Expect.stringContains
              lines[lines.Length - 2]
              "The policy and the progress are in run"
              "the result comes first"

          Expect.stringContains (Array.last lines) (Path.Combine("run", "report.html")) "then the report"
          expectAllIterations folder
          let data = dataIn folder
          let summary = json (Path.Combine(folder, "run", "summary.json"))
          Expect.equal (text "environment" data) "CartPole-v1" "environment"
          Expect.hasLength (pointsOf "Evaluations" "most probable" data) 3 "evaluations"
          let facts = Map [ for fact in all "facts" data -> fact[0].GetString(), fact[1].GetString() ]
          Expect.equal facts["Seed"] "5" "seed"
          Expect.equal facts["Iterations"] (string (get<int> "iterations" summary)) "iterations"

          let changed =
              [ for setting in all "settings" data do
                    if text "value" setting <> text "preset" setting then
                        text "name" setting, text "value" setting ]

          Expect.equal changed [ "horizon", "50"; "hidden", "8" ] "what differs from the preset"
          Expect.hasLength (all "settings" data) Configuration.fields.Length "settings"
          let steps = floats (data.GetProperty("episode").GetProperty "steps")
          Expect.isGreaterThan steps.Length 5 "an episode"

          let before = File.ReadAllBytes(reportIn folder)
          File.Delete(reportIn folder)
          let again = funtrpo folder [ "report"; "run" ] |> succeeded
          Expect.stringContains again.Output (Path.Combine("run", "report.html")) "where it is"
          Expect.isTrue (before = File.ReadAllBytes(reportIn folder)) "the same page")

      inNewFolder "is not left with --no-report, which also removes that of an earlier run" (fun folder ->
          funtrpo folder (train []) |> succeeded |> ignore
          Expect.isTrue (File.Exists(reportIn folder)) "a report"
          let ended = funtrpo folder (train [ "--no-report" ]) |> succeeded
          Expect.isFalse (ended.Output.Contains "report") "what it says"
          Expect.isFalse (File.Exists(reportIn folder)) "no report"
          expectConsistentFiles (Path.Combine(folder, "run")) |> ignore)

      inNewFolder "of a resumed run shows the iterations of both" (fun folder ->
          funtrpo folder (train [ "--checkpoint-every"; "1" ]) |> succeeded |> ignore
          let before = pointsOf "Entropy" "mean entropy" (dataIn folder)
          funtrpo folder [ "resume"; "run"; "--steps"; "5000" ] |> succeeded |> ignore
          expectAllIterations folder
          Expect.isGreaterThan (pointsOf "Entropy" "mean entropy" (dataIn folder)).Length before.Length "more"
          funtrpo folder [ "resume"; "run"; "--steps"; "6000"; "--no-report" ] |> succeeded |> ignore
          Expect.isFalse (File.Exists(reportIn folder)) "an old one is removed")

      if not (OperatingSystem.IsWindows()) then
          inNewFolder "is left by a run that is interrupted" (fun folder ->
              use running = start folder [ "train"; "--env"; "Pendulum-v1"; "--steps"; "1e9"; "--out"; "run" ]
              let progress = Path.Combine(folder, "run", "progress.csv")
              let isBegun () = File.Exists progress && (File.ReadAllLines progress).Length > 2
              waitFor "progress" isBegun
              shell $"kill -INT {running.Id}" [] |> succeeded |> ignore
              Expect.equal (ended running).Code 130 "exit code"
              expectAllIterations folder) ]

/// The command in a folder of its own, with Plotly.NET replaced by a file that cannot be loaded.
let private withoutPlotly folder =
    let copy = Path.Combine(folder, "command")
    Directory.CreateDirectory copy |> ignore

    for path in Directory.GetFiles(AppContext.BaseDirectory) do
        File.Copy(path, Path.Combine(copy, Path.GetFileName path))

    File.WriteAllText(Path.Combine(copy, "Plotly.NET.dll"), "no assembly")
    Path.Combine(copy, "FunTrpo.Cli.dll")

let private faults =
    [ inNewFolder "that cannot be made is a warning, and other commands do not need what makes it" (fun folder ->
          let program = withoutPlotly folder

          let command arguments = shell $"cd '{folder}' && dotnet '{program}' {arguments}" []

          command "list" |> succeeded |> ignore
          command "train --steps 400 --no-report --out quiet" |> succeeded |> ignore
          let ended = command "train --steps 400 --out run"
          Expect.equal ended.Code 0 "exit code"
          Expect.stringContains ended.Errors "Warning: the report could not be written" "the warning"
          Expect.isFalse (File.Exists(reportIn folder)) "no page"
          expectConsistentFiles (Path.Combine(folder, "run")) |> ignore)

      inNewFolder "is refused for a folder without a run, which stays as it is" (fun folder ->
          for name in [ "nothing"; "." ] do
              let ended = funtrpo folder [ "report"; name ]
              Expect.equal (ended.Code, ended.Output) (2, "") "exit code and output"
              Expect.stringContains ended.Errors "there is no run in" "why"

          Expect.isEmpty (Directory.GetFileSystemEntries folder) "files")

      inNewFolder "is refused for a run with a damaged file, whose name it says" (fun folder ->
          funtrpo folder (train []) |> succeeded |> ignore
          let at name = Path.Combine(folder, "run", name)
          let page = File.ReadAllText(reportIn folder)

          for name, damage in
              [ "progress.csv", (fun (text: string) -> text.Replace("moved", "1").Replace("\n2,", "\ntwo,"))
                "summary.json", (fun text -> text.Replace("\"seed\"", "\"sead\""))
                "config.json", (fun text -> text.Replace("0.99", "99"))
                "policy.json", (fun text -> text.Substring 10) ] do
              let whole = File.ReadAllText(at name)
              File.WriteAllText(at name, damage whole)
              let ended = funtrpo folder [ "report"; "run" ]
              Expect.equal (ended.Code, ended.Output) (2, "") $"{name}: exit code and output"
              Expect.isNotWhitespace ended.Errors $"{name}: why"
              Expect.isFalse (ended.Errors.Contains "   at ") "a stack trace"
              File.WriteAllText(at name, whole)

          Expect.equal (File.ReadAllText(reportIn folder)) page "the page before")

      inNewFolder "is refused while a run writes to the folder" (fun folder ->
          funtrpo folder (train []) |> succeeded |> ignore

          match RunFolder.prepare (Path.Combine(folder, "run")) with
          | Error fault -> failtest (Fault.message fault)
          | Ok held ->
              use _ = held
              let ended = funtrpo folder [ "report"; "run" ]
              Expect.equal ended.Code 2 "exit code"
              Expect.stringContains ended.Errors "another run is writing" "why") ]

let tests = testList "report command" (written @ faults)
