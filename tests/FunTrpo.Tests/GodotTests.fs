/// Games of Godot: what they say carries over, training learns, and games that do not keep to the protocol are refused.
module FunTrpo.Tests.GodotTests

open System
open System.Diagnostics
open System.IO
open System.Net
open System.Net.Sockets
open System.Text
open System.Text.Json.Nodes
open System.Threading
open System.Threading.Tasks
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Remote
open FunTrpo.Tests.Generators
open FunTrpo.Tests.GodotPeer
open FunTrpo.Tests.RemoteTests
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.CommandRuns

let private quick (port: int) = GodotOptions(Port = Nullable port, AnswerTime = TimeSpan.FromMinutes 1.0)

/// The agents of a game that plays in the background.
let private agentsOf (options: int -> GodotOptions) game =
    let port = freePort ()
    inBackground port (play game) |> ignore
    GodotSimulators.Listen(options port)

/// An environment of as many such games as are needed.
let private gamesOf options (make: unit -> Game) = Simulator.environmentOfBatches (fun () -> agentsOf options (make ()))

let private all count = [| 0 .. count - 1 |]

let private resetOf (agents: GodotSimulators) (indices: int[]) =
    let observations = Array.zeroCreate (indices.Length * Space.width agents.ObservationSpace)
    resetAll agents indices (Array.zeroCreate indices.Length) observations
    observations

let private stepOf (agents: GodotSimulators) (indices: int[]) actions =
    let observations = Array.zeroCreate (indices.Length * Space.width agents.ObservationSpace)
    let results = Array.zeroCreate indices.Length
    stepAll agents indices actions observations results
    observations, results

// ---- Any game ----

/// An observation or an action: its name, how the game describes it, its space, a row of it, and how the game writes the row.
type private Field =
    { Name: string
      Described: JsonObject
      Space: Space
      Row: Gen<float32[]>
      Written: float32[] -> JsonNode }

let private integer (value: int) = JsonValue.Create value :> JsonNode

let private plainNumbers (row: float32[]) = list (row |> Seq.map (fun x -> number (float x)))

let private hexadecimal (row: float32[]) = text (row |> Array.map (fun x -> $"{int x:x2}") |> String.concat "")

let private box shape low high = Space.boxOfShape shape low high

let private indexField name count described =
    { Name = name
      Described = described
      Space = Discrete count
      Row = Gen.choose (0, count - 1) |> Gen.map (fun index -> [| float32 index |])
      Written = fun row -> integer (int row[0]) }

let private observations name =
    let numbers =
        gen {
            let! shape = Gen.elements [ [ 1 ]; [ 5 ]; [ 2; 3 ]; [ 1; 2; 2 ] ]

            return
                { Name = name
                  Described = object [ "space", text "box"; "size", list (shape |> Seq.map integer) ]
                  Space = box shape -infinity infinity
                  Row = Generators.numbers 1e3 (List.fold (*) 1 shape)
                  Written = plainNumbers }
        }

    let bounded =
        Gen.constant
            { Name = name
              // Godot writes sizes that were vectors with decimals.
              Described = JsonNode.Parse("""{"size": [3.0], "space": "box", "low": -2, "high": 4.5}""").AsObject()
              Space = box [ 3 ] -2.0 4.5
              Row = Generators.numbers 2.0 3
              Written = plainNumbers }

    let index =
        Gen.choose (1, 9)
        |> Gen.map (fun count -> indexField name count (object [ "space", text "discrete"; "size", integer count ]))

    let picture =
        Gen.elements
            [ [ 3; 2; 4 ], [ 2; 4; 3 ]; [ 4; 1; 2 ], [ 1; 2; 4 ]; [ 2; 5; 3 ], [ 2; 5; 3 ]; [ 6; 7 ], [ 6; 7 ] ]
        |> Gen.map (fun (announced, shape) ->
            { Name = $"camera_2d_{name}"
              Described = object [ "space", text "box"; "size", list (announced |> Seq.map integer) ]
              Space = box shape 0.0 255.0
              Row = Gen.arrayOfLength (List.fold (*) 1 shape) (Gen.choose (0, 255) |> Gen.map float32)
              Written = hexadecimal })

    Gen.frequency [ 3, numbers; 1, bounded; 2, index; 2, picture ]

let private actions name =
    let continuous =
        Gen.choose (1, 4)
        |> Gen.map (fun size ->
            { Name = name
              Described = object [ "action_type", text "continuous"; "size", integer size ]
              Space = Space.box size -1.0 1.0
              Row = Generators.numbers 1.0 size
              Written = plainNumbers })

    let discrete =
        Gen.choose (1, 9)
        |> Gen.map (fun count ->
            indexField name count (object [ "action_type", text "discrete"; "size", integer count ]))

    Gen.oneof [ continuous; discrete ]

