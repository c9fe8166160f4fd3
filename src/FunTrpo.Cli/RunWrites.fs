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

/// Whether a folder has the policy and the summary of this state of a run. The seconds do not count.
let areSaved folder (summary: RunSummary) =
    match RunSummary.ofFolder folder with
    | Ok found -> found.Steps = summary.Steps && found.ParametersSha256 = summary.ParametersSha256
    | Error _ -> false

/// The texts with which the files of a run begin.
type Texts =
    {
        /// That of config.json.
        Configuration: string
        /// The names of the columns of progress.csv.
        ProgressHeader: string
        /// Whether there is an evaluations.csv.
        HasEvaluations: bool
    }

/// The texts of a run with TRPO or PPO.
let private textsOf settings =
    { Configuration = RunSettings.print settings
      ProgressHeader = header
      HasEvaluations = settings.Evaluation.IsSome }

/// The writes when a run with these texts goes on from the checkpoint of an iteration.
let resumingWith texts iteration policy summary =
    [ Remove scoreFile
      Remove summaryFile
      Remove reportFile
      Replace(configurationFile, texts.Configuration)
      Continue(progressFile, texts.ProgressHeader, iteration)
      if texts.HasEvaluations then
          Continue(evaluationsFile, evaluationsHeader, iteration)
      Replace(policyFile, PolicyFile.print policy)
      Replace(summaryFile, RunSummary.print summary) ]

/// The writes when a run goes on from the checkpoint of an iteration.
let resuming settings = resumingWith (textsOf settings)

/// The writes at the start of a run with these texts. They replace the files of an earlier run.
let beginningWith texts policy summary =
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
      Replace(configurationFile, texts.Configuration)
      Start(progressFile, texts.ProgressHeader)
      if texts.HasEvaluations then
          Start(evaluationsFile, evaluationsHeader)
      Replace(summaryFile, RunSummary.print summary) ]

/// The writes at the start of a run. They replace the files of an earlier run.
let beginning settings = beginningWith (textsOf settings)
