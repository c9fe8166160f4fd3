/// Plays the episodes of a run's final score: what its last policy reaches in episodes of its own.
///
/// score.json is written after everything else, and a run that begins or goes on removes it first. So a run with a score.json that fits to its
/// policy has reached its end, whenever a process was killed.
module FunTrpo.Cli.FinalScore

open System.IO
open FunTrpo
open FunTrpo.Plots

/// The seed of the episodes that the policy of a run with a seed plays. Each run has episodes of its own.
let seedFor (seed: int64) = seed + 1000L

let private write folder score =
    RunFolder.prepare folder
    |> Result.map (fun locked ->
        use locked = locked
        locked.Do(RunFolder.Replace(RunFiles.scoreFile, RunScore.print score)))

/// Plays episodes with the last policy of the run in a folder, as `funtrpo evaluate` does, and writes the score. Faults: those of
/// `PolicyFile.load`, `Evaluation.run` and `RunFolder.prepare`.
let make folder (environment: Environment<'State>) episodes seed =
    result {
        let! saved = PolicyFile.load (Path.Combine(folder, RunFiles.policyFile))
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
