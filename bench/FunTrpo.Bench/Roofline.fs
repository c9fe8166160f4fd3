namespace FunTrpo.Bench

open OxyPlot
open OxyPlot.Annotations
open OxyPlot.Series

/// The measured speed of Fisher-vector products of a shape with a number of threads.
type ProductSpeed = { Shape: Shape; Threads: int; Gflops: float }

/// The roofline picture (Williams, Waterman, Patterson, 2009): the speed of products compared with the limits of the machine. On the
/// left the memory bandwidth is the limit, on the right the arithmetic units.
module Roofline =

    /// The least number of bytes is known, so this is the largest intensity that a product can have, in operations per byte.
    let private intensity (shape: Shape) = Shape.productFlops shape / Shape.productBytes shape

    let private threadsText threads = if threads = 1 then "1 thread" else $"{threads} threads"

    /// A text some units beside a point. The point is on the side of the text that the alignments name.
    let private label across down colour (x, y) words =
        TextAnnotation(
            Text = words,
            TextPosition = DataPoint(x, y),
            TextHorizontalAlignment = across,
            TextVerticalAlignment = down,
            TextColor = colour,
            Offset = ScreenVector(-7.0 * float (int across), -5.0 * float (int down)),
            StrokeThickness = 0.0
        )

    /// The places of the names of points, used in turn, because neighbouring shapes have similar intensities.
    let private labelPlaces =
        [ HorizontalAlignment.Right, VerticalAlignment.Middle
          HorizontalAlignment.Center, VerticalAlignment.Top
          HorizontalAlignment.Left, VerticalAlignment.Middle ]

    /// The limit of the machine with a number of threads: a rising line of the memory, and a level one of the arithmetic units.
    let private addRoof (model: PlotModel) colour lowX highX threads peak bandwidth =
        let ridge = peak / bandwidth
        let points = [ lowX, lowX * bandwidth; ridge, peak; highX, peak ]
        let roof = Plot.lineSeries null colour points
        roof.MarkerType <- MarkerType.None
        model.Series.Add roof

        $"{threadsText threads}: {Results.number peak} GFLOP/s, {Results.number bandwidth} GB/s"
        |> label HorizontalAlignment.Left VerticalAlignment.Bottom colour (ridge, peak)
        |> model.Annotations.Add

    let private addPoints (model: PlotModel) colour speeds =
        let points = ScatterSeries(MarkerType = MarkerType.Circle, MarkerSize = 4.0, MarkerFill = colour)
        model.Series.Add points

        for i, speed in List.indexed speeds do
            let x, y = intensity speed.Shape, speed.Gflops
            let across, down = labelPlaces[i % labelPlaces.Length]
            let name = label across down colour (x, y) speed.Shape.Name
            name.FontWeight <- FontWeights.Bold
            points.Points.Add(ScatterPoint(x, y))
            model.Annotations.Add name

    /// Returns the picture as SVG.
    let svg (machine: Machine) (speeds: ProductSpeed list) =
        let peaks = machine.Peaks |> List.map snd

        let lowX, highX =
            4.0, 1.5 * List.max (100.0 :: (speeds |> List.map (fun speed -> intensity speed.Shape)))

        let lowY, highY = List.min (5.0 :: (speeds |> List.map _.Gflops)), 2.0 * List.max peaks

        let shapes =
            speeds
            |> List.map _.Shape
            |> List.distinct
            |> List.map (fun shape -> $"{shape.Name}: {Shape.unitsText shape}, {shape.Batch}")
            |> String.concat " · "

        let model =
            Plot.empty
                "Fisher-vector products under the roofline"
                $"{machine.Processor}, {machine.VectorBits}-bit vectors, float32\n{shapes}"
                { Label = "useful operations per byte moved at least"; Scale = Plot.Logarithmic(lowX, highX) }
                { Label = "GFLOP/s"; Scale = Plot.Logarithmic(lowY, highY) }

        for i, ((threads, peak), (_, bandwidth)) in List.indexed (List.zip machine.Peaks machine.Bandwidths) do
            addRoof model (Plot.colour i) lowX highX threads peak bandwidth
            addPoints model (Plot.colour i) (speeds |> List.filter (fun speed -> speed.Threads = threads))

        Plot.svg 900.0 560.0 model
