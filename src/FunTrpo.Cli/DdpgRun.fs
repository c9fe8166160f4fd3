/// Trains with DDPG, prints a line for each iteration, and saves the files of the run: for `funtrpo ddpg` and `funtrpo resume`.
module FunTrpo.Cli.DdpgRun

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open FunTrpo
open FunTrpo.Ddpg
open FunTrpo.Plots
open FunTrpo.Cli.RunFolder

/// All that is needed to repeat a run, as its config.json keeps it, and where and how it is made.
type Options =
    {
        Environment: string
        /// The name of the caller's assembly that registers the environment, if it is not one of the library.
        EnvironmentFrom: string option
        Seed: int64
        /// The number of environment steps.
        Steps: int64
        /// The number of iterations from one checkpoint to the next; None for no checkpoints.
        CheckpointEvery: int option
        Settings: DdpgSettings
        /// The mean return of the last 100 episodes at which the run counts as solved, if there is one.
        SolvedAt: float option
        /// Whether report.html is written at the end.
        HasReport: bool
        Folder: string
        Threads: int
    }

// ---- config.json ----

/// The settings of a run, as config.json keeps them.
let private settingsOf options : RunSettings =
    { Algorithm = RunAlgorithm.Ddpg
      Environment = options.Environment
      EnvironmentFrom = options.EnvironmentFrom
      Seed = options.Seed
      Steps = options.Steps
      StopAt = None
      StartedFrom = None
      CheckpointEvery = options.CheckpointEvery
      Evaluation = None
      Fields = RunSettings.ddpgFieldsOf options.Settings }

/// The options of a run in a folder with these settings, on one thread, without a goal and without a report. Fault: `InvalidSetting`.
let ofSettings folder (settings: RunSettings) =
    Arguments.ddpgFields DdpgSettings.standard settings.Fields
    |> Result.map (fun ddpg ->
        { Environment = settings.Environment
          EnvironmentFrom = settings.EnvironmentFrom
          Seed = settings.Seed
          Steps = settings.Steps
          CheckpointEvery = settings.CheckpointEvery
          Settings = ddpg
          SolvedAt = None
          HasReport = false
          Folder = folder
          Threads = 1 })

// ---- Files and lines ----

/// Where a run stands.
[<NoComparison>]
type private Position<'State when 'State: equality> =
    {
        State: DdpgState<'State>
        /// True if the run has reached its goal, now or earlier.
        IsSolved: bool
        /// The seconds that the run has taken, of all processes together.
        Seconds: float
    }