/// One to three fields, with different names.
let private several (field: string -> Gen<Field>) =
    gen {
        let! count = Gen.choose (1, 3)
        return! Gen.collectToList field [ for i in 1..count -> $"field{i}" ]
    }

let private spaceOf (fields: Field list) =
    match fields with
    | [ only ] -> only.Space
    | _ -> Parts [ for field in fields -> field.Name, field.Space ]

/// A row for each agent.
let private rowsOf (fields: Field list) agents =
    Gen.arrayOfLength agents (Gen.sequenceToList [ for field in fields -> field.Row ])

/// What happens in a step: what all agents see, do and get.
type private Scene = { Seen: float32[] list[]; Done: float32[] list[]; Rewards: float[]; Ends: bool[] }

type private Story = { Observed: Field list; Acted: Field list; Start: float32[] list[]; Scenes: Scene list }

let private stories =
    gen {
        let! agents = Gen.choose (1, 4)
        let! observed = several observations
        let! acted = several actions
        let! start = rowsOf observed agents

        let scene =
            gen {
                let! seen = rowsOf observed agents
                let! chosen = rowsOf acted agents
                let! rewards = Gen.arrayOfLength agents (Gen.choose (-1000, 1000) |> Gen.map (fun i -> float i / 64.0))
                let! ends = Gen.arrayOfLength agents (Gen.frequency [ 3, Gen.constant false; 1, Gen.constant true ])
                return { Seen = seen; Done = chosen; Rewards = rewards; Ends = ends }
            }

        let! scenes = Gen.nonEmptyListOf scene |> Gen.map (List.truncate 6)
        return { Observed = observed; Acted = acted; Start = start; Scenes = scenes }
    }

let private described (fields: Field list) = object [ for field in fields -> field.Name, field.Described.DeepClone() ]

let private written (fields: Field list) rows =
    object [ for field, row in List.zip fields rows -> field.Name, field.Written row ]

/// The game that tells the story, and keeps the actions that it hears.
let private telling story =
    let heard = Collections.Generic.List<JsonObject>()
    let agents = story.Start.Length
    let mutable moves = 0
    let sceneNow () = story.Scenes[(moves - 1) / agents]

    let game: Game =
        { Agents = agents
          Observed = described story.Observed
          Acted = described story.Acted
          Reset = ignore
          Move =
            fun agent action ->
                moves <- moves + 1
                heard.Add(action.DeepClone().AsObject())
                struct ((sceneNow ()).Rewards[agent], (sceneNow ()).Ends[agent])
          See =
            fun agent ->
                let seen = if moves = 0 then story.Start else (sceneNow ()).Seen
                written story.Observed seen[agent] }

    game, heard

/// The names of a dictionary with their numbers, and whether these are in a list.
let private numbersOf (action: JsonObject) =
    [ for named in action ->
          match named.Value with
          | :? JsonArray as items -> named.Key, true, [ for item in items -> item.GetValue<float>() |> float32 ]
          | only -> named.Key, false, [ only.GetValue<int>() |> float32 ] ]

let private flat (rows: float32[] list[]) = rows |> Array.collect Array.concat

let private carriesOver =
    propertyOf
        40
        "spaces, observations, actions, rewards and ends carry over"
        (Gen.zip stories (Gen.choose (1, 4)))
        (fun (story, truncateAt) ->
            let game, heard = telling story

            use agents =
                agentsOf (fun port -> GodotOptions(Port = Nullable port, TruncateAt = Nullable truncateAt)) game

            Expect.equal agents.ObservationSpace (spaceOf story.Observed) "the observations"
            Expect.equal agents.ActionSpace (spaceOf story.Acted) "the actions"
            Expect.equal agents.Count game.Agents "the agents"
            let indices = all game.Agents
            Expect.equal (resetOf agents indices) (flat story.Start) "the start"
            let lengths = Array.zeroCreate game.Agents
            let mutable before = story.Start

            for scene in story.Scenes do
                let seen, results = stepOf agents indices (flat scene.Done)

                let expected =
                    [| for agent in indices do
                           lengths[agent] <- lengths[agent] + 1
                           let isLate = lengths[agent] >= truncateAt
                           let isTruncated = scene.Ends[agent] && isLate

                           if scene.Ends[agent] then
                               lengths[agent] <- 0

                           (if isTruncated then before else scene.Seen)[agent],
                           { Reward = scene.Rewards[agent]
                             Terminated = scene.Ends[agent] && not isLate
                             Truncated = isTruncated } |]

                Expect.equal seen (expected |> Array.map fst |> flat) "what is seen"
                Expect.equal results (Array.map snd expected) "rewards and ends"

                let ended = indices |> Array.filter (fun agent -> scene.Ends[agent])

                if ended.Length > 0 then
                    let starts = ended |> Array.map (Array.get scene.Seen) |> flat
                    Expect.equal (resetOf agents ended) starts "the next episodes"

                before <- scene.Seen

            let told =
                [ for scene in story.Scenes do
                      for row in scene.Done -> numbersOf (written story.Acted row) ]

            Expect.equal (List.map numbersOf (List.ofSeq heard)) told "the actions that the game hears")

