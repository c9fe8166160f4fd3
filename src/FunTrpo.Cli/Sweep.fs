/// Carries out the runs of a sweep, several at a time, and tells how it goes.
module FunTrpo.Cli.Sweep

open System
open System.Diagnostics
open System.IO
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Environments
open FunTrpo.Cli.SweepPlan

/// How a run stands.
type Outcome =
    /// It has reached its end, and its policy has a score.
    | Finished of RunSummary * RunScore
    /// It ended with an error, for this reason.
    | Failed of reason: string
    /// It has not begun, or was interrupted.
    | Unfinished

let private path run name = Path.Combine(run.Options.Folder, name)

/// Whether the folder has the run that is meant, and not another one.
let private isThisRun run =
    let recorded = RunSettings.ofFolder run.Options.Folder
    recorded = Ok(Run.settings run.Options run.Chosen.Registered.Id)

/// The result of a run that has reached its end, from its folder.
let private tryFinished plan run =
    let folder = run.Options.Folder

    if File.Exists(Path.Combine(folder, RunFiles.scoreFile)) && isThisRun run then
        result {
            let! summary = RunSummary.ofFolder folder
            let! score = RunScore.tryRead folder summary
            return score |> Option.map (fun score -> summary, score)
        }
        |> Result.toOption
        |> Option.flatten
        |> Option.filter (fun (_, score) ->
            score.Episodes = plan.ScoreEpisodes && score.Seed = FinalScore.seedFor run.Options.Seed)
    else
        None

/// The runs of the plan that have not reached their end, and the results of the others.
let state plan (runs: SweepRun list) =
    [ for run in runs ->
          run,
          match tryFinished plan run with
          | Some found -> Finished found
          | None -> Unfinished ]

/// The last of the lines that a run has written to its errors, without its warnings.
let private reasonIn (errors: StringWriter) =
    let lines =
        errors.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries ||| StringSplitOptions.TrimEntries)

    lines
    |> Array.filter (fun line -> not (line.StartsWith("Warning", StringComparison.Ordinal)))
    |> Array.tryLast
    |> Option.defaultValue "it gave no reason"

/// Trains to the end, from the last checkpoint if there is one, and plays the episodes of the score.
let private complete interruption plan run (environment: Environment<'State>) =
    use errors = new StringWriter()

    let train =
        if File.Exists(path run RunFiles.checkpointFile) && isThisRun run then
            Train.resumeUntil interruption run.Options environment
        else
            Train.runUntil interruption run.Options None environment

    match train TextWriter.Null errors with
    | 0 ->
        result {
            let! score = FinalScore.make run.Options.Folder environment plan.ScoreEpisodes run.Options.Seed
            let! summary = RunSummary.ofFolder run.Options.Folder
            return Finished(summary, score)
        }
        |> Result.defaultWith (Fault.message >> Failed)
    | 130 -> Unfinished
    | _ -> Failed(reasonIn errors)

/// Carries out a run. No exception leaves: the other runs of the sweep go on.
let private carryOut interruption calls plan run =
    try
        run.Chosen.Registered.Use
            { new EnvironmentUse<Outcome> with
                member _.With environment = (calls: EnvironmentCalls).Of environment |> complete interruption plan run }
    with error ->
        Failed(Fault.printable error.Message)

/// A run in words.
let describeRun run =
    [ run.Chosen.Registered.Id; describe run.Point; $"seed {run.Options.Seed}" ]
    |> List.filter ((<>) "")
    |> String.concat " "

/// The conclusion of a run.
let private conclusion outcome =
    match outcome with
    | Finished(summary, score) ->
        let mean =
            match summary.MeanReturn100 with
            | Some mean -> $"mean return {mean:F2}"
            | None -> "no episode has finished"

        $"score {score.Mean:F2} ± {score.Std:F2}, {mean}, {summary.Steps} steps, {summary.WallSeconds:F1} s"
    | Failed reason -> $"FAILED: {reason}"
    | Unfinished -> "not finished"

/// Carries out the runs that have not reached their end, `jobs` at a time and with environments that are called so, and prints a line for each.
/// Returns all runs with how they stand.
let carryOutAll (interruption: Interruption) jobs calls plan (runs: (SweepRun * Outcome) list) (output: TextWriter) =
    let todo =
        [| for run, outcome in runs do
               if outcome = Unfinished then
                   run |]

    let finished = runs.Length - todo.Length
    let clock = Stopwatch.StartNew()
    let mutable ended = 0

    let tell run outcome =
        lock todo (fun () ->
            ended <- ended + 1
            let left = todo.Length - ended

            let rest =
                if left = 0 then
                    ""
                else
                    $"; {Duration.text (clock.Elapsed.TotalSeconds / float ended * float left)} left"

            let number = (string (finished + ended)).PadLeft((string runs.Length).Length)
            output.WriteLine $"{number}/{runs.Length}  {describeRun run}: {conclusion outcome}{rest}")

    let attempt i =
        let outcome = if interruption.IsRequested then Unfinished else carryOut interruption calls plan todo[i]

        if outcome <> Unfinished then
            tell todo[i] outcome

        todo[i].Options.Folder, outcome

    let outcomes = Parallel.map jobs todo.Length attempt |> Map

    [ for run, before in runs -> run, outcomes |> Map.tryFind run.Options.Folder |> Option.defaultValue before ]
