/// The page that compares runs, made from the files in their folders: for `funtrpo compare` and `funtrpo sweep`.
module FunTrpo.Cli.ComparedRuns

open System
open System.IO
open System.Runtime.CompilerServices
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Plots

/// How deep below a folder its runs are looked for. Those of a sweep are at DIR/ENVIRONMENT/SETTINGS/seed-N.
let private depth = 3

let private isRun folder =
    File.Exists(Path.Combine(folder, RunFolder.summaryFile))
    && File.Exists(Path.Combine(folder, RunFolder.configurationFile))

let rec private runsBelow depth folder =
    if isRun folder then
        [ folder ]
    elif depth = 0 then
        []
    else
        [ for inner in Directory.GetDirectories folder |> Array.sort do
              yield! runsBelow (depth - 1) inner ]

/// The folders of the runs in a folder: itself if it has a run, or else those of at most three levels below it. Fault: `Mismatch` if there is
/// none.
let foldersIn folder =
    match if Directory.Exists folder then runsBelow depth folder else [] with
    | [] -> Error(Mismatch $"there is no run in {folder}, nor in the folders of {depth} levels below it")
    | found -> Ok found

/// The environment steps after which the run in a folder reached a goal, if it did.
let stepsToGoal folder goal = RunFolder.tryText folder RunFolder.progressFile |> Option.bind (Progress.stepsToGoal goal)

/// Every setting that can change what a run learns, except for the seed.
let private settingsOf (settings: RunFiles.Settings) =
    let orNone print value = value |> Option.map print |> Option.defaultValue ""
    let endOf read = settings.Evaluation |> Option.bind read

    [ "steps", string settings.Steps
      "stopAt", orNone string settings.StopAt
      "evaluateStopAt", endOf _.StopAt |> orNone string
      "patience", endOf _.Patience |> orNone string
      "from", orNone (fun (hash: string) -> hash.Substring(0, min 8 hash.Length)) settings.StartedFrom
      yield! settings.Fields ]

let private goalOf (known: EnvironmentFiles.Known list) (settings: RunFiles.Settings) =
    settings.StopAt
    |> Option.orElseWith (fun () ->
        EnvironmentFiles.find known settings.Environment
        |> Result.toOption
        |> Option.bind _.Registered.SolvedAt)

/// The run in a folder, which the page names from the folder `from`.
let private read known (from: string) folder : Result<ComparedRun, Fault> =
    let path name = Path.Combine(folder, name)

    result {
        let! settings = RunFiles.settings (path RunFolder.configurationFile)
        let! summary = RunFiles.summary (path RunFolder.summaryFile)
        let! score = RunScore.tryRead folder summary
        let text = RunFolder.tryText folder RunFolder.progressFile |> Option.defaultValue ""
        let! progress = Progress.ofCsv (path RunFolder.progressFile) text

        return
            { Folder = Path.GetRelativePath(from, folder)
              Environment = settings.Environment
              Seed = settings.Seed
              Settings = settingsOf settings
              Progress = progress
              Score = score |> Option.map _.Mean
              MeanReturn = summary.MeanReturn100
              StepsToGoal = goalOf known settings |> Option.bind (fun goal -> Progress.stepsToGoal goal text) }
    }

/// The number of episodes of random actions, and their seed.
let private randomEpisodes, randomSeed = 100, 0L

/// The mean return of random actions; none if it cannot be found.
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
    with EnvironmentUnavailable _ ->
        None

/// What is known of the environments of the runs. Random actions are needed only where scores of several environments are put together.
let private environmentsOf (known: EnvironmentFiles.Known list) (runs: ComparedRun list) =
    let ids = runs |> List.map _.Environment |> List.distinct

    [ for one in known do
          let registered = one.Registered

          if List.contains registered.Id ids then
              { Id = registered.Id
                Goal = registered.SolvedAt
                RandomReturn = if ids.Length > 1 && registered.SolvedAt.IsSome then randomReturn registered else None
                Preset = [ for field in Configuration.fields -> field.Name, field.Get registered.Preset ] } ]

/// The page that compares the runs in these folders, which it names from the folder `from`; and the number of groups. There must be at least
/// one run. Fault: `Damaged` for a file that is none of a run.
// Not inlined: Plotly.NET is loaded when this function is first called, and not before.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let page known from folders =
    folders
    |> List.map (read known from)
    |> Result.all
    |> Result.map (fun runs -> ComparePage.html { Runs = runs; Environments = environmentsOf known runs })
