/// Event files, byte for byte, and what they hold of training.
module FunTrpo.Tests.TensorBoardTests

open System
open System.IO
open System.Text
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.CSharp
open FunTrpo.Environments
open FunTrpo.TensorBoard
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.EventFiles
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

// ---- Checksums ----

let private checksums =
    [ test "are those of RFC 3720" {
          for bytes, expected in
              [ "123456789"B, 0xE3069283u
                Array.zeroCreate 32, 0x8A9136AAu
                Array.create 32 255uy, 0x62A8AB43u
                [| 0uy .. 31uy |], 0x46DD794Eu
                [||], 0u ] do
              Expect.equal (Crc32C.Of(ReadOnlySpan bytes)) expected "the writer's"
              Expect.equal (crc32c bytes) expected "the reader's"
      }

      property "are those that are computed bit by bit" (ArbMap.defaults |> ArbMap.generate<byte[]>) (fun bytes ->
          Expect.equal (Crc32C.Of(ReadOnlySpan bytes)) (crc32c bytes) "CRC-32C"
          Expect.equal (Crc32C.Masked(ReadOnlySpan bytes)) (masked bytes) "masked") ]

// ---- Bytes ----

/// A clock that stands still, at this many seconds since 1970.
type private Clock(seconds: int64) =
    inherit TimeProvider()
    override _.GetUtcNow() = DateTimeOffset.FromUnixTimeSeconds seconds
    override _.GetTimestamp() = 0L

let private at seconds folder after = new TensorBoardWriter(folder, after, Clock seconds)

let private bytes =
    [ inNewFolder "are those of the format" (fun folder ->
          use writer = at 1_500_000_000L folder 0L
          writer.Write("loss", 300L, 0.5)
          // 1 (fixed64): the seconds since 1970, 1.5e9 = 0x41D65A0BC0000000.
          let time = "\x09\x00\x00\x00\xC0\x0B\x5A\xD6\x41"

          let expected =
              [ time + "\x1A\x0D" + "brain.Event:2" // 3: the version, 13 bytes
                time + "\x10\x01" + "\x3A\x02\x08\x01" // 2: step 1; 7: a session log whose 1 (status) is START
                time
                + "\x10\xAC\x02" // 2: step 300 = 0x2C + 2 · 128
                + "\x2A\x0D" // 5: a summary of 13 bytes
                + "\x0A\x0B" // 1: a value of 11 bytes
                + "\x0A\x04loss" // 1: the tag
                + "\x15\x00\x00\x00\x3F" ] // 2 (fixed32): 0.5f

          let actual = File.ReadAllBytes writer.Path |> records |> List.map Encoding.Latin1.GetString
          Expect.equal actual expected "the data of the records")

      inNewFolder "are in files whose names are in the order of their making" (fun folder ->
          let name seconds =
              use writer = at seconds folder 0L
              Path.GetFileName writer.Path

          let names = [ name 1_500_000_000L; name 1_500_000_000L; name 1_400_000_000L; name 1_600_000_000L ]

          let expected =
              [ 1_500_000_000; 1_500_000_001; 1_500_000_002; 1_600_000_000 ]
              |> List.map (fun time -> $"events.out.tfevents.{time}.{Environment.MachineName}")

          Expect.equal names expected "names"
          Expect.equal (List.sort names) names "their order")

      inNewFolder "have whole records at any time" (fun folder ->
          use writer = at 1_500_000_000L folder 0L

          for step in 1L .. 50L do
              writer.Write("a number", step, float step)
              Expect.hasLength (read writer.Path) (2 + int step) "events")

      inNewFolder "have no numbers that are not finite" (fun folder ->
          use writer = at 1_500_000_000L folder 0L

          for value in [ nan; infinity; -infinity ] do
              writer.Write("a number", 1L, value)

          Expect.isEmpty (read writer.Path |> summaries) "summaries") ]

// ---- Iterations ----

/// What an event file says of the reports, iteration by iteration.
let private written (reports: Report list) =
    inFolder (fun folder ->
        use writer = new TensorBoardWriter(folder)

        for report in reports do
            writer.Write(IterationReport report)

        let found = read writer.Path |> summaries
        Expect.equal (List.map fst found) (reports |> List.map _.Steps) "the steps"
        List.map snd found)

