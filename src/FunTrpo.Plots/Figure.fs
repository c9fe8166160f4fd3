/// Panels side by side and below each other, as one chart.
module internal FunTrpo.Plots.Figure

open Plotly.NET
open Plotly.NET.LayoutObjects

/// The share of a row or column that is left free between two panels.
let private gap = 0.3

/// The range of the place at an index, of `count` places in all.
let private domain count index =
    let size = 1.0 / (float count + gap * float (count - 1))
    let start = float index * size * (1.0 + gap)
    start, min 1.0 (start + size)

let private axis title =
    LinearAxis.init (
        Title = Title.init (Text = title, Standoff = 6),
        GridColor = Palette.colour Palette.grid,
        ZeroLineColor = Palette.colour Palette.faint
    )

/// The axis across of the panel with a number. It is zoomed together with that of the first panel with the same quantity.
let private xAxis (panels: Panel list) number hasTitle range =
    let panel = panels[number - 1]
    let first = 1 + List.findIndex (fun (other: Panel) -> other.XTitle = panel.XTitle) panels
    let made = axis (if hasTitle then panel.XTitle else "")

    made
    |> LinearAxis.style (
        Domain = StyleParam.Range.ofMinMax range,
        Anchor = StyleParam.LinearAxisId.Y number,
        ShowTickLabels = hasTitle,
        ?Matches = (if first = number then None else Some(StyleParam.LinearAxisId.X first))
    )

let private yAxis (panel: Panel) number range =
    let made =
        axis panel.YTitle
        |> LinearAxis.style (Domain = StyleParam.Range.ofMinMax range, Anchor = StyleParam.LinearAxisId.X number)

    match panel.Scale with
    | Scale.Linear -> made
    | Scale.FromZero -> made |> LinearAxis.style (RangeMode = StyleParam.RangeMode.ToZero)
    | Scale.Within(low, high) -> made |> LinearAxis.style (Range = StyleParam.Range.ofMinMax (low, high))
    | Scale.Rows count ->
        made
        |> LinearAxis.style (
            Range = StyleParam.Range.ofMinMax (float count - 0.4, -0.6),
            ShowTickLabels = false,
            ShowGrid = false,
            ZeroLine = false
        )
    | Scale.Logarithmic ->
        made
        |> LinearAxis.style (
            AxisType = StyleParam.AxisType.Log,
            ExponentFormat = StyleParam.ExponentFormat.Power,
            NTicks = 4
        )

let private legend () =
    Legend.init (Orientation = StyleParam.Orientation.Horizontal, YAnchor = StyleParam.YAnchorPosition.Bottom)

let private layout top =
    Layout.init (
        PaperBGColor = Palette.colour Palette.ground,
        PlotBGColor = Palette.colour Palette.ground,
        Font = Font.init (Color = Palette.colour Palette.text, Size = 12.0),
        Margin = Margin.init (Left = 56, Right = 8, Top = top, Bottom = 40),
        HoverMode = StyleParam.HoverMode.Closest
    )

/// The layout with the axes of the panels, which are in rows of this many columns. `hasLabels` says of which panels the labels across are
/// shown.
let private withAxes columns hasLabels (panels: Panel list) layout =
    let rows = (panels.Length + columns - 1) / columns

    let add layout (index, panel) =
        let number = index + 1
        let x = xAxis panels number (hasLabels index) (domain columns (index % columns))
        let y = yAxis panel number (domain rows (rows - 1 - index / columns))

        layout
        |> Layout.updateLinearAxisById (StyleParam.SubPlotId.XAxis number, x)
        |> Layout.updateLinearAxisById (StyleParam.SubPlotId.YAxis number, y)

    List.fold add layout (List.indexed panels)

/// The traces of the panels. One that is alone in its panel is not in a legend: the title upward names it.
let private traces legendOf (panels: Panel list) =
    [ for index, panel in List.indexed panels do
          for draw in panel.Traces do
              let trace: Trace = draw (index + 1)

              trace.SetProperty(
                  "showlegend",
                  panel.Traces.Length > 1 && trace.TryGetPropertyValue "showlegend" <> Some false
              )

              trace.SetProperty("legend", StyleParam.SubPlotId.convert (StyleParam.SubPlotId.Legend(legendOf index)))
              trace ]

/// The panels below each other, with one legend above them.
let stacked (panels: Panel list) =
    let layout =
        layout 8
        |> withAxes 1 (fun index -> index = panels.Length - 1) panels
        |> Layout.setLegend (StyleParam.SubPlotId.Legend 1, legend () |> Legend.style (X = 0.0, Y = 1.02))

    traces (fun _ -> 1) panels |> GenericChart.ofTraceObjects false |> GenericChart.setLayout layout

/// A title above the upper left corner of a panel.
let private heading (text: string) (x: float) (y: float) =
    Annotation.init (
        X = x,
        Y = y,
        XRef = "paper",
        YRef = "paper",
        XAnchor = StyleParam.XAnchorPosition.Left,
        YAnchor = StyleParam.YAnchorPosition.Bottom,
        ShowArrow = false,
        Text = $"<b>{text}</b>"
    )

/// Panels with titles in rows of this many columns, each with a legend of its own.
let grid columns (titled: (string * Panel) list) =
    let titles, panels = List.unzip titled
    let rows = (panels.Length + columns - 1) / columns
    let left index = fst (domain columns (index % columns))
    let right index = snd (domain columns (index % columns))
    let top index = snd (domain rows (rows - 1 - index / columns))

    // plotly.js 2.28 does not show the first of several legends.
    let legendOf index = index + 2

    let addLegend layout index =
        layout
        |> Layout.setLegend (
            StyleParam.SubPlotId.Legend(legendOf index),
            legend ()
            |> Legend.style (X = right index, XAnchor = StyleParam.XAnchorPosition.Right, Y = top index)
        )

    let layout =
        (layout 64 |> withAxes columns (fun _ -> true) panels, [ 0 .. panels.Length - 1 ])
        ||> List.fold addLegend
        |> Layout.style (
            Annotations = (titles |> List.mapi (fun index title -> heading title (left index) (top index)))
        )

    traces legendOf panels |> GenericChart.ofTraceObjects false |> GenericChart.setLayout layout
