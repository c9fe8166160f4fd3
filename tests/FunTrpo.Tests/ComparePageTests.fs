/// The page that compares runs, and `funtrpo compare`: its numbers, its texts and its size.
module FunTrpo.Tests.ComparePageTests

open System
open System.IO
open System.Text
open System.Text.Json
open System.Text.RegularExpressions
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.ComparisonTests
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PageCases
open FunTrpo.Tests.TestFiles

let private progress = lazy (Progress.ofReports (snd (run 6 3L)))

/// Runs of two settings with these scores, in an environment.
let private runsOf environment (scores: float list) =
    [ for delta, shift in [ "0.01", 0.0; "0.03", 1.0 ] do
          for seed, score in List.indexed scores ->
              { runOf environment (int64 seed) [ "delta", delta ] (Some(score + shift)) with
                  Progress = progress.Value
                  StepsToGoal = if score > 0.0 then Some(int64 (100.0 * score)) else None } ]

let private known id : ComparedEnvironment =
    { Id = id
      Goal = Some 10.0
      RandomReturn = Some 0.0
      Preset = [ "delta", "0.01" ]
      DdpgPreset = [ "gamma", "0.99" ] }

/// The rows of the table with a title, by the names of its columns.
let private rowsOf title data =
    let table = all "tables" data |> List.find (fun table -> text "title" table = title)
    let texts (element: JsonElement) = [ for cell in element.EnumerateArray() -> cell.GetString() ]
    let columns = texts (table.GetProperty "columns")
    [ for row in all "rows" table -> List.zip columns (texts row) |> Map ]

let private titles data = all "charts" data |> List.map (text "title")

let private numbers =
    [ test "has the statistics of each group, by hand" {
          let page = { Runs = runsOf "A" [ 0.0; 1.0; 2.0; 9.0 ]; Environments = [ known "A" ] }
          let data = dataOf (ComparePage.html page)
          Expect.equal (text "title" data) "A" "title"
          Expect.equal (text "verdict" data) "8 runs in 2 groups: delta=0.01; delta=0.03." "verdict"
          let rows = rowsOf "Final scores" data
          let row = rows[0]

          Expect.equal
              [ for name in
                    [ "group"; "runs"; "median"; "IQM"; "worst"; "best"; "reached the goal"; "steps to the goal" ] ->
                    row[name] ]
              [ "delta=0.01"; "4"; "1.50"; "1.50"; "0.00"; "9.00"; "3 of 4"; "550" ]
              "the first"

          Expect.equal (rows[1]["IQM"]) "2.50" "the second"
          Expect.equal (rowsOf "Settings" data |> List.map (Map.find "settings")) [ ""; "delta=0.03" ] "settings"
          Expect.hasLength (rowsOf "Every run" data) 8 "runs"

          Expect.equal
              (titles data)
              [ "A"; "Interquartile means"; "Performance profiles"; "Probability of improvement" ]
              "charts"

          let means = [ for name in [ "delta=0.01"; "delta=0.03" ] -> pointsOf "Interquartile means" name data ]
          Expect.equal means [ [| 1.5, 0.0 |]; [| 2.5, 1.0 |] ] "interquartile means, a row each"
          // Of the 16 pairs, 3, 2½, 2 and 1 scores of the first group are beaten: 10 against 0, 1, 2, 9.
          let probability = pointsOf "Probability of improvement" "than delta=0.01" data

          Expect.equal
              probability
              [| Statistics.probabilityOfImprovement [| [| 1.0; 2.0; 3.0; 10.0 |] |] [| [| 0.0; 1.0; 2.0; 9.0 |] |], 0.0 |]
              "probability"

          let goal = pointsOf "A" "goal" data
          Expect.equal [ for _, y in goal -> y ] [ 10.0; 10.0 ] "the goal"
          let curve = pointsOf "A" "delta=0.03" data |> Array.filter (fun (x, _) -> x > 0.0)
          let own = LearningCurve.ofProgress progress.Value
          // Equal runs: their mean is each of them.
          Expect.floatClose Accuracy.low (snd (Array.last curve)) (snd (Array.last own)) "the end of the curve"
      }

      test "puts environments together by normalised scores, if there are several" {
          let page =
              { Runs = runsOf "A" [ 5.0; 6.0 ] @ runsOf "B" [ 1.0; 2.0 ]
                Environments = [ known "A"; { known "B" with Goal = Some 2.0 } ] }

          let data = dataOf (ComparePage.html page)
          Expect.equal (text "title" data) "2 environments" "title"
          let together = rowsOf "All environments together" data
          // Shares of the way: 0.5, 0.6, 0.5 and 1, and for the second group 0.6, 0.7, 1 and 1.5.
          Expect.equal (together |> List.map (Map.find "IQM")) [ "0.550"; "0.850" ] "interquartile means"
          let unknown = dataOf (ComparePage.html { page with Environments = [] })
          Expect.equal (titles unknown) [ "A"; "B" ] "without goals, nothing is put together"
      }

      test "of one group has no comparison, and of one run no spread" {
          let page = { Runs = [ List.head (runsOf "A" [ 3.0 ]) ]; Environments = [] }
          let data = dataOf (ComparePage.html page)
          Expect.equal (titles data) [ "A" ] "charts"
          let row = rowsOf "Final scores" data |> List.exactlyOne
          Expect.equal (row["group"], row["95 % interval"]) ("all runs", "3.00 … 3.00") "the only one"
      }

      propertyOf
          20
          "keeps any text as it is, and none can end the script"
          (ArbMap.defaults |> ArbMap.generate<FsCheck.NonNull<string>> |> Gen.map _.Get)
          (fun part ->
              let valid = Encoding.UTF8.GetString(Encoding.UTF8.GetBytes part)
              let hostile = valid + "</script><script>alert('no')</script><!--<img src=x>{{plotly}}"

              let run =
                  { runOf hostile 0L [ hostile, hostile ] None with Folder = hostile; Progress = progress.Value }

              let html =
                  ComparePage.html { Runs = [ run; { run with Settings = [ hostile, "x" ] } ]; Environments = [] }

              let harmless = ComparePage.html { Runs = runsOf "A" [ 1.0 ]; Environments = [] }
              let count (part: string) (text: string) = Regex.Count(text, Regex.Escape part, RegexOptions.IgnoreCase)

              for part in [ "<script"; "</script"; "<!--"; "<img" ] do
                  Expect.equal (count part html) (count part harmless) part

              Expect.equal (text "title" (dataOf html)) hostile "title")

      test "of labelled runs without folders names the labels, and all settings of a group" {
          let run label delta seed =
              { runOf "A" seed [ "delta", delta ] (Some 1.0) with Label = Some label; Folder = "" }

          let page =
              { Runs = [ run "wide" "0.02" 0L; run "wide" "0.03" 1L; run "narrow" "0.01" 0L ]
                Environments = [ known "A" ] }

          let html = ComparePage.html page
          let data = dataOf html
          Expect.equal (text "verdict" data) "3 runs in 2 groups: wide; narrow." "verdict"

          Expect.equal
              [ for row in rowsOf "Settings" data -> row["group"], row["settings"], row["seeds"] ]
              [ "wide", "delta=0.02, delta=0.03", "0, 1"; "narrow", "", "0" ]
              "settings"

          Expect.isFalse ((List.head (rowsOf "Every run" data)).ContainsKey "folder") "folders"
          Expect.isFalse (html.Contains "from the files") "the footer"
      }

      test "is small and quick for many runs" {
          let many =
              [ for environment in [ "A"; "B"; "C"; "D"; "E" ] do
                    for delta in 1..4 do
                        for seed in 0..9 ->
                            { runOf environment (int64 seed) [ "delta", string delta ] (Some(float (seed + delta))) with
                                Progress = progress.Value } ]

          let html =
              ComparePage.html { Runs = many; Environments = [ for id in [ "A"; "B"; "C"; "D"; "E" ] -> known id ] }

          Expect.isLessThan (Encoding.UTF8.GetByteCount html) 5_000_000 "bytes"
      } ]