/// What the event file should say of a quantity.
let private expectedOf (field: ReportField<Report>) report =
    match field.Read report with
    // Names in progress.csv, but sentences here.
    | ReportValue.Text _ when field.Name = "warnings" ->
        report.Warnings |> List.map Warning.message |> String.concat "\n" |> Choice2Of2 |> Some
    | ReportValue.Whole number -> Some(Choice1Of2(float32 number))
    | ReportValue.Number number -> Some(Choice1Of2(float32 number))
    | ReportValue.Text text -> Some(Choice2Of2 text)
    | ReportValue.Missing -> None

/// Times are rounded in reports.
let private areClose a b =
    match a, b with
    | Some(Choice1Of2 a), Some(Choice1Of2 b) -> abs (a - b: float32) <= 1e-6f + 1e-3f * abs b
    | _ -> a = b

let private number report name =
    match Report.value name report with
    | ReportValue.Number number -> Some number
    | ReportValue.Whole number -> Some(float number)
    | ReportValue.Text text -> Some(if text = "moved" then 1.0 else 0.0)
    | ReportValue.Missing -> None

/// The tags of Stable-Baselines3, the fields that they show, and how.
let private others: (string * string * (float -> float)) list =
    [ "rollout/ep_rew_mean", "meanReturn", id
      "rollout/ep_len_mean", "meanEpisodeLength", id
      "time/fps", "stepsPerSecond", id
      "time/iterations", "iteration", id
      "time/total_timesteps", "steps", id
      "train/explained_variance", "explainedVariance", id
      "train/value_loss", "criticErrorAfter", (fun error -> error * error)
      "train/kl_divergence_loss", "meanKl", id
      "train/policy_objective", "surrogateGain", id
      "train/is_line_search_success", "outcome", id ]

let private reportsOf configuration environment count =
    let setup = setupOf 1 configuration environment
    iterations count setup (TrainingState.start setup 3L) |> List.map snd

let private iterationsOf =
    [ test "have a tag for each field of a report" {
          // With a share of the signal, held-out rows and a warning, no field is without a value.
          let report =
              reportsOf { small with DeltaShrinkage = 2.0; HeldOut = 0.5 } CartPole.environment 2 |> List.last

          let values = written [ { report with Warnings = [ LongEpisode("a", 0, 9); LongEpisode("b", 1, 9) ] } ]

          for field in Report.fields do
              Expect.isTrue (values.Head.ContainsKey $"funtrpo/{field.Name}") field.Name
      }

      for name, configuration in
          [ "TRPO", small
            "natural gradient, which has no trust region", naturalGradient
            "REINFORCE, which has no conjugate gradient", reinforce
            "iterations in which no episode ends", { small with Horizon = 2 } ] do
          test $"show what the report says: {name}" {
              let reports = reportsOf configuration CartPole.environment 4

              for report, values in List.zip reports (written reports) do
                  for field in Report.fields do
                      let expected = expectedOf field report
                      let actual = Map.tryFind $"funtrpo/{field.Name}" values
                      Expect.isTrue (areClose actual expected) $"{field.Name}: %A{actual}, and not %A{expected}"

                  for tag, field, shown in others do
                      let expected = number report field |> Option.map (shown >> float32 >> Choice1Of2)
                      let actual = Map.tryFind tag values
                      Expect.isTrue (areClose actual expected) $"{tag}: %A{actual}, and not %A{expected}"

                  let known =
                      "time/time_elapsed" :: [ for tag, _, _ in others -> tag ]
                      @ [ for field in Report.fields -> $"funtrpo/{field.Name}" ]

                  Expect.isEmpty (Set.difference (Set(Map.keys values)) (Set known)) "other tags"
          }

      test "say that a step was refused" {
          // No step is that small.
          let reports = reportsOf { small with Delta = 1e-30 } CartPole.environment 1
          let values = List.exactlyOne (written reports)
          let outcome = Choice2Of2(Report.value "outcome" reports.Head |> Report.toText)
          Expect.isFalse reports.Head.Improvement.Outcome.IsMoved "it was refused"
          Expect.equal values["funtrpo/outcome"] outcome "the outcome"
          Expect.equal values["train/is_line_search_success"] (Choice1Of2 0f) "no success"
      } ]

