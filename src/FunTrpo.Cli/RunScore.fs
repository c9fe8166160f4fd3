/// The score of a run of a sweep: what its last policy reaches in episodes of its own.
///
/// score.json is written after everything else, and a run that begins or goes on removes it first. So a run with a score.json that fits to its
/// policy has reached its end, whenever a process was killed.
module FunTrpo.Cli.RunScore

open System.IO
open System.Text.Json.Nodes
open FunTrpo

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

/// The seed of the episodes that the policy of a run with a seed plays. Each run has episodes of its own.
let seedFor (seed: int64) = seed + 1000L

let private text score =
    let node = JsonObject()
    node.Add("episodes", JsonValue.Create score.Episodes)
    node.Add("seed", JsonValue.Create score.Seed)
    node.Add("mean", JsonValue.Create score.Mean)
    node.Add("std", JsonValue.Create score.Std)
    node.Add("parametersSha256", JsonValue.Create score.ParametersSha256)
    RunFiles.print node

let private ofNode (node: JsonNode) =
    { Episodes = (RunFiles.required node "episodes").GetValue<int>()
      Seed = (RunFiles.required node "seed").GetValue<int64>()
      Mean = (RunFiles.required node "mean").GetValue<float>()
      Std = (RunFiles.required node "std").GetValue<float>()
      ParametersSha256 = (RunFiles.required node "parametersSha256").GetValue<string>() }

/// The score of the run in a folder, if it has one that is about the parameters of its summary. Fault: `Damaged`.
let tryRead folder (summary: RunFiles.Summary) =
    let path = Path.Combine(folder, RunFolder.scoreFile)

    if File.Exists path then
        RunFiles.readObject RunFolder.scoreFile ofNode path
        |> Result.map (fun score -> if score.ParametersSha256 = summary.ParametersSha256 then Some score else None)
    else
        Ok None

let private write folder score =
    RunFolder.prepare folder
    |> Result.map (fun locked ->
        use locked = locked
        locked.Do(RunFolder.Replace(RunFolder.scoreFile, text score)))

/// Plays episodes with the last policy of the run in a folder, as `funtrpo evaluate` does, and writes the score. Faults: those of
/// `PolicyFile.load`, `Evaluation.run` and `RunFolder.prepare`.
let make folder (environment: Environment<'State>) episodes seed =
    result {
        let! saved = PolicyFile.load (Path.Combine(folder, RunFolder.policyFile))
        let seed = seedFor seed
        let! scores = Evaluation.run 1 environment saved.Actor episodes (Key.ofSeed seed)

        let score =
            { Episodes = episodes
              Seed = seed
              Mean = scores.Mean
              Std = scores.Std
              ParametersSha256 = Sha256.ofParameters saved.Actor.Parameters }

        do! write folder score
        return score
    }