// ---- Training ----

let private settings =
    { Configuration.standard with
        Environments = 6
        Horizon = 32
        Delta = 0.05
        Hidden = [ 8 ]
        CriticHidden = [ 8 ] }

let private setupOf configuration environment = Setup.create 2 configuration environment |> expectOk

/// The state after so many iterations.
let private trained iterations setup =
    Training.run setup (TrainingState.start setup 1L)
    |> Seq.truncate iterations
    |> Seq.map (expectOk >> fst)
    |> Seq.last

let private learns =
    testList
        "training learns"
        [ for name, acted in [ "discrete", [ turn ]; "continuous", [ push ]; "parts", [ turn; push ] ] do
              test name {
                  use games =
                      gamesOf quick (fun () -> sides 6 8 (object [ for name, it in acted -> name, it.DeepClone() ]))

                  let setup = setupOf settings games
                  let state = trained 25 setup
                  let actor = TrainingState.actor setup state
                  Seq.iter (fun (instance: Instance<_>) -> Releasable.release instance.State) state.Instances
                  let key = Key.ofSeed 1L
                  // Fewer episodes than agents, as many, and more.
                  for episodes in [ 4; 6; 14 ] do
                      let scores = Evaluation.run 2 games actor episodes key |> expectOk

                      Expect.isGreaterThan
                          scores.Mean
                          (0.85 * Seq.averageBy float scores.Lengths)
                          $"{episodes} episodes"
              } ]

let private severalGames =
    test "several games are called at the same time, and give each agent its own observations" {
        let meeting = new Barrier(2)
        let made = ref 0

        let make () =
            let number = Interlocked.Increment made
            let game = sides 3 5 (object [ turn ])
            let isLast agent = agent = game.Agents - 1

            { game with
                Move =
                    fun agent action ->
                        if isLast agent && not (meeting.SignalAndWait(TimeSpan.FromSeconds 30.0)) then
                            failwith "the other game is not called"

                        game.Move agent action
                See = fun agent -> object [ "obs", list [ number |> float |> GodotPeer.number; integer agent ] ] }

        use games = gamesOf quick make
        let setup = setupOf { settings with Horizon = 12 } games
        let start = TrainingState.start setup 1L
        let actor = TrainingState.actor setup start
        let batch, _ = Rollout.collect games actor 12 2 (Key.ofSeed 2L) start.Instances |> expectOk

        // When episodes end together, instances may exchange their agents.
        for t in 0..11 do
            let seen =
                [ for instance in 0..5 ->
                      batch.Observations[instance * 12 + t, 0], batch.Observations[instance * 12 + t, 1] ]

            Expect.equal
                (List.sort seen)
                [ for game in 1f .. 2f do
                      for agent in 0f .. 2f -> game, agent ]
                "the agents"
    }

let private endsOf environments limit (change: Environment<_> -> Environment<_>) =
    use games = gamesOf quick (fun () -> sides 6 8 (object [ turn ]))

    let train environment =
        let setup = setupOf { settings with Environments = environments } environment

        match Training.update setup (TrainingState.start setup 1L) with
        | Ok _ -> "it trains"
        | Error fault -> Fault.message fault

    match limit with
    | Some limit -> games |> Environment.withTimeLimit limit |> train
    | None -> games |> change |> train

