module FunTrpo.Tests.EnvironmentTests

open System
open System.IO
open System.Text.Json
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

/// What the documentation says of an environment, restated here on the bare numbers of its state.
type private Case<'State> =
    {
        Environment: Environment<Timed<'State>>
        Limit: int
        OfNumbers: float[] -> 'State
        Numbers: 'State -> float[]
        /// Where each number starts.
        Start: (float * float) list
        /// Where each number stays until the episode ends.
        Bounds: (float * float) list
        IsTerminal: float[] -> bool
        /// The reward of a step: state, action, and whether it terminated.
        Reward: float[] -> float -> bool -> float
    }

let private symmetric bound = -bound, bound

let private cartPole =
    { Environment = CartPole.environment
      Limit = 500
      OfNumbers = fun n -> { CartPole.State.Position = n[0]; Velocity = n[1]; Angle = n[2]; AngularVelocity = n[3] }
      Numbers = fun s -> [| s.Position; s.Velocity; s.Angle; s.AngularVelocity |]
      Start = List.replicate 4 (symmetric 0.05)
      // Pushed all the way from one side of the track to the other, it could not become faster than this.
      Bounds = [ symmetric 2.4; symmetric 20.0; symmetric (Math.PI / 15.0); symmetric 20.0 ]
      IsTerminal = fun n -> abs n[0] > 2.4 || abs n[2] > Math.PI / 15.0
      Reward = fun _ _ _ -> 1.0 }

let private acrobot =
    { Environment = Acrobot.environment
      Limit = 500
      OfNumbers = fun n -> { Acrobot.State.Angle1 = n[0]; Angle2 = n[1]; Velocity1 = n[2]; Velocity2 = n[3] }
      Numbers = fun s -> [| s.Angle1; s.Angle2; s.Velocity1; s.Velocity2 |]
      Start = List.replicate 4 (symmetric (float 0.1f))
      Bounds = [ symmetric Math.PI; symmetric Math.PI; symmetric (4.0 * Math.PI); symmetric (9.0 * Math.PI) ]
      IsTerminal = fun n -> -cos n[0] - cos (n[0] + n[1]) > 1.0
      Reward = fun _ _ terminated -> if terminated then 0.0 else -1.0 }

let private mountainCar =
    { Environment = MountainCar.environment
      Limit = 200
      OfNumbers = fun n -> { MountainCar.State.Position = n[0]; Velocity = n[1] }
      Numbers = fun s -> [| s.Position; s.Velocity |]
      Start = [ (-0.6, -0.4); (0.0, 0.0) ]
      Bounds = [ (-1.2, 0.6); symmetric 0.07 ]
      IsTerminal = fun n -> n[0] >= 0.5 && n[1] >= 0.0
      Reward = fun _ _ _ -> -1.0 }

let private mountainCarContinuous =
    { Environment = MountainCarContinuous.environment
      Limit = 999
      OfNumbers = fun n -> { MountainCarContinuous.State.Position = n[0]; Velocity = n[1] }
      Numbers = fun s -> [| s.Position; s.Velocity |]
      Start = [ (-0.6, -0.4); (0.0, 0.0) ]
      // The state is rounded to float32, and so are its bounds.
      Bounds = [ (float -1.2f, float 0.6f); symmetric (float 0.07f) ]
      IsTerminal = fun n -> n[0] >= float 0.45f && n[1] >= 0.0
      Reward = fun _ action terminated -> (if terminated then 100.0 else 0.0) - 0.1 * action * action }

let private pendulum =
    { Environment = Pendulum.environment
      Limit = 200
      OfNumbers = fun n -> { Pendulum.State.Angle = n[0]; AngularVelocity = n[1] }
      Numbers = fun s -> [| s.Angle; s.AngularVelocity |]
      Start = [ symmetric Math.PI; symmetric 1.0 ]
      // 200 steps of 0.05 s at 8 rad/s, from an angle of at most π.
      Bounds = [ symmetric (Math.PI + 200.0 * 0.05 * 8.0); symmetric 8.0 ]
      IsTerminal = fun _ -> false
      Reward =
        fun n action _ ->
            let angle = Math.IEEERemainder(n[0], 2.0 * Math.PI)
            let torque = Math.Clamp(action, -2.0, 2.0)
            -(angle ** 2.0 + 0.1 * n[1] ** 2.0 + 0.001 * torque ** 2.0) }

