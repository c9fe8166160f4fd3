/// Runs of the command as a process, and what must hold of the files that they leave.
module FunTrpo.Tests.CommandRuns

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text.Json.Nodes
open System.Threading
open Expecto
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

type Ended = { Code: int; Output: string; Errors: string }

/// The program that runs assemblies of .NET.
let host =
    match Environment.GetEnvironmentVariable "DOTNET_HOST_PATH" with
    | null
    | "" -> "dotnet"
    | path -> path

/// The program lies beside the tests.
let private program = Path.Combine(AppContext.BaseDirectory, "FunTrpo.Cli.dll")

let private startProgram folder (name: string) (arguments: string list) variables =
    let start =
        ProcessStartInfo(
            name,
            arguments,
            WorkingDirectory = folder,
            RedirectStandardOutput = true,
            RedirectStandardError = true
        )

    for variable, value in variables do
        start.Environment[variable] <- value

    Process.Start start

/// No process of a test takes longer.
let private longest = TimeSpan.FromMinutes 10.0

/// Waits until a process has ended, and reads what it says: a process whose output is not read waits once the pipe is full (64 kB). A process
/// that does not end, such as one that was started where interrupts are ignored, is killed, and the test fails.
let ended (running: Process) =
    let output = running.StandardOutput.ReadToEndAsync()
    let errors = running.StandardError.ReadToEndAsync()

    if not (running.WaitForExit longest) then
        running.Kill true
        failtest $"the process had not ended after {longest}"

    { Code = running.ExitCode; Output = output.Result; Errors = errors.Result }

/// `funtrpo …` with more environment variables, started as its users start it.
let startWith variables folder arguments = startProgram folder host (program :: arguments) variables

/// `funtrpo …`, started as its users start it.
let start folder arguments = startWith [] folder arguments

/// `funtrpo …` with more environment variables, from its start to its end.
let funtrpoWith variables folder arguments =
    use running = startProgram folder host (program :: arguments) variables
    ended running

/// `funtrpo …`, from its start to its end.
let funtrpo folder arguments = funtrpoWith [] folder arguments

/// A program, from its start to its end.
let runProgram folder name arguments =
    use running = startProgram folder name arguments []
    ended running

/// The assembly of a project beside that of the tests, built in the same configuration.
let callers name =
    let framework = DirectoryInfo(AppContext.BaseDirectory.TrimEnd Path.DirectorySeparatorChar)
    let projects = framework.Parent.Parent.Parent.Parent.FullName
    Path.Combine(projects, name, "bin", framework.Parent.Name, framework.Name, $"{name}.dll")

/// What stands for `funtrpo` in a line of a shell.
let commandLine = $"'{host}' '{program}'"

/// A line of a shell, from its start to its end.
let shell line variables =
    use running = startProgram (Path.GetTempPath()) "/bin/sh" [ "-c"; line ] variables
    ended running

/// A program of Python that starts its arguments as a terminal does, interrupts the whole group of processes once the first argument, a file,
/// has some lines, and ends with the exit code.
let private interruptGroup =
    "import os, signal, subprocess, sys, time
started = subprocess.Popen(sys.argv[2:], start_new_session=True)
while started.poll() is None and not (os.path.exists(sys.argv[1]) and len(open(sys.argv[1]).readlines()) > 2):
    time.sleep(0.01)
if started.poll() is None:
    os.killpg(started.pid, signal.SIGINT)
sys.exit(started.wait())"

/// `funtrpo …`, interrupted with all processes that it has started, as Ctrl-C in a terminal does, once the file has some lines.
let funtrpoInterrupted variables folder python (file: string) arguments =
    use running =
        startProgram folder python ("-c" :: interruptGroup :: file :: host :: program :: arguments) variables

    ended running

/// `funtrpo …` where no file may grow beyond this many blocks of 512 bytes: a write there is cut short, as on a full disk.
let funtrpoWithin blocks arguments =
    shell $"trap '' XFSZ; ulimit -f {blocks}; exec {commandLine} {arguments}" [ "DOTNET_EnableWriteXorExecute", "0" ]

