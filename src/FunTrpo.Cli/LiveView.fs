/// The live view of a run as text of a terminal: `render` makes it of a `LiveModel`.
module FunTrpo.Cli.LiveView

open System
open System.Globalization
open System.Text
open FunTrpo
open Spectre.Console
open Spectre.Console.Rendering

/// A piece of a line in one style.
type private Piece = { Text: string; Colour: Color }

let private plain text = { Text = text; Colour = Color.Default }
let private grey text = { Text = text; Colour = Color.Grey }
let private blue text = { Text = text; Colour = Color.Blue }
let private green text = { Text = text; Colour = Color.Green }
let private yellow text = { Text = text; Colour = Color.Yellow }

// ---- Numbers as text ----

let private whole (number: int64) = number.ToString("N0", CultureInfo.InvariantCulture)

let private decimals (format: string) (number: float) =
    if not (Double.IsFinite number) then "–"
    elif abs number >= 1e6 then number.ToString("0.###e+0", CultureInfo.InvariantCulture)
    else number.ToString(format, CultureInfo.InvariantCulture)

/// A return.
let private score = decimals "F2"

// ---- Graphs ----

/// A bar of this many cells, of which a share in [0, 1] is full.
let private bar colour (share: float) width =
    let full = if Double.IsFinite share then int (round (Math.Clamp(share, 0.0, 1.0) * float width)) else 0
    [ colour (String('━', full)); grey (String('─', width - full)) ]

let private levels = "▁▂▃▄▅▆▇█"

/// The numbers of a series as columns between low and high. A number that is not finite is a gap.
let private sparkline low high series width =
    let columns = StringBuilder()

    for number in Series.inParts width series do
        let height = if high > low then (number - low) / (high - low) else 0.5

        if Double.IsFinite height then
            columns.Append levels[int (Math.Clamp(height * 8.0, 0.0, 7.0))] |> ignore
        else
            columns.Append ' ' |> ignore

    [ blue (columns.ToString().PadRight width) ]

// ---- Lines ----

/// A name, a graph for a number of cells, and a value.
type private Row = { Name: string; Graph: int -> Piece list; Value: Piece }

/// The columns of the names.
let private nameWidth = 8

/// Graphs are left out if fewer columns are left for them.
let private narrowestGraph = 6

/// The rows as lines. Their graphs have the same width.
let private graphLines width (rows: Row list) =
    let left = width - nameWidth - 1 - (rows |> List.map _.Value.Text.Length |> List.max)

    [ for row in rows ->
          grey (row.Name.PadRight nameWidth)
          :: (if left >= narrowestGraph then row.Graph left @ [ plain " " ] else [])
          @ [ row.Value ] ]

/// The texts one behind the other, in as many lines as that takes.
let private wrapped (colour: string -> Piece) width (texts: string list) =
    let add lines text =
        match lines with
        | (line: string) :: earlier when line.Length + 3 + String.length text <= width -> $"{line} · {text}" :: earlier
        | _ -> text :: lines

    texts |> List.fold add [] |> List.rev |> List.map (fun line -> [ colour line ])

/// The line in at most this many columns.
let private cropped width (pieces: Piece list) =
    let mutable left = width

    [ for piece in pieces do
          let text =
              if piece.Text.Length <= left then piece.Text
              elif left > 0 then piece.Text.Substring(0, left - 1) + "…"
              else ""

          left <- left - text.Length
          Segment(text, Style(Nullable piece.Colour)) ]

// ---- The view ----

let private steps (model: LiveModel) =
    let share = LiveModel.share model
    let percent = (100.0 * share).ToString("F0", CultureInfo.InvariantCulture)

    { Name = "steps"
      Graph = bar blue share
      Value = plain $"{percent} %% · {whole (LiveModel.steps model)} of {whole model.Budget}" }

let private currentReturn (model: LiveModel) =
    match model.Latest with
    | Some { MeanReturn = Some mean } -> mean
    | _ -> nan

let private returns (model: LiveModel) =
    let struct (low, high) = Series.extremes model.Returns

    { Name = "return"
      Graph = sparkline low high model.Returns
      Value = plain $"{score (currentReturn model)} ({score low} … {score high})" }

/// The mean return on its way to the goal, from the lowest one.
let private goal (model: LiveModel) (target: float) =
    let current = currentReturn model
    let struct (low, _) = Series.extremes model.Returns
    let isReached = current >= target
    let share = if isReached then 1.0 else (current - low) / (target - low)
    let colour = if isReached then green else blue
    let verdict = if isReached then ", reached" else ""

    { Name = "goal"
      Graph = bar colour share
      Value = colour $"{score current} of {score target}{verdict}" }

let private kl (model: LiveModel) =
    let nats, delta =
        match model.Latest with
        | Some report -> report.Improvement.Comparison.MeanKl, report.Delta
        | None -> nan, nan

    let text = decimals "F5"

    if Double.IsInfinity delta then
        let struct (_, high) = Series.extremes model.Kls
        { Name = "KL"; Graph = sparkline 0.0 high model.Kls; Value = plain (text nats) }
    else
        { Name = "KL / δ"
          Graph = sparkline 0.0 1.0 model.Kls
          Value = plain $"{text nats} of {text delta}" }

let private quantity name format report =
    match Report.value name report with
    | ReportValue.Whole number -> whole number
    | ReportValue.Number number -> decimals format number
    | ReportValue.Text text -> text
    | ReportValue.Missing -> "–"

let private facts (model: LiveModel) width =
    let ofLatest name format = model.Latest |> Option.map (quantity name format) |> Option.defaultValue "–"

    wrapped
        plain
        width
        [ match LiveModel.secondsLeft model with
          | Some seconds -> $"at most {Duration.text seconds} left"
          | None -> ()
          $"""{ofLatest "stepsPerSecond" "N0"} steps/s"""
          $"""explained variance {ofLatest "explainedVariance" "F3"}"""
          $"""entropy {ofLatest "entropy" "F3"}""" ]

let private refused (model: LiveModel) width =
    if model.Refused = 0 then
        []
    else
        wrapped yellow width [ $"{model.Refused} of {model.Returns.Count} steps were refused" ]

let private evaluation (model: LiveModel) width =
    match model.Evaluation with
    | None -> []
    | Some(evaluation, isBest) ->
        let scores = evaluation.Deterministic

        wrapped
            plain
            width
            [ $"evaluation {score scores.Mean} ± {score scores.Std}"
              $"{score evaluation.Sampled.Mean} with drawn actions"
              $"after {whole evaluation.Steps} steps"
              if isBest then
                  "the best so far" ]

/// The view in lines of at most this many columns.
let render (model: LiveModel) (width: int) : IRenderable =
    let rows =
        [ steps model
          returns model
          match model.Goal with
          | Some target -> goal model target
          | None -> ()
          kl model ]

    let lines = graphLines width rows @ facts model width @ refused model width @ evaluation model width

    { new IRenderable with
        member _.Measure(_, _) = Measurement(width, width)

        member _.Render(_, _) =
            seq {
                for line in lines do
                    yield! cropped width line
                    Segment.LineBreak
            } }
