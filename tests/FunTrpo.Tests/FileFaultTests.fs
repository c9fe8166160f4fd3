/// Runs whose files or folder are taken away, locked or changed by others: what was saved stays, and the messages say what to do.
module FunTrpo.Tests.FileFaultTests

open System
open System.Diagnostics
open System.IO
open System.Text
open System.Threading
open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.CommandRuns
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

// ---- Runs ----

let private train steps out =
    [ "train"
      "--steps"
      steps
      "--seed"
      "3"
      "--threads"
      "1"
      "--out"
      out
      "--checkpoint-every"
      "1" ]

let private succeeded what (ended: Ended) =
    Expect.equal ended.Code 0 $"{what}: {ended.Errors}"
    ended

let private sha folder = json (Path.Combine(folder, "summary.json")) |> get<string> "parametersSha256"

/// Starts a run that would take for ever, waits for its first checkpoint, calls `disturb` with its folder, and returns how the run ended.
let private disturbed folder arguments awaited (disturb: string -> unit) =
    let run = Path.Combine(folder, "run")
    use running = start folder arguments
    let output, errors = running.StandardOutput.ReadToEndAsync(), running.StandardError.ReadToEndAsync()

    try
        let clock = Stopwatch.StartNew()

        while not (File.Exists(Path.Combine(run, awaited))) do
            Expect.isLessThan clock.Elapsed (TimeSpan.FromMinutes 1.0) $"{awaited}: {running.HasExited}"
            Thread.Sleep 5

        disturb run
        Expect.isTrue (running.WaitForExit(TimeSpan.FromMinutes 1.0)) "the run ends"
        { Code = running.ExitCode; Output = output.Result; Errors = errors.Result }
    finally
        if not running.HasExited then
            running.Kill()
            running.WaitForExit()

let private expectStopped (parts: string list) (ended: Ended) =
    Expect.equal ended.Code 1 $"exit code; {ended.Errors}"
    Expect.isFalse (ended.Errors.Contains "   at ") "a stack trace"

    for part in parts do
        Expect.stringContains ended.Errors part "the message"

// ---- A folder that is removed ----

/// Deletes a folder, also while somebody makes files in it.
let rec private deleteFolder (path: string) =
    if Directory.Exists path then
        try
            Directory.Delete(path, true)
        with :? IOException ->
            ()

        deleteFolder path

let private notThere = "is not there; was it removed or moved? Make the folder again, or save elsewhere"

let private removed =
    [ inNewFolder "ends the save of a checkpoint with a message" (fun folder ->
          let gone = Directory.CreateDirectory(Path.Combine(folder, "gone")).FullName
          let path = Path.Combine(gone, "checkpoint")
          let setup = setupOf 1 small CartPole.environment
          let state = TrainingState.start setup 1L
          Checkpoint.save path setup "" state |> expectOk
          Directory.Delete(gone, true)

          match Checkpoint.save path setup "" state with
          | Error(NotSaved _ as fault) ->
              Expect.equal
                  (Fault.message fault)
                  $"{path} could not be written: the folder {gone} {notThere}"
                  "what happened, and what to do"
          | other -> failtest $"%A{other}")

      inNewFolder "ends a run with a message, and what was saved goes on elsewhere" (fun folder ->
          let elsewhere = Path.Combine(folder, "elsewhere")

          // A checkpoint that is written at that moment may have its name, but is not confirmed.
          disturbed folder (train "50M" "run") "checkpoint" (fun run -> Directory.Move(run, elsewhere))
          |> expectStopped [ Path.Combine("run", "checkpoint"); notThere ]

          let state = Path.Combine(elsewhere, "checkpoint")
          Expect.equal (Checkpoint.origin state |> expectOk).Environment "CartPole-v1" "the last checkpoint"
          let ended = funtrpo folder [ "resume"; "elsewhere"; "--steps"; "1024" ]
          Expect.equal ended.Code 0 $"it goes on, or has made more steps; {ended.Errors}")

      inNewFolder "that is deleted file by file ends a run with a message" (fun folder ->
          disturbed folder (train "50M" "run") "checkpoint" deleteFolder |> expectStopped [ notThere ])

      inNewFolder "ends a run without checkpoints, too" (fun folder ->
          let arguments = train "50M" "run" |> List.takeWhile ((<>) "--checkpoint-every")

          disturbed folder arguments "summary.json" (fun run -> Directory.Move(run, Path.Combine(folder, "elsewhere")))
          |> expectStopped [ "run could not be written"; notThere ]) ]

// ---- Permissions ----

