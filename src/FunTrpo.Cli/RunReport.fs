/// The report page of a run, made from the files in its folder: report.html.
module FunTrpo.Cli.RunReport

open System
open System.Globalization
open System.IO
open System.Runtime.CompilerServices
open FunTrpo
open FunTrpo.Plots

/// The number of steps of the recorded episode at most.
let private longestEpisode = 5000

/// An episode of the policy with its pictures, or why there is none.
let private episodeOf (environment: Environment<'State>) actor seed =
    let key = Key.ofSeed seed |> Key.named "report"

    try
        if Recording.isDrawn environment key then
            match Recording.play (Environment.withTimeLimit longestEpisode environment) actor key with
            | Ok recording -> Recorded recording
            | Error fault -> NotRecorded(Fault.message fault)
        else
            NotDrawn
    with error ->
        NotRecorded(Fault.message (FailedEnvironment(error, environment.Id, 0, 0L)))

/// A number with commas.
let count (number: int64) = number.ToString("N0", CultureInfo.InvariantCulture)
let private decimal (number: float) = number.ToString("N2", CultureInfo.InvariantCulture)
let private decimalOrNone number = number |> Option.map decimal |> Option.defaultValue "–"

/// How a run has ended.
let verdict goal (summary: RunFiles.Summary) =
    let ending = $"after {count summary.Steps} environment steps"

    match goal with
    | Some goal when summary.Solved -> $"Reached its goal, a mean return of {goal} over 100 episodes, {ending}."
    | Some goal -> $"Has not reached its goal, a mean return of {goal} over 100 episodes, {ending}."
    | None -> $"Trained without a goal, {ending}."

let private facts (summary: RunFiles.Summary) =
    [ "Mean of the last 100", decimalOrNone summary.MeanReturn100
      "Best mean of 100", decimalOrNone summary.BestMeanReturn100
      match summary.Best with
      | Some best -> "Best evaluation", decimal best.Deterministic
      | None -> ()
      "Episodes", count summary.Episodes
      "Iterations", count summary.Iterations
      "Time", decimal summary.WallSeconds + " s"
      "Seed", string summary.Seed ]

let private settingsOf preset configuration =
    [ for field in Configuration.fields ->
          { Name = field.Name
            Meaning = field.Meaning
            Value = field.Get configuration
            Preset = field.Get preset } ]

/// The page of the run in a folder without its episode, and the seed of the run.
let private pageAndSeed verdict (preset: Configuration option) folder =
    let path name = Path.Combine(folder, name)
    let text name = RunFolder.tryText folder name |> Option.defaultValue ""

    result {
        let! settings = RunFiles.settings (path RunFolder.configurationFile)
        let! summary = RunFiles.summary (path RunFolder.summaryFile)
        let! configuration = Arguments.fields Configuration.standard settings.Fields
        let! progress = Progress.ofCsv (path RunFolder.progressFile) (text RunFolder.progressFile)

        let! evaluations =
            EvaluationPoint.ofCsv (path RunFolder.evaluationsFile) (text RunFolder.evaluationsFile)

        let page =
            { Environment = settings.Environment
              Verdict = verdict settings summary evaluations
              Facts = facts summary
              Progress = progress
              Evaluations = evaluations
              Settings = settingsOf (preset |> Option.defaultValue configuration) configuration
              Episode = NotDrawn }

        return page, summary.Seed
    }

/// The page of the run in a folder, without its episode. `verdict` says how the run stands. `preset` is the configuration that is tuned for the
/// environment; that of the run, if it is not known. Faults: `Damaged` for a file that is missing or is none of a run.
let page verdict preset folder = pageAndSeed verdict preset folder |> Result.map fst

/// An episode of the policy that a folder has now.
let episode folder environment seed =
    match PolicyFile.load (Path.Combine(folder, RunFolder.policyFile)) with
    | Ok saved -> episodeOf environment saved.Actor seed
    | Error fault -> NotRecorded(Fault.message fault)

// Not inlined: Plotly.NET is loaded when this function is first called, and not before.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private html solvedAt preset folder (environment: Environment<'State>) =
    let verdict (settings: RunFiles.Settings) summary _ = verdict (settings.StopAt |> Option.orElse solvedAt) summary

    result {
        let! page, seed = pageAndSeed verdict (Some preset) folder
        let! saved = PolicyFile.load (Path.Combine(folder, RunFolder.policyFile))
        return ReportPage.html { page with Episode = episodeOf environment saved.Actor seed }
    }

/// Writes report.html into the folder of a run, and says where it is. Faults: `Damaged` for a file that is missing or is none of a run.
let write solvedAt preset (folder: RunFolder.Folder) environment (output: TextWriter) =
    html solvedAt preset folder.Path environment
    |> Result.map (fun page ->
        folder.Do(RunFolder.Replace(RunFolder.reportFile, page))
        output.WriteLine $"The report is {Path.Combine(folder.Path, RunFolder.reportFile)}")

/// Does the same as `write`. If that fails, it prints a warning: the run is complete without its report.
let tryWrite solvedAt preset folder environment output (errors: TextWriter) =
    let warn (why: string) = errors.WriteLine $"Warning: the report could not be written: {why}"

    try
        match write solvedAt preset folder environment output with
        | Ok() -> ()
        | Error fault -> warn (Fault.message fault)
    with error ->
        warn (Fault.printable error.Message)
