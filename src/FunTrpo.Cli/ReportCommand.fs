/// The command `funtrpo report`: makes the report page of a run again.
module FunTrpo.Cli.ReportCommand

open System
open System.CommandLine
open System.IO
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Environments
open FunTrpo.Cli.CommandOptions

let private folder = Argument<string>("DIR", Description = "The folder of a run")
let private envFrom = envFromOption ()

/// The settings of the run in a folder, if there is one.
let private settingsOf path =
    if File.Exists(Path.Combine(path, RunFiles.summaryFile)) then
        RunSettings.ofFolder path
    else
        Error(Mismatch $"there is no run in {path}: `funtrpo train --out {path}` would make one there")

/// Writes the page while no run is writing to the folder. Returns the exit code.
let private write path (registered: Registered) (environment: Environment<'State>) =
    RunFolder.prepare path
    |> Result.bind (fun folder ->
        use folder = folder

        RunReport.write registered.SolvedAt (Some registered.Preset) folder environment Console.Out
        |> Result.map (fun () -> ok))

let private run (parsed: ParseResult) =
    result {
        let path = parsed.GetValue folder
        let! settings = settingsOf path
        let! known = knownEnvironments parsed envFrom

        let! chosen =
            recordedEnvironment "the run trained on" known settings.Environment settings.EnvironmentFrom

        return!
            chosen.Registered.Use
                { new EnvironmentUse<_> with
                    member _.With environment = write path chosen.Registered environment }
    }

let command =
    let command = Command("report", "Write the report.html of a run again, from the files in its folder")
    command.Arguments.Add folder
    command.Options.Add envFrom
    command.SetAction(run >> orRefuse)
    command
