/// The command `funtrpo train`: runs the iterations of training, prints a line for each, and saves the files of the run.
module FunTrpo.Cli.Train

open System
open System.Diagnostics
open System.IO
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
        Threads: int
        Configuration: Configuration
        /// A saved policy to start from.
        From: SavedPolicy option
    }

/// The setup, the initial state and the folder of the run, or a fault.
let private prepare options environment =
    result {
        let! setup = Setup.create options.Threads options.Configuration environment

        let! state =
            match options.From with
            | Some saved -> TrainingState.startFrom setup options.Seed saved.Actor
            | None -> Ok(TrainingState.start setup options.Seed)

        let! folder = RunFiles.prepare options.Folder
        return setup, state, folder
    }

/// The policy and the summary of a state, in the form that is saved.
let private saved options (setup: Setup<'State>) solved (elapsed: TimeSpan) (state: TrainingState<'State>) =
    let environment = setup.Environment

    let policy = { Environment = environment.Id; Actor = TrainingState.actor setup state }

    let summary: RunFiles.Summary =
        { Environment = environment.Id
          Seed = options.Seed
          Steps = state.Steps
          Iterations = state.Iteration
          Episodes = state.Episodes
          MeanReturn100 = TrainingState.meanReturn state
          BestMeanReturn100 = state.BestMeanReturn
          Solved = solved
          WallSeconds = Math.Round(elapsed.TotalSeconds, 3)
          ParametersSha256 = Sha256.ofParameters state.PolicyParameters }

    policy, summary

let private settings options id : RunFiles.Settings =
    { Environment = id
      Seed = options.Seed
      Steps = options.Steps
      StopAt = options.StopAt
      EnvironmentFrom = options.EnvironmentFrom
      StartedFrom = options.From |> Option.map (fun saved -> Sha256.ofParameters saved.Actor.Parameters)
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

/// The last line of a run: how it ended, and what the policy reaches.
let private conclusion options id isInterrupted isSolved (elapsed: TimeSpan) (state: TrainingState<'State>) =
    let verdict =
        match goal options with
        | _ when isInterrupted -> "was interrupted"
        | None -> "was trained"
        | Some goal when options.SolvedAt <> Some goal ->
            if isSolved then $"reached its goal of {goal}" else $"did not reach its goal of {goal}"
        | _ -> if isSolved then "is solved" else "is not solved"

    let mean =
        TrainingState.meanReturn state
        |> Option.map (fun mean -> $"mean return {mean:F2} over the last {state.RecentReturns.Length} episodes")
        |> Option.defaultValue "no episode has finished"

    $"{id} {verdict}: {mean}, after {state.Steps} steps and {elapsed.TotalSeconds:F1} s"

/// Runs iterations until the steps are made, the goal is reached, a fault occurs, or the user interrupts the run. `write` changes
/// the run's folder. Returns the exit code.
let iterate
    options
    (setup: Setup<'State>)
    (initial: TrainingState<'State>)
    (write: RunFiles.Write -> unit)
    (output: TextWriter)
    (errors: TextWriter)
    =
    let id = setup.Environment.Id
    let configuration = options.Configuration
    let clock = Stopwatch.StartNew()

    saved options setup false TimeSpan.Zero initial
    ||> RunFiles.beginning (settings options id)
    |> List.iter write

    use interruption = new Interruption()
    use iterations = (Training.runFor options.Steps setup initial).GetEnumerator()
    let mutable state = initial
    let mutable isSolved = false
    let mutable fault = None
    let mutable lastSaved = clock.Elapsed

    let save now =
        saved options setup isSolved now state ||> RunFiles.saving |> List.iter write
        lastSaved <- now

    output.WriteLine
        $"{id}: seed {options.Seed}, {configuration.Environments} environments × {configuration.Horizon} steps an iteration, a policy of {initial.PolicyParameters.Length} parameters"

    let continues () = fault.IsNone && not (isReached state options.StopAt) && not interruption.IsRequested

    try
        while continues () && iterations.MoveNext() do
            match iterations.Current with
            | Error found -> fault <- Some found
            | Ok(next, report) ->
                let now = clock.Elapsed
                // The line is written first: a saved state always has its line in progress.csv.
                write (RunFiles.line report)
                state <- next
                isSolved <- isSolved || isReached state (goal options)
                print report output errors

                if now - lastSaved >= options.SaveEvery then
                    save now
    finally
        save clock.Elapsed

    output.WriteLine(conclusion options id interruption.IsRequested isSolved clock.Elapsed state)
    output.WriteLine $"The policy and the progress are in {options.Folder}"

    match fault with
    | Some fault ->
        errors.WriteLine $"Training stopped after iteration {state.Iteration}: {Fault.message fault}"
        1
    | None -> if interruption.IsRequested then 130 else 0

/// Trains a policy, prints a line for each iteration, and saves the files of the run. Returns the exit code: 0 for success, 1 for a
/// fault during training, 2 for a configuration, policy or folder that cannot be used, 130 if the user interrupted the run.
let run options (environment: Environment<'State>) (output: TextWriter) (errors: TextWriter) =
    match prepare options environment with
    | Ok(setup, state, folder) ->
        use folder = folder

        if folder.IsReused then
            output.WriteLine $"The run that {folder.Path} holds is replaced."

        iterate options setup state folder.Do output errors
    | Error fault ->
        errors.WriteLine(Fault.message fault)
        2
