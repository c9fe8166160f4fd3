/// Runs the iterations of training, prints a line for each, and saves the files of the run: for `funtrpo train` and `funtrpo resume`.
module FunTrpo.Cli.Train

open System
open System.Diagnostics
open System.IO
open System.Runtime.CompilerServices
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Cli.Run

let private faultOf (result: Result<unit, Fault>) =
    match result with
    | Ok() -> None
    | Error fault -> Some fault

/// The last line of a run: how it ended, and what the policy reaches.
let private conclusion options id isInterrupted position =
    let state = position.State

    let verdict =
        match goal options with
        | _ when isInterrupted -> "was interrupted"
        | None -> "was trained"
        | Some goal when options.SolvedAt <> Some goal ->
            if position.IsSolved then $"reached its goal of {goal}" else $"did not reach its goal of {goal}"
        | _ -> if position.IsSolved then "is solved" else "is not solved"

    let mean =
        TrainingState.meanReturn state
        |> Option.map (fun mean -> $"mean return {mean:F2} over the last {state.RecentReturns.Length} episodes")
        |> Option.defaultValue "no episode has finished"

    $"{id} {verdict}: {mean}, after {state.Steps} steps and {position.Elapsed.TotalSeconds:F1} s"

/// The line of the best evaluation, and why the evaluations have ended the run, if they have.
let private evaluationConclusion options position =
    let reason =
        match evaluationsEnd options position with
        | Some reason -> $"; training stopped because {reason}"
        | None -> ""

    position.Evaluations.Best
    |> Option.map (fun best ->
        $"The best policy had a mean return of {best.Deterministic:F2} ({best.Sampled:F2} with drawn actions) after {best.Steps} steps{reason}")

/// How a run ended.
type private Ended<'State when 'State: equality> =
    {
        Position: Position<'State>
        Faults: Fault list
        /// The fault of the iteration that was running when the user interrupted the run. In a terminal, Ctrl-C reaches the processes of
        /// simulators, too, and most of them end.
        Abandoned: Fault option
    }

/// Prints how a run ended, and returns its exit code.
let private finish options id isInterrupted ended (output: TextWriter) (errors: TextWriter) =
    output.WriteLine(conclusion options id isInterrupted ended.Position)
    evaluationConclusion options ended.Position |> Option.iter output.WriteLine
    output.WriteLine $"The policy and the progress are in {options.Folder}"
    let iteration = ended.Position.State.Iteration

    for fault in List.distinct ended.Faults do
        errors.WriteLine $"Training stopped after iteration {iteration}: {Fault.message fault}"

    for fault in Option.toList ended.Abandoned do
        errors.WriteLine $"Iteration {iteration + 1} was interrupted and is not saved: {Fault.message fault}"

    if not (List.isEmpty ended.Faults) then 1
    elif isInterrupted then 130
    else 0

