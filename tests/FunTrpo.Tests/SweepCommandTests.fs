/// `funtrpo sweep` and `funtrpo compare` as processes: their runs, their files, and how they go on after an interruption.
module FunTrpo.Tests.SweepCommandTests

open System
open System.IO
open System.Text.RegularExpressions
open Expecto
open FunTrpo
open FunTrpo.Cli
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.DocumentationTests
open FunTrpo.Tests.SweepPlanTests
open FunTrpo.Tests.TestFiles

let private succeeded (ended: Ended) =
    Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
    ended

let private sweep folder arguments = funtrpo folder ("sweep" :: arguments)

/// Runs of 4096 steps on three environments' worth of two settings.
let private small =
    [ "--seeds"
      "0..2"
      "--grid"
      "delta=0.01,0.03"
      "--steps"
      "4096"
      "--set"
      "hidden=8"
      "--score-episodes"
      "5" ]

/// The rows of sweep.csv, by the names of their columns.
let private rowsOf folder =
    let rows = csvCells (File.ReadAllText(Path.Combine(folder, "sweep.csv")))
    [ for row in rows.Tail -> List.zip rows.Head row |> Map ]

let private shaOf folder = json (Path.Combine(folder, "summary.json")) |> get<string> "parametersSha256"

let private folders =
    [ for delta in [ "0.01"; "0.03" ] do
          for seed in 0..2 -> $"CartPole-v1/delta={delta}/seed-{seed}" ]

let private runs =
    [ inNewFolder "trains as funtrpo train does, and scores as funtrpo evaluate does" (fun folder ->
          let ended = sweep folder (small @ [ "--out"; "s"; "--jobs"; "2" ]) |> succeeded
          Expect.equal (Regex.Count(ended.Output, @"(?m)^\d/6  CartPole-v1 delta=")) 6 "a line for each run"
          let rows = rowsOf (Path.Combine(folder, "s"))
          Expect.equal [ for row in rows -> row["folder"] ] folders "rows in the order of the grid"

          for row in rows |> List.filter (fun row -> row["seed"] = "2") do
              let settings =
                  [ "--seed"; "2"; "--steps"; "4096"; "--set"; "hidden=8"; "--set"; "delta=" + row["delta"] ]

              funtrpo folder ([ "train"; "--no-report"; "--out"; "alone"; "--threads"; "2" ] @ settings)
              |> succeeded
              |> ignore

              let alone = json (Path.Combine(folder, "alone", "summary.json"))
              Expect.equal row["parametersSha256"] (get<string> "parametersSha256" alone) "the same bits"
              Expect.equal (float row["meanReturn100"]) (get<float> "meanReturn100" alone) "mean return"
              Expect.equal (int64 row["steps"]) (get<int64> "steps" alone) "steps"

              let played =
                  funtrpo folder [ "evaluate"; "--policy"; "alone/policy.json"; "--episodes"; "5"; "--seed"; "1002" ]
                  |> succeeded

              let scores = Text.Json.JsonDocument.Parse(played.Output).RootElement
              Expect.equal (float row["score"]) (scores.GetProperty("mean").GetDouble()) "score"
              Expect.equal (float row["scoreStd"]) (scores.GetProperty("std").GetDouble()) "its deviation"

          // The folders are those of ordinary runs.
          funtrpo folder [ "report"; "s/" + folders.Head ] |> succeeded |> ignore

          // The table is the same as Parquet, with missing numbers: none has reached its goal.
          use stream = File.OpenRead(Path.Combine(folder, "s", "sweep.parquet"))
          let columns = parquetColumns stream

          Expect.equal
              [ for name, _, cells in columns -> name, cells ]
              [ for name, _, _ in columns -> name, [ for row in rows -> row[name] ] ]
              "cells"

          Expect.equal (rows |> List.map (Map.find "stepsToGoal") |> List.distinct) [ "" ] "missing"

          Expect.equal
              [ for name, clr, _ in columns -> name, clr ]
              [ "environment", typeof<string>
                "seed", typeof<int64>
                "delta", typeof<float>
                "score", typeof<float>
                "scoreStd", typeof<float>
                "meanReturn100", typeof<float>
                "bestMeanReturn100", typeof<float>
                "steps", typeof<int64>
                "stepsToGoal", typeof<int64>
                "seconds", typeof<float>
                "parametersSha256", typeof<string>
                "folder", typeof<string> ]
              "types")

      inNewFolder "counts the steps to the goal, as a run that stops there does" (fun folder ->
          let arguments =
              [ "--seeds"; "0"; "--steps"; "20k"; "--stop-at"; "60"; "--score-episodes"; "1"; "--out"; "s" ]

          sweep folder arguments |> succeeded |> ignore
          let row = rowsOf (Path.Combine(folder, "s")) |> List.exactlyOne
          Expect.equal row["stepsToGoal"] row["steps"] "the run stopped at its goal"
          Expect.isLessThan (int64 row["steps"]) 20_000L "early"
          Expect.equal row["folder"] "CartPole-v1/seed-0" "without a grid, no folder for it") ]

