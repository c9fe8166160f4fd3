// Line charts (SVG) and tables for self-contained HTML pages, and functions that save pages, pictures and numbers.
#load "lesson.fsx"

open System
open System.Globalization
open System.IO
open System.Text.Json
open Lesson

type Axis =
    | Linear of low: float * high: float
    | Logarithmic of low: float * high: float

let private colours =
    [| "#1b6ca8"; "#d1495b"; "#edae49"; "#2e933c"; "#7a5195"; "#00798c"; "#8d6a4f"; "#555555" |]

let private invariant (text: FormattableString) = text.ToString CultureInfo.InvariantCulture

let private width, height = 900.0, 360.0
let private left, right, top, bottom = 70.0, 260.0, 20.0, 40.0

/// The position of a value on its axis: 0 is the lower end, 1 the upper end.
let private share axis y =
    match axis with
    | Linear(low, high) -> (y - low) / (high - low)
    | Logarithmic(low, high) -> (log y - log low) / (log high - log low)

let private ticks axis =
    match axis with
    | Linear(low, high) -> [ for i in 0..4 -> low + float i / 4.0 * (high - low) ]
    | Logarithmic(low, high) ->
        [ for power in int (round (log10 low)) .. int (round (log10 high)) -> Math.Pow(10.0, float power) ]

/// The axis of iterations that covers all series.
let iterations (series: (string * (float * float) list) list) =
    Linear(0.0, series |> List.collect snd |> List.map fst |> List.append [ 1.0 ] |> List.max)

/// An SVG chart of named lines. `bands` maps names to bands, which are pairs of points (x, low), (x, high).
let picture (xLabel: string) xAxis yAxis (series: (string * (float * float) list) list) bands =
    let x value = left + share xAxis value * (width - left - right)
    let y value = height - bottom - Math.Clamp(share yAxis value, -0.03, 1.03) * (height - top - bottom)
    let label (tick: float) = tick.ToString((if tick >= 1000.0 then "N0" else "G3"), CultureInfo.InvariantCulture)

    let grid =
        [ for tick in ticks yAxis do
              invariant $"<line x1='{left}' x2='{width - right}' y1='{y tick:F1}' y2='{y tick:F1}' stroke='#ddd'/>"
              invariant $"<text x='{left - 8.0}' y='{y tick + 4.0:F1}' text-anchor='end'>{label tick}</text>"
          for tick in ticks xAxis |> List.map round do
              invariant $"<text x='{x tick:F1}' y='{height - bottom + 20.0}' text-anchor='middle'>{label tick}</text>" ]

    let banded =
        [ for i, (name, _) in List.indexed series do
              match Map.tryFind name bands with
              | None -> ()
              | Some band ->
                  let low, high = List.unzip band

                  let path =
                      low @ List.rev high
                      |> List.map (fun (a, b) -> invariant $"{x a:F1},{y b:F1}")
                      |> String.concat " "

                  invariant $"<polygon points='{path}' fill='{colours[i % colours.Length]}' fill-opacity='0.18'/>" ]

    let drawn =
        [ for i, (name, points) in List.indexed series do
              let colour = colours[i % colours.Length]
              let path = points |> List.map (fun (a, b) -> invariant $"{x a:F1},{y b:F1}") |> String.concat " "
              let legend = top + 18.0 * float i + 8.0
              invariant $"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/>"

              match points with
              | [ a, b ] -> invariant $"<circle cx='{x a:F1}' cy='{y b:F1}' r='3' fill='{colour}'/>"
              | _ -> ()

              invariant
                  $"<line x1='{width - right + 15.0}' x2='{width - right + 40.0}' y1='{legend}' y2='{legend}' stroke='{colour}' stroke-width='3'/>"

              invariant $"<text x='{width - right + 48.0}' y='{legend + 4.0}'>{name}</text>" ]

    [ invariant
          $"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' font-family='sans-serif' font-size='12'>"
      "<rect width='100%' height='100%' fill='white'/>"
      yield! grid
      yield! banded
      yield! drawn
      invariant
          $"<text x='{(left + width - right) / 2.0}' y='{height - bottom + 36.0}' text-anchor='middle'>{xLabel}</text>"
      "</svg>" ]
    |> String.concat "\n"

/// A chart of named lines over iterations, with its title above it.
let lines (title: string) axis series = $"<h3>{title}</h3>\n" + picture "" (iterations series) axis series Map.empty

let table (header: string list) (rows: string list list) =
    let row tag cells =
        cells
        |> List.map (fun cell -> $"<{tag}>{cell}</{tag}>")
        |> String.concat ""
        |> sprintf "<tr>%s</tr>"

    "<table>" + row "th" header + String.concat "\n" (rows |> List.map (row "td")) + "</table>"

/// A complete HTML page.
let document (title: string) (sections: string list) =
    let body = String.concat "\n" sections

    $"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<style>body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em }}
table {{ border-collapse: collapse; font-size: 90%% }} td, th {{ border: 1px solid #ccc; padding: 0.3em 0.6em; text-align: right }}
td:first-child, th:first-child {{ text-align: left }} h3 {{ font-weight: normal; margin-bottom: 0 }} svg {{ width: 100%% }}</style></head>
<body><h1>{title}</h1>
{body}
</body></html>
"""

/// Writes the measurements as JSON into the file that `--json` names, if there is one.
let saveNumbers rows =
    option "--json"
    |> Option.iter (fun file ->
        File.WriteAllText(file, JsonSerializer.Serialize(rows, JsonSerializerOptions(WriteIndented = true))))

/// Writes a picture into the file that `--picture` names, if there is one.
let savePicture picture = option "--picture" |> Option.iter (fun file -> File.WriteAllText(file, picture + "\n"))

/// Writes the page into the file that `--page` names, or else into `artifacts/` with the given name.
let savePage name title sections =
    let file =
        option "--page"
        |> Option.defaultWith (fun () -> Path.Combine(__SOURCE_DIRECTORY__, "..", "artifacts", name))

    Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath file)) |> ignore
    File.WriteAllText(file, document title sections)
    printfn "The page is ready: %s" (Path.GetFileName file)
