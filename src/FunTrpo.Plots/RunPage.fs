/// The report page of a run, made of what is known of it.
module internal FunTrpo.Plots.RunPage

open System.Globalization
open System.IO
open FunTrpo
open FunTrpo.Environments

// ---- The policy playing ----

/// The number of steps of the recorded episode at most.
let private longestEpisode = 5000

/// An episode of the policy with its pictures, or why there is none.
let episode (environment: Environment<'State>) actor seed =
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

/// The same in an environment that is made for it. A caller's environment may fail in any way, also when it is made or disposed of.
let episodeIn (registered: Registered) actor seed =
    try
        registered.Use
            { new EnvironmentUse<_> with
                member _.With environment = episode environment actor seed }
    with error ->
        NotRecorded(Fault.printable error.Message)

// ---- The results in words ----

/// A number with commas.
let count (number: int64) = number.ToString("N0", CultureInfo.InvariantCulture)
let private decimal (number: float) = number.ToString("N2", CultureInfo.InvariantCulture)
let private decimalOrNone number = number |> Option.map decimal |> Option.defaultValue "–"

/// How a run has ended.
let verdict goal (summary: RunSummary) =
    let ending = $"after {count summary.Steps} environment steps"

    match goal with
    | Some goal when summary.Solved -> $"Reached its goal, a mean return of {goal} over 100 episodes, {ending}."
    | Some goal -> $"Has not reached its goal, a mean return of {goal} over 100 episodes, {ending}."
    | None -> $"Trained without a goal, {ending}."

let private facts (summary: RunSummary) =
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

// ---- The page ----

/// The page of a run without its episode. `verdict` says how the run stands. `preset` is the configuration that is tuned for the environment;
/// that of the run, if it is not known. Fault: `InvalidSetting` for a setting that cannot be one.
let withoutEpisode verdict (preset: Configuration option) (run: RunRecord) evaluations =
    Arguments.fields Configuration.standard run.Settings.Fields
    |> Result.map (fun configuration ->
        { Environment = run.Settings.Environment
          Verdict = verdict
          Facts = facts run.Summary
          Progress = run.Progress
          Evaluations = evaluations
          Settings = settingsOf (preset |> Option.defaultValue configuration) configuration
          Episode = NotDrawn })

/// The page of a run that has ended. `solvedAt` is the goal of its environment, if it has one.
let ofRun solvedAt preset (run: RunRecord) evaluations episode =
    let goal = run.Settings.StopAt |> Option.orElse solvedAt

    withoutEpisode (verdict goal run.Summary) (Some preset) run evaluations
    |> Result.map (fun page -> { page with Episode = episode })

/// The evaluations of the run in a folder. Fault: `Damaged`.
let evaluationsIn folder =
    RunFiles.tryText folder RunFiles.evaluationsFile
    |> Option.defaultValue ""
    |> EvaluationPoint.ofCsv (Path.Combine(folder, RunFiles.evaluationsFile))

/// The policy that a folder has now. Faults: those of `PolicyFile.load`.
let policyIn folder = PolicyFile.load (Path.Combine(folder, RunFiles.policyFile)) |> Result.map _.Actor

/// The page of the run in a folder. `play` makes an episode of its policy, given the seed of the run. Faults: `Damaged` for a file that is missing or
/// is none of a run.
let ofFolder solvedAt preset folder (play: Actor -> int64 -> PageEpisode) =
    result {
        let! run = RunRecord.ofFolder folder
        let! evaluations = evaluationsIn folder
        let! actor = policyIn folder
        return! ofRun solvedAt preset run evaluations (play actor run.Settings.Seed)
    }

/// The same for the environment that the run has trained on.
let ofFolderIn (registered: Registered) folder =
    ofFolder registered.SolvedAt registered.Preset folder (episodeIn registered)
