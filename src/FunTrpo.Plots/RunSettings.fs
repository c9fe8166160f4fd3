namespace FunTrpo.Plots

open System.IO
open System.Text.Json.Nodes
open FunTrpo
open FunTrpo.Ddpg

/// All that is needed to repeat a run: the contents of its config.json.
type RunSettings =
    {
        Algorithm: RunAlgorithm
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
        /// The name and the text of every field of the algorithm's settings.
        Fields: (string * string) list
    }

module RunSettings =

    /// What config.json calls DDPG. Runs whose settings are a `Configuration` have no `algorithm`.
    let private ddpg = "ddpg"

    /// The name and the text of every field of a configuration.
    let internal fieldsOf configuration = [ for field in Configuration.fields -> field.Name, field.Get configuration ]

    /// The name and the text of every field of DDPG's settings.
    let internal ddpgFieldsOf settings = [ for field in DdpgSettings.fields -> field.Name, field.Get settings ]

    /// A plan of evaluations as JSON, which `evaluationOf` reads.
    let internal evaluationNode (plan: EvaluationPlan) =
        let node = JsonObject()
        node.Add("every", JsonValue.Create plan.Every)
        node.Add("episodes", JsonValue.Create plan.Episodes)
        node.Add("stopAt", RunJson.numberOrNull plan.StopAt)

        node.Add("patience", plan.Patience |> Option.map (fun n -> JsonValue.Create n :> JsonNode) |> Option.toObj)

        node

    /// The text of a config.json.
    let internal print settings =
        let isText = RunAlgorithm.areTexts settings.Algorithm
        let fields = JsonObject()

        for name, text in settings.Fields do
            fields.Add(name, (if isText[name] then JsonValue.Create text :> JsonNode else JsonNode.Parse text))

        let textOrNull (text: string option) =
            text |> Option.map (fun text -> JsonValue.Create text :> JsonNode) |> Option.toObj

        let node = JsonObject()

        if settings.Algorithm = RunAlgorithm.Ddpg then
            node.Add("algorithm", JsonValue.Create ddpg)

        node.Add("environment", JsonValue.Create settings.Environment)
        node.Add("environmentFrom", textOrNull settings.EnvironmentFrom)
        node.Add("seed", JsonValue.Create settings.Seed)
        node.Add("steps", JsonValue.Create settings.Steps)
        node.Add("stopAt", RunJson.numberOrNull settings.StopAt)
        node.Add("startedFrom", textOrNull settings.StartedFrom)

        settings.CheckpointEvery
        |> Option.iter (fun every -> node.Add("checkpointEvery", JsonValue.Create every))

        settings.Evaluation |> Option.iter (fun plan -> node.Add("evaluation", evaluationNode plan))

        node.Add("configuration", fields)
        RunJson.print node

    /// The mean return at which training ends, if there is one.
    let internal goalOf (node: JsonNode) =
        node["stopAt"]
        |> Option.ofObj
        |> Option.map (fun goal ->
            goal.GetValue<float>() |> ignore
            Arguments.number "stopAt" (goal.ToJsonString()) |> RunJson.orUnreadable)

    /// The plan of evaluations that `evaluationNode` has written.
    let internal evaluationOf (node: JsonNode) : EvaluationPlan =
        let every = RunJson.checkedOrNone Arguments.steps "every" node

        match every, RunJson.checkedOrNone Arguments.episodes "episodes" node with
        | Some every, Some episodes ->
            { Every = every
              Episodes = episodes
              StopAt = goalOf node
              Patience = RunJson.checkedOrNone Arguments.evaluations "patience" node }
        | _ -> Json.unreadable "its evaluation has no every or no episodes"

    let private algorithmOf (node: JsonNode) =
        match node["algorithm"] with
        | null -> RunAlgorithm.OnPolicy
        | name when name.GetValue<string>() = ddpg -> RunAlgorithm.Ddpg
        | name -> Json.unreadable $"its algorithm {name.ToJsonString()} is unknown"

    /// The fields that runs of an algorithm cannot have.
    let private foreign algorithm =
        match algorithm with
        | RunAlgorithm.OnPolicy -> []
        | RunAlgorithm.Ddpg -> [ "stopAt"; "startedFrom"; "evaluation" ]

    let private ofNode (node: JsonNode) =
        let required name = RunJson.required node name
        let algorithm = algorithmOf node

        for name in foreign algorithm do
            if not (isNull node[name]) then
                Json.unreadable $"a run of DDPG has no {name}"

        RunJson.requireKnown
            [ "algorithm"
              "environment"
              "environmentFrom"
              "seed"
              "steps"
              "stopAt"
              "startedFrom"
              "checkpointEvery"
              "evaluation"
              "configuration" ]
            node

        let steps = (required "steps").GetValue<int64>()

        let textOrNone (name: string) = node[name] |> Option.ofObj |> Option.map _.GetValue<string>()

        { Algorithm = algorithm
          Environment = (required "environment").GetValue<string>()
          EnvironmentFrom = textOrNone "environmentFrom"
          Seed = (required "seed").GetValue<int64>()
          Steps = Arguments.steps "steps" (string steps) |> RunJson.orUnreadable
          StopAt = goalOf node
          StartedFrom = textOrNone "startedFrom"
          CheckpointEvery = RunJson.checkedOrNone Arguments.iterations "checkpointEvery" node
          Evaluation = node["evaluation"] |> Option.ofObj |> Option.map evaluationOf
          Fields =
            [ for KeyValue(name, value) in (required "configuration").AsObject() -> name, RunJson.textOf name value ] }

    /// The settings in a config.json, or `Damaged`.
    let read path = RunJson.read RunFiles.configurationFile ofNode path

    /// The settings of the run in a folder, or `Damaged`.
    let ofFolder folder = read (Path.Combine(folder, RunFiles.configurationFile))
