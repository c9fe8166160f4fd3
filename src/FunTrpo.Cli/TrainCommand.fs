/// The options of `funtrpo train`, and the run that they describe.
module FunTrpo.Cli.TrainCommand

open System
open System.CommandLine
open System.IO
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Environments
open FunTrpo.Cli.CommandOptions

let private env = envOption ()
let private envFrom = envFromOption ()
let private seed = optional "--seed" "The seed of all randomness, an integer [default: 0]"

let private config =
    optional "--config" "The config.json of a run, which is made again; other options say what is to be different"

let private steps =
    optional
        "--steps"
        "Environment steps (100000, 100k, 1e6 or 2M), to within one of each environment [default: five times those that the preset is tuned for, until it is solved; 100000 for an environment of your own without a goal]"

let private stopAt =
    optional
        "--stop-at"
        "Stop when the mean return of the last 100 finished training episodes is at least this [default: where the environment counts as solved, unless --steps is given]"

let private out =
    optional
        "--out"
        "The folder for policy, progress, configuration and summary, where those of an earlier run are replaced [default: runs/ENV-SEED]"

let private from = optional "--from" "A saved policy (policy.json) to start from, instead of a new one"
let private threads = threadsOption ()
let private inFlight = inFlightOption ()
let private restartFailed = restartFailedOption ()

let private checkpointEvery =
    optional
        "--checkpoint-every"
        "Save a checkpoint after this many iterations, and at the end, from which `funtrpo resume` goes on [default: none]"

let private cluster = clusterOption ()
let private noReport = noReportOption ()
let private plain = plainOption ()
let private tensorboard = tensorboardOption ()

let private set =
    Option<string[]>("--set", Description = "key=value: a field of the configuration; `funtrpo config` shows them")

/// The settings of the run that --config names, if it is given.
type private Recorded = RunSettings option

/// The checked value of an option, or else the recorded one.
let private orRecorded parsed (recorded: Recorded) option check recordedValue =
    tryGet parsed option
    |> checkedOption check
    |> Result.map (Option.orElse (recorded |> Option.bind recordedValue))

/// A run that started from a saved policy cannot be repeated without that policy.
let private requireStart (recorded: Recorded) from =
    match recorded |> Option.bind _.StartedFrom, from with
    | Some hash, None ->
        Error(
            Mismatch
                $"the run of --config started from a policy whose parametersSha256 is {hash}: say with --from where that is"
        )
    | _ -> Ok()

/// The environment of the run. A run on an environment of a file cannot be repeated without that file.
let private chooseEnvironment (recorded: Recorded) known id =
    match id, recorded with
    | Some _, _
    | None, None -> chosenEnvironment EnvironmentFiles.firstOfLibrary known id
    | None, Some recorded ->
        recordedEnvironment "the run of --config trained on" known recorded.Environment recorded.EnvironmentFrom

/// The steps of a run if none are given. Without a goal, more steps than the preset is tuned for would only cost time.
let private standardSteps (registered: Registered) =
    if registered.SolvedAt.IsSome then 5L * registered.Steps else registered.Steps

/// The fields that a saved policy determines.
let private policySettings (configuration: Configuration) =
    configuration.PolicyLayers,
    configuration.NormaliseObservations,
    configuration.ScaleActions,
    configuration.Distribution,
    configuration.InitialLogSigma

/// The preset, changed by the saved policy, the recorded fields and --set, in this order.
let private configurationOf
    (parsed: ParseResult)
    (recorded: Recorded)
    (registered: Registered)
    (from: SavedPolicy option)
    =
    result {
        let preset =
            match from with
            | Some saved -> Configuration.ofActor saved.Actor registered.Preset
            | None -> registered.Preset

        let! assignments = listOf parsed set |> Arguments.assignments

        let fields = recorded |> Option.map _.Fields |> Option.defaultValue []
        let! configuration = Arguments.fields preset (fields @ assignments)

        if from.IsSome && policySettings configuration <> policySettings preset then
            return!
                Error(
                    Mismatch
                        "architecture, hidden, activation, distribution, normaliseObservations, scaleActions and initialLogSigma cannot be set with --from: they are those of the saved policy"
                )
        else
            return configuration
    }

