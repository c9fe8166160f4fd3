/// What `funtrpo watch` finds in a folder, and what it tells of it when.
module FunTrpo.Tests.WatchTests

open System
open System.Diagnostics
open System.IO
open System.Text.Json
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Cli
open FunTrpo.Environments
open FunTrpo.Plots
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PageCases
open FunTrpo.Tests.TestFiles
open FunTrpo.Watch

// ---- The runs of a folder ----

let private known = lazy (EnvironmentFiles.known [] |> expectOk)

let private options folder : Run.Options = { TrainTests.optionsFor folder 120L with SolvedAt = None }

let private train (options: Run.Options) =
    Directory.CreateDirectory options.Folder |> ignore
    Expect.equal (TrainTests.run options CartPole.environment).Code 0 "exit code"

let private source folder = WatchedRuns.source folder known.Value
let private states (source: Source) = [ for run in source.Runs() -> run.Name, run.State ]

/// The settings of a run with these changes, and its summary.
let private change folder file (from: string) (into: string) =
    let path = Path.Combine(folder, file)
    let text = File.ReadAllText path
    Expect.stringContains text from file
    File.WriteAllText(path, text.Replace(from, into))

let private nothingChanged folder =
    [ for path in Directory.GetFileSystemEntries(folder, "*", SearchOption.AllDirectories) |> Array.sort do
          path, File.GetLastWriteTimeUtc path, (if File.Exists path then FileInfo(path).Length else 0L) ]

