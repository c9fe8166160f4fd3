namespace FunTrpo.Plots

open System.IO
open System.Text.Json.Nodes

/// What the last policy of a run reached in episodes of its own: the contents of its score.json.
type RunScore =
    {
        Episodes: int
        /// The seed of the episodes: `funtrpo evaluate --seed` plays the same ones.
        Seed: int64
        Mean: float
        /// The population standard deviation.
        Std: float
        /// The SHA-256 of the parameters of the policy that played.
        ParametersSha256: string
    }

module RunScore =

    /// The text of a score.json.
    let internal print score =
        let node = JsonObject()
        node.Add("episodes", JsonValue.Create score.Episodes)
        node.Add("seed", JsonValue.Create score.Seed)
        node.Add("mean", JsonValue.Create score.Mean)
        node.Add("std", JsonValue.Create score.Std)
        node.Add("parametersSha256", JsonValue.Create score.ParametersSha256)
        RunJson.print node

    let private ofNode (node: JsonNode) =
        { Episodes = (RunJson.required node "episodes").GetValue<int>()
          Seed = (RunJson.required node "seed").GetValue<int64>()
          Mean = (RunJson.required node "mean").GetValue<float>()
          Std = (RunJson.required node "std").GetValue<float>()
          ParametersSha256 = (RunJson.required node "parametersSha256").GetValue<string>() }

    /// The score of the run in a folder, if it has one that is about the parameters of its summary. Fault: `Damaged`.
    let tryRead folder (summary: RunSummary) =
        let path = Path.Combine(folder, RunFiles.scoreFile)

        if File.Exists path then
            RunJson.read RunFiles.scoreFile ofNode path
            |> Result.map (fun score -> if score.ParametersSha256 = summary.ParametersSha256 then Some score else None)
        else
            Ok None