let private refusedUses =
    testList
        "is refused"
        [ test "training with another number of environments than agents" {
              for environments in [ 4; 8; 9 ] do
                  Expect.stringContains (endsOf environments None id) "--set environments=6" $"{environments}"

              Expect.equal (endsOf 12 None id) "it trains" "a multiple"
              use games = gamesOf quick (fun () -> sides 6 8 (object [ turn ]))

              let early environments =
                  FunTrpo.Cli.GodotGames.requireAgents games { settings with Environments = environments }

              Expect.isOk (early 6) "as many"
              Expect.isOk (early 12) "a multiple"

              match early 4 with
              | Error fault -> Expect.stringContains (Fault.message fault) "the game has 6 agents" "the command"
              | Ok() -> failtest "the command trains"
          }
          test "a time limit that is not of the game" {
              Expect.stringContains (endsOf 6 (Some 4) id) "TruncateAt" "the message"
          }
          test "stepping some of the agents alone" {
              let message = endsOf 6 None (fun games -> Environment.inFlight (Some 2) games)
              Expect.stringContains message "Leave out --in-flight" "the message"
          }
          test "going on from a state a second time, branches and checkpoints" {
              use games = gamesOf quick (fun () -> sides 6 8 (object [ turn ]))
              games.AllowRestarts 3
              let setup = setupOf settings games
              let start = TrainingState.start setup 1L
              Training.update setup start |> expectOk |> ignore

              match Training.update setup start with
              | Error fault -> Expect.stringContains (Fault.message fault) "cannot be played again" "the message"
              | Ok _ -> failtest "it went on"

              match Checkpoint.requireCodec games with
              | Error fault -> Expect.stringContains (Fault.message fault) "cannot be played again" "the message"
              | Ok() -> failtest "it has a codec"
          } ]

let private evaluations =
    test "an evaluation that is left, and one with a time limit, do not hinder the next one" {
        use games = gamesOf quick (fun () -> sides 6 8 (object [ turn ]))
        let rule (_: Vector) = Vector.ofArray [| 1f |]
        let limited = games |> Environment.withTimeLimit 3
        let key = Key.ofSeed 1L

        for episodes in [ 6; 8; 4; 13 ] do
            let scores = Evaluation.play 1 limited rule episodes key |> expectOk
            Expect.isTrue (scores.Lengths |> Seq.forall (fun length -> length <= 3)) "the limit"

        use cancellation = new CancellationTokenSource()

        let cancelled (_: Vector) =
            cancellation.Cancel()
            Vector.ofArray [| 1f |]

        Expect.throwsT<OperationCanceledException>
            (fun () -> Evaluation.playCancellable cancellation.Token 1 games cancelled 6 key |> ignore)
            "it is cancelled"

        Expect.isOk (Evaluation.play 1 games rule 2 key) "the next one"
        let isOfSeeds finding = finding.ToString().StartsWith "NotReproducible"
        Expect.isTrue (Check.run games 1L |> List.exists isOfSeeds) "it is not reproducible, which check says"
    }

// ---- What is refused ----

/// Speaks with a trainer as the plugin does, up to the answer to the first reset or step, which is this text.
let private answering (description: string) (reply: string) (stream: Stream) =
    let skip () =
        let header = Array.zeroCreate<byte> 4
        stream.ReadExactly header
        stream.ReadExactly(Array.zeroCreate<byte>(BitConverter.ToInt32(header, 0)))

    skip ()
    skip ()
    stream.Write(ReadOnlySpan(framed description))
    skip ()
    stream.Write(ReadOnlySpan(framed reply))
    // Waits until the trainer ends the connection.
    stream.CopyTo Stream.Null

let private description =
    """{"type": "env_info", "n_agents": 2, "observation_space": {"obs": {"space": "box", "size": [2]}}, "action_space": {"turn": {"action_type": "discrete", "size": 2}}}"""

let private reply =
    """{"type": "reset", "obs": [{"obs": [1, true]}, {"obs": [[3.5], [4]]}], "info": [{}, {}]}"""

/// The message of the exception that a conversation with the game ends with.
let private refusal (speak: Stream -> unit) =
    let port = freePort ()
    inBackground port speak |> ignore

    try
        use agents = GodotSimulators.Listen(quick port)
        resetOf agents [| 0; 1 |] |> ignore
        "it is accepted"
    with
    | :? RemoteException as error -> error.Message
    | :? BatchException as error -> error.InnerException.Message