let private pipelines =
    inNewFolder "take the fields of reports one by one" (fun folder ->
        let setup = setupOf 1 small CartPole.environment
        let start = TrainingState.start setup 3L

        let write () =
            use writer = new TensorBoardWriter(folder)

            for result in Training.runFor 2000L setup start do
                match result with
                | Ok(_, report) ->
                    for field in Report.fields do
                        match field.Read report with
                        | ReportValue.Number number -> writer.Write($"funtrpo/{field.Name}", report.Steps, number)
                        | _ -> ()
                | Error fault -> failwith (Fault.message fault)

        write ()

        let found =
            filesIn folder
            |> List.collect (read >> summaries)
            |> List.filter (fun (_, values) -> values.ContainsKey "funtrpo/meanKl")

        let expected = [ for result in Training.runFor 2000L setup start -> (expectOk result |> snd).Steps ]
        Expect.equal (List.map fst found) expected "steps")

let private documented =
    test "are in the table of docs/telemetry.md" {
        let page = DocumentationTests.read "docs/telemetry.md"

        for tag, field, _ in others do
            Expect.stringContains page $"| `{tag}` | `{field}`" tag
    }

// ---- Runs of the command ----

let private train steps more =
    [ "train"; "--env"; "CartPole-v1"; "--steps"; steps; "--out"; "run"; "--no-report" ] @ more

let private succeeded (ended: Ended) = Expect.equal (ended.Code, ended.Errors) (0, "") "exit code and errors"
let private eventsOf folder = filesIn (Path.Combine(folder, "run", "tensorboard"))

/// The steps of progress.csv, and the mean returns.
let private progress folder =
    let columns, rows = progressOf (Path.Combine(folder, "run"))
    let column name = Array.IndexOf(columns, name)
    [ for row in rows -> int64 row[column "steps"], row[column "meanReturn"] ]

let private returnsOf events =
    [ for step, values in summaries events do
          if Map.containsKey "time/fps" values then
              match Map.tryFind "rollout/ep_rew_mean" values with
              | Some(Choice1Of2 number) -> step, Some number
              | _ -> step, None ]

/// As TensorBoard does it: a START makes what earlier files have from its step on invalid.
let private shown files =
    files
    |> List.map read
    |> List.fold
        (fun before events ->
            let start = events |> List.find (fun event -> event.Content = Start)
            (before |> List.filter (fun (step, _) -> step < start.Step)) @ returnsOf events)
        []

let private expectProgress folder found =
    let expected =
        [ for steps, mean in progress folder -> steps, (if mean = "" then None else Some(float32 mean)) ]

    Expect.equal found expected "the steps and the returns of progress.csv"

