// What the scripts share that make the parts of docs/results.md: they run `funtrpo sweep`, read its table, and write their part of the page.
#load "lesson.fsx"

open System
open System.Diagnostics
open System.IO
open Lesson

let root = Path.Combine(__SOURCE_DIRECTORY__, "..")

/// A row of the table of a sweep.
type Run =
    {
        Environment: string
        Seed: string
        /// The value of a field that differs among the runs, by the name of the field.
        Setting: string -> string
        Score: float
        Std: float
        /// The mean return of the last 100 training episodes.
        MeanReturn: float
        Steps: float
        /// Infinity if the run did not solve the task.
        StepsToSolve: float
        Seconds: float
        Folder: string
    }

/// The rows of the sweep in a folder. None of its cells has a comma.
let private runsIn folder =
    let rows = File.ReadAllLines(Path.Combine(folder, "sweep.csv")) |> Array.map _.Split(',')

    [ for row in Array.tail rows do
          let cell name = row[Array.findIndex ((=) name) rows[0]]

          { Environment = cell "environment"
            Seed = cell "seed"
            Setting = cell
            Score = float (cell "score")
            Std = float (cell "scoreStd")
            MeanReturn = if cell "meanReturn100" = "" then nan else float (cell "meanReturn100")
            Steps = float (cell "steps")
            StepsToSolve = if cell "stepsToGoal" = "" then infinity else float (cell "stepsToGoal")
            Seconds = float (cell "seconds")
            Folder = Path.Combine(folder, cell "folder") } ]

/// Runs a sweep in a folder, or goes on with it, and returns its rows. Without --steps, each run makes the steps that the preset of its
/// environment is tuned for.
let sweep folder (options: string list) =
    use running =
        Process.Start(Path.Combine(root, "bin", "funtrpo"), [ "sweep"; "--out"; folder ] @ options)

    running.WaitForExit()

    if running.ExitCode <> 0 then
        failwith $"the sweep failed with the exit code {running.ExitCode}"

    runsIn folder

/// Uses a new folder, which is deleted afterwards.
let inNewFolder useFolder =
    let folder = Directory.CreateTempSubdirectory("funtrpo-results-").FullName

    try
        useFolder folder
    finally
        Directory.Delete(folder, true)

let numbers read (runs: Run list) = runs |> List.map read |> Array.ofList
let medianOf read = numbers read >> median
let stepsText (number: float) = if Double.IsInfinity number then "–" else $"{number:N0}"

/// A table of a Markdown page.
let markdownTable (header: string list) (rows: string list list) =
    let line cells = "| " + String.concat " | " cells + " |"
    line header :: line (header |> List.map (fun _ -> "---")) :: List.map line rows

/// Replaces a part of a page, which stands between two comments, or adds the part at the end.
let writePart (file: string) part (lines: string list) =
    let first, last = $"<!-- {part} -->", $"<!-- end of {part} -->"
    let page = if File.Exists file then File.ReadAllText file else ""
    let text = String.concat "\n" ([ first; "" ] @ lines @ [ ""; last ])

    let changed =
        match page.IndexOf first, page.IndexOf last with
        | start, stop when start >= 0 && stop > start -> page[.. start - 1] + text + page[stop + last.Length ..]
        | _ -> (page.TrimEnd() + "\n\n" + text + "\n").TrimStart()

    File.WriteAllText(file, changed)
    printfn "%s" file
