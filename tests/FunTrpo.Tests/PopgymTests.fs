/// The memory tasks of POPGym: returns of players that know what they should remember, and what is seen of the state.
module FunTrpo.Tests.PopgymTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Environments.Popgym
open FunTrpo.Tests.Generators

/// Plays an episode. `choose` gets the observations so far, the newest first. Returns the rewards, and the observations.
let private play (environment: Environment<'State>) seed (choose: float32[] list -> float32) =
    let key = Key.ofSeed seed
    let observe state = Environment.observation environment state |> Vector.toArray

    let rec go time state seen rewards =
        let next = environment.Step(Key.at time key, ReadOnlySpan [| choose seen |], state)
        let seen, rewards = observe next.State :: seen, next.Reward :: rewards
        if next.Terminated || next.Truncated then rewards, seen else go (time + 1L) next.State seen rewards

    let start = environment.Reset(Key.named "start" key)
    go 0L start [ observe start ] []

let private first (seen: float32[] list) = (List.last seen)[0]
let private ago count (seen: float32[] list) = if seen.Length < count then 0f else seen[count - 1][0]
let private close expected (actual: float) = abs (actual - expected) < 1e-9

let private cards =
    [ for difficulty in Difficulty.all do
          let first' = RepeatFirst.environment difficulty
          let previous = RepeatPrevious.environment difficulty
          let k = RepeatPrevious.k difficulty
          let count decks = 52 * decks
          let steps = count (RepeatPrevious.decks difficulty) - 1

          testPropertyWithConfig (few 5) $"{first'.Id}: the first suit earns 1, another one −1"
          <| fun (seed: int64) ->
              let right, seen = play first' seed first
              let wrong, _ = play first' seed (fun seen -> (first seen + 1f) % 4f)

              close 1.0 (List.sum right)
              && close -1.0 (List.sum wrong)
              && seen.Length = count (RepeatFirst.decks difficulty)

          testPropertyWithConfig (few 5) $"{previous.Id}: the suit of {k} cards ago earns 1, another one −1"
          <| fun (seed: int64) ->
              let right, _ = play previous seed (ago k)
              let wrong, _ = play previous seed (fun seen -> (ago k seen + 1f) % 4f)

              close 1.0 (List.sum right)
              && close -1.0 (List.sum wrong)
              && right.Length = steps
              && (right |> List.filter ((<>) 0.0)).Length = steps - k + 1

          testPropertyWithConfig (few 5) $"{previous.Id}: each suit is shown a quarter of the time"
          <| fun (seed: int64) ->
              let _, seen = play previous seed first
              seen |> List.countBy Array.head |> List.forall (fun (_, times) -> times = (steps + 1) / 4) ]

let private cartPoles =
    [ for difficulty in Difficulty.all do
          let environment = PositionOnlyCartPole.environment difficulty

          testPropertyWithConfig (few 20) $"{environment.Id}: position and angle are seen as they are"
          <| fun (seed: int64) ->
              let key = Key.ofSeed seed
              let state = environment.Reset key
              let seen = Environment.observation environment state |> Vector.toArray
              let inner = state.Inner.Inner
              seen = [| float32 inner.Position; float32 inner.Angle |]

          test $"{environment.Id}: a whole episode earns 1" {
              // Pushing against the pole's fall and the cart's drift balances it.
              let limit = PositionOnlyCartPole.limit difficulty
              let mutable state = environment.Reset(Key.ofSeed 1L)
              let mutable sum = 0.0
              let mutable steps = 0
              let mutable isOver = false

              while not isOver do
                  let s = state.Inner.Inner
                  let push = 0.05 * s.Position + 0.1 * s.Velocity + s.Angle + 0.3 * s.AngularVelocity

                  let next =
                      environment.Step(
                          Key.at (int64 steps) (Key.ofSeed 1L),
                          ReadOnlySpan [| (if push > 0.0 then 1f else 0f) |],
                          state
                      )

                  state <- next.State
                  sum <- sum + next.Reward
                  steps <- steps + 1
                  isOver <- next.Terminated || next.Truncated

              Expect.equal steps limit "all steps"
              Expect.floatClose Accuracy.high sum 1.0 "the return"
          }

          let noisy = PositionOnlyCartPole.noisy difficulty

          test $"{noisy.Id}: the noise has its deviation and lies within the bounds" {
              let deviation = PositionOnlyCartPole.deviation difficulty

              let seen =
                  [| for seed in 1L .. 4000L ->
                         let state = noisy.Reset(Key.ofSeed seed)
                         let seen = Environment.observation noisy state |> Vector.toArray
                         Expect.isTrue (Space.contains noisy.ObservationSpace (ReadOnlySpan seen)) "in the space"
                         float seen[0] - state.Inner.Inner.Position |]

              let found = sqrt (Array.averageBy (fun x -> x * x) seen)
              // The standard error of a deviation from n normal numbers is σ/√(2n).
              Expect.isLessThan (abs (found - deviation)) (4.0 * deviation / sqrt 8000.0) "the deviation"
          } ]

let private pendulums =
    [ for difficulty in Difficulty.all do
          let environment = PositionOnlyPendulum.environment difficulty
          let limit = PositionOnlyPendulum.limit difficulty

          testPropertyWithConfig
              (few 20)
              $"{environment.Id}: the rewards are those of Pendulum-v1, scaled to returns from −1 to 1"
          <| fun (seed: int64) ->
              let actions = Key.uniforms limit (Key.ofSeed seed) |> Array.map (fun u -> float32 (4.0 * u - 2.0))
              let key = Key.ofSeed seed
              let mutable state = environment.Reset key
              let mutable reference = Pendulum.environment.Reset key
              let mutable sum = 0.0
              let mutable isSo = true

              for time in 0 .. limit - 1 do
                  let action = ReadOnlySpan(actions, time, 1)
                  let next = environment.Step(key, action, state)
                  let plain = Pendulum.environment.Step(key, action, reference)
                  isSo <- isSo && close ((plain.Reward + 8.1368022) / 8.1368022 / float limit) next.Reward
                  isSo <- isSo && next.Truncated = (time = limit - 1)
                  sum <- sum + next.Reward
                  state <- next.State
                  reference <- plain.State

              isSo && abs sum <= 1.0 ]

[<Tests>]
let tests = testList "POPGym" [ yield! cards; yield! cartPoles; yield! pendulums ]