let private command =
    [ inNewFolder "finds runs in folders of folders, and shows them by their files" (fun folder ->
          let succeeded (ended: Ended) =
              Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
              ended

          let train out more =
              funtrpo folder ([ "train"; "--steps"; "3000"; "--set"; "hidden=8"; "--no-report"; "--out"; out ] @ more)
              |> succeeded
              |> ignore

          train "a/b/c/one" [ "--seed"; "1" ]
          train "a/two" [ "--seed"; "2" ]
          train "other" [ "--seed"; "1"; "--set"; "delta=0.02" ]
          Directory.CreateDirectory(Path.Combine(folder, "a", "empty")) |> ignore
          // Links are not followed: this one would make the third run one of a.
          Directory.CreateSymbolicLink(Path.Combine(folder, "a", "link"), Path.Combine(folder, "other"))
          |> ignore

          let ended = funtrpo folder [ "compare"; "a"; "--out"; "link.html" ] |> succeeded
          Expect.equal (ended.Output.Trim()) "2 runs: link.html" "without the link"
          let ended = funtrpo folder [ "compare"; "a"; "other"; "a/two"; "--out"; "page.html" ] |> succeeded
          Expect.equal (ended.Output.Trim()) "3 runs: page.html" "what it prints"
          let data = dataOf (File.ReadAllText(Path.Combine(folder, "page.html")))

          Expect.equal
              (rowsOf "Every run" data |> List.map (Map.find "folder"))
              [ "a/b/c/one"; "a/two"; "other" ]
              "folders"

          Expect.equal
              (rowsOf "Settings" data |> List.map (Map.find "settings"))
              [ "steps=3000, hidden=8"; "steps=3000, hidden=8, delta=0.02" ]
              "settings"

          let mean name = json (Path.Combine(folder, name, "summary.json")) |> get<float> "meanReturn100"
          let scores = rowsOf "Every run" data |> List.map (Map.find "score" >> float)

          for score, name in List.zip scores [ "a/b/c/one"; "a/two"; "other" ] do
              Expect.floatClose Accuracy.low score (Math.Round(mean name, 2)) "the last training episodes"

          // The page is made again, byte for byte.
          let before = File.ReadAllBytes(Path.Combine(folder, "page.html"))
          funtrpo folder [ "compare"; "a"; "other"; "--out"; "page.html" ] |> succeeded |> ignore
          Expect.isTrue (before = File.ReadAllBytes(Path.Combine(folder, "page.html"))) "the same page"
          // Four levels below is too deep.
          let refused = funtrpo folder [ "compare"; "." ]
          Expect.equal refused.Code 0 "a run in other"
          Expect.stringStarts refused.Output "2 runs" "without that which is too deep"

          File.WriteAllText(Path.Combine(folder, "other", "summary.json"), "{")
          let damaged = funtrpo folder [ "compare"; "other" ]
          Expect.equal damaged.Code 2 "a damaged file"
          Expect.stringContains damaged.Errors "summary.json" "which one") ]

let tests = testList "Compare page" [ testList "a page" numbers; testList "funtrpo compare" command ]
