namespace FunTrpo.Plots

open System
open System.Globalization
open FunTrpo
open Plotly.NET
open Plotly.NET.TraceObjects

/// The range of the numbers upward.
[<RequireQualifiedAccess>]
type internal Scale =
    | Linear
    | FromZero
    | Logarithmic
    | Within of low: float * high: float
    /// So many rows below each other, the first one at 0 on top, without labels.
    | Rows of count: int

/// One pair of axes, and what is drawn between them.
type internal Panel =
    {
        /// The quantity across; panels of the same one are zoomed together.
        XTitle: string
        YTitle: string
        Scale: Scale
        /// What is drawn on the axes with a number.
        Traces: (int -> Trace) list
    }

/// The parts of panels: lines, bands and points. They leave out the points that have no finite number.
module internal Panel =

    /// A panel over environment steps.
    let overSteps yTitle traces =
        { XTitle = "environment steps"; YTitle = yTitle; Scale = Scale.Linear; Traces = traces }

    /// Five significant digits are enough to draw, and take less space.
    let rounded (number: float) =
        if Double.IsInteger number then
            number
        else
            Double.Parse(number.ToString("G5", CultureInfo.InvariantCulture), CultureInfo.InvariantCulture)

    let private finite (xs: float[]) (ys: float[]) =
        let kept = Array.zip xs ys |> Array.filter (fun (x, y) -> Double.IsFinite x && Double.IsFinite y)
        kept |> Array.map (fst >> rounded), kept |> Array.map (snd >> rounded)

    /// A trace over the points in a style, on the axes with a number.
    let private scatter (name: string) style (xs, ys) (axes: int) : Trace =
        let xs, ys = finite xs ys

        Trace2D.initScatter (
            Trace2DStyle.Scatter(
                Name = name,
                X = xs,
                Y = ys,
                XAxis = StyleParam.LinearAxisId.X axes,
                YAxis = StyleParam.LinearAxisId.Y axes
            )
        )
        |> style
        :> Trace

    /// A line in a style of dashes.
    let dashed dash width (code: string) name points =
        let style =
            Trace2DStyle.Scatter(
                Mode = StyleParam.Mode.Lines,
                Line = Line.init (Color = Palette.colour code, Width = width, Dash = dash)
            )

        scatter name style points

    let line code name points = dashed StyleParam.DrawingStyle.Solid 2.0 code name points
    let thinLine code name points = dashed StyleParam.DrawingStyle.Solid 1.0 code name points
    let dashedLine code name points = dashed StyleParam.DrawingStyle.Dash 1.5 code name points
    let dottedLine code name points = dashed StyleParam.DrawingStyle.Dot 1.5 code name points

    let private area isListed (code: string) (name: string) (xs, low, high) =
        let edge fill name ys =
            let style =
                Trace2DStyle.Scatter(
                    Mode = StyleParam.Mode.Lines,
                    Line = Line.init (Color = Palette.colour code, Width = 0.0),
                    Fill = fill,
                    FillColor = Palette.tint code,
                    ShowLegend = (isListed && fill = StyleParam.Fill.ToNext_y)
                )

            scatter name style (xs, ys)

        [ edge StyleParam.Fill.None $"{name}, low" low; edge StyleParam.Fill.ToNext_y name high ]

    /// The area between two lines.
    let band code name edges = area true code name edges

    /// The area between two lines, without a name in the legend: that of a line which has the name.
    let unlistedBand code name edges = area false code name edges

    /// The parts of one thing: who hides one of them in the legend hides all.
    let together (name: string) traces =
        [ for draw in traces ->
              fun axes ->
                  let trace: Trace = draw axes
                  trace.SetProperty("legendgroup", name)
                  trace ]

    /// A number with its interval, in a row.
    let interval code symbol name row (value: float) (interval: Interval) =
        let style (trace: Trace2D) =
            trace
            |> Trace2DStyle.Scatter(
                Mode = StyleParam.Mode.Markers,
                Marker = Marker.init (Color = Palette.colour code, Symbol = symbol, Size = 10),
                XError =
                    Error.init (
                        Array = [ rounded (interval.High - value) ],
                        Arrayminus = [ rounded (value - interval.Low) ],
                        Color = Palette.colour code,
                        Thickness = 2.0,
                        Width = 6.0
                    )
            )

        scatter name style ([| value |], [| float row |])

    /// Points of one colour.
    let points code symbol size name points =
        let style =
            Trace2DStyle.Scatter(
                Mode = StyleParam.Mode.Markers,
                Marker = Marker.init (Color = Palette.colour code, Symbol = symbol, Size = size)
            )

        scatter name style points

    /// Points whose colours go from faint to the accent.
    let fadingPoints name (xs, ys) =
        let count = (finite xs ys |> fst).Length

        let style =
            Trace2DStyle.Scatter(
                Mode = StyleParam.Mode.Markers,
                ShowLegend = false,
                Marker =
                    Marker.init (
                        Size = 7,
                        Color = Color.fromColorScaleValues (Array.init count float),
                        Colorscale =
                            StyleParam.Colorscale.Custom
                                [ 0.0, Palette.colour Palette.faint; 1.0, Palette.colour Palette.accent ]
                    )
            )

        scatter name style (xs, ys)
