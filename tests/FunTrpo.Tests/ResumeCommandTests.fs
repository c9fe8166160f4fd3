/// `funtrpo resume`: a run that was interrupted ends as one that was not.
module FunTrpo.Tests.ResumeCommandTests

open System
open System.Diagnostics
open System.IO
open Expecto
open FunTrpo
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.TestFiles

let private train every out =
    [ "train"
      "--env"
      "CartPole-v1"
      "--steps"
      "24k"
      "--seed"
      "7"
      "--out"
      out
      "--checkpoint-every"
      every ]

/// progress.csv without the columns that hold times.
let private withoutTimes folder =
    let columns, rows = progressOf folder
    let isTime (column: string) = column.EndsWith("econds", StringComparison.Ordinal) || column = "stepsPerSecond"

    let kept =
        [ for i in 0 .. columns.Length - 1 do
              if not (isTime columns[i]) then
                  i ]

    [ for row in rows -> [ for i in kept -> row[i] ] ]

let private succeeded what (ended: Ended) =
    Expect.equal ended.Code 0 $"{what}: {ended.Errors}"
    ended

/// Starts the command, and returns when the run has a checkpoint of some iteration.
let private startAndWait folder out arguments =
    let running = start folder arguments
    waitFor "a checkpoint" (fun () -> File.Exists(Path.Combine(folder, out, "checkpoint")))
    running

let private kill (running: Process) =
    running.Kill()
    running.WaitForExit()

let private expectSameRun folder once other =
    let sha name = json (Path.Combine(folder, name, "summary.json")) |> get<string> "parametersSha256"
    Expect.equal (sha other) (sha once) "parameters"
    Expect.equal (withoutTimes (Path.Combine(folder, other))) (withoutTimes (Path.Combine(folder, once))) "progress.csv"
    let bytes name file = File.ReadAllBytes(Path.Combine(folder, name, file))
    Expect.equal (bytes other "policy.json") (bytes once "policy.json") "policy.json"

    let summary name =
        [ for field in json (Path.Combine(folder, name, "summary.json")) do
              if field.Key <> "wallSeconds" then
                  field.Key, string field.Value ]

    Expect.equal (summary other) (summary once) "summary.json"

let private interruptions =
    [ inNewFolder "that is killed at any moment, and resumed each time, ends as one that is not" (fun folder ->
          funtrpo folder (train "2" "once") |> succeeded "train" |> ignore
          let random = Random 3
          let mutable running = startAndWait folder "killed" (train "2" "killed")
          let mutable kills = 0
          let mutable isOver = false

          while not isOver && kills < 4 do
              if running.WaitForExit(random.Next(0, 900)) then
                  isOver <- true
              else
                  kill running
                  kills <- kills + 1
                  running <- start folder [ "resume"; "killed"; "--threads"; string (1 + kills % 2) ]

          running.WaitForExit()
          funtrpo folder [ "resume"; "killed" ] |> succeeded "resume" |> ignore
          expectSameRun folder "once" "killed")

      if not (OperatingSystem.IsWindows()) then
          for rule, more in [ "TRPO", []; "PPO, whose optimiser the checkpoint holds,", [ "--set"; "rule=ppo" ] ] do
              inNewFolder $"of {rule} that gets a SIGTERM saves a checkpoint, and goes on from there" (fun folder ->
                  funtrpo folder (train "2" "once" @ more) |> succeeded "train" |> ignore
                  // The last checkpoint is that of the signal: there is no other one after the first.
                  use running = startAndWait folder "stopped" (train "1000000" "stopped" @ more)
                  shell $"kill -TERM {running.Id}" [] |> succeeded "kill" |> ignore
                  Expect.equal (ended running).Code 130 "exit code"
                  let resumed = funtrpo folder [ "resume"; "stopped" ] |> succeeded "resume"
                  Expect.stringContains resumed.Output "goes on after iteration" "what it says"
                  expectSameRun folder "once" "stopped") ]