let private messages =
    let change (before: string) (after: string) (text: string) =
        Expect.stringContains text before "what is changed"
        text.Replace(before, after)

    let descriptions =
        [ "\"env_info\"", "\"step\"", "not env_info"
          "\"n_agents\": 2, ", "", "lacks n_agents"
          "\"n_agents\": 2", "\"n_agents\": 0", "from 1 to"
          "\"n_agents\": 2", "\"n_agents\": 1.5", "from 1 to"
          "\"n_agents\": 2", "\"n_agents\": \"2\"", "from 1 to"
          "\"n_agents\": 2", "\"n_agents\": 1e99", "from 1 to"
          "{\"obs\": {", "{\"a\": 5, \"obs\": {", "lacks space"
          "{\"obs\": {\"space\": \"box\", \"size\": [2]}}", "{}", "observation_space is empty"
          "{\"obs\": {\"space\": \"box\", \"size\": [2]}}", "7", "no object"
          "{\"obs\": {\"space\": \"box\", \"size\": [2]}}", "[{}, {}, {}]", "for 3 agents"
          "{\"obs\": {\"space\": \"box\", \"size\": [2]}}",
          "[{\"obs\": {\"space\": \"box\", \"size\": [2]}}, {\"obs\": {\"space\": \"box\", \"size\": [3]}}]",
          "agent 1 has another observation_space"
          "\"box\"", "\"graph\"", "has the space graph"
          "[2]", "[]", "is empty"
          "[2]", "[0]", "from 1 to"
          "[2]", "[1048576, 1048576]", "more than 1048576 numbers"
          "\"n_agents\": 2, \"observation_space\": {\"obs\": {\"space\": \"box\", \"size\": [2]}}",
          "\"n_agents\": 65536, \"observation_space\": {\"obs\": {\"space\": \"box\", \"size\": [300]}}",
          "are too many"
          "[2]", "[2], \"low\": 3, \"high\": 2", "no finite number between"
          "[2]", "[2], \"low\": \"a\"", "low"
          "\"discrete\"", "\"fuzzy\"", "has the type fuzzy"
          "\"size\": 2}", "\"size\": -2}", "from 1 to"
          "\"turn\": {", "\"two words\": {\"action_type\": \"discrete\", \"size\": 2}, \"turn\": {", "white space"
          "{\"turn\"", "{\"\": 5, \"turn\"", "0 characters"
          "\"n_agents\": 2", "\"agent_policy_names\": [\"hunter\", \"prey\"], \"n_agents\": 2", "hunter, prey"
          "\"n_agents\": 2", "\"n_agents\": 2 2", "no valid JSON"
          "}}}", "}}", "no valid JSON" ]

    let replies =
        [ "\"reset\"", "\"step\"", "has the type step"
          "\"type\": \"reset\", ", "", "lacks type"
          "\"obs\": [{", "\"sbo\": [{", "lacks obs"
          "[1, true]", "[1, nan]", "no valid JSON"
          "[1, true]", "[1, 1e999]", "not finite"
          "[1, true]", "[1, 1e39]", "too large for float32"
          "[1, true]", "[1, null]", "agent 0: its obs holds something else"
          "[1, true]", "[1]", "agent 0: its obs has 1 numbers, and 2 were announced"
          "[1, true]", "1", "agent 0: its obs has 1 numbers"
          "[[3.5], [4]]", "[3, [4, 5]]", "agent 1: its obs has 3 numbers"
          "{\"obs\": [[3.5], [4]]}", "{\"sbo\": 1}", "agent 1: its obs lacks obs"
          ", {\"obs\": [[3.5], [4]]}", "", "agent 1: its obs is no dictionary"
          "]}], ", "]}, {\"obs\": [1, 2]}], ", "for more than 2 agents"
          "[1, true]", String('[', 100) + String(']', 100), "no valid JSON"
          "{}]}", "{}]} {}", "no valid JSON"
          "{}]}", "", "no valid JSON" ]

    testList
        "refuses, and says why,"
        [ for before, after, why in descriptions do
              test $"a description with {after} for {before}" {
                  Expect.stringContains (refusal (answering (change before after description) reply)) why "why"
              }
          for before, after, why in replies do
              test $"an answer with {(if after.Length > 60 then after[..60] else after)} for {before}" {
                  Expect.stringContains (refusal (answering description (change before after reply))) why "why"
              }
          test "nothing in the message that these change" {
              Expect.equal (refusal (answering description reply)) "it is accepted" "the message"
          }
          test "pictures that are not those announced" {
              let camera =
                  change
                      "{\"obs\": {\"space\": \"box\", \"size\": [2]}}"
                      "{\"2d\": {\"space\": \"box\", \"size\": [1, 3]}}"
                      description

              let withPictures first =
                  $"{{\"type\": \"reset\", \"obs\": [{{\"2d\": {first}}}, {{\"2d\": \"0aF0ff\"}}]}}"

              for first, why in
                  [ "\"0a0b0C\"", "it is accepted"
                    "\"0a0b\"", "4 hexadecimal digits, and 6 were announced"
                    "\"0a0b0g\"", "other characters"
                    "\"0a0b+1\"", "other characters"
                    "[1, 2, 3]", "no text" ] do
                  Expect.stringContains (refusal (answering camera (withPictures first))) why first
          }
          test "a message that is too long, another protocol, and a game that leaves" {
              let leave (bytes: byte[]) (stream: Stream) =
                  stream.ReadExactly(Array.zeroCreate<byte> 8)
                  stream.Write(ReadOnlySpan bytes)

              let answer bytes stream =
                  leave bytes stream
                  stream.CopyTo Stream.Null

              Expect.stringContains (refusal (answer "GET / HTTP/1.1\r\n\r\n"B)) "at most 4194304" "another protocol"

              Expect.stringContains (refusal (leave [| 5uy; 0uy; 0uy; 0uy; 123uy |])) "ended the connection" "it leaves"

              let long = Array.append (framed description) (BitConverter.GetBytes 67108865)
              Expect.stringContains (refusal (answer long)) "at most 67108864" "too long"
          } ]

