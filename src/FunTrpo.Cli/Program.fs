module FunTrpo.Cli.Program

open System
open System.CommandLine
open System.CommandLine.Help
open System.IO
open System.Text.Json.Nodes
open FunTrpo
open FunTrpo.Environments

let private ok = 0
let private failed = 1
let private badArguments = 2

let private option name description (standard: string) =
    Option<string>(name, Description = description, DefaultValueFactory = (fun _ -> standard))

/// An option that may be omitted; its value is then null.
let private optional name description = Option<string>(name, Description = description)

let private tryGet (parsed: ParseResult) (option: Option<string>) = parsed.GetValue option |> Option.ofObj

/// The checked value of an option, or none if the option was omitted.
let private checkedOption check text =
    match text with
    | None -> Ok None
    | Some text -> check text |> Result.map Some

/// Returns the exit code of the action, or prints the fault and returns `badArguments`.
let private orRefuse (action: Result<int, Fault>) =
    match action with
    | Ok exitCode -> exitCode
    | Error fault ->
        Console.Error.WriteLine(Fault.message fault)
        badArguments

let private seedOption () = option "--seed" "The seed of all randomness, an integer" "0"

let private threadsOption () =
    option "--threads" "How many threads work; the results do not depend on it" (string Environment.ProcessorCount)

let private parseSeed = Arguments.integer "--seed" Int64.MinValue Int64.MaxValue

let private parseThreads text = Arguments.integer "--threads" 1L 1024L text |> Result.map int

/// Loads a saved policy. If the path is a folder, the fault suggests the policy file inside it.
let private loadPolicy path =
    let inside = Path.Combine(path, "policy.json")

    if not (Directory.Exists path) then PolicyFile.load path
    elif File.Exists inside then Error(Damaged(path, $"it is a folder; did you mean {inside}?"))
    else Error(Damaged(path, "it is a folder, and not the file of a policy"))