/// Evaluates the policy if that is due, writes the scores, and keeps the policy if it is the best so far.
let private evaluate options (setup: Setup<'State>) (before: int64) write observer position =
    match options.Evaluation with
    | Some plan when EvaluationHistory.isDue plan before position.State.Steps ->
        EvaluationHistory.evaluate plan options.Seed setup position.State
        |> Result.map (fun evaluation ->
            let isBest = EvaluationHistory.isBest evaluation position.Evaluations
            write (RunWrites.evaluationLine evaluation)

            if isBest then
                write (RunWrites.best (policyOf setup position.State))

            observer.OnEvaluation evaluation isBest
            { position with Evaluations = EvaluationHistory.add evaluation position.Evaluations })
    | _ -> Ok position

/// The fault if files of the run cannot be written.
let private faultOfWrites options (writes: unit -> unit) =
    try
        writes ()
        None
    with error when FileFailure.isOfFiles error ->
        Some(NotSaved(options.Folder, FileFailure.reasonOfWrite (RunFolder.checkpointIn options.Folder) error))

/// Runs iterations until the steps are made, the goal is reached, a fault occurs, or the user interrupts the run. `write` changes the run's
/// folder, `keep` saves a checkpoint, and `observer` is told what happens.
let private iterate
    options
    (setup: Setup<'State>)
    (initial: Position<'State>)
    (interruption: Interruption)
    (write: RunFolder.Write -> unit)
    (keep: Position<'State> -> Result<unit, Fault>)
    (observer: Observer)
    =
    let clock = Stopwatch.StartNew()
    use iterations = (Training.runFor options.Steps setup initial.State).GetEnumerator()
    let checkpoints = Background keep
    let mutable position = initial
    let mutable faults = []
    let mutable abandoned = None
    let mutable lastSaved = clock.Elapsed
    let elapsed () = initial.Elapsed + clock.Elapsed
    let fail (found: Fault option) = faults <- faults @ Option.toList found

    let save () =
        fail (faultOfWrites options (fun () -> saved options setup position ||> RunWrites.saving |> List.iter write))
        lastSaved <- clock.Elapsed

    let checkpoint () =
        if options.CheckpointEvery.IsSome then
            fail (checkpoints.Start position |> faultOf)

    let isDue every = position.State.Iteration % every = 0

    let advance next report =
        // The line is written first: a saved state always has its line in progress.csv.
        write (RunWrites.line report)
        let before = position.State.Steps
        let isSolved = position.IsSolved || isReached next (goal options)
        position <- { position with State = next; IsSolved = isSolved; Elapsed = elapsed () }
        observer.OnIteration report

        match evaluate options setup before write observer position with
        | Ok evaluated -> position <- { evaluated with Elapsed = elapsed () }
        | Error found -> fail (Some found)

        if options.CheckpointEvery |> Option.exists isDue then
            checkpoint ()

        if clock.Elapsed - lastSaved >= options.SaveEvery then
            save ()

    // With a checkpoint of the first state, a run that is killed early can be resumed, too. A resumed run has one.
    if initial.State.Iteration = 0 then
        checkpoint ()

    let continues () = faults.IsEmpty && not (isOver options position) && not interruption.IsRequested

    try
        while continues () && iterations.MoveNext() do
            match iterations.Current with
            | Ok(next, report) -> advance next report
            | Error found when interruption.IsRequested -> abandoned <- Some found
            | Error found -> fail (Some found)
    finally
        save ()

    checkpoint ()
    fail (checkpoints.Wait() |> faultOf)
    { Position = position; Faults = faults; Abandoned = abandoned }

/// Runs with an observer that tells the view, the metrics of .NET, and the event files if the run has them.
let private observed options id (initial: Position<'State>) view run =
    let metrics =
        { OnIteration = Telemetry.record id
          OnEvaluation = fun evaluation _ -> Telemetry.recordEvaluation id evaluation }

    if options.HasEvents then
        use events = RunEvents.openAfter initial.State.Steps options.Folder
        run (Observer.all [ view; metrics; events.Observer ])
    else
        run (Observer.all [ view; metrics ])

// Not inlined: Spectre.Console is loaded for a live view only.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private withLiveView options position errors train =
    let model = LiveModel.start position.State.Steps options.Steps (goal options)
    use live = new LiveObserver(model, errors)
    train live.Observer

/// Trains from a position on, with a live view or a table, and prints how the run ended. The other arguments are those of `iterate`. Returns
/// the exit code.
let private complete options (setup: Setup<'State>) position (interruption: Interruption) write keep output errors =
    let train view =
        observed options setup.Environment.Id position view (iterate options setup position interruption write keep)

    let ended =
        if options.IsLive then
            withLiveView options position errors train
        else
            train (ProgressTable.observer output errors)

    // Their simulators are free for the report, which plays an episode.
    for instance in ended.Position.State.Instances do
        Releasable.release instance.State

    finish options setup.Environment.Id interruption.IsRequested ended output errors

/// The first line of a run.
let private introduction options (setup: Setup<'State>) (state: TrainingState<'State>) =
    let configuration = setup.Configuration
    $"{setup.Environment.Id}: seed {options.Seed}, {configuration.Environments} environments × {configuration.Horizon} steps an iteration, a policy of {state.PolicyParameters.Length} parameters"

/// Runs from the beginning: writes the files of a new run, and then iterates. `write` changes the run's folder, and `keep` saves a
/// checkpoint. Returns the exit code.
let runFromStart
    interruption
    options
    (setup: Setup<'State>)
    state
    write
    keep
    (output: TextWriter)
    (errors: TextWriter)
    =
    let position = start state

    saved options setup position
    ||> RunWrites.beginning (settings options setup.Environment.Id)
    |> List.iter write

    output.WriteLine(introduction options setup state)
    complete options setup position interruption write keep output errors

let private keepIn (folder: RunFolder.Folder) options setup position =
    folder.Keep(fun path -> Checkpoint.save path setup (note options position) position.State)

/// Writes the report of a run that has ended with this exit code, unless it is to have none. Returns the exit code.
let private report options folder environment output errors (code: int) =
    if options.HasReport then
        RunReport.tryWrite options.SolvedAt (Some options.Preset) folder environment output errors

    code

/// The setup of the run.
let private setupOf options environment =
    let setup = Setup.create options.Threads options.Configuration environment

    match options.Workers with
    | None -> setup
    | Some workers -> setup |> Result.bind (RolloutShare.onWorkers workers)

/// The setup, the initial state and the folder of the run, or a fault.
let private prepare options (from: SavedPolicy option) environment =
    result {
        let! setup = setupOf options environment
        do! if options.CheckpointEvery.IsSome then Checkpoint.requireCodec environment else Ok()

        let! state =
            match from with
            | Some saved -> TrainingState.startFrom setup options.Seed saved.Actor
            | None -> Ok(TrainingState.start setup options.Seed)

        let! folder = RunFolder.prepare options.Folder
        return setup, state, folder
    }

/// Trains a policy, a new one or the saved one to start `from`, prints a line for each iteration, and saves the files of the run. Returns
/// the exit code: 0 for success, 1 for a fault during training, 2 for a configuration, policy or folder that cannot be used, 130 if the user
/// interrupted the run, by this `interruption`.
let runUntil interruption options from (environment: Environment<'State>) (output: TextWriter) (errors: TextWriter) =
    match prepare options from environment with
    | Ok(setup, state, folder) ->
        use folder = folder

        if folder.IsReused then
            output.WriteLine $"The run that {folder.Path} holds is replaced."

        runFromStart interruption options setup state folder.Do (keepIn folder options setup) output errors
        |> report options folder environment output errors
    | Error fault ->
        errors.WriteLine(Fault.message fault)
        2

/// Does the same as `runUntil`, until the user interrupts the process.
let run options from environment output errors =
    use interruption = new Interruption()
    runUntil interruption options from environment output errors

/// Goes on from the checkpoint in the folder of the options. The other options are those of the run. Returns the exit code, as `run`; 0 if
/// the run is already finished.
let resumeUntil interruption options (environment: Environment<'State>) (output: TextWriter) (errors: TextWriter) =
    let prepared =
        result {
            let! setup = setupOf options environment

            let! folder, position =
                RunFolder.prepareAndLoad options.Folder (fun checkpoint ->
                    Checkpoint.load checkpoint setup |> Result.bind (positionOf checkpoint))

            return setup, position, folder
        }

    match prepared with
    | Error fault ->
        errors.WriteLine(Fault.message fault)
        2
    | Ok(setup, position, folder) ->
        use folder = folder
        let state = position.State

        if state.Steps >= options.Steps || isOver options position then
            // A process may end between the last checkpoint and the last files.
            let policy, summary = saved options setup position

            if not (RunWrites.areSaved options.Folder summary) then
                RunWrites.saving policy summary |> List.iter folder.Do

            output.WriteLine
                $"The run in {options.Folder} is finished: {conclusion options setup.Environment.Id false position}"

            0
        else
            vectorWarning state.VectorWidth |> Option.iter errors.WriteLine

            saved options setup position
            ||> RunWrites.resuming (settings options setup.Environment.Id) state.Iteration
            |> List.iter folder.Do

            output.WriteLine(introduction options setup state)
            output.WriteLine $"It goes on after iteration {state.Iteration} ({state.Steps} steps)."

            complete options setup position interruption folder.Do (keepIn folder options setup) output errors
            |> report options folder environment output errors

/// Does the same as `resumeUntil`, until the user interrupts the process.
let resume options environment output errors =
    use interruption = new Interruption()
    resumeUntil interruption options environment output errors
