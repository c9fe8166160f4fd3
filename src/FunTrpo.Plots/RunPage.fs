/// The report page of a run, made of what is known of it.
module internal FunTrpo.Plots.RunPage

open System.Globalization
open System.IO
open FunTrpo
open FunTrpo.Ddpg
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

let private facts algorithm (summary: RunSummary) =
    [ "Mean of the last 100", decimalOrNone summary.MeanReturn100
      if algorithm = RunAlgorithm.OnPolicy then
          "Best mean of 100", decimalOrNone summary.BestMeanReturn100
      match summary.Best with
      | Some best -> "Best evaluation", decimal best.Deterministic
      | None -> ()
      "Episodes", count summary.Episodes
      "Iterations", count summary.Iterations
      "Time", decimal summary.WallSeconds + " s"
      "Seed", string summary.Seed ]

let private withPreset (fields: Field<'Settings> list) preset settings =
    [ for field in fields ->
          { Name = field.Name
            Meaning = field.Meaning
            Value = field.Get settings
            Preset = field.Get preset } ]

/// The settings of a run beside those of the preset of its environment. `preset` is the one for TRPO; if it is not known, each setting counts as equal
/// to it. A run of DDPG is set beside DDPG's preset, or the standard settings if there is none.
let private settingsOf (preset: Configuration option) (settings: RunSettings) =
    match settings.Algorithm with
    | RunAlgorithm.OnPolicy ->
        Arguments.fields Configuration.standard settings.Fields
        |> Result.map (fun configuration ->
            withPreset Configuration.fields (defaultArg preset configuration) configuration)
    | RunAlgorithm.Ddpg ->
        Arguments.ddpgFields DdpgSettings.standard settings.Fields
        |> Result.map (withPreset DdpgSettings.fields (DdpgPresets.orStandard settings.Environment))

// ---- The page ----

/// The page of a run without its episode. `verdict` says how the run stands. `preset` is the configuration of TRPO that is tuned for the environment,
/// if it is known. Fault: `InvalidSetting` for a setting that cannot be one.
let withoutEpisode verdict preset (run: RunRecord) evaluations =
    settingsOf preset run.Settings
    |> Result.map (fun settings ->
        { Environment = run.Settings.Environment
          Verdict = verdict
          Facts = facts run.Settings.Algorithm run.Summary
          Progress = run.Progress
          Evaluations = evaluations
          Settings = settings
          Episode = NotDrawn })

/// The page of a run that has ended. `solvedAt` is the goal of its environment, if it has one; `preset` as for `withoutEpisode`.
let ofRun solvedAt preset (run: RunRecord) evaluations episode =
    let goal = run.Settings.StopAt |> Option.orElse solvedAt

    withoutEpisode (verdict goal run.Summary) preset run evaluations
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
    ofFolder registered.SolvedAt (Some registered.Preset) folder (episodeIn registered)
