namespace FunTrpo.Plots

open System.IO
open System.Text.Json.Nodes
open FunTrpo

/// The result of a run: the contents of its summary.json.
type RunSummary =
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

module RunSummary =

    /// The best evaluation, in summary.json and in the note of a checkpoint.
    let internal bestNode (best: EvaluationMeans) =
        let node = JsonObject()
        node.Add("iteration", JsonValue.Create best.Iteration)
        node.Add("steps", JsonValue.Create best.Steps)
        node.Add("mean", JsonValue.Create best.Deterministic)
        node.Add("sampledMean", JsonValue.Create best.Sampled)
        node

    /// The best evaluation that `bestNode` has written. Throws `Unreadable` and the exceptions of System.Text.Json.
    let internal bestOf (node: JsonNode) : EvaluationMeans =
        { Iteration = (RunJson.required node "iteration").GetValue<int>()
          Steps = (RunJson.required node "steps").GetValue<int64>()
          Deterministic = (RunJson.required node "mean").GetValue<float>()
          Sampled = (RunJson.required node "sampledMean").GetValue<float>() }

    /// The text of a summary.json.
    let internal print summary =
        let node = JsonObject()
        node.Add("environment", JsonValue.Create summary.Environment)
        node.Add("seed", JsonValue.Create summary.Seed)
        node.Add("steps", JsonValue.Create summary.Steps)
        node.Add("iterations", JsonValue.Create summary.Iterations)
        node.Add("episodes", JsonValue.Create summary.Episodes)
        node.Add("meanReturn100", RunJson.numberOrNull summary.MeanReturn100)
        node.Add("bestMeanReturn100", RunJson.numberOrNull summary.BestMeanReturn100)
        node.Add("solved", JsonValue.Create summary.Solved)
        summary.Best |> Option.iter (fun best -> node.Add("best", bestNode best))
        node.Add("wallSeconds", JsonValue.Create summary.WallSeconds)
        node.Add("parametersSha256", JsonValue.Create summary.ParametersSha256)
        RunJson.print node

    let private ofNode (node: JsonNode) =
        let required name = RunJson.required node name

        { Environment = (required "environment").GetValue<string>()
          Seed = (required "seed").GetValue<int64>()
          Steps = (required "steps").GetValue<int64>()
          Iterations = (required "iterations").GetValue<int>()
          Episodes = (required "episodes").GetValue<int64>()
          MeanReturn100 = RunJson.numberOrNone node "meanReturn100"
          BestMeanReturn100 = RunJson.numberOrNone node "bestMeanReturn100"
          Solved = (required "solved").GetValue<bool>()
          Best = node["best"] |> Option.ofObj |> Option.map bestOf
          WallSeconds = (required "wallSeconds").GetValue<float>()
          ParametersSha256 = (required "parametersSha256").GetValue<string>() }

    /// The summary in a summary.json, or `Damaged`.
    let read path = RunJson.read RunFiles.summaryFile ofNode path

    /// The summary of the run in a folder, or `Damaged`.
    let ofFolder folder = read (Path.Combine(folder, RunFiles.summaryFile))
