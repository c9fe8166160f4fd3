/// The texts of the files that a training run writes to its folder, and the order in which it writes them.
///
/// A process can end at any moment. The order guarantees that after each `Write`
///
/// - all files belong to one run;
/// - if there is a summary.json, which is written last and removed first, policy.json is the policy that it describes, and
///   progress.csv has a line for each of its iterations, and perhaps for some later ones;
/// - if there was a policy.json before, there still is one.
module FunTrpo.Cli.RunFiles

open System
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open FunTrpo
open FunTrpo.Cli.RunFolder

/// The text of a file with this object.
let print (node: JsonObject) = node.ToJsonString(JsonSerializerOptions(WriteIndented = true)) + "\n"

/// The number as JSON, or null for none.
let numberOrNull (value: float option) = value |> Option.map (fun x -> JsonValue.Create x :> JsonNode) |> Option.toObj

/// The contents of config.json: all that is needed to repeat a run.
type Settings =
    {
        Environment: string
        /// The name of the caller's assembly that registers the environment, if it is not one of the library. A run that is repeated
        /// needs `--env-from` again: a configuration alone must not be able to run code.
        EnvironmentFrom: string option
        Seed: int64
        Steps: int64
        StopAt: float option
        /// The SHA-256 of the parameters of the saved policy that the run started from, if there was one.
        StartedFrom: string option
        /// The number of iterations from one checkpoint to the next, if checkpoints are saved.
        CheckpointEvery: int option
        /// How the policy is evaluated while it trains, if it is.
        Evaluation: EvaluationPlan option
        /// The name and the text of every field of the configuration.
        Fields: (string * string) list
    }

/// A plan of evaluations as JSON, which `evaluationOf` reads.
let evaluationNode (plan: EvaluationPlan) =
    let node = JsonObject()
    node.Add("every", JsonValue.Create plan.Every)
    node.Add("episodes", JsonValue.Create plan.Episodes)
    node.Add("stopAt", numberOrNull plan.StopAt)

    node.Add("patience", plan.Patience |> Option.map (fun n -> JsonValue.Create n :> JsonNode) |> Option.toObj)

    node

let private settingsText settings =
    let isText = Configuration.fields |> List.map (fun field -> field.Name, field.IsText) |> Map
    let fields = JsonObject()

    for name, text in settings.Fields do
        fields.Add(name, (if isText[name] then JsonValue.Create text :> JsonNode else JsonNode.Parse text))

    let textOrNull (text: string option) =
        text |> Option.map (fun text -> JsonValue.Create text :> JsonNode) |> Option.toObj

    let node = JsonObject()
    node.Add("environment", JsonValue.Create settings.Environment)
    node.Add("environmentFrom", textOrNull settings.EnvironmentFrom)
    node.Add("seed", JsonValue.Create settings.Seed)
    node.Add("steps", JsonValue.Create settings.Steps)
    node.Add("stopAt", numberOrNull settings.StopAt)
    node.Add("startedFrom", textOrNull settings.StartedFrom)

    settings.CheckpointEvery
    |> Option.iter (fun every -> node.Add("checkpointEvery", JsonValue.Create every))

    settings.Evaluation |> Option.iter (fun plan -> node.Add("evaluation", evaluationNode plan))

    node.Add("configuration", fields)
    print node

/// The value of a property that is there and not null.
let required (node: JsonNode) (name: string) =
    match node[name] with
    | null -> Json.unreadable $"it has no {name}"
    | value -> value

let private numberOrNone (node: JsonNode) (name: string) = node[name] |> Option.ofObj |> Option.map _.GetValue<float>()

/// The text of a setting: that of a string, or a number or Boolean as it is written.
let textOf name (node: JsonNode) =
    match node with
    | :? JsonValue as value when value.GetValueKind() = JsonValueKind.String -> value.GetValue<string>()
    | :? JsonValue as value -> value.ToJsonString()
    | _ -> Json.unreadable $"its {name} is no value"

/// An object has no other properties than these.
let requireKnown known (node: JsonNode) =
    for KeyValue(name, _) in node.AsObject() do
        if not (List.contains name known) then
            Json.unreadable $"it has the unknown {name}{Suggestion.among known name}"

