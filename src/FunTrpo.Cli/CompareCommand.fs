/// The command `funtrpo compare`: one page of several runs.
module FunTrpo.Cli.CompareCommand

open System
open System.CommandLine
open System.IO
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Cli.CommandOptions

let private folders =
    Argument<string[]>("DIR", Description = "Folders of runs, or folders that contain those of runs")

let private out = option "--out" "The file of the page" "compare.html"
let private envFrom = envFromOption ()

/// The page that compares the runs in these folders, as HTML, which names them from the folder `from`. Fault: `Damaged` for a file that is none of a
/// run.
let html (known: EnvironmentFiles.Known list) from folders =
    ComparedRuns.ofFolders (known |> List.map _.Registered) from folders |> Result.map ComparePage.html

/// Writes the page of the runs in these folders. Returns the exit code.
let private write known folders (path: string) =
    let beside = Path.GetDirectoryName(Path.GetFullPath path)

    html known beside folders
    |> Result.map (fun page ->
        AtomicFile.replaceText path page
        Console.Out.WriteLine $"""{folders.Length} {if folders.Length = 1 then "run" else "runs"}: {path}"""
        ok)

let private run (parsed: ParseResult) =
    result {
        let! known = knownEnvironments parsed envFrom

        let! found = parsed.GetValue folders |> List.ofArray |> List.map ComparedRuns.foldersIn |> Result.all

        return! write known (found |> List.concat |> List.distinctBy Path.GetFullPath) (parsed.GetValue out)
    }

let command =
    let command = Command("compare", "Write one page that compares several runs")
    folders.Arity <- ArgumentArity.OneOrMore
    command.Arguments.Add folders
    command.Options.Add out
    command.Options.Add envFrom
    command.SetAction(run >> orRefuse)
    command
