// Charts and tables for self-contained HTML pages, and functions that save pages, pictures and numbers. F# Interactive takes OxyPlot from the
// package sources of your NuGet configuration when a script that draws first runs. The version is the one in paket.lock.
#r "nuget: OxyPlot.Core, 2.2.0"
#load "lesson.fsx"
#load "plot.fs"

open System.IO
open System.Text.Json
open Lesson
open Plot

/// The axis of iterations that covers all lines.
let iterationAxis label (drawn: Line list) =
    let last =
        [ 1.0
          for line in drawn do
              yield! List.map fst line.Points ]
        |> List.max

    { Label = label; Scale = Linear(0.0, last) }

/// A table of a page. Fails if a row does not have a cell for each column.
let table (header: string list) (rows: string list list) =
    for row in rows do
        if row.Length <> header.Length then
            failwith $"a row of {row.Length} cells in a table of {header.Length} columns: %A{row}"

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
td:first-child, th:first-child {{ text-align: left }} svg {{ width: 100%%; height: auto }}</style></head>
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
let savePicture (picture: string) = option "--picture" |> Option.iter (fun file -> File.WriteAllText(file, picture))

/// Writes the page into the file that `--page` names, or else into `artifacts/` with the given name.
let savePage name title sections =
    let file =
        option "--page"
        |> Option.defaultWith (fun () -> Path.Combine(__SOURCE_DIRECTORY__, "..", "artifacts", name))

    Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath file)) |> ignore
    File.WriteAllText(file, document title sections)
    printfn "The page is ready: %s" (Path.GetFileName file)