let private policyOf (setup: DdpgSetup<'State>) position =
    { Environment = setup.Environment.Id; Actor = DdpgState.actor setup position.State }

let private isReached options (state: DdpgState<'State>) =
    options.SolvedAt |> Option.exists (fun goal -> DdpgState.hasReached goal state)

let private summaryOf options position : RunSummary =
    let state = position.State

    { Environment = options.Environment
      Seed = options.Seed
      Steps = state.Steps
      Iterations = state.Iteration
      Episodes = state.Episodes
      MeanReturn100 = DdpgState.meanReturn state
      BestMeanReturn100 = None
      Solved = position.IsSolved
      Best = None
      WallSeconds = Math.Round(position.Seconds, 3)
      ParametersSha256 = Sha256.ofParameters state.Actor.Parameters }

let private texts options : RunWrites.Texts =
    { Configuration = RunSettings.print (settingsOf options)
      ProgressHeader = DdpgReport.fields |> List.map _.Name |> String.concat ","
      HasEvaluations = false }

let private lineOf (report: DdpgReport) =
    let cells = DdpgReport.fields |> List.map (fun field -> Report.toText (field.Read report))
    Append(RunFiles.progressFile, String.concat "," cells)

/// The columns of the table: the heading, the width, the quantity and its format.
let private columns =
    [ "steps", 9, "steps", ""
      "return", 10, "meanReturn", "F2"
      "loss", 10, "criticLoss", "0.0000"
      "mean Q", 10, "meanQ", "F2"
      "gradient", 9, "actorGradientNorm", "0.000"
      "noise", 6, "noise", "F2"
      "updates", 9, "updates", ""
      "steps/s", 8, "stepsPerSecond", "F0" ]

let private row cellOf =
    columns
    |> List.map (fun (heading, width: int, name, format) -> (cellOf heading name format: string).PadLeft width)
    |> String.concat " "

let private tableLine report =
    row (fun _ name (format: string) ->
        let field = DdpgReport.fields |> List.find (fun field -> field.Name = name)

        match field.Read report with
        | ReportValue.Number number -> number.ToString(format, CultureInfo.InvariantCulture)
        | ReportValue.Missing -> "–"
        | value -> Report.toText value)

let private printLine (output: TextWriter) (report: DdpgReport) =
    if (report.Iteration - 1) % 25 = 0 then
        output.WriteLine(row (fun heading _ _ -> heading))

    output.WriteLine(tableLine report)

// ---- The note of a checkpoint ----

let private noteOf options position =
    let node = JsonObject()
    node.Add("seed", JsonValue.Create options.Seed)
    node.Add("solved", JsonValue.Create position.IsSolved)
    node.Add("seconds", JsonValue.Create position.Seconds)
    node.ToJsonString()

let private positionOf path (checkpoint: DdpgCheckpoint<'State>) =
    try
        let note = JsonNode.Parse(checkpoint.Note, documentOptions = Json.strict)

        Ok
            { State = checkpoint.State
              IsSolved = (RunJson.required note "solved").GetValue<bool>()
              Seconds = (RunJson.required note "seconds").GetValue<float>() }
    with
    | Unreadable _
    | :? JsonException
    | :? InvalidOperationException
    | :? FormatException -> Error(Damaged(path, "it was not saved by funtrpo ddpg"))

// ---- Runs ----

/// The minimum time between two saves of policy and summary.
let private saveEvery = TimeSpan.FromSeconds 1.0

/// Runs iterations from a position on until the steps are made, a fault occurs, or the user interrupts the run. Returns the last position, the
/// fault, and the fault of an iteration that the interruption has ended.
let private iterate options setup (initial: Position<'State>) (interruption: Interruption) (folder: Folder) output =
    let clock = Stopwatch.StartNew()
    use iterations = (DdpgTraining.runFor options.Steps setup initial.State).GetEnumerator()
    let mutable position = initial
    let mutable fault = None
    let mutable abandoned = None
    let mutable lastSaved = clock.Elapsed

    let save () =
        RunWrites.saving (policyOf setup position) (summaryOf options position) |> List.iter folder.Do
        lastSaved <- clock.Elapsed

    let checkpoint () =
        if options.CheckpointEvery.IsSome then
            match folder.Keep(fun path -> DdpgCheckpoint.save path setup (noteOf options position) position.State) with
            | Ok() -> ()
            | Error found -> fault <- fault |> Option.orElse (Some found)

    let advance next (report: DdpgReport) =
        // The line is written first: a saved state always has its line in progress.csv.
        folder.Do(lineOf report)

        position <-
            { State = next
              IsSolved = position.IsSolved || isReached options next
              Seconds = initial.Seconds + clock.Elapsed.TotalSeconds }

        printLine output report

        if options.CheckpointEvery |> Option.exists (fun every -> next.Iteration % every = 0) then
            checkpoint ()

        if clock.Elapsed - lastSaved >= saveEvery then
            save ()

    if initial.State.Iteration = 0 then
        checkpoint ()

    try
        while fault.IsNone && not interruption.IsRequested && iterations.MoveNext() do
            match iterations.Current with
            | Ok(next, report) -> advance next report
            | Error found when interruption.IsRequested -> abandoned <- Some found
            | Error found -> fault <- Some found
    finally
        save ()

    checkpoint ()
    position, fault, abandoned

/// The last line of a run.
let private conclusion options position =
    let state = position.State

    let mean =
        match DdpgState.meanReturn state with
        | Some mean -> $"mean return {mean:F2} over the last {state.RecentReturns.Length} episodes"
        | None -> "no episode has finished"

    $"{options.Environment}: {mean}, after {state.Steps} steps and {position.Seconds:F1} s"

/// Trains from a position on, prints how the run ended, and writes its report. Returns the exit code.
let private complete
    options
    (setup: DdpgSetup<'State>)
    position
    interruption
    folder
    (output: TextWriter)
    (errors: TextWriter)
    =
    let ended, fault, abandoned = iterate options setup position interruption folder output
    output.WriteLine(conclusion options ended)
    output.WriteLine $"The policy and the progress are in {options.Folder}"

    // Its simulator is free for the report, which plays an episode.
    Releasable.release ended.State.Instance.State

    if options.HasReport then
        RunReport.tryWrite options.SolvedAt None folder setup.Environment output errors

    let iteration = ended.State.Iteration

    for fault in Option.toList abandoned do
        errors.WriteLine $"Iteration {iteration + 1} was interrupted and is not saved: {Fault.message fault}"

    match fault with
    | Some fault ->
        errors.WriteLine $"Training stopped after iteration {iteration}: {Fault.message fault}"
        1
    | None when interruption.IsRequested -> 130
    | None -> 0

let private introduction options (setup: DdpgSetup<'State>) =
    $"{options.Environment}: DDPG, seed {options.Seed}, a policy of {setup.Policy.Network.ParameterCount} parameters and a critic of {setup.Critic.ParameterCount}"

let private refuse (errors: TextWriter) fault =
    errors.WriteLine(Fault.message fault)
    2

/// Trains a new policy and saves the files of the run. Returns the exit code: 0 for success, 1 for a fault during training, 2 for settings or a
/// folder that cannot be used, 130 if the user interrupted the run, by this `interruption`.
let runUntil interruption options (environment: Environment<'State>) (output: TextWriter) errors =
    let prepared =
        result {
            let! setup = DdpgSetup.create options.Threads options.Settings environment
            do! if options.CheckpointEvery.IsSome then Checkpoint.requireCodec environment else Ok()
            let! state = DdpgState.start setup options.Seed
            let! folder = RunFolder.prepare options.Folder
            return setup, state, folder
        }

    match prepared with
    | Error fault -> refuse errors fault
    | Ok(setup, state, folder) ->
        use folder = folder

        if folder.IsReused then
            output.WriteLine $"The run that {folder.Path} holds is replaced."

        let position = { State = state; IsSolved = false; Seconds = 0.0 }

        RunWrites.beginningWith (texts options) (policyOf setup position) (summaryOf options position)
        |> List.iter folder.Do

        output.WriteLine(introduction options setup)
        complete options setup position interruption folder output errors

/// Does the same as `runUntil`, until the user interrupts the process.
let run options environment output errors =
    use interruption = new Interruption()
    runUntil interruption options environment output errors

/// The setup, the position of the last checkpoint and the locked folder of a run.
let private prepareResumed options (environment: Environment<'State>) =
    result {
        let! setup = DdpgSetup.create options.Threads options.Settings environment

        let! folder, position =
            RunFolder.prepareAndLoad options.Folder (fun checkpoint ->
                DdpgCheckpoint.load checkpoint setup |> Result.bind (positionOf checkpoint))

        return setup, position, folder
    }

/// Goes on from the checkpoint in the folder of the options. Returns the exit code, as `run`; 0 if the run is already finished.
let resume options (environment: Environment<'State>) (output: TextWriter) (errors: TextWriter) =
    match prepareResumed options environment with
    | Error fault -> refuse errors fault
    | Ok(setup, position, folder) ->
        use folder = folder
        use interruption = new Interruption()
        let state = position.State

        let policy, summary = policyOf setup position, summaryOf options position

        if state.Steps >= options.Steps then
            // A process may end between the last checkpoint and the last files.
            if not (RunWrites.areSaved folder.Path summary) then
                RunWrites.saving policy summary |> List.iter folder.Do

            Releasable.release state.Instance.State
            output.WriteLine $"The run in {options.Folder} is finished: {conclusion options position}"
            0
        else
            Run.vectorWarning state.VectorWidth |> Option.iter errors.WriteLine

            RunWrites.resumingWith (texts options) state.Iteration policy summary |> List.iter folder.Do

            output.WriteLine(introduction options setup)
            output.WriteLine $"It goes on after iteration {state.Iteration} ({state.Steps} steps)."
            complete options setup position interruption folder output errors
