// Do the promises of docs/reliability.md hold? Kills runs, fills disks, changes files and trains for long, and writes the table of that page:
//
//     dotnet fsi build.fsx torture
//     dotnet fsi build.fsx torture --minutes 60          ten minutes are the measure of all numbers of trials
//     dotnet fsi build.fsx torture --markdown FILE       writes the table into a file
//
// The ordinary tests have a short version of each row.

#load "../scripts/load.fsx"
#load "processes.fsx"

open System
open System.Diagnostics
open System.IO
open FunTrpo
open FunTrpo.Environments
open Processes

let root = Path.GetDirectoryName __SOURCE_DIRECTORY__

let scale = float (valueOf "--minutes" "10") / 10.0
let trials (count: int) = max 1 (int (scale * float count))
let folder = Directory.CreateTempSubdirectory("funtrpo-torture-").FullName
let funtrpo = Path.Combine(root, "bin", "funtrpo")

/// Starts a program with more environment variables.
let start variables (program: string) (line: string list) =
    let running = Process.Start(startOf folder variables program line)
    running.OutputDataReceived.Add ignore
    running.BeginOutputReadLine()
    running, running.StandardError.ReadToEndAsync()

let runWith variables program line =
    let running, errors = start variables program line
    use running = running
    running.WaitForExit()
    running.ExitCode, errors.Result

/// Runs a program that must succeed.
let succeed variables program line =
    match runWith variables program line with
    | 0, _ -> ()
    | code, errors -> failwith $"""{program} {String.concat " " line}: exit code {code}: {errors}"""

let train steps out seed =
    [ "train"
      "--env"
      "CartPole-v1"
      "--steps"
      steps
      "--seed"
      string seed
      "--out"
      out
      "--checkpoint-every"
      "1"
      "--no-report" ]

let whole = train "100k"

let sha out =
    let text = File.ReadAllText(Path.Combine(folder, out, "summary.json"))
    Text.RegularExpressions.Regex.Match(text, "[0-9a-f]{64}").Value

let requireSame what expected actual =
    if expected <> actual then
        failwith $"{what}: {actual} is not {expected}"

// ---- The rows: a promise, what was done, how often, and what came out ----

let kills () =
    let random = Random 1
    let goal = trials 200
    let mutable kills = 0
    let mutable runs = 0

    while kills < goal do
        runs <- runs + 1
        let once, killed = $"once-{runs}", $"killed-{runs}"
        succeed [] funtrpo (whole once runs)
        let mutable running = fst (start [] funtrpo (whole killed runs))

        while not (File.Exists(Path.Combine(folder, killed, "checkpoint"))) do
            Threading.Thread.Sleep 5

        let mutable isOver = false

        while not isOver do
            if running.WaitForExit(random.Next(0, 500)) then
                isOver <- true
            else
                running.Kill()
                running.WaitForExit()
                kills <- kills + 1
                running <- fst (start [] funtrpo [ "resume"; killed; "--threads"; string (random.Next(1, 3)) ])

        succeed [] funtrpo [ "resume"; killed ]
        requireSame "a killed run" (sha once) (sha killed)

    $"{kills} kills in {runs} runs", "the parameters of the undisturbed run each time"

/// Runs tests, with an environment variable that says how many cases they try.
let test variable (count: int) filter =
    let program = Path.Combine(root, "tests", "FunTrpo.Tests", "bin", "Release", "net10.0", "FunTrpo.Tests")
    succeed [ (variable, string count) ] program [ "--filter"; filter ]

/// The number of kinds of files that the tests change.
let kinds = 20

let changedFiles () =
    let count = trials 6_000
    test "FUNTRPO_TESTS_MUTANTS" count "FunTrpo.changed files"
    $"{kinds * count:N0} changed files of {kinds} kinds", "all refused or loaded"

let cancellations () =
    let count = trials 2_000
    test "FUNTRPO_TESTS_CANCELLATIONS" count "FunTrpo.Facade.in C#.CancellationFacts"

    $"{count:N0} cancellations; 5 while a simulator does not answer",
    "a state of the undisturbed training each time, and no wait for the simulator"

let fullDisk () =
    let disk = Path.Combine(folder, "small")
    Directory.CreateDirectory disk |> ignore

    if
        OperatingSystem.IsLinux()
        && fst (runWith [] "mount" [ "-t"; "tmpfs"; "-o"; "size=160k"; "tmpfs"; disk ]) = 0
    then
        try
            succeed [] funtrpo (whole "full-once" 1)
            let code, errors = runWith [] funtrpo (whole "small/run" 1)

            if code <> 1 || errors = "" then
                failwith $"a full disk: exit code {code}, {errors}"

            for file in Directory.GetFiles(Path.Combine(disk, "run")) do
                let target = Path.Combine(folder, "saved", Path.GetFileName file)
                Directory.CreateDirectory(Path.GetDirectoryName target) |> ignore
                File.Copy(file, target)

            succeed [] funtrpo [ "resume"; "saved" ]
            requireSame "after a full disk" (sha "full-once") (sha "saved")

            "a disk of 160 kB",
            "exit code 1 with a message; the last checkpoint goes on, elsewhere, to the same parameters"
        finally
            succeed [] "umount" [ disk ]
    else
        "not run", "only a privileged user can mount a small disk"