let private listing =
    [ inNewFolder "finds runs three levels below the folder, and no links" (fun folder ->
          for name in [ "b"; "a/x"; "a/y/z"; "a/y/z/deep"; ".hidden" ] do
              train (options (Path.Combine(folder, name)))

          Directory.CreateSymbolicLink(Path.Combine(folder, "link"), folder) |> ignore
          Directory.CreateDirectory(Path.Combine(folder, "empty")) |> ignore
          let before = nothingChanged folder
          let source = source folder
          Expect.equal (states source |> List.map fst |> Set) (Set [ ".hidden"; "a/x"; "a/y/z"; "b" ]) "names"

          for name in [ "a/y/z/deep"; "link/b"; "../b"; "/etc"; ""; "empty"; "b/"; "./b" ] do
              Expect.isNone (source.Stamp name) name
              Expect.isError (source.Page name) name
              Expect.equal (snd (source.Episode name)) (NotRecorded "its folder is gone") name

          for name, _ in states source do
              Expect.isOk (source.Page name) name

          Expect.equal (nothingChanged folder) before "reading changes nothing"
          Expect.equal source.Folder (Path.GetFileName folder) "the name of the folder"
          let itself = WatchedRuns.source (Path.Combine(folder, "b")) known.Value
          Expect.equal (states itself) [ ".", RunState.Finished ] "the folder itself")

      inNewFolder "tells what is known of a run" (fun folder ->
          train (options (Path.Combine(folder, "run")))
          let run = (source folder).Runs() |> List.exactlyOne
          Expect.equal (run.Name, run.Environment, run.Seed) ("run", "CartPole-v1", Some 1L) "the run"
          Expect.equal (run.Steps, run.Budget) (120L, 120L) "steps"
          let summary = RunSummary.read (Path.Combine(folder, "run", "summary.json")) |> expectOk
          Expect.equal run.Return summary.MeanReturn100 "return"
          Expect.equal (Array.last run.Returns) summary.MeanReturn100.Value "the last of the returns"
          let page = (source folder).Page "run" |> expectOk
          Expect.equal (page.Environment, page.Episode) ("CartPole-v1", NotDrawn) "the page"
          Expect.equal (Progress.length page.Progress) summary.Iterations "iterations"

          match (source folder).Episode "run" with
          | "CartPole-v1", Recorded recording -> Expect.isGreaterThan recording.Rewards.Length 3 "an episode"
          | other -> failtest $"{other}")

      inNewFolder "knows how a run has ended, and whether it is running" (fun folder ->
          let run = Path.Combine(folder, "run")
          let state () = states (source folder) |> List.exactlyOne |> snd
          let verdict () = ((source folder).Page "run" |> expectOk).Verdict
          train (options run)
          Expect.equal (state ()) RunState.Finished "all steps"
          change run "config.json" "\"steps\": 120" "\"steps\": 9000"
          Expect.equal (state ()) RunState.Stopped "few of its steps"
          Expect.stringStarts (verdict ()) "Was stopped before its end. " "verdict"

          // RunFolder.prepare is what a run holds while it writes.
          match RunFolder.prepare run with
          | Error fault -> failtest (Fault.message fault)
          | Ok held ->
              use _ = held
              Expect.equal (state ()) RunState.Running "while it is held"
              Expect.stringStarts (verdict ()) "Is training: 120 of at most 9,000" "verdict"
              File.Delete(Path.Combine(run, "summary.json"))
              Expect.equal (state ()) RunState.Running "while its files are replaced"

          match state () with
          | RunState.Damaged why -> Expect.stringContains why "summary.json" "why"
          | other -> failtest $"{other}")

      inNewFolder "counts goals and evaluations as ends" (fun folder ->
          let goal = Path.Combine(folder, "goal")
          train { options goal with StopAt = Some 1.0; Steps = 100_000L }
          let patience = Path.Combine(folder, "patience")

          train
              { options patience with
                  Steps = 100_000L
                  Evaluation = Some { Every = 40L; Episodes = 1; StopAt = None; Patience = Some 1 } }

          Expect.equal (states (source folder)) [ "goal", RunState.Finished; "patience", RunState.Finished ] "both"
          change patience "config.json" "\"patience\": 1" "\"patience\": 99"
          change goal "config.json" "\"stopAt\": 1" "\"stopAt\": null"
          Expect.equal (states (source folder)) [ "goal", RunState.Stopped; "patience", RunState.Stopped ] "neither")

      inNewFolder "does not take a killed process for a running one" (fun folder ->
          let run = Path.Combine(folder, "run")
          train (options run)
          let at name = Path.Combine(run, name)
          File.WriteAllText(at ".running", "")
          let machine = Environment.MachineName
          let since (time: DateTime) = time.ToUniversalTime().ToString "u"
          use self = Process.GetCurrentProcess()
          let started = self.StartTime

          for owner, isHeld in
              [ $"process {Environment.ProcessId} on {machine}, since {since DateTime.Now}", true
                $"process {Environment.ProcessId} on {machine}, since {since (started.AddHours -1.0)}", false
                $"process 999999999 on {machine}, since {since DateTime.Now}", false
                $"process {Environment.ProcessId} on another{machine}, since {since started}", true
                "no owner", true
                $"process 1 on {machine}, since never", true ] do
              File.WriteAllText(at ".owner", owner)
              Expect.equal (RunFolder.isHeld run) isHeld owner

          File.Delete(at ".running")
          Expect.isFalse (RunFolder.isHeld run) "without a lock")

      inNewFolder "reads files that are damaged in any way, as an error" (fun folder ->
          let run = Path.Combine(folder, "run")
          train (options run)

          for file in [ "config.json"; "summary.json"; "progress.csv"; "policy.json" ] do
              let path = Path.Combine(run, file)
              let whole = File.ReadAllBytes path

              for damage in [ [||]; whole[.. whole.Length / 2]; Array.rev whole; [| 0uy; 255uy |] ] do
                  File.WriteAllBytes(path, damage)
                  let source = source folder
                  let entry = source.Runs() |> List.exactlyOne
                  Expect.equal entry.Name "run" file
                  source.Page "run" |> ignore
                  source.Episode "run" |> ignore

              File.WriteAllBytes(path, whole)) ]

// ---- What is told when ----

let private entry name state : RunEntry =
    { Name = name
      Environment = "</script>"
      Seed = Some Int64.MaxValue
      Steps = 5L
      Budget = 10L
      Return = Some nan
      Returns = [| nan; 1.5; infinity |]
      State = state }

let private fake runs stamp page : Source =
    { Folder = "a \"folder\""
      Runs = runs
      Stamp = stamp
      Page = page
      Episode = fun _ -> "", NotDrawn }

let private somePage = lazy (page (snd (run 2 1L)) NotDrawn)

