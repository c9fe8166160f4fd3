/// The command `funtrpo watch`: serves pages of runs that are updated while the runs train.
module FunTrpo.Cli.WatchCommand

open System
open System.CommandLine
open System.IO
open System.Runtime.CompilerServices
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Cli.CommandOptions

let private folder =
    Argument<string>("DIR", Description = "The folder of a run, or a folder with runs at most three levels below it")

let private port = optional "--port" "The port of the address, 0 for any free one [default: 8640]"

let private envFrom = envFromOption ()

// Not inlined: ASP.NET Core is loaded when this function is first called, and not before.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let private serve path port known =
    let port = port |> Option.defaultValue (int64 FunTrpo.Watch.Server.standardPort) |> int

    let started address =
        Console.Out.WriteLine $"The runs in {path} are shown at {address}"
        Console.Out.WriteLine "Ctrl-C ends this."

    FunTrpo.Watch.Server.run (WatchedRuns.source path known) port started
    |> Result.map (fun () -> ok)
    |> Result.mapError (fun why ->
        let why = why.TrimEnd '.'
        InvalidSetting("--port", string port, $"it must be a port that is free ({why})"))

let private run (parsed: ParseResult) =
    result {
        let path = parsed.GetValue folder
        let! port = tryGet parsed port |> checkedOption (Arguments.integer "--port" 0L 65535L)
        let! known = knownEnvironments parsed envFrom

        return!
            if Directory.Exists path then
                AspNetCore.load () |> Result.bind (fun () -> serve path port known)
            else
                Error(Mismatch $"there is no folder {path}: `funtrpo train --out {path}` would make one")
    }

let command =
    let command =
        Command("watch", "Serve the pages of runs on this machine, and update them while the runs train")

    command.Arguments.Add folder
    let options: Option list = [ port; envFrom ]
    options |> List.iter command.Options.Add
    command.SetAction(run >> orRefuse)
    command
