/// The command `funtrpo sweep`: trains with every point of a grid of settings and every seed, and puts the results together.
module FunTrpo.Cli.SweepCommand

open System
open System.CommandLine
open System.IO
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Environments
open FunTrpo.Cli.CommandOptions
open FunTrpo.Cli.Sweep
open FunTrpo.Cli.SweepPlan

let private env =
    optional
        "--env"
        "The environments, with commas between; `funtrpo list` shows them [default: the one of --env-from, or CartPole-v1]"

let private seeds = optional "--seeds" "The seeds, such as 0..9 or 0,3,7 [default: 0..9]"

let private grid =
    Option<string[]>(
        "--grid",
        Description =
            "key=value,value,…: a field of the configuration and its values, or key=value|value|… if values have commas; given several times, all combinations are made"
    )

let private set =
    Option<string[]>("--set", Description = "key=value: a field of the configuration that is the same in all runs")

let private steps =
    optional "--steps" "Environment steps of each run [default: those that the preset of the environment is tuned for]"

let private stopAt =
    optional
        "--stop-at"
        "Stop a run when the mean return of the last 100 finished training episodes is at least this [default: never]"

let private checkpointEvery =
    optional
        "--checkpoint-every"
        "Save a checkpoint after this many iterations, from which an interrupted run goes on [default: none, and it begins again]"

let private scoreEpisodes =
    optional
        "--score-episodes"
        $"How many episodes the last policy of each run plays for its score [default: {SweepFile.standardScoreEpisodes}]"

let private file =
    optional
        "--file"
        "A file that describes the sweep, such as the sweep.json of an earlier one, instead of the options"

let private jobs =
    option "--jobs" "How many runs are trained at a time" (string Environment.ProcessorCount)

let private inFlight = inFlightOption ()
let private restartFailed = restartFailedOption ()

let private out =
    option "--out" "The folder of the sweep, where an earlier one goes on" (Path.Combine("runs", "sweep"))

let private envFrom = envFromOption ()

/// The options that describe a sweep, which `--file` replaces.
let private descriptive: Option list =
    [ env; seeds; grid; set; steps; stopAt; checkpointEvery; scoreEpisodes ] @ EvaluationOptions.all

let private planOfOptions known (parsed: ParseResult) =
    result {
        let! seeds = SweepFile.parseSeeds (tryGet parsed seeds |> Option.defaultValue "0..9")
        let! grid = listOf parsed grid |> List.map SweepFile.parseGrid |> Result.all
        let! set = listOf parsed set |> Arguments.assignments
        let! steps = tryGet parsed steps |> checkedOption (Arguments.steps "--steps")
        let! stopAt = tryGet parsed stopAt |> checkedOption (Arguments.number "--stop-at")

        let! checkpointEvery =
            tryGet parsed checkpointEvery |> checkedOption (Arguments.iterations "--checkpoint-every")

        let! evaluation = EvaluationOptions.parse parsed None
        let! episodes = tryGet parsed scoreEpisodes |> checkedOption (Arguments.episodes "--score-episodes")

        let! environments =
            match tryGet parsed env with
            | Some ids -> Ok ids
            | None -> EnvironmentFiles.standard EnvironmentFiles.firstOfLibrary known |> Result.map _.Registered.Id

        return
            { Environments = [ for id in environments.Split ',' -> id.Trim() ]
              Seeds = seeds
              Grid = grid
              Set = set
              Steps = steps
              StopAt = stopAt
              CheckpointEvery = checkpointEvery
              Evaluation = evaluation
              ScoreEpisodes = defaultArg episodes SweepFile.standardScoreEpisodes }
    }

let private isGiven (parsed: ParseResult) (option: Option) =
    match parsed.GetResult option with
    | null -> false
    | found -> not found.Implicit

/// The plan that the options or the file describe.
let private planOf known parsed =
    match tryGet parsed file, descriptive |> List.tryFind (isGiven parsed) with
    | None, _ -> planOfOptions known parsed
    | Some path, None -> SweepFile.read path
    | Some path, Some option -> Error(Mismatch $"the sweep is described by {path}: {option.Name} belongs there")
    |> Result.bind normalised

