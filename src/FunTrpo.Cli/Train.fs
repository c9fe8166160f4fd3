/// Runs the iterations of training, prints a line for each, and saves the files of the run: for `funtrpo train` and `funtrpo resume`.
module FunTrpo.Cli.Train

open System
open System.Diagnostics
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open FunTrpo

type Options =
    {
        Seed: int64
        /// The maximum number of environment steps.
        Steps: int64
        /// The mean return of the last 100 episodes at which training stops early.
        StopAt: float option
        /// The mean return of the last 100 episodes at which the run counts as solved, if there is one.
        SolvedAt: float option
        /// The name of the caller's assembly that registers the environment, if it is not one of the library.
        EnvironmentFrom: string option
        Folder: string
        /// The minimum time between two saves of the policy and the summary.
        SaveEvery: TimeSpan
        /// The number of iterations from one checkpoint to the next; None for no checkpoints.
        CheckpointEvery: int option
        Threads: int
        Configuration: Configuration
        /// The SHA-256 of the parameters of the saved policy that the run started from, if there was one.
        StartedFrom: string option
    }

/// Where a run stands.
[<NoComparison>]
type Position<'State when 'State: equality> =
    {
        State: TrainingState<'State>
        /// True if the run has reached its goal, now or earlier.
        IsSolved: bool
        /// The time that the run has taken, of all processes together.
        Elapsed: TimeSpan
    }

/// A run before its first iteration.
let start state = { State = state; IsSolved = false; Elapsed = TimeSpan.Zero }

