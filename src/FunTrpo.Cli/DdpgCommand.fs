/// The command `funtrpo ddpg`: trains a policy with DDPG.
module FunTrpo.Cli.DdpgCommand

open System
open System.CommandLine
open System.IO
open FunTrpo
open FunTrpo.Ddpg
open FunTrpo.Environments
open FunTrpo.Plots
open FunTrpo.Cli.CommandOptions

let private env =
    optional
        "--env"
        "The environment, whose actions are a box with finite bounds [default: the one of --env-from, or Pendulum-v1]"

let private envFrom = envFromOption ()
let private noReport = noReportOption ()
let private seed = seedOption ()

let private steps =
    optional
        "--steps"
        "Environment steps (50000, 50k, 1e6 or 2M) [default: those that the preset is tuned for; 100000 without a preset]"

let private out =
    optional
        "--out"
        "The folder for policy, progress, configuration and summary, where those of an earlier run are replaced [default: runs/ENV-ddpg-SEED]"

let private checkpointEvery =
    optional
        "--checkpoint-every"
        "Save a checkpoint after this many iterations, and at the end, from which `funtrpo resume` goes on [default: none]"

let private threads = option "--threads" "How many threads work; the results do not depend on it" "1"

let private set =
    Option<string[]>("--set", Description = "key=value: a setting of DDPG; --settings shows them")

let private settings =
    Option<bool>("--settings", Description = "Show every setting with its meaning, value and range, and train nothing")

let private show (settings: DdpgSettings) =
    for field in DdpgSettings.fields do
        Console.Out.WriteLine $"{field.Name} = {field.Get settings}"
        Console.Out.WriteLine $"    {field.Meaning}"
        Console.Out.WriteLine $"    {field.Allowed}"

    ok

/// The preset of the environment, or the standard settings, changed by --set.
let private settingsOf (parsed: ParseResult) environment =
    listOf parsed set
    |> Arguments.assignments
    |> Result.bind (Arguments.ddpgFields (DdpgPresets.orStandard environment))

/// The steps of an environment without a preset.
let private standardSteps = 100_000L

let private optionsOf (parsed: ParseResult) (chosen: EnvironmentFiles.Known) (preset: DdpgPreset option) settings =
    result {
        let registered = chosen.Registered
        let! seed = parseSeed (parsed.GetValue seed)
        let! threads = parseThreads (parsed.GetValue threads)
        let! steps = tryGet parsed steps |> checkedOption (Arguments.steps "--steps")
        let! every = tryGet parsed checkpointEvery |> checkedOption (Arguments.iterations "--checkpoint-every")
        let presetSteps = preset |> Option.map _.Steps |> Option.defaultValue standardSteps

        let options: DdpgRun.Options =
            { Environment = registered.Id
              EnvironmentFrom = chosen.File |> Option.map Path.GetFileName
              Seed = seed
              Steps = defaultArg steps presetSteps
              CheckpointEvery = every
              Settings = settings
              SolvedAt = registered.SolvedAt
              HasReport = not (parsed.GetValue noReport)
              Folder =
                tryGet parsed out
                |> Option.defaultWith (fun () -> Path.Combine("runs", $"{RunFolder.nameOf registered.Id}-ddpg-{seed}"))
              Threads = threads }

        return options
    }

let private run (parsed: ParseResult) =
    result {
        let! known = knownEnvironments parsed envFrom
        let! chosen = tryGet parsed env |> chosenEnvironment "Pendulum-v1" known
        let preset = DdpgPresets.tryFind chosen.Registered.Id
        let! chosenSettings = settingsOf parsed chosen.Registered.Id

        if parsed.GetValue settings then
            return show chosenSettings
        else
            let! options = optionsOf parsed chosen preset chosenSettings

            return
                chosen.Registered.Use
                    { new EnvironmentUse<_> with
                        member _.With environment = DdpgRun.run options environment Console.Out Console.Error }
    }

/// Goes on with the run in a folder, which has these settings, on an environment.
let resume folder settings (chosen: EnvironmentFiles.Known) steps threads hasReport =
    result {
        let! recorded = DdpgRun.ofSettings folder settings

        let options =
            { recorded with
                Steps = defaultArg steps recorded.Steps
                SolvedAt = chosen.Registered.SolvedAt
                HasReport = hasReport
                Threads = threads }

        return
            chosen.Registered.Use
                { new EnvironmentUse<_> with
                    member _.With environment = DdpgRun.resume options environment Console.Out Console.Error }
    }

let command =
    let command =
        Command("ddpg", "Train a policy with DDPG, deep deterministic policy gradient, for actions in a box")

    let options: Option list =
        [ env; envFrom; seed; steps; out; checkpointEvery; noReport; threads; set; settings ]

    options |> List.iter command.Options.Add
    command.SetAction(run >> orRefuse)
    command
