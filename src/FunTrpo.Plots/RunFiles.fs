/// The files in the folder of a run: their names, and their texts.
module internal FunTrpo.Plots.RunFiles

open System.IO
open FunTrpo

let policyFile = "policy.json"
let configurationFile = "config.json"
let progressFile = "progress.csv"
let summaryFile = "summary.json"

/// The scores of the evaluations during training.
let evaluationsFile = "evaluations.csv"

/// The policy with the best evaluation.
let bestFile = "best.policy"

/// The page that shows the run.
let reportFile = "report.html"

/// The score of the run's last policy, in a sweep.
let scoreFile = "score.json"

/// The last checkpoint.
let checkpointFile = "checkpoint"

/// A file in a run's folder, which another process may be writing to; none if there is no such file. Throws the exceptions of the file system.
let tryOpen (folder: string) (name: string) =
    let path = Path.Combine(folder, name)

    if File.Exists path && (RegularFile.reasonAgainst path).IsNone then
        Some(new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite ||| FileShare.Delete))
    else
        None

/// The text of such a file.
let tryText folder name =
    tryOpen folder name
    |> Option.map (fun stream ->
        use reader = new StreamReader(stream)
        reader.ReadToEnd())
