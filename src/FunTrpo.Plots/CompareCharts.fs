/// The charts that compare groups of runs.
module internal FunTrpo.Plots.CompareCharts

open System.Globalization
open FunTrpo
open Plotly.NET

/// How the groups of a name are drawn: the role of the colour, the colour, the dashes of lines and the symbol of points. Colours are used again
/// with other dashes and symbols.
let styleOf index =
    let role, code = Palette.series[index % Palette.series.Length]

    let dash, symbol =
        [ StyleParam.DrawingStyle.Solid, StyleParam.MarkerSymbol.Circle
          StyleParam.DrawingStyle.Dash, StyleParam.MarkerSymbol.Diamond
          StyleParam.DrawingStyle.Dot, StyleParam.MarkerSymbol.Square ][index / Palette.series.Length % 3]

    role, code, dash, symbol

let private text (number: float) = number.ToString("G4", CultureInfo.InvariantCulture)

let private between (interval: Interval) = $"{text interval.Low} to {text interval.High}"

/// The learning curves of the groups of an environment. `index` is the place of a name among those of the page.
let learning environment goal (index: string -> int) (groups: RunGroup list) =
    let curves =
        [ for group in groups ->
              group,
              group.Runs
              |> List.map (_.Progress >> LearningCurve.ofProgress)
              |> Array.ofList
              |> LearningCurve.aggregate ]

    let drawn (group: RunGroup) (curve: LearningCurve.Aggregate) =
        let _, code, dash, _ = styleOf (index group.Name)

        Panel.unlistedBand code group.Name (curve.Steps, curve.Low, curve.High)
        @ [ Panel.dashed dash 2.0 code group.Name (curve.Steps, curve.Mean) ]
        |> Panel.together group.Name

    let goalLine =
        match goal, curves |> List.collect (fun (_, curve) -> List.ofArray curve.Steps) with
        | Some goal, (_ :: _ as steps) ->
            [ Panel.dottedLine Palette.grey "goal" ([| List.min steps; List.max steps |], [| goal; goal |]) ]
        | _ -> []

    let summary (group: RunGroup, curve: LearningCurve.Aggregate) =
        match Array.tryLast curve.Mean with
        | Some last -> $"{group.Name}: {text last} after {text (Array.last curve.Steps)} steps."
        | None -> $"{group.Name}: no steps at which all runs have a mean return."

    ReportChart(
        environment,
        "Better: a curve that rises earlier and ends higher.",
        "The mean return of the last 100 training episodes: the interquartile mean over the runs, and its 95 % bootstrap interval, at the steps at which all runs of the group have one.",
        curves |> List.map summary |> String.concat " ",
        [ Panel.overSteps "return" (List.collect (fun (group, curve) -> drawn group curve) curves @ goalLine) ]
    )

/// The rows of named numbers with their intervals, and a dashed line across at a number.
let private rows xTitle mark (numbers: (int * string * float * Interval) list) =
    let points =
        [ for row, (index, name, value, interval) in List.indexed numbers do
              let _, code, _, symbol = styleOf index
              yield! Panel.together name [ Panel.interval code symbol name row value interval ] ]

    let line =
        match mark with
        | Some(name, at: float) ->
            [ Panel.dashedLine Palette.grey name ([| at; at |], [| -0.5; float numbers.Length - 0.5 |]) ]
        | None -> []

    { XTitle = xTitle; YTitle = ""; Scale = Scale.Rows numbers.Length; Traces = points @ line }

let private inWords (numbers: (int * string * float * Interval) list) =
    [ for _, name, value, interval in numbers -> $"{name}: {text value}, {between interval}." ]
    |> String.concat " "

/// The interquartile means of the scores.
let means unit (index: string -> int) (all: NamedScores list) =
    let numbers =
        [ for named in all do
              index named.Name, named.Name, Comparison.mean named, Comparison.interval named ]

    ReportChart(
        "Interquartile means",
        "Better: further to the right. Intervals that overlap little are unlikely to be chance.",
        "The mean of the middle half of the scores, and its 95 % interval by the stratified bootstrap.",
        inWords numbers,
        [ rows unit None numbers ]
    )

/// The performance profiles.
let profiles unit (index: string -> int) (all: NamedScores list) =
    let thresholds = Comparison.thresholds all

    let profiles = [ for named in all -> named, Comparison.profile thresholds named ]

    let drawn (named: NamedScores, (share, low, high)) =
        let _, code, dash, _ = styleOf (index named.Name)

        Panel.unlistedBand code named.Name (thresholds, low, high)
        @ [ Panel.dashed dash 2.0 code named.Name (thresholds, share) ]
        |> Panel.together named.Name

    let half (named: NamedScores, (share: float[], _, _)) =
        match Array.tryFindIndexBack (fun share -> share >= 0.5) share with
        | Some i -> $"{named.Name}: half of the runs are above {text thresholds[i]}."
        | None -> $"{named.Name}: fewer than half of the runs are above the lowest score."

    ReportChart(
        "Performance profiles",
        "Better: a line above the others. Where lines cross, neither group is better in all of its runs.",
        "The share of the runs whose score is above each number, with a 95 % band.",
        profiles |> List.map half |> String.concat " ",
        [ { XTitle = unit
            YTitle = "share of runs"
            Scale = Scale.Within(-0.02, 1.02)
            Traces = List.collect drawn profiles } ]
    )

/// The probability that a run of the group with the highest interquartile mean is better than one of each other group.
let improvements (index: string -> int) (all: NamedScores list) =
    let best = all |> List.maxBy Comparison.mean

    let numbers =
        [ for other in all do
              if other <> best then
                  let probability, interval = Comparison.improvement best other
                  index other.Name, $"than {other.Name}", probability, interval ]

    ReportChart(
        "Probability of improvement",
        "The further to the right of ½, the surer.",
        $"How probable it is that a run of the group with the highest interquartile mean, {best.Name}, has a higher score than a run of each other group, with its 95 %% interval. Equal scores count half.",
        $"{best.Name} is better " + inWords numbers,
        [ rows "probability" (Some("chance", 0.5)) numbers ]
    )
