/// The page that compares runs, made of what is known of them.
module internal FunTrpo.Plots.ComparedRuns

open System
open System.IO
open FunTrpo
open FunTrpo.Ddpg
open FunTrpo.Environments

/// The folders of the runs in a folder that have a result. Fault: `Mismatch` if there is none.
let foldersIn folder =
    match FoundRuns.from folder |> List.filter FoundRuns.isComplete with
    | [] -> Error(Mismatch $"there is no run in {folder}, nor in the folders of {FoundRuns.deepest} levels below it")
    | found -> Ok found

/// The environment steps after which the run in a folder reached a goal, if it did.
let stepsToGoal folder goal = RunFiles.tryText folder RunFiles.progressFile |> Option.bind (Progress.stepsToGoal goal)

/// The fields of a run's settings. Those that its version did not have yet have their standard values.
let private fieldsOf (settings: RunSettings) =
    match settings.Algorithm with
    | RunAlgorithm.OnPolicy ->
        Arguments.fields Configuration.standard settings.Fields |> Result.map RunSettings.fieldsOf
    | RunAlgorithm.Ddpg ->
        Arguments.ddpgFields DdpgSettings.standard settings.Fields |> Result.map RunSettings.ddpgFieldsOf
    |> Result.defaultValue settings.Fields

/// Every setting that can change what a run learns, except for the seed.
let private settingsOf (settings: RunSettings) =
    let orNone print value = value |> Option.map print |> Option.defaultValue ""
    let endOf read = settings.Evaluation |> Option.bind read

    [ "steps", string settings.Steps
      "stopAt", orNone string settings.StopAt
      "evaluateStopAt", endOf _.StopAt |> orNone string
      "patience", endOf _.Patience |> orNone string
      "from", orNone (fun (hash: string) -> hash.Substring(0, min 8 hash.Length)) settings.StartedFrom
      if settings.Algorithm = RunAlgorithm.Ddpg then
          ComparedEnvironment.ruleOfDdpg
      yield! fieldsOf settings ]

let private goalOf (known: Registered list) (settings: RunSettings) =
    settings.StopAt
    |> Option.orElseWith (fun () ->
        known |> List.tryFind (fun one -> one.Id = settings.Environment) |> Option.bind _.SolvedAt)

/// A run as the page compares it. `folder` is how the page names its folder; empty if it has none. `score` is the mean return of episodes that the
/// last policy played after training, if it has played any. Without a `label`, the run is grouped by its settings.
let ofRecord known label folder score (run: RunRecord) : ComparedRun =
    { Folder = folder
      Label = label
      Environment = run.Settings.Environment
      Seed = run.Settings.Seed
      Settings = settingsOf run.Settings
      Progress = run.Progress
      Score = score
      MeanReturn = run.Summary.MeanReturn100
      StepsToGoal = goalOf known run.Settings |> Option.bind run.StepsToGoal }

/// The run in a folder, which the page names from the folder `from`.
let private read known (from: string) folder =
    result {
        let! run = RunRecord.ofFolder folder
        let! score = RunScore.tryRead folder run.Summary

        return run |> ofRecord known None (Path.GetRelativePath(from, folder)) (score |> Option.map _.Mean)
    }

/// The number of episodes of random actions, and their seed.
let private randomEpisodes, randomSeed = 100, 0L

/// The mean return of random actions; none if it cannot be found: a caller's environment may fail in any way.
let private randomReturn (registered: Registered) =
    try
        registered.Use
            { new EnvironmentUse<float option> with
                member _.With environment =
                    Evaluation.random
                        Environment.ProcessorCount
                        environment
                        randomEpisodes
                        (Key.ofSeed randomSeed |> Key.named "random")
                    |> Result.toOption
                    |> Option.map _.Mean }
    with _ ->
        None

/// What is known of the environments of the runs. Random actions are needed only where scores of several environments are put together.
let private environmentsOf (known: Registered list) (runs: ComparedRun list) =
    let ids = runs |> List.map _.Environment |> List.distinct

    [ for registered in known do
          if List.contains registered.Id ids then
              { Id = registered.Id
                Goal = registered.SolvedAt
                RandomReturn = if ids.Length > 1 && registered.SolvedAt.IsSome then randomReturn registered else None
                Preset = RunSettings.fieldsOf registered.Preset
                DdpgPreset = DdpgPresets.orStandard registered.Id |> RunSettings.ddpgFieldsOf } ]

/// The page of these runs. `known` are the environments whose goals and presets are known.
let page known runs : ComparePage = { Runs = runs; Environments = environmentsOf known runs }

/// The page that compares the runs in these folders, which it names from the folder `from`. Fault: `Damaged` for a file that is none of a run.
let ofFolders known from folders = folders |> List.map (read known from) |> Result.all |> Result.map (page known)