let private failures =
    testList
        "fails, and says why,"
        [ test "if the port is in use" {
              use other = new TcpListener(IPAddress.Loopback, 0)
              other.Start()
              let port = (other.LocalEndpoint :?> IPEndPoint).Port

              Expect.throwsC (fun () -> GodotSimulators.Listen(quick port) |> ignore) (fun error ->
                  Expect.stringContains error.Message $"the port {port} of this machine is in use" "why")
          }
          test "if no game connects" {
              let options = GodotOptions(Port = Nullable(freePort ()), StartTime = TimeSpan.FromSeconds 0.2)

              Expect.throwsC (fun () -> GodotSimulators.Listen options |> ignore) (fun error ->
                  Expect.isTrue (error :? TimeoutException) "the exception"
                  Expect.stringContains error.Message "within 0.2 s: press Play in the editor" "why")
          }
          test "if a game says nothing, or stops to answer" {
              let game = sides 2 5 (object [ turn ])
              let port = freePort ()
              let options = GodotOptions(Port = Nullable(port), StartTime = TimeSpan.FromSeconds 5.0)
              inBackground port (fun stream -> stream.CopyTo Stream.Null) |> ignore

              Expect.throwsC (fun () -> GodotSimulators.Listen options |> ignore) (fun error ->
                  Expect.stringContains error.Message "did not answer within 5 s" "why")

              use isOver = new ManualResetEventSlim()

              let stops =
                  { game with
                      Move =
                          fun _ _ ->
                              isOver.Wait()
                              struct (0.0, false) }

              let impatient (port: int) = GodotOptions(Port = Nullable(port), AnswerTime = TimeSpan.FromSeconds 5.0)
              use agents = agentsOf impatient stops
              resetOf agents [| 0; 1 |] |> ignore

              Expect.throwsC (fun () -> stepOf agents [| 0; 1 |] [| 0f; 1f |] |> ignore) (fun error ->
                  Expect.stringContains error.Message "did not answer within 5 s" "why")

              isOver.Set()
          }
          test "if a game is gone in training: with instance and step" {
              let moves = ref 0
              let game = sides 6 20 (object [ turn ])

              let leaves () =
                  { game with
                      Move =
                          fun agent action ->
                              moves.Value <- moves.Value + 1

                              if moves.Value > 4 * game.Agents then
                                  raise (IOException "it leaves")

                              game.Move agent action }

              use games = gamesOf quick leaves
              games.AllowRestarts 3
              let setup = setupOf settings games

              match Training.update setup (TrainingState.start setup 1L) with
              | Error(FailedEnvironment(_, _, 0, 5L) as fault) ->
                  Expect.stringContains (Fault.message fault) "ended the connection" "the message"
              | Error fault -> failtest (Fault.message fault)
              | Ok _ -> failtest "it has not failed"
          }
          test "if a started game cannot be started, ends, or does not connect" {
              let started (seconds: float) file arguments =
                  let options = GodotOptions(Arguments = arguments, StartTime = TimeSpan.FromSeconds seconds)

                  try
                      GodotSimulators.Start(file, options) |> ignore
                      "it has started"
                  with error ->
                      error.Message

              Expect.stringContains (started 1.0 "/no/such/game" []) "/no/such/game cannot be started" "no game"

              if not (OperatingSystem.IsWindows()) then
                  let ended = started 60.0 "/bin/sh" [| "-c"; "echo no scene >&2; exit 3" |]
                  Expect.stringContains ended "with the exit code 3: no scene" "it ends"
                  let silent = started 0.5 "/bin/sh" [| "-c"; "sleep 60" |]
                  Expect.stringContains silent "sh must have a Sync node that trains" "it does not connect"
          }
          test "if an option is out of its range" {
              for options in
                  [ GodotOptions(Port = Nullable(0))
                    GodotOptions(Port = Nullable(65536))
                    GodotOptions(Speedup = Nullable 0.0)
                    GodotOptions(Speedup = Nullable nan)
                    GodotOptions(ActionRepeat = Nullable 0)
                    GodotOptions(TruncateAt = Nullable 0)
                    GodotOptions(StartTime = TimeSpan.Zero)
                    GodotOptions(AnswerTime = TimeSpan.FromDays 2.0) ] do
                  Expect.throwsT<ArgumentOutOfRangeException>
                      (fun () -> GodotSimulators.Listen options |> ignore)
                      $"{options}"
          }
          test "if it is used in another order, or with actions that are none" {
              let fresh () = agentsOf quick (sides 2 5 (object [ turn ]))

              let message (work: GodotSimulators -> unit) =
                  use agents = fresh ()

                  try
                      work agents
                      "nothing"
                  with
                  | :? BatchException as error -> $"{error.Position}: {error.InnerException.Message}"
                  | error -> error.Message

              let step indices actions (agents: GodotSimulators) = stepOf agents indices actions |> ignore
              let reset indices (agents: GodotSimulators) = resetOf agents indices |> ignore
              Expect.stringContains (message (step [| 0 |] [| 0f |])) "comes before a reset" "no reset"

              Expect.stringContains
                  (message (fun agents ->
                      reset [| 0; 1 |] agents
                      step [| 1; 0 |] [| 0f; 2f |] agents))
                  "1: an action is not in its space"
                  "no action"

              Expect.stringContains
                  (message (fun agents ->
                      reset [| 0; 1 |] agents
                      step [| 1 |] [| 0f |] agents))
                  "2 of them are in an episode, and a step is for 1"
                  "one alone"
          } ]

