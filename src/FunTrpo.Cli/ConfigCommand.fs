/// The command `funtrpo config`: shows the fields of the configuration.
module FunTrpo.Cli.ConfigCommand

open System
open System.CommandLine
open FunTrpo
open FunTrpo.Cli.CommandOptions

let command =
    let env = optional "--env" "Show the values of this environment's preset, and not the standard ones"

    let command =
        Command("config", "Show every field of the configuration, with its meaning, value and range")

    let envFrom = envFromOption ()
    command.Options.Add env
    command.Options.Add envFrom

    command.SetAction(fun parsed ->
        knownEnvironments parsed envFrom
        |> Result.bind (fun known -> tryGet parsed env |> checkedOption (EnvironmentFiles.find known))
        |> Result.map (fun chosen ->
            let configuration =
                match chosen with
                | Some chosen -> chosen.Registered.Preset
                | None -> Configuration.standard

            for field in Configuration.fields do
                Console.Out.WriteLine $"{field.Name} = {field.Get configuration}"
                Console.Out.WriteLine $"    {field.Meaning}"
                Console.Out.WriteLine $"    {field.Allowed}"

            ok)
        |> orRefuse)

    command