let private commands =
    [ inNewFolder "leaves what progress.csv and evaluations.csv have" (fun folder ->
          funtrpo folder (train "8k" [ "--tensorboard"; "--evaluate-every"; "4k"; "--evaluate-episodes"; "2" ])
          |> succeeded

          let file = List.exactlyOne (eventsOf folder)
          Expect.isTrue (Path.GetFileName(file).StartsWith "events.out.tfevents.") "its name"
          let events = read file
          expectProgress folder (returnsOf events)
          let lines = File.ReadAllLines(Path.Combine(folder, "run", "evaluations.csv"))
          let columns, rows = lines[0].Split ',', lines[1..] |> Array.map _.Split(',')

          let evaluations =
              summaries events |> List.filter (fun (_, values) -> values.ContainsKey "eval/mean_reward")

          Expect.hasLength evaluations rows.Length "evaluations"

          for (step, values), row in Seq.zip evaluations rows do
              Expect.equal (string step) row[1] "the step"
              Expect.equal values["eval/mean_reward"] values["funtrpo/evaluation/mean"] "the mean return"
              // The return of CartPole is the length of the episode.
              Expect.equal values["eval/mean_ep_length"] values["funtrpo/evaluation/mean"] "the mean length"

              for column, number in Array.zip columns[3..] row[3..] do
                  Expect.equal values[$"funtrpo/evaluation/{column}"] (Choice1Of2(float32 number)) column)

      inNewFolder "goes on in a new file after resume, which replaces what was lost" (fun folder ->
          let out = Path.Combine(folder, "run")
          let checkpoint = Path.Combine(out, "checkpoint")
          funtrpo folder (train "8k" [ "--tensorboard"; "--checkpoint-every"; "3" ]) |> succeeded
          let early = File.ReadAllBytes checkpoint
          funtrpo folder [ "resume"; "run"; "--steps"; "16k"; "--no-report" ] |> succeeded
          // As if the process had been killed before it saved a later checkpoint.
          File.WriteAllBytes(checkpoint, early)
          funtrpo folder [ "resume"; "run"; "--steps"; "24k"; "--no-report" ] |> succeeded
          let files = eventsOf folder
          Expect.hasLength files 3 "a file of each process"
          let starts = files |> List.map (fun file -> (read file)[1])
          Expect.equal (starts |> List.map _.Content) [ Start; Start; Start ] "each begins with START"
          Expect.equal starts[1].Step starts[2].Step "two went on from the same checkpoint"
          expectProgress folder (shown files))

      inNewFolder "is without them if the run is without, also where an earlier run had some" (fun folder ->
          funtrpo folder (train "4k" [ "--tensorboard"; "--checkpoint-every"; "1" ]) |> succeeded
          Expect.hasLength (eventsOf folder) 1 "a file"
          funtrpo folder (train "4k" [ "--checkpoint-every"; "1" ]) |> succeeded
          Expect.isEmpty (eventsOf folder) "files of the run that was replaced"
          funtrpo folder [ "resume"; "run"; "--steps"; "8k"; "--no-report" ] |> succeeded
          Expect.isEmpty (eventsOf folder) "files of the run that went on"
          funtrpo folder [ "resume"; "run"; "--steps"; "12k"; "--no-report"; "--tensorboard" ] |> succeeded
          Expect.hasLength (eventsOf folder) 1 "a file, if resume is told so")

      inNewFolder "trains the same policy" (fun folder ->
          let sha () = json (Path.Combine(folder, "run", "summary.json")) |> get<string> "parametersSha256"
          funtrpo folder (train "8k" []) |> succeeded
          let without = sha ()
          funtrpo folder (train "8k" [ "--tensorboard" ]) |> succeeded
          Expect.equal (sha ()) without "the parameters")

      inNewFolder "ends with a message if the files cannot be made" (fun folder ->
          Directory.CreateDirectory(Path.Combine(folder, "run")) |> ignore
          File.WriteAllText(Path.Combine(folder, "run", "tensorboard"), "not a folder")
          let ended = funtrpo folder (train "8k" [ "--tensorboard" ])
          Expect.equal ended.Code 1 "exit code"
          Expect.stringContains ended.Errors "tensorboard" "what it says"
          Expect.isFalse (ended.Errors.Contains "   at ") "a stack trace")

      if not (OperatingSystem.IsWindows()) then
          inNewFolder "ends with a message if the disk is full, and the events before are whole" (fun folder ->
              let out = Path.Combine(folder, "run")

              let arguments =
                  $"train --steps 20000 --threads 1 --tensorboard --out {out}"
                  + " --set environments=2 --set horizon=16 --set hidden=4 --set criticHidden=4 --set criticSteps=1"

              // Events are larger than lines of progress.csv, so theirs is the first file that reaches 8 KiB.
              let ended = funtrpoWithin 16 arguments
              Expect.equal ended.Code 1 $"exit code; {ended.Output}"
              Expect.stringContains ended.Errors "could not be written" "what it says"
              Expect.isFalse (ended.Errors.Contains "   at ") "a stack trace"
              let events = read (List.exactlyOne (eventsOf folder))
              Expect.isGreaterThan events.Length 3 "events"
              let summary = json (Path.Combine(out, "summary.json"))
              Expect.isGreaterThanOrEqual (get<int> "iterations" summary) (events.Length - 2) "the policy is saved") ]

let tests =
    testList
        "TensorBoard"
        [ testList "checksums" checksums
          testList "the bytes of event files" bytes
          testList "events of iterations" iterationsOf
          testList "pipelines" [ pipelines ]
          testList "tags of Stable-Baselines3" [ documented ]
          testList "a run with --tensorboard" commands ]