// ---- Changed messages ----

/// The number of changed conversations: 1,000 in the ordinary run.
let private count =
    match Environment.GetEnvironmentVariable "FUNTRPO_TESTS_MUTANTS" with
    | null -> 1000
    | number -> int number

/// What a game says in a conversation of a reset and two steps.
let private conversation =
    let camera =
        "{\"obs\": {\"space\": \"box\", \"size\": [2]}, \"camera_2d\": {\"space\": \"box\", \"size\": [3, 1, 2]}}"

    let see x = $"{{\"obs\": [{x}, -0.25], \"camera_2d\": \"000102fdfeff\"}}"
    let info = """, "info": [{"is_success": false}, {}]}"""
    let seen = $"\"obs\": [{see 1}, {see 2.5}]"
    let step = $"{{\"type\": \"step\", {seen}, \"reward\": [1.5, -2], \"done\": [false, true]{info}"

    [ description.Replace("{\"obs\": {\"space\": \"box\", \"size\": [2]}}", camera)
      $"{{\"type\": \"reset\", {seen}{info}"
      step
      step ]

/// Bytes with some changes at random: single bytes, characters of JSON, numbers, and pieces that are cut out, repeated or cut off.
let private changed (random: Random) (bytes: byte[]) =
    let mutable bytes = bytes

    for _ in 0 .. random.Next 2 do
        let at = random.Next bytes.Length
        let length = random.Next(min 40 (bytes.Length - at))
        let put (more: byte[]) = bytes <- Array.concat [ bytes[.. at - 1]; more; bytes[at + length ..] ]

        match random.Next 6 with
        | 0 -> bytes <- Array.mapi (fun i b -> if i = at then byte (random.Next 256) else b) bytes
        | 1 ->
            let signs = "{}[],:\"-0123456789.eE\\tfn"B
            bytes <- Array.mapi (fun i b -> if i = at then signs[random.Next signs.Length] else b) bytes
        | 2 -> put "1e400"B
        | 3 -> put [||]
        | 4 -> put (Array.append bytes[at .. at + length - 1] bytes[at .. at + length - 1])
        | _ -> bytes <- bytes[..at]

    bytes

/// Speaks with a game that has already said all this. True if nothing was wrong.
let private talk (bytes: byte[]) =
    try
        use agents = GodotSimulators.Over(new MemoryStream(bytes), new MemoryStream())
        let indices = all agents.Count
        let actions = Array.zeroCreate (agents.Count * Space.width agents.ActionSpace)
        resetOf agents indices |> ignore

        for _ in 1..2 do
            let _, results = stepOf agents indices actions

            for i in indices do
                if results[i].Terminated then
                    resetOf agents [| i |] |> ignore

        true
    with
    | :? RemoteException
    | :? BatchException -> false

/// The memory that this thread takes for a talk that is refused, or none if it is not.
let private refusedTalk bytes =
    let before = GC.GetAllocatedBytesForCurrentThread()
    let isRight = talk bytes
    let memory = GC.GetAllocatedBytesForCurrentThread() - before
    Expect.isLessThan memory 100_000_000L "bytes"
    if isRight then 0 else 1

let private mutants =
    let random = Random 3

    let join (contents: byte[] list) =
        contents
        |> List.map (fun content -> Array.append (BitConverter.GetBytes content.Length) content)
        |> Array.concat

    let whole = conversation |> List.map Encoding.UTF8.GetBytes

    let inOneText i =
        whole
        |> List.mapi (fun j content -> if j = i % whole.Length then changed random content else content)
        |> join

    let inAnyByte _ = changed random (join whole)

    testList
        "changed messages end the conversation, with bounded memory,"
        [ for name, change in [ "in a text", inOneText; "in any byte", inAnyByte ] do
              test name {
                  Expect.isTrue (talk (join whole)) "the conversation"
                  let refused = Seq.init count change |> Seq.sumBy refusedTalk
                  Expect.isGreaterThan refused (count / 4) "refused"
              } ]

