/// The games of MinAtar: recorded episodes, step by step, and what holds in any episode.
module FunTrpo.Tests.MinAtarTests

open System
open System.IO
open System.Text.Json
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments.MinAtar
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

// ---- Recorded episodes ----

let private item (name: string) (element: JsonElement) = element.GetProperty name
let private elements name element = [| for one in (item name element).EnumerateArray() -> one |]
let private ints name element = elements name element |> Array.map _.GetInt32()

/// The places of an observation that are 1. All others must be 0.
let private ones (environment: Environment<'Timed>) (state: 'Timed) =
    let observation = Environment.observation environment state |> Vector.toArray
    Expect.all observation (fun x -> x = 0f || x = 1f) "0 or 1"

    [| for i in 0 .. observation.Length - 1 do
           if observation[i] = 1f then
               i |]

/// The state of the wrapped environment for one of the game.
let private wrapped state = { Inner = { Sticky.Inner = state; LastAction = Vector.zero 1 }; Elapsed = 0 }

/// Plays an episode with the rules of a game, from its start.
let private replay environment start (step: int -> 'State -> struct ('State * float * bool)) episode =
    Expect.equal (ones environment (wrapped start)) (ints "observation" episode) "the first observation"

    (start, Array.indexed (elements "steps" episode))
    ||> Array.fold (fun state (time, expected) ->
        let struct (next, reward, isOver) = step ((item "action" expected).GetInt32()) state
        Expect.equal reward ((item "reward" expected).GetDouble()) $"the reward of step {time}"
        Expect.equal isOver ((item "terminated" expected).GetBoolean()) $"the end at step {time}"

        Expect.equal
            (ones environment (wrapped next))
            (ints "observation" expected)
            $"the observation after step {time}"

        next)
    |> ignore

let private replayOf id episode =
    match id with
    | "MinAtar/Breakout-v1" ->
        let fromRight = (item "ballFromRight" episode).GetInt32() = 1
        replay Breakout.environment (Breakout.start fromRight) Breakout.step episode
    | "MinAtar/SpaceInvaders-v1" -> replay SpaceInvaders.environment SpaceInvaders.start SpaceInvaders.step episode
    | unknown -> failtest $"there is no game {unknown}"

let private recorded =
    let files = Directory.GetFiles(fixture [ "pixels" ], "*.json") |> Array.sort

    testList
        "recorded"
        [ test "there are episodes" { Expect.isNonEmpty files "files" }
          for file in files do
              let root = JsonDocument.Parse(File.ReadAllText file).RootElement
              let id = (item "id" root).GetString()

              for number, episode in Array.indexed (elements "episodes" root) do
                  test $"{id}, episode {number}" { replayOf id episode } ]

// ---- Sets of cells ----

let private cellsOf places =
    (Cells.empty, places)
    ||> Set.fold (fun cells (row, column) -> Cells.union cells (Cells.one row column))

let private placesOf cells = Cells.toList cells |> List.map (fun struct (row, column) -> row, column) |> Set.ofList

let private places = Gen.listOf (Gen.zip (Gen.choose (0, 9)) (Gen.choose (0, 9))) |> Gen.map Set.ofList

let private pairs = Gen.zip places places |> Arb.fromGen

let private cells =
    testList
        "sets of cells"
        [ testProperty "are sets of places"
          <| Prop.forAll pairs (fun (a, b) ->
              placesOf (cellsOf a) = a
              && Cells.count (cellsOf a) = a.Count
              && placesOf (Cells.union (cellsOf a) (cellsOf b)) = Set.union a b
              && placesOf (Cells.intersect (cellsOf a) (cellsOf b)) = Set.intersect a b
              && placesOf (Cells.except (cellsOf a) (cellsOf b)) = Set.difference a b
              && Cells.meet (cellsOf a) (cellsOf b) = not (Set.isEmpty (Set.intersect a b)))

          testProperty "move by one row or column"
          <| Prop.forAll (Arb.fromGen places) (fun a ->
              let moved down right = a |> Set.map (fun (row, column) -> row + down, column + right)
              let onBoard = Set.filter (fun (row, _) -> row >= 0 && row <= 9)
              let without column = a |> Set.filter (fun (_, c) -> c <> column)

              placesOf (Cells.up (cellsOf a)) = onBoard (moved -1 0)
              && placesOf (Cells.down (cellsOf a)) = onBoard (moved 1 0)
              && placesOf (Cells.left (cellsOf (without 0))) = Set.map (fun (r, c) -> r, c - 1) (without 0)
              && placesOf (Cells.right (cellsOf (without 9))) = Set.map (fun (r, c) -> r, c + 1) (without 9)) ]

// ---- Any episode ----

let private walk count = Gen.zip (Gen.choose (0, 1_000_000)) (Gen.listOfLength 300 (Gen.choose (0, count - 1)))