/// An earlier sweep in the folder must be a part of this one.
let private requireSameSweep (folder: RunFolder.Folder) plan =
    let path = Path.Combine(folder.Path, SweepFile.name)

    if folder.IsReused then
        Error(Mismatch $"{folder.Path} is the folder of a run: say with --out where the runs of the sweep belong")
    elif File.Exists path then
        SweepFile.read path
        |> Result.bind (fun earlier ->
            match difference earlier plan with
            | Some what ->
                Error(
                    Mismatch
                        $"{folder.Path} has another sweep: {what}. Say with --out where this one belongs; the same sweep with more environments, seeds or values may go on there"
                )
            | None -> Ok())
    else
        Ok()

/// Writes the table of the runs, and the page of those that have reached their end.
let private writeResults known (folder: RunFolder.Folder) plan (runs: (SweepRun * Outcome) list) =
    let stepsToGoal run = Run.goal run.Options |> Option.bind (ComparedRuns.stepsToGoal run.Options.Folder)

    let columns = SweepTable.columns folder.Path plan.Grid stepsToGoal runs
    let at name = Path.Combine(folder.Path, name)
    AtomicFile.replaceText (at SweepTable.csvFile) (SweepTable.csv columns)
    AtomicFile.replace (at SweepTable.parquetFile) (fun stream -> SweepTable.writeParquet stream columns)

    let finished =
        [ for run, outcome in runs do
              match outcome with
              | Finished _ -> run.Options.Folder
              | Failed _
              | Unfinished -> () ]

    if finished.IsEmpty then
        Ok()
    else
        CompareCommand.html known folder.Path finished
        |> Result.map (AtomicFile.replaceText (at "sweep.html"))

/// Says how the sweep ended. Returns the exit code.
let private conclude (folder: RunFolder.Folder) (interruption: Interruption) (runs: (SweepRun * Outcome) list) =
    let failures =
        [ for run, outcome in runs do
              match outcome with
              | Failed reason -> run, reason
              | Finished _
              | Unfinished -> () ]

    let unfinished = runs |> List.filter (snd >> (=) Unfinished) |> List.length

    if unfinished > 0 then
        Console.Out.WriteLine $"{unfinished} of {runs.Length} runs are not finished. The same command goes on with them"

    for run, reason in failures do
        Console.Error.WriteLine $"{describeRun run} failed: {reason}"

    if interruption.IsRequested then
        130
    else
        Console.Out.WriteLine $"The results are in {folder.Path}: sweep.csv, sweep.parquet, sweep.html"

        if failures.IsEmpty then
            ok
        else
            Console.Error.WriteLine $"{failures.Length} of {runs.Length} runs failed"
            failed

/// Carries out the sweep in its folder. Returns the exit code.
let private carryOut known jobs calls plan (folder: RunFolder.Folder) =
    use interruption = new Interruption()

    result {
        let! runs = runs known folder.Path plan
        do! requireSameSweep folder plan
        folder.Do(RunFolder.Replace(SweepFile.name, SweepFile.print plan))
        let before = state plan runs
        let finished = before |> List.filter (snd >> (<>) Unfinished) |> List.length

        if finished > 0 then
            Console.Out.WriteLine $"{finished} of {before.Length} runs are finished"

        let after = carryOutAll interruption jobs calls plan before Console.Out

        if not interruption.IsRequested then
            do! writeResults known folder plan after

        return conclude folder interruption after
    }

let private run (parsed: ParseResult) =
    result {
        let! known = knownEnvironments parsed envFrom
        let! plan = planOf known parsed
        let! jobs = Arguments.integer "--jobs" 1L 1024L (parsed.GetValue jobs)
        let! calls = parseCalls parsed inFlight restartFailed
        let path = parsed.GetValue out
        // A plan that cannot be carried out leaves no folder.
        let! _ = runs known path plan

        return!
            RunFolder.prepare path
            |> Result.bind (fun folder ->
                use folder = folder
                carryOut known (int jobs) calls plan folder)
    }

let command =
    let command =
        Command("sweep", "Train with several seeds and settings, and put the results into a table and a page")

    descriptive |> List.iter command.Options.Add
    let others: Option list = [ file; jobs; inFlight; restartFailed; out; envFrom ]
    others |> List.iter command.Options.Add
    command.SetAction(run >> orRefuse)
    command
