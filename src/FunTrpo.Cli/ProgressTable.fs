/// The table of numbers that a run prints, a line for each iteration.
module FunTrpo.Cli.ProgressTable

open System.Globalization
open System.IO
open FunTrpo

/// A cell that shows a quantity of `Report.fields`; a dash if it has no value.
let private quantity name (format: string) report =
    match Report.value name report with
    | ReportValue.Whole number -> number.ToString CultureInfo.InvariantCulture
    | ReportValue.Number number -> number.ToString(format, CultureInfo.InvariantCulture)
    | ReportValue.Text text -> text
    | ReportValue.Missing -> "–"

let private tries (report: Report) =
    match report.Improvement.Outcome with
    | Moved(_, 0) -> "–" // PPO has no line search.
    | Moved(_, tries) -> string tries
    | LineSearchFailed _ -> "failed"
    | NoGradient
    | NoCurvature -> "none"

/// The columns: the heading, the width and the cell.
let private columns: (string * int * (Report -> string)) list =
    [ "steps", 9, quantity "steps" ""
      "return", 10, quantity "meanReturn" "F2"
      "KL", 10, quantity "meanKl" "F5"
      "KL/δ", 6, quantity "klOverDelta" "F2"
      "gain", 9, quantity "surrogateGain" "F4"
      "cg", 3, quantity "cgIterations" "F0"
      "residual", 9, quantity "cgResidual" "0.0e+0"
      "tries", 6, tries
      "explained", 10, quantity "explainedVariance" "F3"
      "entropy", 8, quantity "entropy" "F3"
      "steps/s", 10, quantity "stepsPerSecond" "F0" ]

let private row cellOf =
    columns
    |> List.map (fun (heading, width, cell) -> (cellOf heading cell: string).PadLeft width)
    |> String.concat " "

/// The headings.
let header = row (fun heading _ -> heading)

/// The line of an iteration.
let line report = row (fun _ cell -> cell report)

/// The line of an evaluation during training.
let evaluation (evaluation: TrainingEvaluation) isBest =
    let text (scores: Scores) = $"{scores.Mean:F2} ± {scores.Std:F2}"
    let verdict = if isBest then ", the best so far" else ""

    $"Evaluation after {evaluation.Steps} steps: mean return {text evaluation.Deterministic}, with drawn actions {text evaluation.Sampled}{verdict}"

/// The lines of the warnings of an iteration.
let warnings (report: Report) =
    [ for warning in report.Warnings do
          $"Warning in iteration {report.Iteration}: {Warning.message warning}" ]

/// Prints the line and the warnings of an iteration, under a header every 25 iterations.
let private print (output: TextWriter) (errors: TextWriter) (report: Report) =
    if (report.Iteration - 1) % 25 = 0 then
        output.WriteLine header

    output.WriteLine(line report)

    warnings report |> List.iter errors.WriteLine

/// Prints the table while the run trains, and its warnings to `errors`.
let observer (output: TextWriter) errors =
    { OnIteration = print output errors
      OnEvaluation = fun found isBest -> output.WriteLine(evaluation found isBest) }