let private forbidden folder =
    $"the permissions of the file or of its folder {folder} forbid it. Change the permissions, or save elsewhere"

let private readOnly = UnixFileMode.UserRead ||| UnixFileMode.UserExecute
let private all = readOnly ||| UnixFileMode.UserWrite

/// Makes a folder read-only during the work.
let private whileReadOnly (path: string) work =
    File.SetUnixFileMode(path, readOnly)

    try
        work ()
    finally
        File.SetUnixFileMode(path, all)

/// Whether this process is bound by permissions: root is not.
let private isBound =
    not (OperatingSystem.IsWindows())
    && inFolder (fun folder ->
        whileReadOnly folder (fun () ->
            try
                File.WriteAllText(Path.Combine(folder, "file"), "")
                false
            with :? UnauthorizedAccessException ->
                true))

let private bound =
    [ inNewFolder
          "a checkpoint replaces a read-only one, and stays read-only: the folder's permissions decide"
          (fun folder ->
              let path = Path.Combine(folder, "checkpoint")
              let setup = setupOf 1 small CartPole.environment
              let state = TrainingState.start setup 1L
              Checkpoint.save path setup "old" state |> expectOk
              File.SetUnixFileMode(path, UnixFileMode.UserRead)
              Checkpoint.save path setup "new" state |> expectOk
              Expect.equal (Checkpoint.load path setup |> expectOk).Note "new" "the new one"
              Expect.equal (File.GetUnixFileMode path) UnixFileMode.UserRead "its mode"
              Expect.hasLength (Directory.GetFiles folder) 1 "files")

      inNewFolder "a checkpoint in a read-only folder is refused, and the old one is unchanged" (fun folder ->
          let path = Path.Combine(folder, "checkpoint")
          let setup = setupOf 1 small CartPole.environment
          let state = TrainingState.start setup 1L
          Checkpoint.save path setup "old" state |> expectOk

          whileReadOnly folder (fun () ->
              match Checkpoint.save path setup "new" state with
              | Error(NotSaved _ as fault) ->
                  Expect.equal
                      (Fault.message fault)
                      $"{path} could not be written: {forbidden folder}"
                      "what happened, and what to do"
              | other -> failtest $"%A{other}")

          Expect.equal (Checkpoint.load path setup |> expectOk).Note "old" "the old one"
          Expect.hasLength (Directory.GetFiles folder) 1 "files")

      inNewFolder "a run does not begin in a read-only folder" (fun folder ->
          whileReadOnly folder (fun () ->
              for out in [ "."; "below" ] do
                  let ended = funtrpo folder (train "1024" out)
                  Expect.equal ended.Code 2 "exit code"
                  Expect.stringContains ended.Errors "it must be a folder that can be written to" "the message"
                  Expect.stringContains ended.Errors "is denied" "the reason"))

      inNewFolder "a run whose folder becomes read-only ends with a message, and goes on when it is not" (fun folder ->
          let run = Path.Combine(folder, "run")

          disturbed folder (train "50M" "run") "checkpoint" (fun run -> File.SetUnixFileMode(run, readOnly))
          |> expectStopped [ Path.Combine("run", "checkpoint") + " could not be written"; forbidden run ]

          File.SetUnixFileMode(run, all)
          funtrpo folder [ "resume"; "run"; "--steps"; "1024" ] |> succeeded "resume" |> ignore)

      inNewFolder "a run goes on over read-only files, because its folder can be written to" (fun folder ->
          funtrpo folder (train "1024" "run") |> succeeded "train" |> ignore
          let run = Path.Combine(folder, "run")

          for file in Directory.GetFiles run do
              File.SetUnixFileMode(file, UnixFileMode.UserRead)

          funtrpo folder [ "resume"; "run"; "--steps"; "4096" ] |> succeeded "resume" |> ignore
          Expect.equal (json (Path.Combine(run, "summary.json")) |> get<int64> "steps") 4096L "steps")

      inNewFolder "a checkpoint that may not be read is refused with the reason" (fun folder ->
          funtrpo folder (train "1024" "run") |> succeeded "train" |> ignore
          File.SetUnixFileMode(Path.Combine(folder, "run", "checkpoint"), UnixFileMode.None)
          let ended = funtrpo folder [ "resume"; "run"; "--steps"; "4096" ]
          Expect.equal ended.Code 2 "exit code"
          Expect.stringContains ended.Errors "is denied" "the reason") ]

/// Says in the environment of a process that it must be bound by permissions.
let private mustBeBound = "FUNTRPO_TESTS_BOUND"