let private step case action state = case.Environment.Step(Key.ofSeed 0L, ReadOnlySpan<float32> [| action |], state)

let private observe case state = Environment.observation case.Environment state

let private at elapsed inner = { Inner = inner; Elapsed = elapsed }

// ---- Reference episodes, recorded from Gymnasium ----

type private ReferenceStep =
    { Action: float32
      State: float[]
      Observation: float32[]
      Reward: float
      Terminated: bool
      Truncated: bool }

type private ReferenceEpisode = { Initial: float[]; Steps: ReferenceStep list }

type private Reference = { Id: string; Limit: int; Width: int; ActionSpace: string; Episodes: ReferenceEpisode list }

let private readReference file =
    use document = JsonDocument.Parse(File.ReadAllText file)

    let get (name: string) (json: JsonElement) = json.GetProperty name
    let items (json: JsonElement) = json.EnumerateArray() |> List.ofSeq
    let number (json: JsonElement) = json.GetDouble()

    let numbers json = items json |> Seq.map number |> Array.ofSeq

    let action (json: JsonElement) =
        match json.ValueKind with
        | JsonValueKind.Array -> items json |> List.exactlyOne |> number |> float32
        | _ -> number json |> float32

    let readStep json =
        { Action = get "action" json |> action
          State = get "state" json |> numbers
          Observation = get "obs" json |> numbers |> Array.map float32
          Reward = get "reward" json |> number
          Terminated = (get "terminated" json).GetBoolean()
          Truncated = (get "truncated" json).GetBoolean() }

    let readEpisode json =
        { Initial = get "initial_state" json |> numbers
          Steps = get "steps" json |> items |> List.map readStep }

    let root = document.RootElement

    { Id = (get "env" root).GetString()
      Limit = (get "max_episode_steps" root).GetInt32()
      Width = (get "obs_dim" root).GetInt32()
      ActionSpace = (get "action_space" root).GetString()
      Episodes = get "episodes" root |> items |> List.map readEpisode }

let private referenceFiles =
    Directory.GetFiles(fixture [ "gymnasium" ], "*.json") |> Array.sort |> List.ofArray

let private sameBits what (actual: float) (expected: float) =
    if BitConverter.DoubleToInt64Bits actual <> BitConverter.DoubleToInt64Bits expected then
        failtest $"{what}: {actual:R} where {expected:R} was recorded"

let private withinOneUlp what (actual: float) (expected: float) =
    if not (Math.BitDecrement expected <= actual && actual <= Math.BitIncrement expected) then
        failtest $"{what}: {actual:R} where {expected:R} was recorded"

