/// Line charts as SVG pictures, drawn by OxyPlot. The scripts load this file, and the benchmark compiles it.
///
/// OxyPlot is managed code alone. It writes text as text and needs no fonts, so a picture has the same bytes on every machine.
module Plot

open System
open System.Security.Cryptography
open System.Text
open System.Xml.Linq
open OxyPlot
open OxyPlot.Axes
open OxyPlot.Legends
open OxyPlot.Series

type Scale =
    | Linear of low: float * high: float
    /// Both ends must be positive.
    | Logarithmic of low: float * high: float

type Axis = { Label: string; Scale: Scale }

/// A named line through points (x, y).
type Line =
    {
        Name: string
        Points: (float * float) list
        /// Points (x, low, high), between which the area is shaded in the colour of the line.
        Band: (float * float * float) list
    }

/// A line without a band.
let line name points = { Name = name; Points = points; Band = [] }

let private palette =
    [| "#1b6ca8"; "#d1495b"; "#c98a06"; "#2e933c"; "#7a5195"; "#00798c"; "#8d6a4f"; "#555555" |]
    |> Array.map OxyColor.Parse

/// The colour of the line with an index.
let colour index = palette[index % palette.Length]

/// The style of the line with an index: the colours begin again with dashed lines.
let private style index = if index / palette.Length % 2 = 0 then LineStyle.Solid else LineStyle.Dash

/// The colour of texts that are less important.
let grey = OxyColor.Parse "#555555"

let private gridColour = OxyColor.Parse "#e4e4e4"

/// An axis with a line of the grid at each labelled value.
let private oxyAxis position (axis: Axis) : Axes.Axis =
    let made, (low, high) =
        match axis.Scale with
        | Linear(low, high) -> LinearAxis(StringFormat = "#,0.######") :> Axes.Axis, (low, high)
        | Logarithmic(low, high) ->
            let axis = LogarithmicAxis(StringFormat = "#,0.######", PowerPadding = false)
            axis.IntervalLength <- if high / low < 1000.0 then 60.0 else 100.0

            if low < 1e-6 then // so many decades that only powers of ten have labels
                axis.IntervalLength <- 30.0
                axis.LabelFormatter <- fun value -> $"10^{{{Math.Round(Math.Log10 value)}}}"

            // Rounding must not take away the labels of the ends.
            axis, (low * (1.0 - 1e-9), high * (1.0 + 1e-9))

    made.Position <- position
    made.Title <- axis.Label
    made.Minimum <- low
    made.Maximum <- high
    made.MajorGridlineStyle <- LineStyle.Solid
    made.MajorGridlineColor <- gridColour
    made.AxislineStyle <- LineStyle.Solid
    made.AxislineColor <- grey
    made.TicklineColor <- grey
    made.MinorTickSize <- 0.0
    made.AxisTitleDistance <- 8.0
    made

/// An empty chart with two axes.
let empty title subtitle xAxis yAxis =
    let model =
        PlotModel(
            Title = title,
            Subtitle = subtitle,
            TitleHorizontalAlignment = TitleHorizontalAlignment.CenteredWithinPlotArea,
            TitleFontSize = 15.0,
            SubtitleFontSize = 12.0,
            SubtitleColor = grey,
            DefaultFont = "Arial",
            Background = OxyColors.White,
            PlotAreaBorderThickness = OxyThickness 0.0
        )

    model.Axes.Add(oxyAxis AxisPosition.Bottom xAxis)
    model.Axes.Add(oxyAxis AxisPosition.Left yAxis)
    model

/// A line through points, of which a short one shows each point.
let lineSeries name colour (points: (float * float) list) =
    let series =
        LineSeries(
            Title = name,
            Color = colour,
            StrokeThickness = 2.0,
            LineJoin = LineJoin.Round,
            MarkerType = (if points.Length <= 10 then MarkerType.Circle else MarkerType.None),
            MarkerFill = colour,
            MarkerSize = 3.0
        )

    for x, y in points do
        series.Points.Add(DataPoint(x, y))

    series

let private band colour points =
    let series =
        AreaSeries(
            Fill = OxyColor.FromAColor(45uy, colour),
            Color = OxyColors.Transparent,
            Color2 = OxyColors.Transparent,
            RenderInLegend = false
        )

    for x, low, high in points do
        series.Points.Add(DataPoint(x, low))
        series.Points2.Add(DataPoint(x, high))

    series

/// Measures texts for OxyPlot. Its own measure assumes points of 1/72 inch where SVG has units of 1/96, and Arial, where a viewer may have
/// a font that is an eighth wider.
type private TextMeasure(width, height) =
    inherit PdfRenderContext(width, height, OxyColors.White)

    override _.MeasureText(text, family, size, weight) =
        let measured = base.MeasureText(text, family, size * 96.0 / 72.0, weight)
        OxySize(1.125 * measured.Width, measured.Height)

/// The picture of a chart as an SVG element that says its title and scales to the width of a page. Identifiers contain a hash of the
/// picture, so that several pictures can be in one page.
let svg width height (model: PlotModel) =
    let drawn = SvgExporter.ExportToString(model, width, height, false, TextMeasure(width, height), true)
    let hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes drawn)).Substring(0, 8)

    let root =
        XElement.Parse(
            drawn
                .Replace("\"clipPath", $"\"clip-{hash}-")
                .Replace("#clipPath", $"#clip-{hash}-")
                .Replace("font-family=\"Arial\"", "font-family=\"Arial, Helvetica, sans-serif\"")
        )

    let attribute name (value: string) = root.SetAttributeValue(XName.Get name, value)
    attribute "viewBox" $"0 0 {width} {height}"
    attribute "role" "img"
    attribute "aria-labelledby" $"title-{hash}"
    let title = XName.Get("title", root.Name.NamespaceName)
    root.AddFirst(XElement(title, XAttribute(XName.Get "id", $"title-{hash}"), model.Title))
    root.ToString().ReplaceLineEndings "\n" + "\n"

/// The picture of lines with their bands, and with a legend on the right of the chart.
let lines title xAxis yAxis (drawn: Line list) =
    let model = empty title null xAxis yAxis

    model.Legends.Add(
        Legend(
            LegendPlacement = LegendPlacement.Outside,
            LegendPosition = LegendPosition.RightTop,
            LegendBorderThickness = 0.0,
            LegendLineSpacing = 4.0
        )
    )

    for i, it in List.indexed drawn do
        if not it.Band.IsEmpty then
            model.Series.Add(band (colour i) it.Band)

    for i, it in List.indexed drawn do
        let series = lineSeries it.Name (colour i) it.Points
        series.LineStyle <- style i
        model.Series.Add series

    svg 900.0 400.0 model