/// The tests, in a process of root that has given up the right to ignore permissions.
let private asBound () =
    if not (File.Exists "/usr/bin/setpriv") then
        skiptest "not run: root ignores permissions, and there is no setpriv to give that right up"

    let program = Reflection.Assembly.GetExecutingAssembly().Location
    let dotnet = commandLine.Split('\'')[1]

    let ended =
        shell
            $"exec /usr/bin/setpriv --bounding-set=-dac_override,-dac_read_search '{dotnet}' '{program}' --colours 0 --no-spinner --filter-test-list permissions"
            [ mustBeBound, "1" ]

    Expect.equal ended.Code 0 $"{ended.Output}\n{ended.Errors}"
    Expect.stringContains ended.Output $"\n{bound.Length} passed, 0 failed" "all of them"

let private permissions =
    [ if isBound then
          yield! bound
      elif OperatingSystem.IsWindows() then
          test "permissions" { skiptest "not run: Windows has other permissions" }
      elif isNull (Environment.GetEnvironmentVariable mustBeBound) then
          testCase "as a user who is bound by them" asBound
      else
          test "permissions" { failtest "this process is not bound by permissions" } ]

// ---- Clocks ----

let private setTimes folder (time: DateTime) =
    for file in Directory.GetFiles folder do
        File.SetLastWriteTimeUtc(file, time)
        File.SetLastAccessTimeUtc(file, time)

    Directory.SetLastWriteTimeUtc(folder, time)

let private clocks =
    [ inNewFolder "of the files, and of a dead owner, do not matter to a run that goes on" (fun folder ->
          let at name = Path.Combine(folder, name)
          funtrpo folder (train "4096" "once") |> succeeded "train" |> ignore

          for year in [ 1971; 2099 ] do
              let copy = Directory.CreateDirectory(at $"of-{year}").FullName

              for file in Directory.GetFiles(at "once") do
                  File.Copy(file, Path.Combine(copy, Path.GetFileName file))

              File.WriteAllText(Path.Combine(copy, ".running"), "")
              File.WriteAllText(Path.Combine(copy, ".owner"), $"process 1 on elsewhere, since {year}-01-01 00:00:00Z")
              setTimes copy (DateTime(year, 1, 1, 0, 0, 0, DateTimeKind.Utc))

          for name in [ "of-1971"; "of-2099"; "once" ] do
              funtrpo folder [ "resume"; name; "--steps"; "8192" ] |> succeeded name |> ignore

          Expect.equal (sha (at "of-1971")) (sha (at "once")) "files from the past"
          Expect.equal (sha (at "of-2099")) (sha (at "once")) "files from the future") ]

// ---- Hostile contents of the files that are not read, or read in part ----

let private hostile =
    [ for name, bytes in
          [ "nothing", [||]
            "bytes that are no text", Array.init 3000 (fun i -> byte (i * 37))
            "zeros", Array.zeroCreate 5000
            "an endless line", Array.create 2_000_000 (byte '9')
            "lines of other iterations",
            Encoding.UTF8.GetBytes "iteration\n-1,x\n99999999999,y\n1,a\n 1,b\n,\n1 \u0000,c\n\n2"
            "deep JSON", Array.create 100_000 (byte '[')
            "characters that control a terminal", Encoding.UTF8.GetBytes "\u001b[2J\r\n\u202e1,2" ] do
          inNewFolder name (fun folder ->
              funtrpo folder (train "1024" "run") |> succeeded "train" |> ignore
              let run = Path.Combine(folder, "run")

              for file in [ "progress.csv"; "summary.json"; ".owner"; ".running" ] do
                  File.WriteAllBytes(Path.Combine(run, file), bytes)

              let policy = Path.Combine(run, "policy.json")

              funtrpo folder [ "evaluate"; "--policy"; policy; "--episodes"; "2" ]
              |> succeeded "evaluate"
              |> ignore

              funtrpo folder [ "resume"; "run"; "--steps"; "4096" ] |> succeeded "resume" |> ignore
              let columns, rows = progressOf run
              Expect.equal columns[0] "iteration" "the header"
              Expect.all rows (fun row -> Seq.forall Char.IsAsciiDigit row[0]) "the iterations"
              let steps = (Array.last rows)[1]
              Expect.equal steps "4096" "the last line"
              Expect.equal (json (Path.Combine(run, "summary.json")) |> get<int64> "steps") 4096L "the summary") ]

let tests =
    testList
        "file faults"
        [ testList "a folder that is removed" removed
          testList "permissions" permissions
          testList "the clock" clocks
          testList "hostile contents of progress.csv, summary.json and the lock" hostile ]