/// A value that has been checked as that of the command's option.
let orUnreadable (value: Result<'T, Fault>) =
    match value with
    | Ok value -> value
    | Error fault -> Json.unreadable (Fault.message fault)

/// The checked value of a property that is a number, or none if it is not there.
let checkedOrNone check (name: string) (node: JsonNode) =
    match node[name] with
    | null -> None
    | value -> Some(check name (value.ToJsonString()) |> orUnreadable)

/// The mean return at which training ends, if there is one.
let goalOf (node: JsonNode) =
    node["stopAt"]
    |> Option.ofObj
    |> Option.map (fun goal ->
        goal.GetValue<float>() |> ignore
        Arguments.number "stopAt" (goal.ToJsonString()) |> orUnreadable)

/// The plan of evaluations that `evaluationNode` has written.
let evaluationOf (node: JsonNode) : EvaluationPlan =
    match checkedOrNone Arguments.steps "every" node, checkedOrNone Arguments.episodes "episodes" node with
    | Some every, Some episodes ->
        { Every = every
          Episodes = episodes
          StopAt = goalOf node
          Patience = checkedOrNone Arguments.evaluations "patience" node }
    | _ -> Json.unreadable "its evaluation has no every or no episodes"

let private settingsOf (node: JsonNode) =
    requireKnown
        [ "environment"
          "environmentFrom"
          "seed"
          "steps"
          "stopAt"
          "startedFrom"
          "checkpointEvery"
          "evaluation"
          "configuration" ]
        node

    let steps = (required node "steps").GetValue<int64>()

    let textOrNone (name: string) = node[name] |> Option.ofObj |> Option.map _.GetValue<string>()

    { Environment = (required node "environment").GetValue<string>()
      EnvironmentFrom = textOrNone "environmentFrom"
      Seed = (required node "seed").GetValue<int64>()
      Steps = Arguments.steps "steps" (string steps) |> orUnreadable
      StopAt = goalOf node
      StartedFrom = textOrNone "startedFrom"
      CheckpointEvery = checkedOrNone Arguments.iterations "checkpointEvery" node
      Evaluation = node["evaluation"] |> Option.ofObj |> Option.map evaluationOf
      Fields = [ for KeyValue(name, value) in (required node "configuration").AsObject() -> name, textOf name value ] }

/// The maximum size of a config.json in bytes.
let private largestSettings = 1_000_000L

/// What `parse` makes of the object in a JSON file of a run, or `Damaged`.
let readObject (name: string) (parse: JsonNode -> 'T) path =
    let damaged why = Error(Damaged(path, why))

    let parseBytes (bytes: ReadOnlyMemory<byte>) =
        match JsonNode.Parse(bytes.Span, documentOptions = Json.strict) with
        | :? JsonObject as node -> Ok(parse node)
        | _ -> damaged $"it is not the {name} of a run"

    try
        match RegularFile.read largestSettings path with
        | Ok bytes -> parseBytes bytes
        | Error why -> damaged why
    with
    | Unreadable why -> damaged why
    | :? JsonException as error -> damaged (Json.notJson error)
    | :? FormatException
    | :? InvalidOperationException -> damaged "a field of it is not of the type that it should be"
    | :? IOException
    | :? ArgumentException
    | :? UnauthorizedAccessException as e -> damaged e.Message

/// Returns the settings in a config.json, or `Damaged`.
let settings path = readObject configurationFile settingsOf path

/// The result of a run, as in summary.json.
type Summary =
    {
        Environment: string
        Seed: int64
        Steps: int64
        Iterations: int
        Episodes: int64
        /// The mean return of the last 100 finished episodes, or of all if fewer have finished.
        MeanReturn100: float option
        /// The best mean return of 100 consecutive finished episodes, if at least 100 have finished.
        BestMeanReturn100: float option
        Solved: bool
        /// The best evaluation during training, if there were any.
        Best: EvaluationMeans option
        WallSeconds: float
        ParametersSha256: string
    }

/// The best evaluation, in summary.json and in the note of a checkpoint.
let bestNode (best: EvaluationMeans) =
    let node = JsonObject()
    node.Add("iteration", JsonValue.Create best.Iteration)
    node.Add("steps", JsonValue.Create best.Steps)
    node.Add("mean", JsonValue.Create best.Deterministic)
    node.Add("sampledMean", JsonValue.Create best.Sampled)
    node

/// The best evaluation that `bestNode` has written. Throws `Unreadable` and the exceptions of System.Text.Json.
let bestOf (node: JsonNode) : EvaluationMeans =
    { Iteration = (required node "iteration").GetValue<int>()
      Steps = (required node "steps").GetValue<int64>()
      Deterministic = (required node "mean").GetValue<float>()
      Sampled = (required node "sampledMean").GetValue<float>() }

let private summaryText summary =
    let node = JsonObject()
    node.Add("environment", JsonValue.Create summary.Environment)
    node.Add("seed", JsonValue.Create summary.Seed)
    node.Add("steps", JsonValue.Create summary.Steps)
    node.Add("iterations", JsonValue.Create summary.Iterations)
    node.Add("episodes", JsonValue.Create summary.Episodes)
    node.Add("meanReturn100", numberOrNull summary.MeanReturn100)
    node.Add("bestMeanReturn100", numberOrNull summary.BestMeanReturn100)
    node.Add("solved", JsonValue.Create summary.Solved)
    summary.Best |> Option.iter (fun best -> node.Add("best", bestNode best))
    node.Add("wallSeconds", JsonValue.Create summary.WallSeconds)
    node.Add("parametersSha256", JsonValue.Create summary.ParametersSha256)
    print node

let private summaryOf (node: JsonNode) =
    { Environment = (required node "environment").GetValue<string>()
      Seed = (required node "seed").GetValue<int64>()
      Steps = (required node "steps").GetValue<int64>()
      Iterations = (required node "iterations").GetValue<int>()
      Episodes = (required node "episodes").GetValue<int64>()
      MeanReturn100 = numberOrNone node "meanReturn100"
      BestMeanReturn100 = numberOrNone node "bestMeanReturn100"
      Solved = (required node "solved").GetValue<bool>()
      Best = node["best"] |> Option.ofObj |> Option.map bestOf
      WallSeconds = (required node "wallSeconds").GetValue<float>()
      ParametersSha256 = (required node "parametersSha256").GetValue<string>() }

/// Returns the summary in a summary.json, or `Damaged`.
let summary path = readObject summaryFile summaryOf path

let private header = Report.fields |> List.map _.Name |> String.concat ","

let private scoreColumns: (string * (Scores -> float)) list =
    [ "mean", _.Mean; "std", _.Std; "min", _.Min; "max", _.Max ]

/// The columns of evaluations.csv: the scores of the most probable actions, and those of drawn actions.
let private evaluationsHeader =
    let names = scoreColumns |> List.map fst

    [ "iteration"; "steps"; "episodes" ]
    @ names
    @ (names |> List.map (fun name -> "sampled" + string (Char.ToUpperInvariant name[0]) + name[1..]))
    |> String.concat ","

/// Appends the line of one iteration to progress.csv, with a column for each of `Report.fields`.
let line (report: Report) =
    Append(
        progressFile,
        Report.fields |> List.map (fun field -> Report.toText (field.Read report)) |> String.concat ","
    )

/// Appends the line of an evaluation to evaluations.csv.
let evaluationLine (evaluation: TrainingEvaluation) =
    let numbers scores = scoreColumns |> List.map (fun (_, read) -> Report.toText (ReportValue.Number(read scores)))

    Append(
        evaluationsFile,
        [ string evaluation.Iteration
          string evaluation.Steps
          string evaluation.Deterministic.Returns.Length ]
        @ numbers evaluation.Deterministic
        @ numbers evaluation.Sampled
        |> String.concat ","
    )

/// The write that keeps the policy with the best evaluation.
let best policy = Replace(bestFile, PolicyFile.print policy)

/// The writes that save a policy and its summary during a run.
let saving policy summary =
    [ Remove summaryFile
      Replace(policyFile, PolicyFile.print policy)
      Replace(summaryFile, summaryText summary) ]

/// The writes when a run goes on from the checkpoint of an iteration.
let resuming settings iteration policy summary =
    [ Remove scoreFile
      Remove summaryFile
      Remove reportFile
      Replace(configurationFile, settingsText settings)
      Continue(progressFile, header, iteration)
      if settings.Evaluation.IsSome then
          Continue(evaluationsFile, evaluationsHeader, iteration)
      Replace(policyFile, PolicyFile.print policy)
      Replace(summaryFile, summaryText summary) ]

/// The writes at the start of a run. They replace the files of an earlier run.
let beginning settings policy summary =
    [ Remove scoreFile
      Remove summaryFile
      Remove checkpointFile
      Remove progressFile
      Remove evaluationsFile
      Remove bestFile
      Remove reportFile
      RemoveAll(eventsFolder, eventFiles)
      Remove configurationFile
      Replace(policyFile, PolicyFile.print policy)
      Replace(configurationFile, settingsText settings)
      Start(progressFile, header)
      if settings.Evaluation.IsSome then
          Start(evaluationsFile, evaluationsHeader)
      Replace(summaryFile, summaryText summary) ]