let private ends =
    [ inNewFolder "that is finished is left as it is" (fun folder ->
          funtrpo folder (train "2" "done") |> succeeded "train" |> ignore

          let files () =
              [ for path in Directory.GetFiles(Path.Combine(folder, "done")) -> path, File.ReadAllText path ]

          let before = files ()
          let again = funtrpo folder [ "resume"; "done" ] |> succeeded "resume"
          Expect.stringContains again.Output "is finished" "what it says"
          Expect.equal (files ()) before "the files")

      inNewFolder "gets its last files if it was killed between its last checkpoint and them" (fun folder ->
          funtrpo folder (train "1" "once") |> succeeded "train" |> ignore
          let at name = Path.Combine(folder, "once", name)

          let policy, sha =
              File.ReadAllBytes(at "policy.json"), json (at "summary.json") |> get<string> "parametersSha256"

          funtrpo folder [ "train"; "--steps"; "1024"; "--no-report"; "--out"; "early" ]
          |> succeeded "train"
          |> ignore
          // The state that a kill leaves: the summary is removed, and the policy is an earlier one.
          File.Delete(at "summary.json")
          File.Copy(Path.Combine(folder, "early", "policy.json"), at "policy.json", true)
          let resumed = funtrpo folder [ "resume"; "once" ] |> succeeded "resume"
          Expect.stringContains resumed.Output "is finished" "what it says"
          Expect.equal (json (at "summary.json") |> get<string> "parametersSha256") sha "the summary"
          Expect.equal (File.ReadAllBytes(at "policy.json")) policy "the policy")

      inNewFolder "goes on with more steps" (fun folder ->
          funtrpo folder (train "2" "more") |> succeeded "train" |> ignore
          funtrpo folder [ "resume"; "more"; "--steps"; "30k" ] |> succeeded "resume" |> ignore
          let out = Path.Combine(folder, "more")
          Expect.equal (json (Path.Combine(out, "summary.json")) |> get<int64> "steps") 30_000L "steps"
          Expect.equal (json (Path.Combine(out, "config.json")) |> get<int64> "steps") 30_000L "the steps of the run") ]

let private refusals =
    [ inNewFolder "without a checkpoint, and says what to do" (fun folder ->
          for out in [ "nothing"; "." ] do
              let ended = funtrpo folder [ "resume"; out ]
              Expect.equal ended.Code 2 "exit code"
              Expect.stringContains ended.Errors "--checkpoint-every" "the remedy")

      inNewFolder "with a damaged checkpoint, and leaves the folder as it is" (fun folder ->
          funtrpo folder (train "2" "damaged") |> succeeded "train" |> ignore
          let path = Path.Combine(folder, "damaged", "checkpoint")
          let bytes = File.ReadAllBytes path
          File.WriteAllBytes(path, Array.truncate (bytes.Length - 500) bytes)
          let before = Directory.GetFiles(Path.Combine(folder, "damaged")) |> Array.sort
          let ended = funtrpo folder [ "resume"; "damaged" ]
          Expect.equal ended.Code 2 "exit code"
          Expect.stringContains ended.Errors "section" "the place"
          Expect.equal (Directory.GetFiles(Path.Combine(folder, "damaged")) |> Array.sort) before "the files")

      inNewFolder "in a folder that another process writes to, which the fault names" (fun folder ->
          let arguments = train "2" "shared" |> List.map (fun word -> if word = "24k" then "50M" else word)
          let running = startAndWait folder "shared" arguments

          try
              for arguments in [ [ "resume"; "shared" ]; train "2" "shared" ] do
                  let ended = funtrpo folder arguments
                  Expect.equal ended.Code 2 "exit code"
                  Expect.stringContains ended.Errors $"process {running.Id}" "the owner"
          finally
              kill running

          // A dead owner's lock is free.
          let again = start folder [ "resume"; "shared" ]

          try
              Expect.isFalse (again.WaitForExit 1500) "it runs"
          finally
              kill again) ]

let tests =
    testList "resume" [ testList "a run" (interruptions @ ends); testList "is refused" refusals ]
