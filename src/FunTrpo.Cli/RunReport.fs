/// Writes the report page of a run into its folder: report.html.
module FunTrpo.Cli.RunReport

open System.IO
open System.Runtime.CompilerServices
open FunTrpo
open FunTrpo.Plots

// Not inlined: Plotly.NET is loaded when this function is first called, and not before.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private html solvedAt preset folder environment =
    RunPage.ofFolder solvedAt preset folder (RunPage.episode environment)
    |> Result.map (ReportPage.htmlFrom ReportPage.filesOfRun)

/// Writes report.html into the folder of a run, and says where it is. Faults: `Damaged` for a file that is missing or is none of a run.
let write solvedAt preset (folder: RunFolder.Folder) environment (output: TextWriter) =
    html solvedAt preset folder.Path environment
    |> Result.map (fun page ->
        folder.Do(RunFolder.Replace(RunFiles.reportFile, page))
        output.WriteLine $"The report is {Path.Combine(folder.Path, RunFiles.reportFile)}")

/// Does the same as `write`. If that fails, it prints a warning: the run is complete without its report.
let tryWrite solvedAt preset folder environment output (errors: TextWriter) =
    let warn (why: string) = errors.WriteLine $"Warning: the report could not be written: {why}"

    try
        match write solvedAt preset folder environment output with
        | Ok() -> ()
        | Error fault -> warn (Fault.message fault)
    with error ->
        warn (Fault.printable error.Message)
