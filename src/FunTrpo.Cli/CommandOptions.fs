/// The options that several commands share, and the exit codes.
module FunTrpo.Cli.CommandOptions

open System
open System.CommandLine
open System.IO
open FunTrpo
open FunTrpo.Plots

/// The exit code of success.
let ok = 0

/// The exit code if the work failed.
let failed = 1

/// The exit code for arguments that cannot be used.
let badArguments = 2

/// An option with a standard value.
let option name description (standard: string) =
    Option<string>(name, Description = description, DefaultValueFactory = (fun _ -> standard))

/// An option that may be omitted; its value is then null.
let optional name description = Option<string>(name, Description = description)

/// The text of an option, or none if the option was omitted.
let tryGet (parsed: ParseResult) (option: Option<string>) = parsed.GetValue option |> Option.ofObj

/// The texts of an option that may be given several times.
let listOf (parsed: ParseResult) (option: Option<string[]>) =
    parsed.GetValue option |> Option.ofObj |> Option.defaultValue [||] |> List.ofArray

/// The checked value of an option, or none if the option was omitted.
let checkedOption check text =
    match text with
    | None -> Ok None
    | Some text -> check text |> Result.map Some

/// The exit code of the action. A fault is printed, and its exit code is `badArguments`.
let orRefuse (action: Result<int, Fault>) =
    match action with
    | Ok exitCode -> exitCode
    | Error fault ->
        Console.Error.WriteLine(Fault.message fault)
        badArguments

let seedOption () = option "--seed" "The seed of all randomness, an integer" "0"

let threadsOption () =
    option "--threads" "How many threads work; the results do not depend on it" (string Environment.ProcessorCount)

let parseSeed = Arguments.integer "--seed" Int64.MinValue Int64.MaxValue

let parseThreads text = Arguments.integer "--threads" 1L 1024L text |> Result.map int

let inFlightOption () =
    optional
        "--in-flight"
        "How many environments are stepped at the same time, if they mostly wait, such as for another process; the results do not depend on it [default: as many as threads work]"

let restartFailedOption () =
    option
        "--restart-failed"
        "How many simulators may fail and be replaced by fresh ones, which play their episodes again; the results do not depend on it"
        "0"

let parseCalls (parsed: ParseResult) inFlight (restartFailed: Option<string>) =
    result {
        let! inFlight = tryGet parsed inFlight |> checkedOption (Arguments.integer "--in-flight" 1L 1024L)

        let! restartFailed =
            Arguments.integer "--restart-failed" 0L (int64 Int32.MaxValue) (parsed.GetValue restartFailed)

        return { EnvironmentCalls.InFlight = Option.map int inFlight; RestartFailed = int restartFailed }
    }

let noReportOption () = Option<bool>("--no-report", Description = "Write no report.html at the end")

let plainOption () =
    Option<bool>("--plain", Description = "Print a line for each iteration, on a terminal, too, instead of a live view")

let tensorboardOption () =
    Option<bool>(
        "--tensorboard",
        Description = "Write event files for TensorBoard, in the folder tensorboard of the run"
    )

let envOption () =
    optional
        "--env"
        "The environment; `funtrpo list` shows them, gym:ID is one of Gymnasium, and godot:FILE a game of Godot [default: the only one of --env-from, or CartPole-v1]"

let clusterOption () =
    optional
        "--cluster"
        "The cluster whose silos step the environments: local, local:PORT or redis:HOST:PORT; the results do not depend on it [default: none]"

let envFromOption () =
    Option<string[]>(
        "--env-from",
        Description =
            "A .NET assembly (FILE.dll) that registers environments of your own. Its code is run: use only files that you trust"
    )

/// The environments of the library, and those of the files of `--env-from`.
let knownEnvironments (parsed: ParseResult) (envFrom: Option<string[]>) =
    listOf parsed envFrom |> EnvironmentFiles.known

/// The known environment with this id. Without an id it is the only one of the files of `--env-from`, or this one of the library.
let chosenEnvironment ofLibrary known id =
    match id with
    | Some id -> EnvironmentFiles.find known id
    | None -> EnvironmentFiles.standard ofLibrary known

/// The environment of a recorded run, and the name of its file if it is one of a file. That is not found without the file: the fault begins with
/// `what`, such as "the run trains on".
let recordedEnvironment what known id file =
    EnvironmentFiles.find known id
    |> Result.mapError (fun fault ->
        match file with
        | Some file -> Mismatch $"{what} {id} of {file}: say with --env-from where that is"
        | None -> fault)

/// Loads a saved policy. If the path is a folder, the fault suggests the policy file inside it.
let loadPolicy path =
    let inside = Path.Combine(path, "policy.json")

    if not (Directory.Exists path) then PolicyFile.load path
    elif File.Exists inside then Error(Damaged(path, $"it is a folder; did you mean {inside}?"))
    else Error(Damaged(path, "it is a folder, and not the file of a policy"))

/// Loads a saved policy that can act in the environment.
let policyFor (environment: Environment<'State>) path =
    loadPolicy path |> Result.bind (PolicyFile.requireFit $"the policy in {path}" environment)
