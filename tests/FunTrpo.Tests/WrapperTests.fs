/// Environments around others: several frames together, the last action, clipped rewards.
module FunTrpo.Tests.WrapperTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Environments.Popgym
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

let private ok result = result |> Result.defaultWith (Fault.message >> failwith)

let private observed (environment: Environment<'State>) state =
    Environment.observation environment state |> Vector.toArray

/// The states of an episode of random actions, with the actions that lead to them and their transitions.
let private episodeOf (environment: Environment<'State>) key =
    let rec follow time state found =
        let action = Space.sample environment.ActionSpace (Key.at time (Key.named "action" key))
        let next = environment.Step(Key.at time (Key.named "step" key), action.Span, state)
        let found = (action, next) :: found

        if next.Terminated || next.Truncated || time >= 30L then
            List.rev found
        else
            follow (time + 1L) next.State found

    let start = environment.Reset(Key.named "reset" key)
    start, follow 0L start []

/// A task of four steps without zeros in its observations and actions, which does not show how an episode has ended. Its steps are also made in
/// batches.
type private AwayFromZero() =
    interface Environment<int64> with
        member _.Id = "AwayFromZero-v0"
        member _.ObservationSpace = Space.box 1 1.0 9.0
        member _.ActionSpace = Space.box 2 1.0 2.0
        member _.Reset _ = 0L

        member _.Step(_, _, time) = { State = time + 1L; Reward = 0.0; Terminated = (time = 3L); Truncated = false }

        member _.Observe(time, row) =
            if time > 3L then
                failwith "the episode has ended"

            row[0] <- float32 (time + 1L)

    interface BatchEnvironment<int64> with
        member this.Batch =
            let alone = this :> Environment<int64>

            Some
                { new BatchSteps<int64> with
                    member _.Size = 4
                    member _.Reset keys = keys |> Array.map alone.Reset

                    member _.Step(keys, actions, times) =
                        Array.map2 (fun key time -> alone.Step(key, ReadOnlySpan(actions, 0, 2), time)) keys times }

let private frames =
    testList
        "frame stack"
        [ property
              "shows the last observations, oldest first, and the first one before it"
              (Gen.zip (Gen.choose (1, 4)) key)
              (fun (count, key) ->
                  let inner = CartPole.environment
                  let stacked = FrameStack.wrap count inner
                  let start, steps = episodeOf inner key
                  let start', steps' = episodeOf stacked key

                  let seen =
                      observed inner start
                      :: [ for _, next in steps do
                               if not next.Terminated then
                                   observed inner next.State ]

                  let shown =
                      observed stacked start'
                      :: [ for _, next in steps' do
                               if not next.Terminated then
                                   observed stacked next.State ]

                  let expected =
                      [ for i in 0 .. seen.Length - 1 ->
                            Array.concat [ for frame in i - count + 1 .. i -> seen[max 0 frame] ] ]

                  Expect.equal shown expected "rows"
                  Expect.equal (List.map (snd >> _.Reward) steps') (List.map (snd >> _.Reward) steps) "rewards")
          test "axes of boxes are joined at the end, choices follow one another, and only the newest mask counts" {
              let picture = Space.boxOfShape [ 2; 3; 2 ] 0.0 1.0
              Expect.equal (FrameStack.space 3 picture) (Space.boxOfShape [ 2; 3; 6 ] 0.0 1.0) "a picture"
              Expect.equal (FrameStack.space 2 (Discrete 4)) (MultiDiscrete [ 4; 4 ]) "a choice"
              Expect.equal (FrameStack.space 2 (MultiDiscrete [ 2; 3 ])) (MultiDiscrete [ 2; 3; 2; 3 ]) "choices"

              Expect.equal
                  (FrameStack.space 2 (Masked(Parts [ "a", MultiBinary 2; "b", Space.box 1 0.0 1.0 ], [ 2 ])))
                  (Masked(Parts [ "a", MultiBinary 4; "b", Space.box 2 0.0 1.0 ], [ 2 ]))
                  "parts with a mask"

              // Bounds go with their numbers.
              let bounds = Space.between (Vector.ofArray [| 0f; 1f |]) (Vector.ofArray [| 2f; 3f |])

              Expect.equal
                  (FrameStack.space 2 bounds)
                  (Space.between (Vector.ofArray [| 0f; 1f; 0f; 1f |]) (Vector.ofArray [| 2f; 3f; 2f; 3f |]))
                  "bounds"

              expectRefused "no frames" (fun () -> FrameStack.wrap 0 CartPole.environment |> ignore)
          }
          test "the last frame of an episode stands for the state in which it has terminated" {
              let stacked = FrameStack.wrap 3 (AwayFromZero())
              let _, steps = episodeOf stacked (Key.ofSeed 1L)
              let _, last = List.last steps
              Expect.isTrue last.Terminated "terminated"
              Expect.equal (observed stacked last.State) [| 3f; 4f; 4f |] "the rows"
          }
          test "an observation that fails is that of its state" {
              let stacked = FrameStack.wrap 2 (AwayFromZero())
              let steps = (BatchSteps.ofEnvironment<WithRow<int64>> stacked).Value
              let keys = Array.init 4 (fun i -> Key.at (int64 i) (Key.ofSeed 1L))
              let states = steps.Reset keys
              // The episode of the third one should have ended, so its next state has no observation.
              states[2] <- { states[2] with Inner = 7L }

              Expect.throwsC (fun () -> steps.Step(keys, Array.zeroCreate 8, states) |> ignore) (fun error ->
                  match error with
                  | :? BatchException as failed -> Expect.equal failed.Position 2 "the position"
                  | other -> failtest $"{other}")
          }
          property
              "every row is an element of the joined space, at its place"
              (Gen.zip3
                  (Gen.oneof
                      [ actionSpace
                        pictureShape 3 |> Gen.map (fun shape -> Space.boxOfShape shape -1.0 1.0)
                        Gen.map (fun space -> Masked(space, [ 2; 3 ])) actionSpace ])
                  (Gen.choose (1, 3))
                  key)
              (fun (space, count, key) ->
                  // A task that shows a random row in each step.
                  let shows =
                      { new Environment<int64> with
                          member _.Id = "Rows-v0"
                          member _.ObservationSpace = space
                          member _.ActionSpace = MultiDiscrete [ 2; 3 ]
                          member _.Reset _ = 0L

                          member _.Step(_, _, time) =
                              { State = time + 1L; Reward = 0.0; Terminated = false; Truncated = time >= 5L }

                          member _.Observe(time, row) = (Space.sample space (Key.at time key)).Span.CopyTo row }

                  let stacked = FrameStack.wrap count shows
                  let _, steps = episodeOf stacked key

                  for _, next in steps do
                      let row = observed stacked next.State
                      Expect.isTrue (Space.contains stacked.ObservationSpace (ReadOnlySpan row)) "an element"
                      let newest = Space.sample space (Key.at next.State.Inner key)
                      let mask = (Mask.ofRow stacked.ObservationSpace (ReadOnlySpan row)).ToArray()
                      Expect.equal mask ((Mask.ofRow space newest.Span).ToArray()) "the newest mask"

                      let numbers = row[.. row.Length - mask.Length - 1] |> Array.countBy id |> Array.sort

                      let expected =
                          [| for frame in next.State.Inner - int64 count + 1L .. next.State.Inner do
                                 let whole = Vector.toArray (Space.sample space (Key.at (max 0L frame) key))
                                 yield! whole[.. whole.Length - mask.Length - 1] |]
                          |> Array.countBy id
                          |> Array.sort

                      Expect.equal numbers expected "all numbers of the frames") ]

let private lastActions =
    testList
        "last action"
        [ property "shows the action and the reward that led to a state" key (fun key ->
              let inner = Pendulum.environment
              let wrapped = LastAction.wrap inner
              let start, steps = episodeOf wrapped key
              let ofInner state = observed inner state
              Expect.equal (observed wrapped start) (Array.append (ofInner start.Inner) [| 0f; 0f |]) "the first"

              for action, next in steps do
                  Expect.equal
                      (observed wrapped next.State)
                      (Array.concat [ ofInner next.State.Inner; Vector.toArray action; [| float32 next.Reward |] ])
                      "a later one")
          test "before the first step, it shows the action of a box that is nearest to 0" {
              let wrapped = LastAction.wrap (AwayFromZero())
              let start = observed wrapped (wrapped.Reset(Key.ofSeed 1L))
              Expect.equal start [| 1f; 1f; 1f; 0f |] "the row"
              Expect.isTrue (Space.contains wrapped.ObservationSpace (ReadOnlySpan start)) "an element of the space"
          }
          test "a mask stays behind the parts" {
              let space = LastAction.space (Masked(Discrete 3, [ 2; 2 ])) (MultiDiscrete [ 2; 2 ])

              Expect.equal
                  space
                  (Masked(
                      Parts
                          [ "observation", Discrete 3
                            "lastAction", MultiDiscrete [ 2; 2 ]
                            "lastReward", Space.box 1 -infinity infinity ],
                      [ 2; 2 ]
                  ))
                  "space"

              Expect.equal (Space.invalidReason space) None "valid"
          } ]

let private clips =
    testList
        "reward clip"
        [ property "bounds rewards and changes nothing else" key (fun key ->
              let _, plain = episodeOf Pendulum.environment key
              let _, clipped = episodeOf (RewardClip.wrap 1.5 Pendulum.environment) key

              Expect.equal
                  [ for _, next in clipped -> next.State, next.Reward ]
                  [ for _, next in plain -> next.State, Math.Clamp(next.Reward, -1.5, 1.5) ]
                  "states and rewards")
          test "rewards that are not finite stay, so that they are reported" {
              for reward in [ infinity; -infinity; nan ] do
                  let inner =
                      { new Environment<int64> with
                          member _.Id = "Infinite-v0"
                          member _.ObservationSpace = Space.box 1 0.0 1.0
                          member _.ActionSpace = Discrete 2
                          member _.Reset _ = 0L

                          member _.Step(_, _, time) =
                              { State = time; Reward = reward; Terminated = false; Truncated = true }

                          member _.Observe(_, _) = () }

                  let _, steps = episodeOf (RewardClip.wrap 1.0 inner) (Key.ofSeed 1L)
                  Expect.isTrue (steps |> List.forall (fun (_, next) -> next.Reward.Equals reward)) $"{reward}"
          }
          test "a bound is above 0" {
              for bound in [ 0.0; -1.0; nan ] do
                  expectRefused $"{bound}" (fun () -> RewardClip.wrap bound CartPole.environment |> ignore)
          } ]

let private training =
    testList
        "training"
        [ let trains name (environment: Environment<'State>) =
              test $"{name}: checkpoints and threads do not change the bits" {
                  let setup threads = setupOf threads { small with Environments = 3; Horizon = 24 } environment
                  let states threads = iterations 3 (setup threads) (TrainingState.start (setup threads) 5L)
                  let run = states 1 |> List.map fst
                  let other, _ = List.last (states 3)
                  Expect.equal other.PolicyParameters (List.last run).PolicyParameters "threads"
                  let path = IO.Path.GetTempFileName()

                  try
                      Checkpoint.save path (setup 1) "" run[1] |> ok
                      let loaded = (Checkpoint.load path (setup 1) |> ok).State
                      let next, _ = Training.update (setup 1) loaded |> ok
                      Expect.equal next.PolicyParameters (List.last run).PolicyParameters "continued"
                  finally
                      IO.File.Delete path
              }

          trains "frames" (FrameStack.wrap 3 (PositionOnlyCartPole.environment Difficulty.Easy))
          trains "cards" (FrameStack.wrap 2 (RepeatPrevious.environment Difficulty.Easy))
          trains "last action" (LastAction.wrap CartPole.environment)
          trains "all" (RewardClip.wrap 0.5 (FrameStack.wrap 2 (LastAction.wrap Pendulum.environment))) ]

let tests = testList "wrappers" [ frames; lastActions; clips; training ]
