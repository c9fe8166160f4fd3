// Changes policies, checkpoints and the other files of a run, guided by the code that each change reaches, and reports what went wrong:
//
//     dotnet fsi build.fsx fuzz
//     dotnet fsi build.fsx fuzz --minutes 60
//     dotnet fsi build.fsx fuzz --only "policy of"       the kinds whose name has this text
//
// It needs AFL++ (Debian: `apt-get install afl++`), and gets SharpFuzz, which instruments .NET assemblies for it, as a tool below obj/fuzz.
// The instrumented assemblies are copies there. The ordinary tests need none of this: `FuzzTests.fs` changes the same files at random.

#load "../processes.fsx"

open System
open System.Collections.Generic
open System.Diagnostics
open System.IO
open System.Threading
open System.Threading.Tasks
open Processes

let root = Path.GetFullPath(Path.Combine(__SOURCE_DIRECTORY__, "..", ".."))
let at (parts: string list) = Path.Combine(Array.ofList (root :: "obj" :: "fuzz" :: parts))

let fail (message: string) =
    eprintfn "%s" message
    exit 1

/// Runs a program; returns its exit code and what it said.
let capture folder variables (program: string) (line: string list) =
    use running = Process.Start(startOf folder variables program line)
    let errors = running.StandardError.ReadToEndAsync()
    let output = running.StandardOutput.ReadToEnd()
    running.WaitForExit()
    running.ExitCode, output + errors.Result

let succeed folder program line =
    match capture folder [] program line with
    | 0, said -> said
    | code, said -> fail $"""{said}{"\n"}{program} {String.concat " " line} failed with exit code {code}."""

// ---- The instrumented program ----

let remove folder =
    if Directory.Exists folder then
        Directory.Delete(folder, true)

/// The folder of SharpFuzz's assemblies, after SharpFuzz is there.
let sharpFuzz () =
    let tools = at [ "tools" ]

    if not (Directory.Exists tools) then
        succeed root dotnet [ "tool"; "install"; "SharpFuzz.CommandLine"; "--version"; "2.3.0"; "--tool-path"; tools ]
        |> ignore

    Directory.GetFiles(tools, "SharpFuzz.dll", SearchOption.AllDirectories)
    |> Array.max
    |> Path.GetDirectoryName

/// The project of the target. It is made here, so that no other build needs SharpFuzz.
let project tests sharpFuzz =
    $"""<Project Sdk="Microsoft.NET.Sdk">
  <PropertyGroup>
    <OutputType>Exe</OutputType>
    <DisableImplicitFSharpCoreReference>true</DisableImplicitFSharpCoreReference>
  </PropertyGroup>
  <ItemGroup>
    <Compile Include="{Path.Combine(__SOURCE_DIRECTORY__, "Target.fs")}" />
    <Reference Include="{tests}/*.dll" />
    <Reference Include="{sharpFuzz}/SharpFuzz.dll;{sharpFuzz}/SharpFuzz.Common.dll" />
  </ItemGroup>
</Project>
"""

/// The libraries and the command: what reads the files.
let instrumented = [ "FunTrpo.dll"; "FunTrpo.CSharp.dll"; "FunTrpo.Cli.dll"; "FunTrpo.Plots.dll" ]

let makeTarget () =
    let folder, target = at [ "project" ], at [ "target" ]
    List.iter remove [ folder; target ]
    let tests = Path.Combine(root, "tests", "FunTrpo.Tests", "bin", "Release", "net10.0")
    let file = Path.Combine(Directory.CreateDirectory(folder).FullName, "Target.fsproj")
    File.WriteAllText(file, project tests (sharpFuzz ()))

    succeed folder dotnet [ "build"; "-c"; "Release"; "--nologo"; "-v"; "quiet"; "-o"; target ]
    |> ignore

    for name in instrumented do
        succeed target (at [ "tools"; "sharpfuzz" ]) [ name ] |> ignore

let target line = dotnet, Path.Combine(at [ "target" ], "Target.dll") :: line

// ---- Runs of afl-fuzz ----

/// What afl-fuzz found with one kind of files.
type Found = { Executions: int64; Paths: int; Branches: int; Crashes: int; Hangs: int }

