// Are the tests able to fail? Plants one fault after another in a copy of the sources, builds it, and runs the tests that are to find it:
//
//     dotnet fsi build.fsx faults
//     dotnet fsi build.fsx faults --list
//     dotnet fsi build.fsx faults --only "Adam's last minibatch"   those with this in their name
//     dotnet fsi build.fsx faults --only src/FunTrpo.Watch         those in these files
//
// The faults are in planted.fsx. The copy is in obj/faults, where builds are kept from one time to the next; the sources themselves are
// read, and nothing else. A fault that no test finds asks for a property that would.

#load "planted.fsx"
#load "processes.fsx"

open System
open System.Diagnostics
open System.IO
open System.Text.RegularExpressions
open Planted
open Processes

let root = Path.GetDirectoryName __SOURCE_DIRECTORY__
let copy = Path.Combine(root, "obj", "faults")

/// What a process said, line by line, and its exit code: none where it was ended, because it had said enough or took too long.
let watch (limit: TimeSpan) folder (program: string) (arguments: string list) isEnough =
    use child = Process.Start(startOf folder [] program arguments)
    let errors = child.StandardError.ReadToEndAsync()
    let ending = DateTime.UtcNow + limit

    let rec read lines =
        let line = child.StandardOutput.ReadLineAsync()
        let left = max TimeSpan.Zero (ending - DateTime.UtcNow)

        if not (line.Wait left) then List.rev lines, false
        elif isNull line.Result then List.rev lines, true
        elif isEnough line.Result then List.rev (line.Result :: lines), false
        else read (line.Result :: lines)

    let lines, isOver = read []

    if not isOver then
        child.Kill true

    child.WaitForExit()
    errors.Wait()
    lines, (if isOver then Some child.ExitCode else None)

let git arguments =
    match watch (TimeSpan.FromMinutes 1.0) root "git" arguments (fun _ -> false) with
    | lines, Some 0 -> lines
    | _ -> failwith "git, which knows the files to be copied, does not say them"

// ---- The copy ----

/// Makes the copy what the sources are. Files that have not changed are not touched, so that little is to be built anew.
let refresh () =
    let files =
        git [ "ls-files"; "--cached"; "--others"; "--exclude-standard" ]
        |> List.filter (fun file -> File.Exists(Path.Combine(root, file)))

    let rec below folder =
        [ yield! Directory.GetFiles folder
          for inner in Directory.GetDirectories folder do
              if not (List.contains (Path.GetFileName inner) [ "bin"; "obj"; "paket-files"; ".paket" ]) then
                  yield! below inner ]

    Directory.CreateDirectory copy |> ignore
    let wanted = files |> List.map (fun file -> Path.Combine(copy, file)) |> set

    for file in below copy do
        if not (wanted.Contains file) then
            File.Delete file

    for file in files do
        let source, target = Path.Combine(root, file), Path.Combine(copy, file)
        let content = File.ReadAllBytes source

        if not (File.Exists target && File.ReadAllBytes(target).AsSpan().SequenceEqual content) then
            Directory.CreateDirectory(Path.GetDirectoryName target) |> ignore
            File.WriteAllBytes(target, content)

let program = "tests/FunTrpo.Tests"

/// Why it does not build; nothing where it does. A fault may leave a value unused, which is a warning and no error here.
let build options =
    let arguments =
        [ "build"; program; "-c"; "Release"; "--nologo"; "-v"; "quiet"; "-p:TreatWarningsAsErrors=false" ]
        @ options

    match watch (TimeSpan.FromMinutes 15.0) copy dotnet arguments (fun _ -> false) with
    | _, Some 0 -> None
    | _, None -> Some "building it takes more than 15 minutes"
    | lines, _ ->
        lines
        |> List.tryFind (fun line -> line.Contains "error")
        |> Option.orElse (Some(String.concat "\n" lines))

type Ending =
    | Passed
    /// The test, or what else happened.
    | Failed of what: string
    /// There is no such list.
    | Nothing

/// Runs a list of tests until the first of them fails.
let run list =
    let tests = Path.Combine(copy, program, "bin", "Release", "net10.0", "FunTrpo.Tests.dll")
    let arguments = [ tests; "--filter-test-list"; list; "--colours"; "0"; "--no-spinner" ]
    let failure line = Regex.Match(line, @"ERR\] FunTrpo\.(.+?) (?:failed|errored) in ")

    let lines, code =
        watch (TimeSpan.FromMinutes 5.0) copy dotnet arguments (fun line -> (failure line).Success)

    match lines |> List.map failure |> List.tryFind _.Success, code with
    | Some found, _ -> Failed(found.Groups[1].Value)
    | None, Some 0 -> Passed
    | None, None -> Failed $"{list}, which does not end"
    | None, Some _ when lines |> List.exists (fun line -> line.EndsWith "0 passed, 0 failed") -> Nothing
    | None, Some code -> Failed $"{list}, which ends with exit code {code}"