/// Loads a saved policy that can act in the environment.
let private policyFor (environment: Environment<'State>) path =
    loadPolicy path |> Result.bind (PolicyFile.requireFit $"the policy in {path}" environment)

let private trainCommand =
    let env = optional "--env" "The environment; `funtrpo list` shows them [default: CartPole-v1]"
    let seed = optional "--seed" "The seed of all randomness, an integer [default: 0]"

    let config =
        optional "--config" "The config.json of a run, which is made again; other options say what is to be different"

    let steps =
        optional
            "--steps"
            "Environment steps (100000, 100k, 1e6 or 2M), to within one of each environment [default: five times those that the preset is tuned for, until it is solved]"

    let stopAt =
        optional
            "--stop-at"
            "Stop when the mean return of the last 100 finished training episodes is at least this [default: where the environment counts as solved, unless --steps is given]"

    let out =
        optional
            "--out"
            "The folder for policy, progress, configuration and summary, where those of an earlier run are replaced [default: runs/ENV-SEED]"

    let from = optional "--from" "A saved policy (policy.json) to start from, instead of a new one"

    let threads = threadsOption ()

    let set =
        Option<string[]>("--set", Description = "key=value: a field of the configuration; `funtrpo config` shows them")

    let command = Command("train", "Train a policy; without options: CartPole-v1 until it is solved")

    let options: Option list = [ env; seed; config; steps; stopAt; out; from; threads; set ]
    options |> List.iter command.Options.Add

    /// A run that started from a saved policy cannot be repeated without that policy.
    let requireStart (recorded: RunFiles.Settings option) from =
        match recorded |> Option.bind _.StartedFrom, from with
        | Some hash, None ->
            Error(
                Mismatch
                    $"the run of --config started from a policy whose parametersSha256 is {hash}: say with --from where that is"
            )
        | _ -> Ok()

    let prepare
        (parsed: ParseResult)
        (recorded: RunFiles.Settings option)
        (registered: Registered)
        (environment: Environment<'State>)
        =
        result {
            let! seed = tryGet parsed seed |> checkedOption parseSeed
            let seed = seed |> Option.orElse (recorded |> Option.map _.Seed) |> Option.defaultValue 0L
            let! threads = parseThreads (parsed.GetValue threads)

            let! steps = tryGet parsed steps |> checkedOption (Arguments.steps "--steps")
            let steps = steps |> Option.orElse (recorded |> Option.map _.Steps)

            let! stopAt = tryGet parsed stopAt |> checkedOption (Arguments.number "--stop-at")
            let stopAt = stopAt |> Option.orElse (recorded |> Option.bind _.StopAt)
            let! from = tryGet parsed from |> checkedOption (policyFor environment)
            do! requireStart recorded from

            let preset =
                match from with
                | Some saved -> Configuration.ofActor saved.Actor registered.Preset
                | None -> registered.Preset

            let! assignments =
                parsed.GetValue set
                |> Option.ofObj
                |> Option.defaultValue [||]
                |> List.ofArray
                |> Arguments.assignments

            let fields = recorded |> Option.map _.Fields |> Option.defaultValue []
            let! configuration = Arguments.fields preset (fields @ assignments)

            let policySettings (configuration: Configuration) =
                configuration.PolicyLayers,
                configuration.NormaliseObservations,
                configuration.ScaleActions,
                configuration.InitialLogSigma

            do!
                if from.IsSome && policySettings configuration <> policySettings preset then
                    Error(
                        Mismatch
                            "architecture, hidden, activation, normaliseObservations, scaleActions and initialLogSigma cannot be set with --from: they are those of the saved policy"
                    )
                else
                    Ok()

            let options: Train.Options =
                { Seed = seed
                  Steps = defaultArg steps (5L * registered.Steps)
                  StopAt =
                    match steps, stopAt with
                    | None, None -> Some registered.SolvedAt
                    | _ -> stopAt
                  SolvedAt = registered.SolvedAt
                  Folder =
                    tryGet parsed out |> Option.defaultWith (fun () -> Path.Combine("runs", $"{registered.Id}-{seed}"))
                  SaveEvery = TimeSpan.FromSeconds 1.0
                  Threads = threads
                  Configuration = configuration
                  From = from }

            return Train.run options environment Console.Out Console.Error
        }

    command.SetAction(fun parsed ->
        result {
            let! recorded = tryGet parsed config |> checkedOption RunFiles.settings

            let! registered =
                tryGet parsed env
                |> Option.orElse (recorded |> Option.map _.Environment)
                |> Option.defaultValue "CartPole-v1"
                |> Arguments.environment

            return!
                registered.Use
                    { new EnvironmentUse<_> with
                        member _.With environment = prepare parsed recorded registered environment }
        }
        |> orRefuse)

    command

let private evaluateCommand =
    let policy = optional "--policy" "The file of the policy (policy.json)"

    policy.Required <- true

    let env = optional "--env" "The environment [default: the one that the policy was trained on]"

    let episodes = option "--episodes" "How many episodes are played" "100"
    let seed = seedOption ()
    let threads = threadsOption ()

    let command =
        Command("evaluate", "Play episodes with the most probable actions and print their scores as a JSON object")

    let options: Option list = [ policy; env; episodes; seed; threads ]
    options |> List.iter command.Options.Add

    /// The environment that the policy was trained on, if the library has it.
    let environmentOf path (saved: SavedPolicy) =
        match Registry.tryFind saved.Environment with
        | Some registered -> Ok registered
        | None ->
            let known = Registry.all |> List.map _.Id |> String.concat ", "

            Error(
                Mismatch
                    $"the policy in {path} was trained on {saved.Environment}, which this command does not have: it can play {known}, with --env, where the spaces are the same"
            )

    let evaluate (parsed: ParseResult) (environment: Environment<'State>) =
        result {
            let! saved = policyFor environment (parsed.GetValue policy)
            let! episodes = Arguments.count "--episodes" 1L 1_000_000L (parsed.GetValue episodes)
            let! seed = parseSeed (parsed.GetValue seed)
            let! threads = parseThreads (parsed.GetValue threads)

            return
                match Evaluation.run threads environment saved.Actor (int episodes) (Key.ofSeed seed) with
                | Ok scores ->
                    let node = JsonObject()
                    node.Add("mean", JsonValue.Create scores.Mean)
                    node.Add("std", JsonValue.Create scores.Std)
                    node.Add("min", JsonValue.Create scores.Min)
                    node.Add("max", JsonValue.Create scores.Max)
                    node.Add("episodes", JsonValue.Create scores.Returns.Length)
                    Console.Out.WriteLine(node.ToJsonString())
                    ok
                | Error fault ->
                    Console.Error.WriteLine(Fault.message fault)
                    failed
        }

    command.SetAction(fun parsed ->
        result {
            let! registered =
                match tryGet parsed env with
                | Some id -> Arguments.environment id
                | None -> loadPolicy (parsed.GetValue policy) |> Result.bind (environmentOf (parsed.GetValue policy))

            return!
                registered.Use
                    { new EnvironmentUse<_> with
                        member _.With environment = evaluate parsed environment }
        }
        |> orRefuse)

    command

let private checkCommand =
    let env = optional "--env" "The environment; `funtrpo list` shows them"
    env.Required <- true
    let seed = seedOption ()

    let command =
        Command("check", "Play some hundred random steps, and say what will probably keep policies from learning")

    let options: Option list = [ env; seed ]
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
            let! registered = Arguments.environment (parsed.GetValue env)
            let! seed = parseSeed (parsed.GetValue seed)

            return
                registered.Use
                    { new EnvironmentUse<_> with
                        member _.With environment = check registered.Id registered.Preset environment seed }
        }
        |> orRefuse)

    command

let private listCommand =
    let command =
        Command("list", "Show the environments, and where their presets differ from the standard configuration")

    command.SetAction(fun _ ->
        for registered in Registry.all do
            let spaces =
                registered.Use
                    { new EnvironmentUse<_> with
                        member _.With environment =
                            $"observations {Space.describe environment.ObservationSpace}, actions {Space.describe environment.ActionSpace}" }

            let differences =
                Configuration.fields
                |> List.filter (fun field -> field.Get registered.Preset <> field.Get Configuration.standard)
                |> List.map (fun field -> $"{field.Name}={field.Get registered.Preset}")
                |> String.concat " "

            let preset = if differences = "" then "the standard configuration" else differences
            Console.Out.WriteLine registered.Id
            Console.Out.WriteLine $"    {spaces}"

            Console.Out.WriteLine
                $"    solved at a mean return of {registered.SolvedAt}; tuned for {registered.Steps} steps"

            Console.Out.WriteLine $"    preset: {preset}"

        ok)

    command

let private configCommand =
    let env = optional "--env" "Show the values of this environment's preset, and not the standard ones"

    let command =
        Command("config", "Show every field of the configuration, with its meaning, value and range")

    command.Options.Add env

    command.SetAction(fun parsed ->
        tryGet parsed env
        |> checkedOption Arguments.environment
        |> Result.map (fun registered ->
            let configuration =
                match registered with
                | Some registered -> registered.Preset
                | None -> Configuration.standard

            for field in Configuration.fields do
                Console.Out.WriteLine $"{field.Name} = {field.Get configuration}"
                Console.Out.WriteLine $"    {field.Meaning}"
                Console.Out.WriteLine $"    {field.Allowed}"

            ok)
        |> orRefuse)

    command

[<EntryPoint>]
let main arguments =
    let root = Command("funtrpo", "Trust-region policy optimization: train policies and play with them.")
    root.Options.Add(HelpOption())
    root.Options.Add(VersionOption())

    for command in [ trainCommand; evaluateCommand; checkCommand; listCommand; configCommand ] do
        root.Subcommands.Add command

    let parsed = root.Parse arguments

    if parsed.Errors.Count > 0 then
        for error in parsed.Errors do
            Console.Error.WriteLine error.Message

        let command = parsed.CommandResult.Command
        let known = Seq.append (command.Subcommands |> Seq.map _.Name) (command.Options |> Seq.map _.Name)

        for token in parsed.UnmatchedTokens do
            match Suggestion.among known token with
            | "" -> ()
            | suggestion -> Console.Error.WriteLine $"{token}{suggestion}"

        let commands = root.Subcommands |> Seq.map _.Name |> String.concat ", "

        Console.Error.WriteLine
            $"The commands are {commands}; `funtrpo --help` and `funtrpo <command> --help` explain them."

        badArguments
    else
        try
            parsed.Invoke(InvocationConfiguration(EnableDefaultExceptionHandler = false))
        with
        | :? IOException
        | :? UnauthorizedAccessException as e ->
            Console.Error.WriteLine $"A file or the output could not be written or read: {e.Message}"
            failed