let found output =
    let statistics =
        dict
            [ for line in File.ReadAllLines(Path.Combine(output, "default", "fuzzer_stats")) do
                  let colon = line.IndexOf ':'
                  line.Substring(0, colon).Trim(), line.Substring(colon + 1).Trim() ]

    { Executions = int64 statistics["execs_done"]
      Paths = int statistics["corpus_count"]
      Branches = int statistics["edges_found"]
      Crashes = int statistics["saved_crashes"]
      Hangs = int statistics["saved_hangs"] }

/// The folder of the files that are read: in memory, where there is such a folder, because no disk could follow.
let files =
    let memory = "/dev/shm"
    let parent = if Directory.Exists memory then memory else Path.GetTempPath()
    Path.Combine(parent, $"funtrpo-fuzz-{Environment.ProcessId}")

let variables =
    [ "FUNTRPO_FUZZ_FOLDER", files
      "AFL_SKIP_BIN_CHECK", "1" // The program is `dotnet`, which is not instrumented.
      "AFL_NO_UI", "1"
      "AFL_NO_AFFINITY", "1"
      "AFL_SKIP_CPUFREQ", "1"
      "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES", "1" // An exception ends no process here.
      "AFL_FORKSRV_INIT_TMOUT", "60000" ]

/// The folder of what was found with a kind.
let outputOf (kind: string) = at [ "out"; kind.TrimStart('.').Replace(' ', '-') ]

/// Changes files of a kind for some seconds. More than a second for a file is a hang.
let fuzz (seconds: int) kind =
    let output = outputOf kind
    let input = Directory.CreateDirectory(Path.Combine(output, "original")).FullName
    let program, line = target [ kind; "--original"; Path.Combine(input, "file") ]
    succeed root program line |> ignore
    let program, line = target [ kind ]

    let code, said =
        capture
            root
            variables
            "afl-fuzz"
            ([ "-V"; string seconds; "-t"; "1000"; "-m"; "none"; "-i"; input; "-o"; output; "--" ]
             @ program :: line)

    if code <> 0 || not (File.Exists(Path.Combine(output, "default", "fuzzer_stats"))) then
        fail $"afl-fuzz failed with exit code {code}:\n{said}"

    found output

/// The results of `work` for all items, several at a time.
let inParallel (threads: int) (work: 'Item -> 'Result) (items: 'Item list) =
    let results = Dictionary<'Item, 'Result>()
    let options = ParallelOptions(MaxDegreeOfParallelism = threads)

    Parallel.ForEach(
        items,
        options,
        fun item ->
            let result = work item
            lock results (fun () -> results[item] <- result)
    )
    |> ignore

    [ for item in items -> item, results[item] ]

let report results =
    printfn "%-46s %12s %6s %9s %8s %6s" "kind" "executions" "paths" "branches" "crashes" "hangs"

    for kind, it in results do
        printfn "%-46s %12d %6d %9d %8d %6d" kind it.Executions it.Paths it.Branches it.Crashes it.Hangs

    let sum (count: Found -> int64) = results |> List.sumBy (snd >> count)
    printfn "%-46s %12d %6d" "all" (sum _.Executions) (sum (fun it -> int64 it.Paths))

    for kind, it in results do
        if it.Crashes + it.Hangs > 0 then
            let program, line = target [ $"\"{kind}\""; "--read"; "FILE" ]
            printfn "\nThe files are in %s; to see what happens:" (Path.Combine(outputOf kind, "default"))
            printfn "    %s %s" program (String.concat " " line)

    if results |> List.exists (fun (_, it) -> it.Crashes + it.Hangs > 0) then 1 else 0

let isThere program =
    try
        capture root [] program [ "-h" ] |> ignore
        true
    with :? ComponentModel.Win32Exception ->
        false

if not (isThere "afl-fuzz") then
    fail "This needs AFL++, whose program afl-fuzz is not there; on Debian: apt-get install afl++"

makeTarget ()

let kinds =
    let program, line = target [ "--list" ]

    (succeed root program line).Split('\n', StringSplitOptions.RemoveEmptyEntries)
    |> List.ofArray
    |> List.filter _.Contains(valueOf "--only" "")

if kinds.IsEmpty then
    fail "No kind of files has this name."

remove (at [ "out" ])
let threads = min kinds.Length Environment.ProcessorCount
let seconds = 60.0 * float (valueOf "--minutes" "10") * float threads / float kinds.Length
printfn "%d kinds of files, %.0f seconds each, %d at a time" kinds.Length seconds threads

let results =
    try
        kinds |> inParallel threads (fuzz (max 5 (int seconds)))
    finally
        remove files

exit (report results)
