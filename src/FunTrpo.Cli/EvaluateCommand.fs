/// The command `funtrpo evaluate`: plays episodes with a saved policy.
module FunTrpo.Cli.EvaluateCommand

open System
open System.CommandLine
open System.Text.Json.Nodes
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Environments
open FunTrpo.Cli.CommandOptions

let private policy = optional "--policy" "The file of the policy (policy.json)"
policy.Required <- true
let private env = optional "--env" "The environment [default: the one that the policy was trained on]"
let private envFrom = envFromOption ()
let private episodes = option "--episodes" "How many episodes are played" "100"
let private seed = seedOption ()
let private threads = threadsOption ()
let private inFlight = inFlightOption ()
let private restartFailed = restartFailedOption ()

/// The environment that the policy was trained on, if it is known.
let private environmentOf path (known: EnvironmentFiles.Known list) (saved: SavedPolicy) =
    match EnvironmentFiles.find known saved.Environment with
    | Ok found -> Ok found
    | Error _ ->
        let known = known |> List.map _.Registered.Id |> String.concat ", "

        Error(
            Mismatch
                $"the policy in {path} was trained on {saved.Environment}, which this command does not have: it can play {known}, with --env, where the spaces are the same"
        )

let private json (scores: Scores) =
    let returns = Seq.toArray scores.Returns
    let interval = Statistics.meanInterval returns
    let node = JsonObject()
    node.Add("mean", JsonValue.Create scores.Mean)
    node.Add("meanLow95", JsonValue.Create interval.Low)
    node.Add("meanHigh95", JsonValue.Create interval.High)
    node.Add("std", JsonValue.Create scores.Std)
    node.Add("median", JsonValue.Create(Statistics.median returns))
    node.Add("interquartileMean", JsonValue.Create(Statistics.interquartileMean returns))
    node.Add("min", JsonValue.Create scores.Min)
    node.Add("max", JsonValue.Create scores.Max)
    node.Add("episodes", JsonValue.Create scores.Returns.Length)
    node.ToJsonString()

/// Plays the episodes and prints their scores. Returns the exit code.
let private evaluate (parsed: ParseResult) (environment: Environment<'State>) =
    result {
        let! saved = policyFor environment (parsed.GetValue policy)
        let! episodes = Arguments.episodes "--episodes" (parsed.GetValue episodes)
        let! seed = parseSeed (parsed.GetValue seed)
        let! threads = parseThreads (parsed.GetValue threads)
        let! calls = parseCalls parsed inFlight restartFailed
        let environment = calls.Of environment

        match Evaluation.run threads environment saved.Actor episodes (Key.ofSeed seed) with
        | Ok scores ->
            Console.Out.WriteLine(json scores)
            return ok
        | Error fault ->
            Console.Error.WriteLine(Fault.message fault)
            return failed
    }

let private run (parsed: ParseResult) =
    result {
        let! known = knownEnvironments parsed envFrom

        let! chosen =
            match tryGet parsed env with
            | Some id -> EnvironmentFiles.find known id
            | None ->
                let path = parsed.GetValue policy
                loadPolicy path |> Result.bind (environmentOf path known)

        return!
            chosen.Registered.Use
                { new EnvironmentUse<_> with
                    member _.With environment = evaluate parsed environment }
    }

let command =
    let command =
        Command("evaluate", "Play episodes with the most probable actions and print their scores as a JSON object")

    let options: Option list = [ policy; env; envFrom; episodes; seed; threads; inFlight; restartFailed ]
    options |> List.iter command.Options.Add
    command.SetAction(run >> orRefuse)
    command