/// The states of an episode with these actions, up to its end.
let private play (environment: Environment<'Timed>) (seed: int, actions) =
    let key = Key.ofSeed (int64 seed)
    let start = environment.Reset(Key.named "start" key)

    List.indexed actions
    |> List.scan
        (fun (state, isOver) (time, action) ->
            if isOver then
                state, true
            else
                let next = environment.Step(Key.at (int64 time) key, ReadOnlySpan [| float32 action |], state)
                next.State, next.Terminated)
        (start, false)
    |> List.map fst

let private holds count (environment: Environment<'Timed>) name (isSo: 'Timed -> bool) =
    testPropertyWithConfig (few 50) name
    <| Prop.forAll (Arb.fromGen (walk count)) (fun walk -> play environment walk |> List.forall isSo)

let private episodes =
    testList
        "episodes"
        [ holds
              3
              Breakout.environment
              "of Breakout have one paddle, one ball, one trail, and bricks where bricks are"
              (fun state ->
                  let ones = ones Breakout.environment state
                  let inChannel channel = ones |> Array.filter (fun i -> i % 4 = channel)

                  [ 0; 1; 2 ] |> List.forall (fun channel -> (inChannel channel).Length = 1)
                  && inChannel 3 |> Array.forall (fun i -> i / 40 >= 1 && i / 40 <= 3))

          holds
              4
              SpaceInvaders.environment
              "of SpaceInvaders have one cannon, and aliens that move in one direction"
              (fun state ->
                  let ones = ones SpaceInvaders.environment state
                  let inChannel channel = ones |> Array.filter (fun i -> i % 6 = channel) |> Array.map (fun i -> i / 6)

                  (inChannel 0).Length = 1
                  && inChannel 1 = Array.append (inChannel 2) (inChannel 3)
                  && (Array.isEmpty (inChannel 2) || Array.isEmpty (inChannel 3))) ]

let private bricksReturn =
    test "Breakout's wall is built again, and the game goes on" {
        // The policy that is always under the ball breaks all bricks; further ones show that the wall came back.
        let follow (state: Breakout.State) =
            let target =
                state.Ball.Column + (if state.Ball.Row = 8 && state.Ball.Down = 1 then 0 else state.Ball.Right)

            compare target state.Paddle
            |> sign
            |> function
                | 1 -> 2
                | -1 -> 1
                | _ -> 0

        let rec broken steps count state =
            if steps = 0 then
                count
            else
                let struct (next, reward, isLost) = Breakout.step (follow state) state
                Expect.isFalse isLost "the ball is kept"
                broken (steps - 1) (count + int reward) next

        Expect.isGreaterThan (broken 3000 0 (Breakout.start true)) 30 "more bricks than a wall has"
    }

// ---- Sticky actions ----

let private sticky =
    let counter =
        { new Environment<int> with
            member _.Id = "counter"
            member _.ObservationSpace = Space.box 1 0.0 10.0
            member _.ActionSpace = Discrete 10
            member _.Reset _ = 0

            member _.Step(_, action, _) =
                { State = int action[0]; Reward = float action[0]; Terminated = false; Truncated = false }

            member _.Observe(state, observation) = observation[0] <- float32 state }

    /// The actions that the inner environment gets.
    let taken probability seed (actions: int list) =
        let environment = StickyActions.wrap probability counter
        let key = Key.ofSeed seed

        ((environment.Reset key, []), List.indexed actions)
        ||> List.fold (fun (state, all) (time, action) ->
            let next = environment.Step(Key.at (int64 time) key, ReadOnlySpan [| float32 action |], state)
            next.State, int next.Reward :: all)
        |> snd
        |> List.rev

    testList
        "sticky actions"
        [ testProperty "are the actions if the probability is 0, and the start's if it is 1"
          <| fun (NonEmptyArray digits: NonEmptyArray<byte>) (seed: int64) ->
              let actions = digits |> Array.map (fun x -> int x % 10) |> List.ofArray
              taken 0.0 seed actions = actions && taken 1.0 seed actions |> List.forall ((=) 0)

          testProperty "are the action or the one that was taken before it"
          <| fun (NonEmptyArray digits: NonEmptyArray<byte>) (seed: int64) ->
              let actions = digits |> Array.map (fun x -> int x % 10) |> List.ofArray
              let got = taken 0.5 seed actions

              List.zip3 actions got (0 :: got |> List.truncate got.Length)
              |> List.forall (fun (action, taken, before) -> taken = action || taken = before)

          test "repeat as often as they should" {
              let actions = List.init 20_000 (fun i -> 1 + i % 9)

              let repeated =
                  List.zip actions (taken 0.1 5L actions) |> List.filter (fun (a, b) -> a <> b) |> List.length
              // Four standard deviations of the binomial distribution.
              Expect.isLessThan (abs (float repeated - 2000.0)) (4.0 * sqrt (20_000.0 * 0.1 * 0.9)) "about a tenth"
          }

          testProperty "have states that can be kept"
          <| fun (action: byte) ->
              let environment = StickyActions.wrap 0.3 counter
              let codec = StateCodec.ofEnvironment<Sticky<int>> environment |> Result.defaultWith failwith
              let state = { Inner = int action; LastAction = Vector.ofArray [| float32 action / 3f |] }
              codec.Decode(ReadOnlyMemory(codec.Encode state)) = state

          test "refuse a probability that is none" {
              for wrong in [ -0.1; 1.1; nan ] do
                  Expect.throwsT<ArgumentException> (fun () -> StickyActions.wrap wrong counter |> ignore) $"{wrong}"
          } ]

[<Tests>]
let tests = testList "MinAtar" [ recorded; cells; episodes; bricksReturn; sticky ]
