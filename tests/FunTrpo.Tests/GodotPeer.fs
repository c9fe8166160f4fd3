/// Games that speak as the Sync node of Godot RL Agents does, written once more from its source (plugin version 0.7).
module FunTrpo.Tests.GodotPeer

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Sockets
open System.Text
open System.Text.Json.Nodes
open System.Threading
open System.Threading.Tasks

/// A game as its agents are: all of them see and do the same things. `Move` gives the reward, and whether the episode has ended; the agent then
/// shows the next one.
type Game =
    { Agents: int
      Observed: JsonObject
      Acted: JsonObject
      Reset: int -> unit
      Move: int -> JsonObject -> struct (float * bool)
      See: int -> JsonObject }

let private copy (node: JsonNode) = node.DeepClone()

/// A JSON object with copies of these properties, in their order.
let object (properties: (string * JsonNode) list) =
    let made = JsonObject()

    for name, value in properties do
        made.Add(name, copy value)

    made

let list (items: JsonNode seq) = JsonArray(Array.ofSeq items) :> JsonNode

let text (value: string) = JsonValue.Create value :> JsonNode

let number (value: float) = JsonValue.Create value :> JsonNode

/// A message: its length, little-endian, and its text in UTF-8.
let framed (message: string) =
    let content = Encoding.UTF8.GetBytes message
    Array.append (BitConverter.GetBytes content.Length) content

let private send (stream: Stream) (message: JsonObject) =
    let bytes = framed (message.ToJsonString())
    stream.Write(bytes, 0, bytes.Length)

let private receive (stream: Stream) =
    let header = Array.zeroCreate<byte> 4
    stream.ReadExactly header
    let content = Array.zeroCreate<byte>(BitConverter.ToInt32(header, 0))
    stream.ReadExactly content
    JsonNode.Parse(content).AsObject()

let private typeOf (message: JsonObject) = message["type"].GetValue<string>()

/// What a game says of itself.
let info game =
    object
        [ "type", text "env_info"
          "observation_space", list (Seq.init game.Agents (fun _ -> copy game.Observed))
          "action_space", list (Seq.init game.Agents (fun _ -> copy game.Acted))
          "n_agents", JsonValue.Create game.Agents
          "agent_policy_names", list (Seq.init game.Agents (fun _ -> text "shared_policy")) ]

/// What all agents see.
let private seen game = list (Seq.init game.Agents (fun agent -> game.See agent :> JsonNode))

let private nothing game = list (Seq.init game.Agents (fun _ -> JsonObject() :> JsonNode))

let private afterReset game =
    for agent in 0 .. game.Agents - 1 do
        game.Reset agent

    object [ "type", text "reset"; "obs", seen game; "info", nothing game ]

let private afterStep game (actions: JsonArray) =
    let moved = Array.init game.Agents (fun agent -> game.Move agent (actions[agent].AsObject()))

    object
        [ "type", text "step"
          "obs", seen game
          "reward", list (moved |> Seq.map (fun struct (reward, _) -> number reward))
          "done", list (moved |> Seq.map (fun struct (_, ends) -> JsonValue.Create ends :> JsonNode))
          "info", nothing game ]

/// Plays the game with a trainer until it says that the game is to close, or is gone.
let play game (stream: Stream) =
    let handshake = receive stream

    if typeOf handshake <> "handshake" || handshake["major_version"].GetValue<string>() <> "0" then
        failwith "the trainer begins with its version"

    if typeOf (receive stream) <> "env_info" then
        failwith "the trainer asks what the game is"

    send stream (info game)
    let mutable isOpen = true

    while isOpen do
        let message = receive stream

        match typeOf message with
        | "reset" -> send stream (afterReset game)
        | "action" -> send stream (afterStep game (message["action"].AsArray()))
        | "close" -> isOpen <- false
        | other -> failwith $"the plugin knows no {other}"