let private scoreCount folder =
    if Directory.Exists folder then
        Directory.GetFiles(folder, "score.json", SearchOption.AllDirectories).Length
    else
        0

let private long = small |> List.map (fun word -> if word = "4096" then "12k" else word)

/// All rows of a sweep but for the times.
let private results folder = [ for row in rowsOf folder -> row |> Map.remove "seconds" ]

let private interruptions =
    [ inNewFolder "that is killed at any moment, and begun again each time, ends as one that is not" (fun folder ->
          sweep folder (long @ [ "--out"; "once" ]) |> succeeded |> ignore
          let expected = results (Path.Combine(folder, "once"))
          let random = Random 5

          for name, more in [ "with", [ "--checkpoint-every"; "1" ]; "without", [] ] do
              let arguments = long @ more @ [ "--out"; name; "--jobs"; "2" ]
              let path = Path.Combine(folder, name)
              let mutable kills = 0
              let mutable isOver = false

              while not isOver && kills < 4 do
                  let before = scoreCount path
                  use running = start folder ("sweep" :: arguments)
                  // Killed while some runs are finished, and others are not.
                  waitFor "the end of a run" (fun () -> running.HasExited || scoreCount path > before)

                  if running.WaitForExit(random.Next(0, 150)) then
                      isOver <- true
                  else
                      running.Kill()
                      running.WaitForExit()
                      kills <- kills + 1

              let finished = scoreCount path

              let before =
                  [ for file in Directory.GetFiles(path, "score.json", SearchOption.AllDirectories) ->
                        file, File.GetLastWriteTimeUtc file ]

              let ended = sweep folder arguments |> succeeded
              Expect.isGreaterThan kills 0 "it was killed"
              Expect.stringContains ended.Output $"{finished} of 6 runs are finished" "what was done"
              Expect.equal (results path) expected "the results"

              for file, time in before do
                  Expect.equal (File.GetLastWriteTimeUtc file) time "finished runs stay as they are")

      if not (OperatingSystem.IsWindows()) then
          inNewFolder "that gets a Ctrl-C ends with 130, and goes on later from its checkpoints" (fun folder ->
              let arguments =
                  [ "--seeds"; "0,1"; "--env"; "Pendulum-v1"; "--steps"; "150k"; "--checkpoint-every"; "1000000" ]
                  @ [ "--score-episodes"; "2"; "--out"; "s"; "--jobs"; "2" ]

              use running = start folder ("sweep" :: arguments)
              let progress seed = Path.Combine(folder, "s", "Pendulum-v1", $"seed-{seed}", "progress.csv")
              let isBegun seed = linesOf (progress seed) > 2
              waitFor "the first run" (fun () -> running.HasExited || isBegun 0)
              shell $"kill -INT {running.Id}" [] |> succeeded |> ignore
              let output = running.StandardOutput.ReadToEnd()
              running.WaitForExit()
              Expect.equal running.ExitCode 130 "exit code"
              Expect.stringContains output "2 of 2 runs are not finished" "what it says"
              let before = File.ReadAllLines(progress 0)
              Expect.isFalse (File.Exists(Path.Combine(folder, "s", "sweep.csv"))) "no table yet"
              sweep folder arguments |> succeeded |> ignore
              Expect.hasLength (rowsOf (Path.Combine(folder, "s"))) 2 "all runs"
              // The lines of the first part are still there, with their times: the run went on.
              let after = File.ReadAllLines(progress 0)
              Expect.isGreaterThan after.Length before.Length "more lines"
              Expect.equal (Array.truncate before.Length after) before "the first ones"

              let alone =
                  [ "train"
                    "--env"
                    "Pendulum-v1"
                    "--seed"
                    "1"
                    "--steps"
                    "150k"
                    "--no-report"
                    "--out"
                    "alone" ]

              funtrpo folder alone |> succeeded |> ignore

              Expect.equal
                  (shaOf (Path.Combine(folder, "s/Pendulum-v1/seed-1")))
                  (shaOf (Path.Combine(folder, "alone")))
                  "the same bits")

      inNewFolder "goes on with more seeds and values, and is refused if anything else differs" (fun folder ->
          let out = [ "--steps"; "1024"; "--score-episodes"; "2"; "--out"; "s" ]
          sweep folder ([ "--seeds"; "0"; "--grid"; "delta=0.01" ] @ out) |> succeeded |> ignore
          let ended = sweep folder ([ "--seeds"; "0..1"; "--grid"; "delta=0.01,0.02" ] @ out) |> succeeded
          Expect.stringContains ended.Output "1 of 4 runs are finished" "what was done"
          Expect.hasLength (rowsOf (Path.Combine(folder, "s"))) 4 "rows"

          for arguments, part in
              [ [ "--seeds"; "0..1"; "--grid"; "delta=0.01,0.02"; "--stop-at"; "3" ] @ out,
                "its stopAt is none, and here it is 3"
                [ "--seeds"; "0..1"; "--grid"; "delta=0.01,0.03" ] @ out, "it has delta = 0.02"
                [ "--seeds"; "1"; "--grid"; "delta=0.01,0.02" ] @ out, "it has the seed 0"
                [ "--seeds"; "0..1" ] @ out, "its grid is delta, and here it is " ] do
              let refused = sweep folder arguments
              Expect.equal (refused.Code, refused.Output) (2, "") "exit code"
              Expect.stringContains refused.Errors "s has another sweep" "why"
              Expect.stringContains refused.Errors part "the difference"

          // The description in the folder is that of the whole sweep, and describes it again.
          let again = sweep folder [ "--file"; "s/sweep.json"; "--out"; "s" ] |> succeeded
          Expect.stringContains again.Output "4 of 4 runs are finished" "the same sweep"
          let other = sweep folder [ "--file"; "s/sweep.json"; "--out"; "t"; "--jobs"; "1" ] |> succeeded
          Expect.isFalse (other.Output.Contains "are finished") "another folder"
          Expect.equal (results (Path.Combine(folder, "t"))) (results (Path.Combine(folder, "s"))) "the same results")

      inNewFolder "goes on after a run that fails, and says so at the end" (fun folder ->
          let run = Path.Combine(folder, "s", "CartPole-v1", "seed-1")
          Directory.CreateDirectory(Path.GetDirectoryName run) |> ignore
          File.WriteAllText(run, "no folder")
          let arguments = [ "--seeds"; "0..2"; "--steps"; "1024"; "--score-episodes"; "2"; "--out"; "s" ]
          let ended = sweep folder arguments
          Expect.equal ended.Code 1 "exit code"
          Expect.stringContains ended.Output "CartPole-v1 seed 1: FAILED" "in its line"
          Expect.stringContains ended.Errors "CartPole-v1 seed 1 failed: --out = " "at the end"
          Expect.stringContains ended.Errors "1 of 3 runs failed" "how many"
          let rows = rowsOf (Path.Combine(folder, "s"))
          Expect.equal [ for row in rows -> row["score"] = "" ] [ false; true; false ] "a row without numbers"
          File.Delete run
          let repaired = sweep folder arguments |> succeeded
          Expect.stringContains repaired.Output "2 of 3 runs are finished" "only that one is trained"
          Expect.all (rowsOf (Path.Combine(folder, "s"))) (fun row -> row["score"] <> "") "all numbers")

      inNewFolder "is refused in a folder where another one works, and in the folder of a run" (fun folder ->
          let long = [ "--seeds"; "0"; "--steps"; "50M"; "--out"; "s" ]
          use running = start folder ("sweep" :: long)

          try
              waitFor "the run of the sweep" (fun () ->
                  File.Exists(Path.Combine(folder, "s", "CartPole-v1", "seed-0", "config.json")))

              let refused = sweep folder long
              Expect.equal refused.Code 2 "exit code"
              Expect.stringContains refused.Errors $"process {running.Id}" "which process"
          finally
              running.Kill()
              running.WaitForExit()

          let inRun = sweep folder [ "--seeds"; "0"; "--steps"; "1024"; "--out"; "s/CartPole-v1/seed-0" ]
          Expect.equal inRun.Code 2 "exit code"
          Expect.stringContains inRun.Errors "is the folder of a run" "why") ]

