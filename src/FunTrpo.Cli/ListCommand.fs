/// The command `funtrpo list`: shows the environments.
module FunTrpo.Cli.ListCommand

open System
open System.CommandLine
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Cli.CommandOptions

/// The spaces of an environment, or the reason why it cannot be made.
let private spaces (registered: Registered) =
    try
        registered.Use
            { new EnvironmentUse<_> with
                member _.With environment =
                    $"observations {Space.describe environment.ObservationSpace}, actions {Space.describe environment.ActionSpace}" }
    with EnvironmentUnavailable _ as unavailable ->
        Fault.printable unavailable.Message

/// Prints an environment, and where its preset differs from the standard configuration.
let private show (registered: Registered) =
    let differences =
        Configuration.fields
        |> List.filter (fun field -> field.Get registered.Preset <> field.Get Configuration.standard)
        |> List.map (fun field -> $"{field.Name}={field.Get registered.Preset}")
        |> String.concat " "

    let goal =
        match registered.SolvedAt with
        | Some goal -> $"solved at a mean return of {goal}; tuned for {registered.Steps} steps"
        | None -> $"no goal; trains for {registered.Steps} steps"

    let preset = if differences = "" then "the standard configuration" else differences
    Console.Out.WriteLine registered.Id
    Console.Out.WriteLine $"    {spaces registered}"
    Console.Out.WriteLine $"    {goal}"
    Console.Out.WriteLine $"    preset: {preset}"

let command =
    let envFrom = envFromOption ()

    let command =
        Command("list", "Show the environments, and where their presets differ from the standard configuration")

    command.Options.Add envFrom

    command.SetAction(fun parsed ->
        knownEnvironments parsed envFrom
        |> Result.map (fun known ->
            for one in known do
                show one.Registered

            ok)
        |> orRefuse)

    command