/// The run that the options describe, and the saved policy that it starts from.
let private runOptions
    (parsed: ParseResult)
    (recorded: Recorded)
    (chosen: EnvironmentFiles.Known)
    (environment: Environment<'State>)
    workers
    =
    result {
        let registered = chosen.Registered
        let! seed = orRecorded parsed recorded seed parseSeed (_.Seed >> Some)
        let seed = defaultArg seed 0L
        let! threads = parseThreads (parsed.GetValue threads)
        let! steps = orRecorded parsed recorded steps (Arguments.steps "--steps") (_.Steps >> Some)
        let! stopAt = orRecorded parsed recorded stopAt (Arguments.number "--stop-at") _.StopAt

        let! checkpointEvery =
            orRecorded parsed recorded checkpointEvery (Arguments.iterations "--checkpoint-every") _.CheckpointEvery

        let! evaluation = EvaluationOptions.parse parsed (recorded |> Option.bind _.Evaluation)

        let! from = tryGet parsed from |> checkedOption (policyFor environment)
        do! requireStart recorded from
        let! configuration = configurationOf parsed recorded registered from
        do! GodotGames.requireAgents environment configuration

        let folder =
            tryGet parsed out
            |> Option.defaultWith (fun () -> Path.Combine("runs", $"{RunFolder.nameOf registered.Id}-{seed}"))

        let options: Run.Options =
            { Seed = seed
              Steps = defaultArg steps (standardSteps registered)
              StopAt = if steps.IsNone && stopAt.IsNone then registered.SolvedAt else stopAt
              SolvedAt = registered.SolvedAt
              EnvironmentFrom = chosen.File |> Option.map Path.GetFileName
              Folder = folder
              SaveEvery = TimeSpan.FromSeconds 1.0
              CheckpointEvery = checkpointEvery
              Evaluation = evaluation
              Threads = threads
              Workers = workers
              Configuration = configuration
              Preset = registered.Preset
              IsLive = not (parsed.GetValue plain) && Terminal.isLive ()
              HasReport = not (parsed.GetValue noReport)
              HasEvents = parsed.GetValue tensorboard
              StartedFrom = from |> Option.map (fun saved -> Sha256.ofParameters saved.Actor.Parameters) }

        return options, from
    }

/// Fault: `Mismatch` for the settings of a run that another command makes.
let private requireOnPolicy (settings: RunSettings) =
    match settings.Algorithm with
    | RunAlgorithm.OnPolicy -> Ok()
    | RunAlgorithm.Ddpg -> Error(Mismatch "--config is that of a run with DDPG, which `funtrpo ddpg` makes")

let private run (parsed: ParseResult) =
    result {
        let! recorded = tryGet parsed config |> checkedOption RunSettings.read
        do! recorded |> Option.map requireOnPolicy |> Option.defaultValue (Ok())
        let! known = knownEnvironments parsed envFrom
        let! chosen = chooseEnvironment recorded known (tryGet parsed env)
        let! calls = parseCalls parsed inFlight restartFailed

        return!
            chosen.Registered.Use
                { new EnvironmentUse<_> with
                    member _.With environment =
                        let environment = calls.Of environment

                        Clusters.withWorkers (tryGet parsed cluster) (fun workers ->
                            runOptions parsed recorded chosen environment workers
                            |> Result.map (fun (options, from) ->
                                Train.run options from environment Console.Out Console.Error)) }
    }

let command =
    let command = Command("train", "Train a policy; without options: CartPole-v1 until it is solved")

    let options: Option list =
        [ env
          envFrom
          seed
          config
          steps
          stopAt
          out
          checkpointEvery
          yield! EvaluationOptions.all
          noReport
          plain
          tensorboard
          from
          threads
          inFlight
          restartFailed
          cluster
          set ]

    options |> List.iter command.Options.Add
    command.SetAction(run >> orRefuse)
    command
