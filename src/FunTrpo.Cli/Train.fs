/// The command `funtrpo train`: runs the iterations of training, prints a line for each, and saves the files of the run.
module FunTrpo.Cli.Train

open System
open System.Diagnostics
open System.Globalization
open System.IO
open System.Runtime.InteropServices
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

/// A cell that shows a quantity of `Report.fields`; a dash if it has no value.
let private quantity name (format: string) report =
    match Report.value name report with
    | ReportValue.Whole number -> number.ToString CultureInfo.InvariantCulture
    | ReportValue.Number number -> number.ToString(format, CultureInfo.InvariantCulture)
    | ReportValue.Text text -> text
    | ReportValue.Missing -> "–"

let private tries (report: Report) =
    match report.Improvement.Outcome with
    | Moved(_, tries) -> string tries
    | LineSearchFailed _ -> "failed"
    | NoGradient
    | NoCurvature -> "none"

/// The columns that are printed: the heading, the width and the cell.
let private columns: (string * int * (Report -> string)) list =
    [ "steps", 9, quantity "steps" ""
      "return", 10, quantity "meanReturn" "F2"
      "KL", 10, quantity "meanKl" "F5"
      "KL/δ", 6, quantity "klOverDelta" "F2"
      "gain", 9, quantity "surrogateGain" "F4"
      "cg", 3, quantity "cgIterations" "F0"
      "residual", 9, quantity "cgResidual" "0.0e+0"
      "tries", 6, tries
      "explained", 10, quantity "explainedVariance" "F3"
      "entropy", 8, quantity "entropy" "F3"
      "steps/s", 10, quantity "stepsPerSecond" "F0" ]

let private row cellOf =
    columns
    |> List.map (fun (heading, width, cell) -> (cellOf heading cell: string).PadLeft width)
    |> String.concat " "

let private header = row (fun heading _ -> heading)

let private line report = row (fun _ cell -> cell report)

/// Handles Ctrl-C and SIGTERM until it is disposed of. After the first signal the current iteration is finished and saved; a second
/// signal ends the process at once.
type private Interruption() =
    let mutable requested = false

    let watch signal =
        PosixSignalRegistration.Create(
            signal,
            fun (context: PosixSignalContext) ->
                context.Cancel <- not requested
                requested <- true
        )

    let registrations = [ watch PosixSignal.SIGINT; watch PosixSignal.SIGTERM ]
    member _.IsRequested = requested

    interface IDisposable with
        member _.Dispose() =
            for registration in registrations do
                registration.Dispose()

/// The setup, the initial state and the folder of the run, or a fault.
let private prepare options environment =
    result {
        let! setup = Setup.create options.Threads options.Configuration environment

        let! state =
            match options.From with
            | Some saved -> State.startFrom setup options.Seed saved.Actor
            | None -> Ok(State.start setup options.Seed)

        let! folder = RunFiles.prepare options.Folder
        return setup, state, folder
    }

/// The policy and the summary of a state, in the form that is saved.
let private saved options (setup: Setup<'State>) solved (elapsed: TimeSpan) (state: State<'State>) =
    let environment = setup.Environment

    let policy = { Environment = environment.Id; Actor = State.actor setup state }

    let summary: RunFiles.Summary =
        { Environment = environment.Id
          Seed = options.Seed
          Steps = state.Steps
          Iterations = state.Iteration
          Episodes = state.Episodes
          MeanReturn100 = State.meanReturn state
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

/// Runs iterations until the steps are made, the goal is reached, a fault occurs, or the user interrupts the run. `write` changes
/// the run's folder. Returns the exit code.
let iterate
    options
    (setup: Setup<'State>)
    (initial: State<'State>)
    (write: RunFiles.Write -> unit)
    (output: TextWriter)
    (errors: TextWriter)
    =
    let id = setup.Environment.Id
    let configuration = options.Configuration
    let clock = Stopwatch.StartNew()

    /// The mean return at which the run counts as solved.
    let goal = options.StopAt |> Option.orElse options.SolvedAt

    saved options setup false TimeSpan.Zero initial
    ||> RunFiles.beginning (settings options id)
    |> List.iter write

    use interruption = new Interruption()
    use iterations = (Training.runFor options.Steps setup initial).GetEnumerator()

    let mutable state = initial
    let mutable solved = false
    let mutable fault = None
    let mutable lastSaved = clock.Elapsed

    let save now =
        saved options setup solved now state ||> RunFiles.saving |> List.iter write
        lastSaved <- now

    output.WriteLine
        $"{id}: seed {options.Seed}, {configuration.Environments} environments × {configuration.Horizon} steps an iteration, a policy of {initial.PolicyParameters.Length} parameters"

    let continues () =
        let goalReached = options.StopAt |> Option.exists (fun goal -> State.hasReached goal state)
        fault.IsNone && not goalReached && not interruption.IsRequested

    try
        while continues () && iterations.MoveNext() do
            match iterations.Current with
            | Error found -> fault <- Some found
            | Ok(next, report) ->
                let now = clock.Elapsed
                // The line is written first: a saved state always has its line in progress.csv.
                write (RunFiles.line report)
                state <- next
                solved <- solved || (goal |> Option.exists (fun goal -> State.hasReached goal state))

                if (report.Iteration - 1) % 25 = 0 then
                    output.WriteLine header

                output.WriteLine(line report)

                for warning in report.Warnings do
                    errors.WriteLine $"Warning in iteration {report.Iteration}: {Warning.message warning}"

                if now - lastSaved >= options.SaveEvery then
                    save now
    finally
        save clock.Elapsed

    let verdict =
        match goal with
        | _ when interruption.IsRequested -> "was interrupted"
        | None -> "was trained"
        | Some goal when options.SolvedAt <> Some goal ->
            if solved then $"reached its goal of {goal}" else $"did not reach its goal of {goal}"
        | _ -> if solved then "is solved" else "is not solved"

    let mean =
        State.meanReturn state
        |> Option.map (fun mean -> $"mean return {mean:F2} over the last {state.RecentReturns.Length} episodes")
        |> Option.defaultValue "no episode has finished"

    output.WriteLine $"{id} {verdict}: {mean}, after {state.Steps} steps and {clock.Elapsed.TotalSeconds:F1} s"
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