/// The policy and the summary of a run, in the form that is saved.
let private saved options (setup: Setup<'State>) position =
    let environment = setup.Environment
    let state = position.State
    let policy = { Environment = environment.Id; Actor = TrainingState.actor setup state }

    let summary: RunFiles.Summary =
        { Environment = environment.Id
          Seed = options.Seed
          Steps = state.Steps
          Iterations = state.Iteration
          Episodes = state.Episodes
          MeanReturn100 = TrainingState.meanReturn state
          BestMeanReturn100 = state.BestMeanReturn
          Solved = position.IsSolved
          WallSeconds = Math.Round(position.Elapsed.TotalSeconds, 3)
          ParametersSha256 = Sha256.ofParameters state.PolicyParameters }

    policy, summary

/// The settings of a run, as config.json keeps them.
let private settings options id : RunFiles.Settings =
    { Environment = id
      Seed = options.Seed
      Steps = options.Steps
      StopAt = options.StopAt
      EnvironmentFrom = options.EnvironmentFrom
      StartedFrom = options.StartedFrom
      CheckpointEvery = options.CheckpointEvery
      Fields = [ for field in Configuration.fields -> field.Name, field.Get options.Configuration ] }

/// The mean return at which the run counts as solved.
let private goal options = options.StopAt |> Option.orElse options.SolvedAt

let private isReached (state: TrainingState<'State>) goal =
    goal |> Option.exists (fun goal -> TrainingState.hasReached goal state)

/// Prints the line and the warnings of an iteration, under a header every 25 iterations.
let private print (report: Report) (output: TextWriter) (errors: TextWriter) =
    if (report.Iteration - 1) % 25 = 0 then
        output.WriteLine ProgressTable.header

    output.WriteLine(ProgressTable.line report)

    for warning in report.Warnings do
        errors.WriteLine $"Warning in iteration {report.Iteration}: {Warning.message warning}"

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

/// Prints how a run ended, and returns its exit code.
let private finish options id isInterrupted position faults (output: TextWriter) (errors: TextWriter) =
    output.WriteLine(conclusion options id isInterrupted position)
    output.WriteLine $"The policy and the progress are in {options.Folder}"

    for fault in List.distinct faults do
        errors.WriteLine $"Training stopped after iteration {position.State.Iteration}: {Fault.message fault}"

    if not (List.isEmpty faults) then 1
    elif isInterrupted then 130
    else 0

/// Runs iterations until the steps are made, the goal is reached, a fault occurs, or the user interrupts the run. `write` changes the run's
/// folder, and `keep` saves a checkpoint. Returns the exit code.
let private iterate
    options
    (setup: Setup<'State>)
    (initial: Position<'State>)
    (interruption: Interruption)
    (write: RunFolder.Write -> unit)
    (keep: Position<'State> -> Result<unit, Fault>)
    (output: TextWriter)
    (errors: TextWriter)
    =
    let id = setup.Environment.Id
    let clock = Stopwatch.StartNew()
    use iterations = (Training.runFor options.Steps setup initial.State).GetEnumerator()
    let checkpoints = Background keep
    let mutable position = initial
    let mutable fault = None
    let mutable lastSaved = clock.Elapsed

    let save () =
        saved options setup position ||> RunFiles.saving |> List.iter write
        lastSaved <- clock.Elapsed

    let isDue (every: int option) = every |> Option.exists (fun every -> position.State.Iteration % every = 0)

    // With a checkpoint of the first state, a run that is killed early can be resumed, too. A resumed run has one.
    if options.CheckpointEvery.IsSome && initial.State.Iteration = 0 then
        fault <- checkpoints.Start position |> faultOf

    let continues () = fault.IsNone && not (isReached position.State options.StopAt) && not interruption.IsRequested

    try
        while continues () && iterations.MoveNext() do
            match iterations.Current with
            | Error found -> fault <- Some found
            | Ok(next, report) ->
                // The line is written first: a saved state always has its line in progress.csv.
                write (RunFiles.line report)

                position <-
                    { State = next
                      IsSolved = position.IsSolved || isReached next (goal options)
                      Elapsed = initial.Elapsed + clock.Elapsed }

                print report output errors

                if isDue options.CheckpointEvery then
                    fault <- checkpoints.Start position |> faultOf

                if clock.Elapsed - lastSaved >= options.SaveEvery then
                    save ()
    finally
        save ()

    let lastCheckpoint =
        if options.CheckpointEvery.IsSome then
            checkpoints.Start position |> Result.bind checkpoints.Wait |> faultOf
        else
            None

    finish
        options
        id
        interruption.IsRequested
        position
        (Option.toList fault @ Option.toList lastCheckpoint)
        output
        errors

/// The first line of a run.
let private introduction options (setup: Setup<'State>) (state: TrainingState<'State>) =
    let configuration = setup.Configuration
    $"{setup.Environment.Id}: seed {options.Seed}, {configuration.Environments} environments × {configuration.Horizon} steps an iteration, a policy of {state.PolicyParameters.Length} parameters"

/// Runs from the beginning: writes the files of a new run, and then iterates. `write` changes the run's folder, and `keep` saves a
/// checkpoint. Returns the exit code.
let runFromStart options (setup: Setup<'State>) state write keep (output: TextWriter) (errors: TextWriter) =
    use interruption = new Interruption()
    let position = start state

    saved options setup position
    ||> RunFiles.beginning (settings options setup.Environment.Id)
    |> List.iter write

    output.WriteLine(introduction options setup state)

    iterate options setup position interruption write keep output errors

/// The text that a checkpoint keeps beside the state.
let private note options position =
    let node = JsonObject()
    node.Add("seed", JsonValue.Create options.Seed)
    node.Add("solved", JsonValue.Create position.IsSolved)
    node.Add("seconds", JsonValue.Create position.Elapsed.TotalSeconds)
    node.ToJsonString()

let private keepIn (folder: RunFolder.Folder) options setup position =
    folder.Keep(setup, note options position, position.State)

/// The setup, the initial state and the folder of the run, or a fault.
let private prepare options (from: SavedPolicy option) environment =
    result {
        let! setup = Setup.create options.Threads options.Configuration environment
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
/// interrupted the run.
let run options from (environment: Environment<'State>) (output: TextWriter) (errors: TextWriter) =
    match prepare options from environment with
    | Ok(setup, state, folder) ->
        use folder = folder

        if folder.IsReused then
            output.WriteLine $"The run that {folder.Path} holds is replaced."

        runFromStart options setup state folder.Do (keepIn folder options setup) output errors
    | Error fault ->
        errors.WriteLine(Fault.message fault)
        2

/// The position of a checkpoint.
let private positionOf path (checkpoint: Checkpoint<'State>) =
    try
        let note = JsonNode.Parse checkpoint.Note

        Ok
            { State = checkpoint.State
              IsSolved = note["solved"].GetValue<bool>()
              Elapsed = TimeSpan.FromSeconds(note["seconds"].GetValue<float>()) }
    with
    | :? JsonException
    | :? InvalidOperationException
    | :? NullReferenceException
    | :? OverflowException -> Error(Damaged(path, "it was not saved by funtrpo train"))

/// Goes on from the checkpoint in the folder of the options. The other options are those of the run. Returns the exit code, as `run`; 0 if
/// the run is already finished.
let resume options (environment: Environment<'State>) (output: TextWriter) (errors: TextWriter) =
    let prepared =
        result {
            let! setup = Setup.create options.Threads options.Configuration environment
            let! folder = RunFolder.prepare options.Folder

            let! position =
                Checkpoint.load folder.Checkpoint setup
                |> Result.bind (positionOf folder.Checkpoint)
                |> Result.mapError (fun fault ->
                    (folder :> IDisposable).Dispose()
                    fault)

            return setup, position, folder
        }

    match prepared with
    | Error fault ->
        errors.WriteLine(Fault.message fault)
        2
    | Ok(setup, position, folder) ->
        use folder = folder
        use interruption = new Interruption()
        let state = position.State

        if state.Steps >= options.Steps || isReached state options.StopAt then
            output.WriteLine
                $"The run in {options.Folder} is finished: {conclusion options setup.Environment.Id false position}"

            0
        else
            if state.VectorWidth <> FunTrpo.Kernels.Lanes.Width then
                errors.WriteLine
                    $"Warning: the run was begun on a processor with vectors of {state.VectorWidth} numbers, and this one has {FunTrpo.Kernels.Lanes.Width}. It goes on, but rounds differently than it would there."

            saved options setup position
            ||> RunFiles.resuming (settings options setup.Environment.Id) state.Iteration
            |> List.iter folder.Do

            output.WriteLine(introduction options setup state)
            output.WriteLine $"It goes on after iteration {state.Iteration} ({state.Steps} steps)."
            iterate options setup position interruption folder.Do (keepIn folder options setup) output errors
