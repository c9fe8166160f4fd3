/// What a sweep consists of: every environment with every point of a grid of settings and every seed.
module FunTrpo.Cli.SweepPlan

open System
open System.IO
open FunTrpo
open FunTrpo.Plots

type SweepPlan =
    {
        /// The ids of the environments.
        Environments: string list
        Seeds: int64 list
        /// The settings that vary, each with its values as texts.
        Grid: (string * string list) list
        /// The settings that differ from the presets and are the same in all runs.
        Set: (string * string) list
        /// The environment steps of a run; none for those that the preset of each environment is tuned for.
        Steps: int64 option
        /// The mean return of the last 100 training episodes at which a run ends.
        StopAt: float option
        /// The number of iterations from one checkpoint to the next, if checkpoints are saved.
        CheckpointEvery: int option
        /// How policies are evaluated while they train, if they are.
        Evaluation: EvaluationPlan option
        /// The number of episodes that the last policy of a run plays for its score.
        ScoreEpisodes: int
    }

/// A run of a sweep.
type SweepRun =
    {
        Chosen: EnvironmentFiles.Known
        /// The settings of the grid, in its order.
        Point: (string * string) list
        Options: Run.Options
    }

/// The largest number of runs.
let private mostRuns = 100_000

/// Every combination of the values of a grid: the last setting changes first.
let points (grid: (string * string list) list) =
    (grid, [ [] ])
    ||> List.foldBack (fun (name, values) rest ->
        [ for value in values do
              for point in rest -> (name, value) :: point ])

/// The point of a grid as a text, such as `delta=0.01,gamma=0.99`; empty for that of an empty grid.
let describe (point: (string * string) list) =
    point |> List.map (fun (name, value) -> $"{name}={value}") |> String.concat ","

/// A text as the name of a folder: unusual characters, and a dot in front, as their codes, so that different texts have different names.
let private folderName (text: string) =
    let isUsual i c = Char.IsAsciiLetterOrDigit c || "=,+-_".Contains c || (c = '.' && i > 0)

    text
    |> Seq.mapi (fun i c -> if isUsual i c then string c else "%" + (int c).ToString "X2")
    |> String.concat ""

/// The folder of a run, inside that of the sweep: ENVIRONMENT/SETTINGS/seed-N, without the middle part for an empty grid.
let folderOf id point (seed: int64) =
    [ id; describe point; $"seed-{seed}" ]
    |> List.filter ((<>) "")
    |> List.map folderName
    |> Array.ofList
    |> Path.Combine