// ---- The command ----

let private discrete () = sides 4 8 (object [ turn ])

let private startsGames =
    inNewFolder "an exported game is started with its arguments, and ended" (fun folder ->
        if OperatingSystem.IsWindows() then
            skiptest "the game is a script of a shell"

        use game = new Exported(folder, discrete)

        let options =
            GodotOptions(Speedup = Nullable 2.5, ActionRepeat = Nullable 3, Seed = 7, Arguments = [| "--verbose" |])

        use agents = GodotSimulators.Start(game.Path, options)
        Expect.equal agents.Id $"godot:{game.Path}" "the name"
        Expect.equal (resetOf agents (all 4)).Length 8 "the observations"

        let arguments =
            game.Started |> List.exactlyOne |> List.filter (fun one -> not (one.StartsWith "--port="))

        Expect.equal
            arguments
            [ "--verbose"
              "--env_seed=7"
              "--headless"
              "--disable-render-loop"
              "--speedup=2.5"
              "--action_repeat=3" ]
            "the arguments"

        let clock = Stopwatch.StartNew()
        agents.Dispose()
        Expect.isLessThan clock.Elapsed (TimeSpan.FromSeconds 30.0) "the end")

let private command =
    testList
        "the command"
        [ inNewFolder "waits for a game and trains on it, and evaluates on an exported one" (fun folder ->
              if OperatingSystem.IsWindows() then
                  skiptest "the game is a script of a shell"

              let port = freePort ()
              let playing = inBackground port (play (discrete ()))
              let id = $"godot:?port={port}&truncate_at=8"
              let set = [ "--steps"; "256"; "--set"; "environments=4"; "--out"; "run" ]
              let trained = CommandRuns.funtrpo folder ("train" :: "--env" :: id :: set)
              Expect.equal trained.Code 0 trained.Errors

              let waiting =
                  $"Waiting for a game of Godot on the port {port}, for up to 60 s: press Play in the editor."

              Expect.equal (trained.Errors.Trim()) waiting "it says what it waits for"
              // The report plays, too, but needs no second game.
              Expect.stringContains trained.Output "report.html" "with a report"
              Expect.isTrue (playing.Wait(TimeSpan.FromMinutes 1.0)) "the game is closed"
              use game = new Exported(folder, discrete)
              let policy = Path.Combine("run", "policy.json")
              let exported = [ "--env"; $"godot:{game.Path}?speedup=8" ]

              let scores =
                  CommandRuns.funtrpo folder ([ "evaluate"; "--policy"; policy; "--episodes"; "6" ] @ exported)

              Expect.equal (scores.Code, scores.Errors) (0, "") "it evaluates"
              Expect.equal (get<int> "episodes" (JsonNode.Parse(scores.Output).AsObject())) 6 "episodes"
              Expect.contains (List.exactlyOne game.Started) "--speedup=8" "the arguments")
          test "refuses options that there are not" {
              for id, why in
                  [ "godot:?prot=5", "did you mean port"
                    "godot:?port", "with = and a value"
                    "godot:game?port=0", "[1, 65535]"
                    "godot:game?speedup=-1", "[0.001, 86400]"
                    "godot:game?show_window=1", "true or false"
                    "godot:game?env_seed=x", "integer"
                    "godot:game?", "no option" ] do
                  match FunTrpo.Cli.GodotGames.parse id with
                  | Error fault -> Expect.stringContains (Fault.message fault) why id
                  | Ok _ -> failtest $"{id} is accepted"

              match
                  FunTrpo.Cli.GodotGames.parse
                      "godot:a/b.x86_64?port=5&speedup=2.5&action_repeat=4&wait=3&truncate_at=9"
              with
              | Ok(file, options) ->
                  Expect.equal file (Some "a/b.x86_64") "the file"

                  Expect.equal
                      (options.Port, options.Speedup, options.ActionRepeat)
                      (Nullable 5, Nullable 2.5, Nullable 4)
                      "the options"

                  Expect.equal
                      (options.StartTime, options.TruncateAt)
                      (TimeSpan.FromSeconds 3.0, Nullable 9)
                      "the options"
              | Error fault -> failtest (Fault.message fault)
          } ]

let tests =
    testList
        "Godot"
        [ carriesOver
          learns
          severalGames
          refusedUses
          evaluations
          messages
          failures
          mutants
          startsGames
          command ]