/// Compares one transition, to the last bit of the state and of the observation.
let private compare case what (actual: Transition<Timed<'State>>) expected =
    let numbers = case.Numbers actual.State.Inner
    Expect.equal numbers.Length expected.State.Length $"{what}: numbers in the state"

    for i in 0 .. numbers.Length - 1 do
        sameBits $"{what}, state[{i}]" numbers[i] expected.State[i]

    let observation = observe case actual.State
    Expect.equal observation.Length expected.Observation.Length $"{what}: numbers in the observation"

    for i in 0 .. observation.Length - 1 do
        sameBits $"{what}, observation[{i}]" (float observation[i]) (float expected.Observation[i])

    withinOneUlp $"{what}, reward" actual.Reward expected.Reward
    Expect.equal actual.Terminated expected.Terminated $"{what}: terminated"
    Expect.equal actual.Truncated expected.Truncated $"{what}: truncated"

let private pythonName space =
    match space with
    | Discrete count -> $"Discrete({count})"
    | Box(low, high, _) when low.Length = 1 -> $"Box({low[0]:F1}, {high[0]:F1}, (1,), float32)"
    | other -> Space.describe other

let private agreesWith reference (case: Case<'State>) =
    let environment = case.Environment

    testList
        reference.Id
        [ test "describes itself alike" {
              Expect.equal environment.Id reference.Id "id"
              Expect.equal case.Limit reference.Limit "time limit"
              Expect.equal (Space.width environment.ObservationSpace) reference.Width "observation"
              Expect.equal (pythonName environment.ActionSpace) reference.ActionSpace "action space"
              Expect.isNonEmpty reference.Episodes "episodes"
          }

          for number, episode in List.indexed reference.Episodes do
              test $"episode {number}, on and on from our own states" {
                  Expect.isNonEmpty episode.Steps "steps"

                  let advance (time, state) expected =
                      let actual = step case expected.Action state
                      compare case $"step {time}" actual expected
                      time + 1, actual.State

                  ((0, at 0 (case.OfNumbers episode.Initial)), episode.Steps) ||> List.fold advance |> ignore
              }

              test $"episode {number}, every step from its recorded state" {
                  let before = episode.Initial :: (episode.Steps |> List.map _.State)

                  for time, (numbers, expected) in
                      List.indexed (List.zip (List.truncate episode.Steps.Length before) episode.Steps) do
                      let actual = step case expected.Action (at time (case.OfNumbers numbers))
                      compare case $"step {time}" actual expected
              } ]

let private agreesWithGymnasium =
    testList
        "agrees with Gymnasium"
        [ test "there are recorded episodes" { Expect.isNonEmpty referenceFiles "files in tests/fixtures/gymnasium" }

          for reference in List.map readReference referenceFiles do
              match reference.Id with
              | "CartPole-v1" -> agreesWith reference cartPole
              | "Acrobot-v1" -> agreesWith reference acrobot
              | "MountainCar-v0" -> agreesWith reference mountainCar
              | "MountainCarContinuous-v0" -> agreesWith reference mountainCarContinuous
              | "Pendulum-v1" -> agreesWith reference pendulum
              | unknown -> test unknown { failtest "an environment of this name is not known" } ]

// ---- Properties ----

/// Any action: of a box also those outside of it, which the environment clips itself.
let private actions space =
    match space with
    | Discrete count -> Gen.choose (0, count - 1) |> Gen.map float32
    | Box(_, high, _) -> Gen.choose (-1500, 1500) |> Gen.map (fun thousandths -> float32 thousandths / 1000f * high[0])
    | other -> failwith $"no actions for {Space.describe other}"

let private seeds = Gen.choose (Int32.MinValue, Int32.MaxValue) |> Gen.map int64

/// A start and what is done from there; most walks keep an action for a while, so that they get somewhere.
let private walks case =
    let held = Gen.map2 List.replicate (Gen.choose (1, 40)) (actions case.Environment.ActionSpace)

    Gen.zip seeds (Gen.listOf held |> Gen.map List.concat) |> Arb.fromGen

/// The transitions of a walk with what led to each, up to the end of the episode.
let private transitions case (seed, actions) =
    let advance state action =
        state
        |> Option.map (fun state ->
            let next = step case action state

            (state, action, next), if next.Terminated || next.Truncated then None else Some next.State)
        |> function
            | Some(taken, next) -> Some taken, next
            | None -> None, None

    (Some(case.Environment.Reset(Key.ofSeed seed)), actions)
    ||> List.mapFold advance
    |> fst
    |> List.choose id

/// A state anywhere within the bounds, and a little beyond where that ends the episode, with an action.
let private situations case =
    let number (low, high) =
        Gen.choose (-1100, 1100)
        |> Gen.map (fun thousandths -> (low + high) / 2.0 + (high - low) / 2.0 * float thousandths / 1000.0)

    let inner = case.Bounds |> List.map number |> Gen.sequenceToArray |> Gen.map case.OfNumbers

    Gen.zip inner (actions case.Environment.ActionSpace) |> Arb.fromGen

let private isWithin bounds numbers =
    Seq.forall2 (fun (low, high) number -> low <= number && number <= high) bounds numbers

let private holdsItsPromises (case: Case<'State>) =
    let environment = case.Environment
    let reset seed = environment.Reset(Key.ofSeed seed)

    let isSeen state = Space.contains environment.ObservationSpace (observe case state).Span

    testList
        environment.Id
        [ testProperty "the same step twice is the same"
          <| Prop.forAll (situations case) (fun (inner, action) ->
              let first = step case action (at 3 inner)
              let numbers = case.Numbers inner

              step case (1f - action) (at 4 inner) |> ignore
              reset 1L |> ignore

              step case action (at 3 inner) = first && step case action (at 3 (case.OfNumbers numbers)) = first)

          testProperty "a walk stays within the bounds"
          <| Prop.forAll (walks case) (fun walk ->
              transitions case walk
              |> List.forall (fun (_, _, next) ->
                  next.Terminated || isWithin case.Bounds (case.Numbers next.State.Inner)))

          testProperty "every observation of a walk lies in the observation space"
          <| Prop.forAll (walks case) (fun walk ->
              isSeen (reset (fst walk))
              && transitions case walk |> List.forall (fun (_, _, next) -> isSeen next.State))

          testProperty "an episode terminates where it should and nowhere else"
          <| Prop.forAll (situations case) (fun (inner, action) ->
              let next = step case action (at 0 inner)
              next.Terminated = case.IsTerminal(case.Numbers next.State.Inner))

          testProperty "the reward is the documented one"
          <| Prop.forAll (situations case) (fun (inner, action) ->
              let next = step case action (at 0 inner)
              let expected = case.Reward (case.Numbers inner) (float action) next.Terminated
              abs (next.Reward - expected) <= 1e-12 * max 1.0 (abs expected))

          testProperty "the time limit truncates exactly, and hides no termination"
          <| Prop.forAll (situations case) (fun (inner, action) ->
              let early = step case action (at 0 inner)

              [ 1; case.Limit - 2; case.Limit - 1; case.Limit ]
              |> List.forall (fun elapsed ->
                  let late = step case action (at elapsed inner)

                  not early.Truncated
                  && late.Truncated = (elapsed + 1 >= case.Limit)
                  && late.Terminated = early.Terminated
                  && late.Reward = early.Reward
                  && late.State = { early.State with Elapsed = elapsed + 1 }))

          testProperty "a reset lies in its range and counts from zero"
          <| Prop.forAll (Arb.fromGen seeds) (fun seed ->
              let state = reset seed
              state.Elapsed = 0 && isWithin case.Start (case.Numbers state.Inner))

          testProperty "another key, another start; the same key, the same start"
          <| Prop.forAll (Arb.fromGen (Gen.two seeds)) (fun (first, second) ->
              (reset first = reset second) = (first = second))

          test "resets fill their range evenly" {
              let count = 4000

              let resets = [ for seed in 1..count -> case.Numbers (reset (int64 seed)).Inner ]

              for i, (low, high) in List.indexed case.Start do
                  let numbers = resets |> List.map (fun numbers -> numbers[i])
                  let width = high - low
                  Expect.isLessThanOrEqual (List.min numbers) (low + 0.01 * width) "reaches the lower end"
                  Expect.isGreaterThanOrEqual (List.max numbers) (high - 0.01 * width) "reaches the upper end"

                  // The mean of `count` uniform numbers is within five standard errors of the middle.
                  let error = width / sqrt (12.0 * float count)

                  Expect.floatClose
                      { absolute = 5.0 * error; relative = 0.0 }
                      (List.average numbers)
                      ((low + high) / 2.0)
                      "mean"
          }

          test "steps, resets and what lies around them allocate nothing" {
              let key = Key.ofSeed 7L
              let rows = Array.zeroCreate<float32>(Space.width environment.ObservationSpace + 2)

              /// As in a rollout; the action is 0 or 1.
              let play steps =
                  let mutable state = environment.Reset key

                  for t in 0 .. steps - 1 do
                      let stepKey = Key.at (int64 t) key
                      environment.Observe(state, rows.AsSpan 2)
                      rows[0] <- if Key.uniform stepKey < 0.5 then 0f else 1f
                      Space.clip environment.ActionSpace (ReadOnlySpan(rows, 0, 1)) (rows.AsSpan(1, 1))
                      let next = environment.Step(stepKey, ReadOnlySpan(rows, 1, 1), state)
                      state <- if next.Terminated || next.Truncated then environment.Reset stepKey else next.State

                  state.Elapsed

              let allocated steps =
                  let before = GC.GetAllocatedBytesForCurrentThread()
                  play steps |> ignore
                  GC.GetAllocatedBytesForCurrentThread() - before

              allocated 10 |> ignore // what is made once is made
              Expect.equal (allocated 2000) 0L "bytes"
          }

          test "an action that is not a number shows in the state" {
              let next = step case nanf (reset 1L)
              Expect.exists (case.Numbers next.State.Inner) Double.IsNaN "a NaN somewhere"
          } ]

let private negate numbers = Array.map (~-) numbers

/// Physics does not care which side is called left.
let private mirrors (case: Case<'State>) mirror =
    testProperty $"{case.Environment.Id} is the same in a mirror"
    <| Prop.forAll (situations case) (fun (inner, action) ->
        let mirrored = at 0 (case.OfNumbers(negate (case.Numbers inner)))
        let straight = step case action (at 0 inner)
        let reflected = step case (mirror action) mirrored
        case.Numbers reflected.State.Inner = negate (case.Numbers straight.State.Inner))

let private edges =
    testList
        "edges"
        [ mirrors cartPole (fun action -> 1f - action)
          mirrors pendulum (~-)

          test "CartPole rewards the step on which the pole falls" {
              let falling = cartPole.OfNumbers [| 0.0; 0.0; 0.2; 5.0 |]
              let next = step cartPole 1f (at 10 falling)
              Expect.isTrue next.Terminated "fallen"
              Expect.equal next.Reward 1.0 "reward"
          }

          test "a step can be the last for both reasons" {
              let falling = cartPole.OfNumbers [| 0.0; 0.0; 0.2; 5.0 |]
              let next = step cartPole 1f (at 499 falling)
              Expect.isTrue (next.Terminated && next.Truncated) "terminated and truncated"
          }

          test "Acrobot's last step is free" {
              let high = acrobot.OfNumbers [| Math.PI; 0.0; 0.0; 0.0 |]
              let next = step acrobot 1f (at 0 high)
              Expect.isTrue next.Terminated "upright"
              Expect.equal next.Reward 0.0 "reward"
          }

          test "Acrobot's angles wrap round" {
              let spinning = acrobot.OfNumbers [| 3.1; -3.1; 12.0; -28.0 |]
              let next = (step acrobot 2f (at 0 spinning)).State.Inner
              Expect.isLessThan next.Angle1 0.0 "past the top"
              Expect.isGreaterThan next.Angle2 -Math.PI "no further than −π"
          }

          testProperty "the time limit is the same around a struct and around an object"
          <| Prop.forAll (situations cartPole) (fun (inner, action) ->
              let timed = cartPole.Environment

              let boxed =
                  { new Environment<Timed<CartPole.State>> with
                      member _.Id = timed.Id
                      member _.ObservationSpace = timed.ObservationSpace
                      member _.ActionSpace = timed.ActionSpace
                      member _.Reset key = timed.Reset key
                      member _.Step(key, action, state) = timed.Step(key, action, state)
                      member _.Observe(state, observation) = timed.Observe(state, observation) }
                  |> Environment.withTimeLimit 3

              [ 0..4 ]
              |> List.forall (fun elapsed ->
                  let expected = step cartPole action (at 7 inner)

                  let actual = boxed.Step(Key.ofSeed 0L, ReadOnlySpan<float32> [| action |], at elapsed (at 7 inner))

                  actual.State = at (elapsed + 1) expected.State
                  && actual.Reward = expected.Reward
                  && actual.Terminated = expected.Terminated
                  && actual.Truncated = (elapsed >= 2)))

          test "the wall stops the mountain car" {
              let fast = [| -1.19; -0.07 |]
              let stopped = step mountainCar 0f (at 0 (mountainCar.OfNumbers fast))
              Expect.equal stopped.State.Inner { Position = -1.2; Velocity = 0.0 } "at the wall"

              let stopped = step mountainCarContinuous -1f (at 0 (mountainCarContinuous.OfNumbers fast))

              Expect.equal stopped.State.Inner { Position = float -1.2f; Velocity = 0.0 } "at the wall"
          }

          test "the continuous mountain car pays for the action it is given, and gets the force it can have" {
              let start = at 0 (mountainCarContinuous.OfNumbers [| -0.5; 0.0 |])
              let full = step mountainCarContinuous 1f start
              let more = step mountainCarContinuous 3f start
              Expect.equal more.State full.State "state"
              Expect.floatClose Accuracy.high more.Reward -0.9 "reward"
          }

          test "the pendulum clips the torque, in its motion and its cost" {
              let start = at 0 (pendulum.OfNumbers [| 1.0; 0.5 |])
              Expect.equal (step pendulum 9f start) (step pendulum 2f start) "as at the limit"
          }

          test "the pendulum's cost does not count whole turns" {
              let rewardAt angle = (step pendulum 0f (at 0 (pendulum.OfNumbers [| angle; 0.0 |]))).Reward

              for angle in [ -9.0; -3.0; 0.0; 0.1; 3.0; 9.0 ] do
                  Expect.floatClose Accuracy.high (rewardAt (angle + 4.0 * Math.PI)) (rewardAt angle) $"{angle} rad"
          } ]

let tests =
    testList
        "Environments"
        [ agreesWithGymnasium
          testList
              "promises"
              [ holdsItsPromises cartPole
                holdsItsPromises acrobot
                holdsItsPromises mountainCar
                holdsItsPromises mountainCarContinuous
                holdsItsPromises pendulum ]
          edges ]