let private requireDistinct option (items: 'Item list) =
    match items |> List.countBy id |> List.tryFind (fun (_, count) -> count > 1) with
    | Some(item, _) -> Error(InvalidSetting(option, string item, "it is there twice"))
    | None when items.IsEmpty -> Error(InvalidSetting(option, "", "there must be at least one"))
    | None -> Ok()

/// The text that a field prints for a value, so that 0.010 is 0.01.
let private canonical name text =
    Arguments.fields Configuration.standard [ name, text ]
    |> Result.map (fun configuration ->
        let field = Configuration.fields |> List.find (fun field -> field.Name = name)
        field.Get configuration)

/// The plan with its values in the form in which fields print them, if it can be carried out as far as its own values tell. Fault:
/// `InvalidSetting`.
let normalised plan =
    result {
        do! requireDistinct "--env" plan.Environments
        do! requireDistinct "--seeds" plan.Seeds

        do!
            if plan.Grid.IsEmpty && plan.Set.IsEmpty then
                Ok()
            else
                requireDistinct "--grid and --set" (List.map fst plan.Grid @ List.map fst plan.Set)

        let! grid =
            [ for name, values in plan.Grid ->
                  values
                  |> List.map (canonical name)
                  |> Result.all
                  |> Result.bind (fun values ->
                      requireDistinct $"--grid {name}" values |> Result.map (fun () -> name, values)) ]
            |> Result.all

        let! fixedSettings =
            [ for name, value in plan.Set -> canonical name value |> Result.map (fun value -> name, value) ]
            |> Result.all

        let count =
            grid
            |> List.map (snd >> List.length >> int64)
            |> List.fold (*) (int64 plan.Environments.Length * int64 plan.Seeds.Length)

        if count > int64 mostRuns then
            return! Error(Mismatch $"the sweep has {count} runs, and at most {mostRuns} are allowed")
        else
            return { plan with Grid = grid; Set = fixedSettings }
    }

let private optionsOf plan (chosen: EnvironmentFiles.Known) point folder seed : Result<Run.Options, Fault> =
    let registered = chosen.Registered

    Arguments.fields registered.Preset (plan.Set @ point)
    |> Result.bind Configuration.validate
    |> Result.map (fun configuration ->
        { Seed = seed
          Steps = defaultArg plan.Steps registered.Steps
          StopAt = plan.StopAt
          SolvedAt = registered.SolvedAt
          EnvironmentFrom = chosen.File |> Option.map Path.GetFileName
          Folder = Path.Combine(folder, folderOf registered.Id point seed)
          SaveEvery = TimeSpan.FromSeconds 1.0
          CheckpointEvery = plan.CheckpointEvery
          Evaluation = plan.Evaluation
          Threads = 1
          Workers = None
          Configuration = configuration
          Preset = registered.Preset
          IsLive = false
          HasReport = false
          HasEvents = false
          StartedFrom = None })

/// The runs of a plan that is `normalised`, in a folder. Faults: an environment that is not known, or settings that it cannot have.
let runs (known: EnvironmentFiles.Known list) folder plan =
    result {
        let! environments = plan.Environments |> List.map (EnvironmentFiles.find known) |> Result.all

        return!
            [ for chosen in environments do
                  for point in points plan.Grid do
                      for seed in plan.Seeds ->
                          optionsOf plan chosen point folder seed
                          |> Result.map (fun options -> { Chosen = chosen; Point = point; Options = options }) ]
            |> Result.all
    }

/// What keeps the runs of an earlier plan from being runs of a plan, if anything does: a plan may have more environments, seeds and values of
/// the grid than the earlier one, and must agree in all else.
let difference earlier plan =
    let orNone print value = value |> Option.map print |> Option.defaultValue "none"

    let missing what earlier now =
        match List.except now earlier with
        | [] -> None
        | lost -> Some $"""it has {what} {lost |> List.map string |> String.concat ", "}, which is missing here"""

    let changed what earlier now = if earlier = now then None else Some $"its {what} is {earlier}, and here it is {now}"

    let set settings = if List.isEmpty settings then "none" else describe (List.sort settings)

    let evaluation plan = orNone (fun found -> (RunSettings.evaluationNode found).ToJsonString()) plan.Evaluation

    [ missing "the environment" earlier.Environments plan.Environments
      missing "the seed" earlier.Seeds plan.Seeds
      changed
          "grid"
          (earlier.Grid |> List.map fst |> String.concat " × ")
          (plan.Grid |> List.map fst |> String.concat " × ")
      for name, values in earlier.Grid do
          plan.Grid
          |> List.tryFind (fst >> (=) name)
          |> Option.bind (fun (_, now) -> missing $"{name} =" values now)
      changed "set" (set earlier.Set) (set plan.Set)
      changed "steps" (orNone string earlier.Steps) (orNone string plan.Steps)
      changed "stopAt" (orNone string earlier.StopAt) (orNone string plan.StopAt)
      changed "checkpointEvery" (orNone string earlier.CheckpointEvery) (orNone string plan.CheckpointEvery)
      changed "evaluation" (evaluation earlier) (evaluation plan)
      changed "scoreEpisodes" (string earlier.ScoreEpisodes) (string plan.ScoreEpisodes) ]
    |> List.choose id
    |> List.tryHead
