/// What a training run writes to its folder, and in which order.
///
/// A process can end at any moment. The order guarantees that after each `Write`
///
/// - all files belong to one run;
/// - if there is a summary.json, which is written last and removed first, policy.json is the policy that it describes, and
///   progress.csv has a line for each of its iterations, and perhaps for some later ones;
/// - if there was a policy.json before, there still is one.
module FunTrpo.Cli.RunWrites

open System
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Plots.RunFiles
open FunTrpo.Cli.RunFolder

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
      Replace(summaryFile, RunSummary.print summary) ]

/// The writes when a run goes on from the checkpoint of an iteration.
let resuming settings iteration policy summary =
    [ Remove scoreFile
      Remove summaryFile
      Remove reportFile
      Replace(configurationFile, RunSettings.print settings)
      Continue(progressFile, header, iteration)
      if settings.Evaluation.IsSome then
          Continue(evaluationsFile, evaluationsHeader, iteration)
      Replace(policyFile, PolicyFile.print policy)
      Replace(summaryFile, RunSummary.print summary) ]

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
      Replace(configurationFile, RunSettings.print settings)
      Start(progressFile, header)
      if settings.Evaluation.IsSome then
          Start(evaluationsFile, evaluationsHeader)
      Replace(summaryFile, RunSummary.print summary) ]
