namespace FunTrpo.Bench

open System
open System.Globalization
open System.Net

/// The measured speed of Fisher-vector products of a shape with a number of threads.
type ProductSpeed = { Shape: Shape; Threads: int; Gflops: float }

/// The roofline picture (Williams, Waterman, Patterson, 2009): the speed of products compared with the limits of the machine. On the
/// left the memory bandwidth is the limit, on the right the arithmetic units.
module Roofline =

    let private width, height = 880.0, 560.0
    let private left, right, top, bottom = 80.0, 30.0, 56.0, 92.0
    let private colours = [ "#1565c0"; "#c62828"; "#2e7d32"; "#6a1b9a" ]

    /// The places of the names of points, used in turn, because neighbouring shapes have similar intensities.
    let private labelPlaces = [ "end", -8.0, 5.0; "middle", 0.0, 20.0; "start", 8.0, 5.0 ]

    let private text (number: float) = number.ToString("0.##", CultureInfo.InvariantCulture)

    /// Returns the numbers 1, 2 and 5 times powers of ten from low to high.
    let private ticks low high =
        [ for exponent in floor (log10 low) .. ceil (log10 high) do
              for factor in [ 1.0; 2.0; 5.0 ] do
                  let tick = factor * Math.Pow(10.0, exponent)

                  if low <= tick && tick <= high then
                      tick ]

    let private line colour style (x1, y1) (x2, y2) =
        $"""<line x1="{text x1}" y1="{text y1}" x2="{text x2}" y2="{text y2}" stroke="{colour}" {style}/>"""

    let private label anchor style (x, y) (words: string) =
        $"""<text x="{text x}" y="{text y}" text-anchor="{anchor}" {style}>{WebUtility.HtmlEncode words}</text>"""

    /// Returns the picture as SVG. The intensity of a product is its useful operations divided by the least number of bytes that it must
    /// move.
    let svg (machine: Machine) (speeds: ProductSpeed list) =
        let intensity (shape: Shape) = Shape.productFlops shape / Shape.productBytes shape
        let intensities = speeds |> List.map (fun speed -> intensity speed.Shape)
        let peaks = machine.Peaks |> List.map snd
        let lowX, highX = 4.0, 1.5 * List.max (100.0 :: intensities)
        let lowY, highY = List.min (5.0 :: (speeds |> List.map _.Gflops)), 2.0 * List.max peaks
        let scale low high from upTo value = from + (upTo - from) * log (value / low) / log (high / low)
        let x = scale lowX highX left (width - right)
        let y = scale lowY highY (height - bottom) top

        let colourOf threads =
            colours[(List.findIndex (fun (count, _) -> count = threads) machine.Peaks) % colours.Length]

        let grid =
            [ for tick in ticks lowX highX do
                  line "#e0e0e0" "" (x tick, top) (x tick, height - bottom)
                  label "middle" "" (x tick, height - bottom + 20.0) (text tick)
              for tick in ticks lowY highY do
                  line "#e0e0e0" "" (left, y tick) (width - right, y tick)
                  label "end" "" (left - 8.0, y tick + 4.0) (text tick) ]

        let roof ((threads, peak), (_, bandwidth)) =
            let ridge = peak / bandwidth
            let colour = colourOf threads
            let start = max lowX (lowY / bandwidth)
            let style = "stroke-width=\"2\""
            let name = if threads = 1 then "1 thread" else $"{threads} threads"

            [ line colour style (x start, y (start * bandwidth)) (x ridge, y peak)
              line colour style (x ridge, y peak) (x highX, y peak)
              label
                  "start"
                  $"fill=\"{colour}\""
                  (x ridge, y peak - 7.0)
                  $"{name}: {Results.number peak} GFLOP/s, {Results.number bandwidth} GB/s" ]

        let point index speed =
            let colour = colourOf speed.Threads
            let px, py = x (intensity speed.Shape), y speed.Gflops

            let anchor, dx, dy = labelPlaces[index % labelPlaces.Length]

            [ $"""<circle cx="{text px}" cy="{text py}" r="4" fill="{colour}"/>"""
              label anchor $"fill=\"{colour}\" font-weight=\"bold\"" (px + dx, py + dy) speed.Shape.Name ]

        let titles =
            [ label
                  "start"
                  "font-size=\"17\" font-weight=\"bold\""
                  (left, 24.0)
                  "Fisher-vector products under the roofline"
              label
                  "start"
                  "fill=\"#555\""
                  (left, 43.0)
                  $"{machine.Processor}, {machine.VectorBits}-bit vectors, float32"
              label
                  "middle"
                  ""
                  ((left + width - right) / 2.0, height - bottom + 42.0)
                  "useful operations per byte moved at least"
              label "start" "" (8.0, top - 8.0) "GFLOP/s"
              label
                  "start"
                  "fill=\"#555\" font-size=\"12\""
                  (left, height - 14.0)
                  (speeds
                   |> List.map _.Shape
                   |> List.distinct
                   |> List.map (fun (shape: Shape) -> $"{shape.Name}: {Shape.unitsText shape}, {shape.Batch}")
                   |> String.concat " · ") ]

        let content =
            grid
            @ List.collect roof (List.zip machine.Peaks machine.Bandwidths)
            @ (speeds
               |> List.groupBy _.Threads
               |> List.collect (fun (_, speeds) -> speeds |> List.mapi point |> List.concat))
            @ titles

        let lines = String.concat "\n  " content

        $"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {text width} {text height}" font-family="sans-serif" font-size="13">
  <rect width="100%%" height="100%%" fill="white"/>
  {lines}
</svg>
"""