/// Connects to a trainer, which may begin to listen a little later.
let connected (port: int) =
    let clock = Stopwatch.StartNew()
    let mutable client = None

    // A handler that tried again itself would keep all earlier tries on the stack.
    while client.IsNone do
        try
            client <- Some(new TcpClient("127.0.0.1", port, NoDelay = true))
        with :? SocketException when clock.Elapsed < TimeSpan.FromMinutes 2.0 ->
            Thread.Sleep 5

    client.Value

/// Speaks with the trainer at a port in the background. What a game cannot say any more is no failure.
let inBackground port (speak: Stream -> unit) =
    Task.Factory.StartNew(
        (fun () ->
            use client = connected port

            try
                speak (client.GetStream())
            with
            | :? IOException
            | :? ObjectDisposedException -> ()),
        TaskCreationOptions.LongRunning
    )

/// A port that nobody uses.
let freePort () =
    use listener = new TcpListener(IPAddress.Loopback, 0)
    listener.Start()
    (listener.LocalEndpoint :?> IPEndPoint).Port

/// Each agent sees a side, −1 or 1, and is rewarded for what it does with it: the right turn, and half a push to the right side. An episode has
/// so many steps, and agents begin theirs at different times.
let sides agents steps acted =
    let random = Random 5
    let side = Array.create agents 1.0
    let time = Array.init agents (fun agent -> agent % steps)
    let look agent = side[agent] <- if random.Next 2 = 0 then -1.0 else 1.0

    let rewardOf agent (action: JsonObject) =
        let turned =
            match action["turn"] with
            | null -> []
            | turn -> [ if (turn.GetValue<int>() = 1) = (side[agent] > 0.0) then 1.0 else 0.0 ]

        let pushed =
            match action["push"] with
            | null -> []
            | push -> [ 1.0 - abs (push[0].GetValue<float>() - 0.5 * side[agent]) ]

        List.average (turned @ pushed)

    { Agents = agents
      Observed = object [ "obs", object [ "size", list [ JsonValue.Create 2 ]; "space", text "box" ] ]
      Acted = acted
      Reset =
        fun agent ->
            time[agent] <- agent % steps
            look agent
      Move =
        fun agent action ->
            let reward = rewardOf agent action
            time[agent] <- time[agent] + 1
            look agent
            let ends = time[agent] >= steps

            if ends then
                time[agent] <- 0

            struct (reward, ends)
      See = fun agent -> object [ "obs", list [ number side[agent]; number 1.0 ] ] }

let turn = "turn", object [ "size", JsonValue.Create 2; "action_type", text "discrete" ] :> JsonNode

let push = "push", object [ "size", JsonValue.Create 1; "action_type", text "continuous" ] :> JsonNode

/// A program that is started as an exported game, and that a thread of the tests plays. It writes more than a pipe holds, and ends when its
/// standard input does.
type Exported(folder: string, makeGame: unit -> Game) =
    let path = Path.Combine(folder, "game.sh")

    let script =
        """#!/bin/sh
head -c 200000 /dev/zero
echo "$@" > "$0.new"
mv "$0.new" "$0.started.$$"
cat
"""

    let started = Collections.Concurrent.ConcurrentBag<string list>()
    let ended = new CancellationTokenSource()

    let playOne file =
        let arguments = File.ReadAllText(file).Trim().Split ' ' |> List.ofArray
        File.Delete file
        started.Add arguments
        let port = arguments |> List.find _.StartsWith("--port=")
        inBackground (int (port.Substring 7)) (play (makeGame ())) |> ignore

    let watch () =
        while not ended.IsCancellationRequested do
            Directory.GetFiles(folder, "game.sh.started.*") |> Array.iter playOne
            Thread.Sleep 5

    do
        File.WriteAllText(path, script)
        File.SetUnixFileMode(path, UnixFileMode.UserRead ||| UnixFileMode.UserExecute)

    let watching = Task.Factory.StartNew(watch, TaskCreationOptions.LongRunning)

    member _.Path = path

    /// The arguments with which it was started, each time.
    member _.Started = List.ofSeq started

    interface IDisposable with
        member _.Dispose() =
            ended.Cancel()
            watching.Wait()
            ended.Dispose()