/// Waits until it is so. If it is not so after a minute, the test fails.
let waitFor what (isSo: unit -> bool) =
    let clock = Stopwatch.StartNew()

    while not (isSo ()) do
        if clock.Elapsed > TimeSpan.FromMinutes 1.0 then
            failtest $"{what} did not come"

        Thread.Sleep 2

/// The number of lines of a file that another process may be replacing; 0 as long as it is not there.
let linesOf path =
    try
        if File.Exists path then (File.ReadAllLines path).Length else 0
    with :? IOException ->
        0

let json path = JsonNode.Parse(File.ReadAllText path).AsObject()

let get<'T> (name: string) (node: JsonObject) = node[name].GetValue<'T>()

let loaded folder = PolicyFile.load (Path.Combine(folder, "policy.json")) |> expectOk

let summaryFields =
    [ "environment"
      "seed"
      "steps"
      "iterations"
      "episodes"
      "meanReturn100"
      "bestMeanReturn100"
      "solved"
      "wallSeconds"
      "parametersSha256" ]

let progressOf folder =
    let lines = File.ReadAllLines(Path.Combine(folder, "progress.csv")) |> Array.map _.Split(',')
    lines[0], Array.tail lines

/// What must hold of the files of any run.
let expectConsistentFiles folder =
    let names =
        [| for path in Directory.GetFileSystemEntries folder -> Path.GetFileName path |]
        |> Array.except [ "report.html" ] // a run may have none
        |> Array.sort

    Expect.equal names [| "config.json"; "policy.json"; "progress.csv"; "summary.json" |] "files"

    let summary = json (Path.Combine(folder, "summary.json"))
    Expect.equal [ for field in summary -> field.Key ] summaryFields "fields of summary.json"

    let saved = loaded folder
    let parameters = saved.Actor.Parameters
    Expect.equal (get<string> "parametersSha256" summary) (Sha256.ofParameters parameters) "checksum of the parameters"
    Expect.equal saved.Environment (get<string> "environment" summary) "environment"
    Expect.isGreaterThanOrEqual (get<float> "wallSeconds" summary) 0.0 "wall seconds"

    let columns, rows = progressOf folder
    Expect.equal columns[0..3] [| "iteration"; "steps"; "episodes"; "batchSteps" |] "first columns"
    Expect.equal (Array.distinct columns) columns "columns"
    Expect.hasLength rows (get<int> "iterations" summary) "lines of progress.csv"

    for number, row in Array.indexed rows do
        Expect.hasLength row columns.Length "numbers in a line"
        Expect.equal row[0] (string (number + 1)) "iteration"

        for column, text in Array.zip columns row do
            if column <> "outcome" && column <> "cgStop" && text <> "" then
                Expect.isTrue
                    (fst (Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture)))
                    $"{column} = {text} is a number"

    if rows.Length > 0 then
        let last = Array.last rows
        Expect.equal last[1] (string (get<int64> "steps" summary)) "steps"
        Expect.equal last[2] (string (get<int64> "episodes" summary)) "episodes"

    summary

/// Writes a file into a folder; returns its path.
let file folder name (text: string) =
    let path = Path.Combine(folder, name)
    File.WriteAllText(path, text)
    path

/// The command refuses these arguments, which are made for a folder that may be used, and its errors have these parts.
let refusals (cases: (string * (string -> string list) * string list) list) =
    testList
        "exits with 2, and errors that name the field, the value and the range, at"
        [ for name, arguments, parts in cases do
              inNewFolder name (fun folder ->
                  let working = Path.Combine(folder, "working")
                  Directory.CreateDirectory working |> ignore
                  let ended = funtrpo working (arguments folder)
                  Expect.equal ended.Code 2 $"exit code; {ended.Errors}"
                  Expect.equal ended.Output "" "output"
                  Expect.isFalse (ended.Errors.Contains "   at ") "a stack trace"

                  for part in parts do
                      Expect.stringContains ended.Errors part "errors"

                  Expect.isEmpty (Directory.GetFileSystemEntries working) "files left behind") ]