let machines () =
    let narrow = "DOTNET_EnableAVX512F", "0"

    let settings =
        [ "256-bit vectors", [ narrow ]
          "128-bit vectors", [ narrow; ("DOTNET_EnableAVX2", "0") ]
          "one core", [ ("DOTNET_PROCESSOR_COUNT", "1") ]
          "one thread in the pool", [ ("DOTNET_ThreadPool_ForceMaxWorkerThreads", "1") ]
          "a collection every 64 kB", [ ("DOTNET_GCgen0size", "10000") ] ]

    for i, (_, variables) in List.indexed settings do
        let once, cut = $"machine-once-{i}", $"machine-cut-{i}"
        succeed variables funtrpo (whole once 1)
        // The same in two parts, as after an interruption.
        // 50 iterations of 1,024 steps.
        succeed variables funtrpo (train "51200" cut 1)
        succeed variables funtrpo [ "resume"; cut; "--steps"; "100k" ]
        requireSame "on another machine" (sha once) (sha cut)

    settings |> List.map fst |> String.concat ", ", "the parameters of the run in one part"

let tiny =
    { Configuration.standard with
        Environments = 1
        Horizon = 4
        Hidden = []
        CriticHidden = []
        CriticSteps = 1 }

let setupOf threads configuration environment =
    match Setup.create threads configuration environment with
    | Ok setup -> setup
    | Error fault -> failwith (Fault.message fault)

let iterate count setup state =
    let mutable state = state

    for _ in 1..count do
        match Training.update setup state with
        | Ok(next, _) -> state <- next
        | Error fault -> failwith (Fault.message fault)

    state

let memory () =
    GC.Collect()
    GC.WaitForPendingFinalizers()
    GC.GetTotalMemory true

let longRun () =
    let count = trials 1_000_000
    let setup = setupOf 1 tiny CartPole.environment
    let mutable state = iterate (count / 10) setup (TrainingState.start setup 1L)
    let before, handles = memory (), Process.GetCurrentProcess().HandleCount

    let tenth () =
        let clock = Stopwatch.StartNew()
        state <- iterate (count / 10) setup state
        clock.Elapsed.TotalSeconds

    let seconds = [ for _ in 1..9 -> tenth () ]
    let after, handlesAfter = memory (), Process.GetCurrentProcess().HandleCount

    if after > before + 1_000_000L || handlesAfter > handles + 5 then
        failwith $"a long run: {before} bytes became {after}, and {handles} handles {handlesAfter}"

    $"{count:N0} iterations",
    $"{float (after - before) / 1024.0:N0} kB and {handlesAfter - handles} handles more; the last three tenths took {List.sum seconds[6..] / List.sum seconds[..2]:F2} times as long as the second to fourth"

let manyTrainings () =
    let count = trials 1_000

    let once seed =
        let setup = setupOf 1 { tiny with Environments = 2; Hidden = [ 4 ] } Pendulum.environment
        Sha256.ofParameters (iterate 5 setup (TrainingState.start setup (int64 seed))).PolicyParameters

    let alone = [| for seed in 1..count -> once seed |]
    let before = memory ()

    let together =
        Array.init count id
        |> Array.chunkBySize 8
        |> Array.collect (fun seeds ->
            let tasks = seeds |> Array.map (fun seed -> Threading.Tasks.Task.Run(fun () -> once (seed + 1)))
            tasks |> Array.map _.Result)

    requireSame "trainings side by side" alone together
    let growth = memory () - before

    $"{2 * count:N0} trainings in one process, half of them 8 at once",
    $"the same parameters; {float growth / 1024.0:N0} kB more"

let rows =
    [ "A run that is killed with SIGKILL, also inside a checkpoint's write, and resumed, ends as an undisturbed one",
      kills
      "A full disk ends a run with a message, and loses nothing that was saved", fullDisk
      "A file that was changed, also so that its checksums fit, is refused or loads: no crash, no hang, memory of at most ten times the file, no NaN",
      changedFiles
      "A cancellation at any moment, also while a simulator does not answer, gives the last complete iteration",
      cancellations
      "Resuming is exact on any processor, with one core, a starved thread pool, and constant garbage collection",
      machines
      "A long run needs no more memory, handles or time for an iteration at its end than at its beginning", longRun
      "Trainings in one process do not disturb each other", manyTrainings ]

let results =
    try
        [ for promise, check in rows do
              let clock = Stopwatch.StartNew()

              let trials, result =
                  try
                      check ()
                  with error ->
                      "FAILED", error.Message.ReplaceLineEndings " "

              printfn "%s\n    %s: %s (%.0f s)" promise trials result clock.Elapsed.TotalSeconds
              promise, trials, result ]
    finally
        Directory.Delete(folder, true)

match valueOf "--markdown" "" with
| "" -> ()
| path ->
    let line (promise, trials, result) = $"| {promise} | {trials} | {result} |"
    let table = [ "| promise | trials | result |"; "|---|---|---|" ] @ List.map line results
    File.WriteAllText(path, String.concat "\n" table + "\n")

exit (if results |> List.exists (fun (_, trials, _) -> trials = "FAILED") then 1 else 0)
