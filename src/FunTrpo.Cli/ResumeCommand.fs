/// The command `funtrpo resume`: goes on with a run from its last checkpoint.
module FunTrpo.Cli.ResumeCommand

open System
open System.CommandLine
open System.IO
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Environments
open FunTrpo.Cli.CommandOptions

let private folder =
    Argument<string>("DIR", Description = "The folder of a run that was trained with --checkpoint-every")

let private envFrom = envFromOption ()

let private steps =
    optional "--steps" "Environment steps of the whole run, from its beginning [default: those that the run was given]"

let private threads = threadsOption ()
let private inFlight = inFlightOption ()
let private restartFailed = restartFailedOption ()
let private cluster = clusterOption ()
let private noReport = noReportOption ()
let private plain = plainOption ()
let private tensorboard = tensorboardOption ()

let private requireCheckpoint path =
    if File.Exists(RunFolder.checkpointIn path) then
        Ok()
    else
        let configuration = Path.Combine(path, "config.json")

        let command, again =
            match RunSettings.ofFolder path with
            | Ok settings when settings.Algorithm = RunAlgorithm.Ddpg ->
                "funtrpo ddpg", $"by `funtrpo ddpg` with the settings in {configuration}"
            | _ -> "funtrpo train", $"`funtrpo train --config {configuration}`"

        Error(
            Mismatch
                $"there is no checkpoint in {path}. `{command}` saves checkpoints with --checkpoint-every N; without one, a run can only be made again: {again}"
        )

let private runOptions (parsed: ParseResult) path (settings: RunSettings) (registered: Registered) workers =
    result {
        let! threads = parseThreads (parsed.GetValue threads)
        let! steps = tryGet parsed steps |> checkedOption (Arguments.steps "--steps")
        let! configuration = Arguments.fields Configuration.standard settings.Fields

        let options: Run.Options =
            { Seed = settings.Seed
              Steps = defaultArg steps settings.Steps
              StopAt = settings.StopAt
              SolvedAt = registered.SolvedAt
              EnvironmentFrom = settings.EnvironmentFrom
              Folder = path
              SaveEvery = TimeSpan.FromSeconds 1.0
              CheckpointEvery = settings.CheckpointEvery
              Evaluation = settings.Evaluation
              Threads = threads
              Workers = workers
              Configuration = configuration
              Preset = registered.Preset
              IsLive = not (parsed.GetValue plain) && Terminal.isLive ()
              HasReport = not (parsed.GetValue noReport)
              HasEvents = parsed.GetValue tensorboard || RunFolder.hasEvents path
              StartedFrom = settings.StartedFrom }

        return options
    }

/// Fault: `Mismatch` for an option that runs of DDPG do not have.
let private refuseForDdpg (parsed: ParseResult) =
    let isGiven (option: Option) =
        match parsed.GetResult option with
        | null -> false
        | found -> not found.Implicit

    match [ tensorboard :> Option; inFlight; restartFailed; cluster ] |> List.tryFind isGiven with
    | Some option ->
        Error(Mismatch $"{option.Name} is for runs of TRPO and PPO, and the run in this folder is one of DDPG")
    | None -> Ok()

let private runDdpg (parsed: ParseResult) path settings chosen =
    result {
        do! refuseForDdpg parsed
        let! threads = parseThreads (parsed.GetValue threads)
        let! steps = tryGet parsed steps |> checkedOption (Arguments.steps "--steps")
        return! DdpgCommand.resume path settings chosen steps threads (not (parsed.GetValue noReport))
    }

let private runOnPolicy (parsed: ParseResult) path settings (chosen: EnvironmentFiles.Known) =
    result {
        let! calls = parseCalls parsed inFlight restartFailed

        return!
            chosen.Registered.Use
                { new EnvironmentUse<_> with
                    member _.With environment =
                        let environment = calls.Of environment

                        Clusters.withWorkers (tryGet parsed cluster) (fun workers ->
                            runOptions parsed path settings chosen.Registered workers
                            |> Result.map (fun options -> Train.resume options environment Console.Out Console.Error)) }
    }

let private run (parsed: ParseResult) =
    result {
        let path = parsed.GetValue folder
        do! requireCheckpoint path
        let! known = knownEnvironments parsed envFrom
        let! settings = RunSettings.ofFolder path
        let! chosen = recordedEnvironment "the run trains on" known settings.Environment settings.EnvironmentFrom

        let go =
            match settings.Algorithm with
            | RunAlgorithm.OnPolicy -> runOnPolicy
            | RunAlgorithm.Ddpg -> runDdpg

        return! go parsed path settings chosen
    }

let command =
    let command = Command("resume", "Go on with a run from its last checkpoint")
    command.Arguments.Add folder

    let options: Option list =
        [ envFrom; steps; noReport; plain; tensorboard; threads; inFlight; restartFailed; cluster ]

    options |> List.iter command.Options.Add
    command.SetAction(run >> orRefuse)
    command
