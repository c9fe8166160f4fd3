/// Games of Godot as environments of the command: `godot:` waits for one, and `godot:FILE` starts one. Options may follow after a question
/// mark: `godot:game.x86_64?speedup=8&truncate_at=1000`.
module FunTrpo.Cli.GodotGames

open System
open System.Threading
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Plots
open FunTrpo.Remote

/// What the names of games begin with.
let prefix = "godot:"

/// The names of the options. Those of arguments that the Sync node of Godot RL Agents reads are the same.
let private names =
    [ "port"; "speedup"; "action_repeat"; "env_seed"; "show_window"; "truncate_at"; "wait" ]

/// The file of a game, if there is one, and its options as texts.
let private split (id: string) =
    let file, given =
        match id.Substring(prefix.Length).Split('?', 2) with
        | [| file; given |] -> file, given.Split '&' |> List.ofArray
        | alone -> alone[0], []

    let assignment (text: string) =
        match text.Split('=', 2) with
        | [| name; value |] when List.contains name names -> Ok(name, value)
        | parts ->
            let known = String.concat ", " names

            Error(
                InvalidSetting(
                    "--env",
                    id,
                    $"'{parts[0]}' is no option of a game{Suggestion.among names parts[0]}; the options are {known}, each with = and a value"
                )
            )

    given
    |> List.map assignment
    |> Result.all
    |> Result.map (fun given -> (if file = "" then None else Some file), Map.ofList given)

/// The number of an option, if it is given.
let private numberOf name given parse =
    match Map.tryFind name given with
    | Some text -> parse text |> Result.map Nullable
    | None -> Ok(Nullable())

let private integerOf name least most given = numberOf name given (Arguments.integer name least most >> Result.map int)

/// A number of more than 0, and at most a day in seconds.
let private positiveOf name given =
    numberOf name given (fun text ->
        Arguments.number name text
        |> Result.bind (fun number ->
            if number >= 0.001 && number <= 86_400.0 then
                Ok number
            else
                Error(InvalidSetting(name, text, "it must be in [0.001, 86400]"))))

let private switchOf name given =
    match Map.tryFind name given with
    | None
    | Some "false" -> Ok false
    | Some "true" -> Ok true
    | Some text -> Error(InvalidSetting(name, text, "it must be true or false"))

/// The file of a game, if it is to be started, and its options. Returns an `InvalidSetting` for an option that there is not, or that is out of
/// its range.
let parse id =
    let largest = int64 Int32.MaxValue

    result {
        let! file, given = split id
        let! port = integerOf "port" 1L 65535L given
        let! speedup = positiveOf "speedup" given
        let! repeat = integerOf "action_repeat" 1L largest given
        let! seed = integerOf "env_seed" 0L largest given
        let! showsWindow = switchOf "show_window" given
        let! truncateAt = integerOf "truncate_at" 1L largest given
        let! wait = positiveOf "wait" given

        return
            file,
            GodotOptions(
                Port = port,
                Speedup = speedup,
                ActionRepeat = repeat,
                Seed = seed.GetValueOrDefault 1,
                ShowWindow = showsWindow,
                TruncateAt = truncateAt,
                StartTime = TimeSpan.FromSeconds(wait.GetValueOrDefault 60.0)
            )
    }

/// Says on the standard error what a game is waited for, because somebody has to start it.
let private announce (options: GodotOptions) =
    let port = options.Port.GetValueOrDefault GodotOptions.StandardPort

    Console.Error.WriteLine
        $"Waiting for a game of Godot on the port {port}, for up to {options.StartTime.TotalSeconds} s: press Play in the editor."

/// The environment with this name: the agents of games, each of which is started or waited for when it is needed. Returns the faults of
/// `parse`.
let environment id =
    parse id
    |> Result.map (fun (file, options) ->
        let games = ref -1

        let next () =
            if file.IsNone then
                announce options

            let options = options.OfGame(Interlocked.Increment games)
            GodotSimulators.Open(Option.toObj file, options, id) :> BatchSimulator

        let simulators = BatchSimulator.simulators (Func<_> next)
        Registered.ofNamedSimulators (fun () -> id) Tuning.standard simulators.Invoke)

/// Refuses training that has not an environment for each agent of each game, which all move on together.
let requireAgents (environment: Environment<'State>) (configuration: Configuration) =
    let isGame = environment.Id.StartsWith(prefix, StringComparison.Ordinal)

    match BatchSteps.ofEnvironment<'State> environment with
    | Some agents when isGame && configuration.Environments % agents.Size <> 0 ->
        Error(
            InvalidSetting(
                "environments",
                string configuration.Environments,
                $"the game has {agents.Size} agents, so it must be {agents.Size}, or a multiple of it for several games"
            )
        )
    | _ -> Ok()
