/// The command `funtrpo check`: looks for what keeps policies from learning in an environment.
module FunTrpo.Cli.CheckCommand

open System
open System.CommandLine
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Cli.CommandOptions

let command =
    let env = optional "--env" "The environment; `funtrpo list` shows them"
    env.Required <- true
    let envFrom = envFromOption ()
    let seed = seedOption ()

    let command =
        Command("check", "Play some hundred random steps, and say what will probably keep policies from learning")

    let options: Option list = [ env; envFrom; seed ]
    options |> List.iter command.Options.Add

    let check id configuration environment seed =
        match Check.runFor configuration environment seed with
        | [] -> Console.Out.WriteLine $"{id}: nothing was found"
        | findings ->
            for finding in findings do
                Console.Out.WriteLine $"{id}: {Finding.message finding}"
                Console.Out.WriteLine $"    {Finding.remedy finding}"

        ok

    command.SetAction(fun parsed ->
        result {
            let! known = knownEnvironments parsed envFrom
            let! chosen = EnvironmentFiles.find known (parsed.GetValue env)
            let registered = chosen.Registered
            let! seed = parseSeed (parsed.GetValue seed)

            return
                registered.Use
                    { new EnvironmentUse<_> with
                        member _.With environment = check registered.Id registered.Preset environment seed }
        }
        |> orRefuse)

    command
