/// Tasks of one step, in which it is plain what should be learned: in each context, the action whose mean reward is highest.
module FunTrpo.Tests.OneStepTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

/// A context that is shown one-hot, and how many steps this instance has made in all.
[<Struct>]
type private Standing = { Context: int; Steps: int }

let private contexts = 4
let private actions = 3

/// The action of the highest mean reward: another one in each context.
let private bestIn context = (2 * context + 1) % actions

/// What the reward is for a context, an action and the randomness of a step, of an instance that has made so many steps before.
type private Reward = int -> int -> Key -> float

let private task (reward: Reward) =
    { new Environment<Standing> with
        member _.Id = "OneStep-v0"
        member _.ObservationSpace = Space.box contexts 0.0 1.0
        member _.ActionSpace = Discrete actions
        member _.Reset key = { Context = int (Key.uniform key * float contexts); Steps = 0 }

        member _.Step(key, action, state) =
            { State = state
              Reward = reward state.Context (int action[0]) key
              Terminated = true
              Truncated = false }

        member _.Observe(state, observation) = observation[state.Context] <- 1f }

/// The mean probability of the best action after so many steps.
let private learned configuration steps seed (environment: Environment<Standing>) =
    let setup = setupOf 1 configuration environment

    let state =
        TrainingState.start setup seed
        |> Training.runFor steps setup
        |> Seq.map (expectOk >> fst)
        |> Seq.last

    let shown = Matrix.init contexts contexts (fun row column -> if row = column then 1f else 0f)
    let logits = Actor.distributions (TrainingState.actor setup state) shown

    Seq.average (
        seq {
            for context in 0 .. contexts - 1 do
                let weights = Array.init actions (fun action -> exp (float logits[context, action]))
                weights[bestIn context] / Array.sum weights
        }
    )

let private small =
    { Configuration.standard with
        Environments = 4
        Horizon = 64
        Hidden = [ 16 ]
        CriticHidden = [ 16 ] }

/// 1 for the best action, else 0.
let private simple context action (_: Key) = if action = bestIn context then 1.0 else 0.0

let tests =
    testList
        "One step"
        [ testPropertyWithConfig (few 20) "learns the same in any unit of the reward, and from any zero"
          <| Prop.forAll
              (Gen.zip3
                  seeds
                  (Gen.elements [ 1e-12; 1e-9; 1e-3; 1.0; 1e6; 1e30 ])
                  (Gen.elements [ 0.0; 4.0; 6.0; -1e4; 1e6 ])
               |> Arb.fromGen)
              (fun (seed, unit, zero) ->
                  let reward context action key = unit * (zero + simple context action key)
                  learned small 12_000L seed (task reward) > 0.9)

          testPropertyWithConfig (few 10) "learns the same to the last bit where the unit is a power of two"
          <| Prop.forAll (Gen.zip seeds (Gen.choose (-100, 100)) |> Arb.fromGen) (fun (seed, exponent) ->
              let noisy context action key = simple context action key + Key.uniform (Key.named "noise" key)
              let scaled context action key = Math.ScaleB(noisy context action key, exponent)
              (learned small 2_000L seed (task noisy)).Equals(learned small 2_000L seed (task scaled)))

          test "learns the order of mean rewards, also where a rare loss decides it" {
              // Action 0 is safe; the others pay twice as much, but lose 300 once in a hundred times: −1 on average.
              let reward _ action key =
                  if action = 0 then 1.0
                  elif Key.uniform (Key.named "loss" key) < 0.01 then -298.0
                  else 2.0

              let environment = task reward
              // A batch holds some of the losses.
              let configuration = { small with Horizon = 512 }
              let setup = setupOf 1 configuration environment

              let last =
                  TrainingState.start setup 5L
                  |> Training.runFor 200_000L setup
                  |> Seq.map (expectOk >> fst)
                  |> Seq.last

              let scores =
                  Evaluation.run 1 environment (TrainingState.actor setup last) 100 (Key.ofSeed 1L) |> expectOk

              Expect.equal scores.Mean 1.0 "always the safe action"
          }

          for size in [ -1e7; -1e9; 1e30 ] do
              test $"forgets one reward of {size} for each instance" {
                  let steps = ref 0

                  let reward context action key =
                      steps.Value <- steps.Value + 1
                      let isStruck = steps.Value > 16 && steps.Value <= 20
                      if isStruck then size else simple context action key

                  Expect.isGreaterThan (learned small 20_000L 1L (task reward)) 0.9 "probability of the best action"
              } ]