// ---- The faults ----

type Verdict =
    | Caught of by: string
    | Survived
    /// It could not be planted, or says nothing.
    | Void of why: string

/// The source with the fault, or why there is none.
let planted fault =
    let file = Path.Combine(copy, fault.File)
    let source = if File.Exists file then File.ReadAllText file else ""

    match source.Split(fault.Text).Length - 1 with
    | 1 -> Ok(source, source.Replace(fault.Text, fault.Replacement))
    | 0 -> Error $"{fault.File} has no longer the text: {fault.Text}"
    | count -> Error $"{fault.File} has the text {count} times: {fault.Text}"

/// Where the fault is found first.
let search fault =
    fault.Lists
    |> Seq.map run
    |> Seq.tryPick (fun ending ->
        match ending with
        | Passed -> None
        | Failed test -> Some(Caught test)
        | Nothing -> Some(Void "one of its lists of tests does not exist"))
    |> Option.defaultValue Survived

let judge fault =
    match planted fault with
    | Error why -> Void why
    | Ok(source, broken) ->
        let file = Path.Combine(copy, fault.File)

        try
            File.WriteAllText(file, broken)

            match build [ "--no-restore" ] with
            | Some why -> Void $"it does not build: {why}"
            | None -> search fault
        finally
            File.WriteAllText(file, source)

let describe verdict =
    match verdict with
    | Caught test -> "caught", $"by {test}"
    | Survived -> "SURVIVED", ""
    | Void why -> "ERROR", why

let show fault verdict (seconds: float) =
    let word, what = describe verdict
    printfn $"%-9s{word} %s{fault.Name} (%.0f{seconds} s)\n          %s{what}"

let timed work =
    let clock = Stopwatch.StartNew()
    let result = work ()
    result, clock.Elapsed.TotalSeconds

/// What is wrong before any fault is planted: faults that cannot be, and tests that fail, which would seem to find all of them.
let failures (faults: Fault list) =
    let strays =
        faults
        |> List.choose (fun fault ->
            match planted fault with
            | Error why -> Some why
            | Ok _ -> None)

    match (if strays.IsEmpty then build [] else None) with
    | _ when not strays.IsEmpty -> strays
    | Some why -> [ $"the sources do not build: {why}" ]
    | None ->
        faults
        |> List.collect _.Lists
        |> List.distinct
        |> List.choose (fun list ->
            match run list with
            | Passed -> None
            | Failed what -> Some $"{list} fails without any fault: {what}"
            | Nothing -> Some $"there are no tests in {list}")

let table results =
    printfn ""

    for fault, verdict in results do
        let word, what = describe verdict
        printfn "%-9s %-70s %s" word fault.Name what

    let count isSuch = results |> List.filter (snd >> isSuch) |> List.length

    let caught = count _.IsCaught
    let survived = count _.IsSurvived
    printfn "\n%d faults: %d caught, %d survived, %d could not be tried" results.Length caught survived (count _.IsVoid)
    if caught = results.Length then 0 else 1

let plant faults =
    refresh ()
    printfn "Building the copy, and running the tests without any fault ..."

    match failures faults with
    | [] ->
        [ for fault in faults do
              let verdict, seconds = timed (fun () -> judge fault)
              show fault verdict seconds
              fault, verdict ]
        |> table
    | reasons ->
        List.iter (eprintfn "%s") reasons
        1

let named (part: string) =
    let isIn (text: string) = text.Contains(part, StringComparison.OrdinalIgnoreCase)
    all |> List.filter (fun fault -> isIn fault.Name || isIn fault.File)

exit (
    match List.tail (List.ofArray fsi.CommandLineArgs) with
    | [] -> plant all
    | [ "--list" ] ->
        for fault in all do
            printfn "%-40s %s" fault.File fault.Name

        0
    | [ "--only"; part ] when not (named part).IsEmpty -> plant (named part)
    | [ "--only"; part ] ->
        eprintfn "No fault has %s in its name or its file: --list shows them." part
        2
    | arguments ->
        eprintfn """It takes --only NAME and --list, and got: %s""" (String.concat " " arguments)
        2
)
