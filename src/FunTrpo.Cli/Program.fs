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

let private envFromOption () =
    Option<string[]>(
        "--env-from",
        Description =
            "A .NET assembly (FILE.dll) that registers environments of your own. Its code is run: use only files that you trust"
    )

/// The environments of the library, and those of the files of `--env-from`.
let private knownEnvironments (parsed: ParseResult) (envFrom: Option<string[]>) =
    parsed.GetValue envFrom
    |> Option.ofObj
    |> Option.defaultValue [||]
    |> List.ofArray
    |> EnvironmentFiles.known

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
    let env =
        optional
            "--env"
            "The environment; `funtrpo list` shows them [default: the only one of --env-from, or CartPole-v1]"

    let envFrom = envFromOption ()
    let seed = optional "--seed" "The seed of all randomness, an integer [default: 0]"

    let config =
        optional "--config" "The config.json of a run, which is made again; other options say what is to be different"

    let steps =
        optional
            "--steps"
            "Environment steps (100000, 100k, 1e6 or 2M), to within one of each environment [default: five times those that the preset is tuned for, until it is solved; 100000 for an environment of your own without a goal]"

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

    let options: Option list = [ env; envFrom; seed; config; steps; stopAt; out; from; threads; set ]
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

    /// The environment of the run. A run on an environment of a file cannot be repeated without that file.
    let chooseEnvironment (recorded: RunFiles.Settings option) known id =
        match id, recorded with
        | Some id, _ -> EnvironmentFiles.find known id
        | None, None -> EnvironmentFiles.standard known
        | None, Some recorded ->
            EnvironmentFiles.find known recorded.Environment
            |> Result.mapError (fun fault ->
                match recorded.EnvironmentFrom with
                | Some file ->
                    Mismatch
                        $"the run of --config trained on {recorded.Environment} of {file}: say with --env-from where that is"
                | None -> fault)

    /// The steps of a run if none are given. Without a goal, more steps than the preset is tuned for would only cost time.
    let standardSteps (registered: Registered) =
        if registered.SolvedAt.IsSome then 5L * registered.Steps else registered.Steps

    let prepare
        (parsed: ParseResult)
        (recorded: RunFiles.Settings option)
        ({ Registered = registered; File = file }: EnvironmentFiles.Known)
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
                  Steps = defaultArg steps (standardSteps registered)
                  StopAt =
                    match steps, stopAt with
                    | None, None -> registered.SolvedAt
                    | _ -> stopAt
                  SolvedAt = registered.SolvedAt
                  EnvironmentFrom = file |> Option.map Path.GetFileName
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

            let! known = knownEnvironments parsed envFrom
            let! chosen = chooseEnvironment recorded known (tryGet parsed env)

            return!
                chosen.Registered.Use
                    { new EnvironmentUse<_> with
                        member _.With environment = prepare parsed recorded chosen environment }
        }
        |> orRefuse)

    command

let private evaluateCommand =
    let policy = optional "--policy" "The file of the policy (policy.json)"

    policy.Required <- true

    let env = optional "--env" "The environment [default: the one that the policy was trained on]"

    let envFrom = envFromOption ()
    let episodes = option "--episodes" "How many episodes are played" "100"
    let seed = seedOption ()
    let threads = threadsOption ()

    let command =
        Command("evaluate", "Play episodes with the most probable actions and print their scores as a JSON object")

    let options: Option list = [ policy; env; envFrom; episodes; seed; threads ]
    options |> List.iter command.Options.Add

    /// The environment that the policy was trained on, if it is known.
    let environmentOf path (known: EnvironmentFiles.Known list) (saved: SavedPolicy) =
        match EnvironmentFiles.find known saved.Environment with
        | Ok found -> Ok found
        | Error _ ->
            let known = known |> List.map _.Registered.Id |> String.concat ", "

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
            let path = parsed.GetValue policy
            let! known = knownEnvironments parsed envFrom

            let! chosen =
                match tryGet parsed env with
                | Some id -> EnvironmentFiles.find known id
                | None -> loadPolicy path |> Result.bind (environmentOf path known)

            return!
                chosen.Registered.Use
                    { new EnvironmentUse<_> with
                        member _.With environment = evaluate parsed environment }
        }
        |> orRefuse)

    command

let private checkCommand =
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

/// Prints an environment, and where its preset differs from the standard configuration.
let private show (registered: Registered) =
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

    let goal =
        match registered.SolvedAt with
        | Some goal -> $"solved at a mean return of {goal}; tuned for {registered.Steps} steps"
        | None -> $"no goal; trains for {registered.Steps} steps"

    let preset = if differences = "" then "the standard configuration" else differences
    Console.Out.WriteLine registered.Id
    Console.Out.WriteLine $"    {spaces}"
    Console.Out.WriteLine $"    {goal}"
    Console.Out.WriteLine $"    preset: {preset}"

let private listCommand =
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

let private configCommand =
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
        | EnvironmentUnavailable _ as unavailable ->
            Console.Error.WriteLine(Fault.printable unavailable.Message)
            badArguments
        | :? IOException
        | :? UnauthorizedAccessException as e ->
            Console.Error.WriteLine $"A file or the output could not be written or read: {e.Message}"
            failed