let private telling =
    [ test "tells the list of runs when it has changed, as JSON" {
          let mutable runs = [ entry "one" (RunState.Damaged "it is \"bad\"\n") ]
          let next = Events.ofRuns (fake (fun () -> runs) (fun _ -> None) (fun _ -> Error ""))
          let event = (next ()).Value
          Expect.equal event.Name "runs" "name"
          let data = JsonDocument.Parse(event.Json.ReplaceLineEndings " ").RootElement
          let run = all "runs" data |> List.exactlyOne
          Expect.equal (text "folder" data) "a \"folder\"" "folder"
          Expect.equal (text "why" run) "it is \"bad\"\n" "why"
          Expect.equal (text "seed" run) (string Int64.MaxValue) "seed"
          Expect.equal ((run.GetProperty "return").ValueKind) JsonValueKind.Null "no return"

          Expect.equal
              [ for value in all "returns" run -> value.ValueKind ]
              [ JsonValueKind.Null; JsonValueKind.Number; JsonValueKind.Null ]
              "returns"

          Expect.isNone (next ()) "nothing new"
          runs <- runs @ [ entry "two" RunState.Running ]
          Expect.isSome (next ()) "another run"
      }

      test "tells the page of a run when its files have changed, made once for all browsers" {
          let mutable stamp = "1"
          let mutable made = 0

          let read _ =
              made <- made + 1
              Ok { somePage.Value with Verdict = $"page {made}" }

          let source = fake (fun () -> []) (fun _ -> Some stamp) read
          let reports = Events.Reports source
          let first, second = Events.ofRun source reports "run", Events.ofRun source reports "run"
          let verdict (event: Events.Event option) = text "verdict" (JsonDocument.Parse(event.Value.Json).RootElement)
          Expect.equal (verdict (first ())) "page 1" "the first"
          Expect.isNone (first ()) "nothing new"
          Expect.equal (verdict (second ())) "page 1" "the same page"
          stamp <- "2"
          Expect.equal (verdict (second ())) "page 2" "the next"
          Expect.equal (verdict (first ())) "page 2" "the same page"
          Expect.equal made 2 "pages"
      }

      propertyOf
          200
          "tells what is wrong once, when it has lasted, and goes on when all is well"
          (Gen.listOf (Gen.elements [ 'p'; 'g'; 'e'; 'f' ]))
          (fun history ->
              // p: a page; g: gone; e and f: two faults.
              let mutable now = 'p'
              let mutable version = 0

              let stamp _ = if now = 'g' then None else Some $"{now}{version}"
              let read _ = if now = 'p' then Ok somePage.Value else Error(string now)
              let source = fake (fun () -> []) stamp read
              let next = Events.ofRun source (Events.Reports source) "run"
              let mutable told = ' ' // what the browser shows
              let mutable bad = 0

              for kind in history do
                  now <- kind
                  version <- version + 1
                  let event = next ()
                  bad <- (if kind = 'p' then 0 else bad + 1)

                  match event with
                  | Some { Name = "report" } ->
                      Expect.equal kind 'p' "a page"
                      told <- 'p'
                  | Some { Name = "problem" } ->
                      Expect.isGreaterThanOrEqual bad 3 "it has lasted"
                      Expect.notEqual told kind "it is new"
                      told <- kind
                  | _ -> ()

                  if kind = 'p' || bad >= 3 then
                      Expect.equal told kind "what the browser shows")

      test "has every file that its pages ask for, and names nothing else" {
          for path in [ "/"; "/run" ] do
              let html = Text.Encoding.UTF8.GetString(Pages.files[path].Value.Content)

              for found in Text.RegularExpressions.Regex.Matches(html, "(?:src|href)=\"([^\"]*)\"") do
                  let target = found.Groups[1].Value

                  if target <> "data:," then
                      Expect.isTrue (Pages.files.ContainsKey target) target

              Expect.isFalse (html.Contains "{{") "parts"

          Expect.equal (Pages.files.Values |> Seq.distinctBy _.Value.Tag |> Seq.length) Pages.files.Count "tags"
      } ]

let tests = testList "Watch" [ testList "runs" listing; testList "events" telling ]