let private refused =
    refusals
        [ "an environment that there is not",
          (fun _ -> [ "sweep"; "--env"; "CartPole-v1,Pendulm-v1" ]),
          [ "did you mean Pendulum-v1?" ]
          "no seed", (fun _ -> [ "sweep"; "--seeds"; "a" ]), [ "--seeds = a" ]
          "a setting that there is not", (fun _ -> [ "sweep"; "--grid"; "detla=1,2" ]), [ "did you mean delta?" ]
          "a value out of its range", (fun _ -> [ "sweep"; "--grid"; "delta=0.1,-1" ]), [ "delta = -1"; "(0" ]
          "no jobs", (fun _ -> [ "sweep"; "--jobs"; "0" ]), [ "--jobs = 0" ]
          "evaluations of no plan", (fun _ -> [ "sweep"; "--patience"; "3" ]), [ "--evaluate-every" ]
          "a file and an option that describe it",
          (fun folder ->
              [ "sweep"
                "--file"
                file folder "s.json" """{ "environments": ["CartPole-v1"], "seeds": "0" }"""
                "--seeds"
                "1" ]),
          [ "--seeds belongs there" ]
          "a file with a name that there is not",
          (fun folder ->
              [ "sweep"
                "--file"
                file folder "s.json" """{ "environments": ["CartPole-v1"], "seed": "0", "seeds": "0" }""" ]),
          [ "the unknown seed"; "did you mean seeds?" ]
          "nothing to compare", (fun _ -> [ "compare" ]), [ "argument missing" ]
          "a folder without a run", (fun folder -> [ "compare"; folder ]), [ "there is no run in" ]
          "no folder", (fun _ -> [ "compare"; "missing" ]), [ "there is no run in missing" ] ]

/// What docs/sweep.md shows is what the commands print, but for times; and for numbers, where rounding is another one.
let private documented =
    inNewFolder "prints what docs/sweep.md shows" (fun folder ->
        let withoutTimes (text: string) =
            Regex.Replace(Regex.Replace(text, @"; [^;\n]* left\n", "\n"), @"\d+\.\d s", "# s")

        let shown = blocks "sweep" "docs/sweep.md" |> List.map snd
        Expect.hasLength shown 2 "sweep and compare"

        for block in shown do
            let lines = block.Split('\n', 2)
            Expect.stringStarts lines[0] "$ funtrpo " "the command"
            let arguments = lines[0].Substring("$ funtrpo ".Length).Split ' ' |> List.ofArray
            let ended = funtrpo folder arguments |> succeeded
            let comparable = if roundsAlike then withoutTimes else withoutTimes >> withoutNumbers
            Expect.equal (comparable (ended.Output.ReplaceLineEndings "\n")) (comparable lines[1]) "what it prints")

let tests =
    testList
        "funtrpo sweep"
        [ testList "a sweep" (runs @ interruptions @ [ documented ]); testList "a sweep with" [ refused ] ]
