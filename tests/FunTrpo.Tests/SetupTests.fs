module FunTrpo.Tests.SetupTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

let private onCartPole configuration = setupOf 1 configuration CartPole.environment

let private collectors =
    testList
        "the collector of a setup"
        [ test "makes the batches, so a training with the batches of another collector is another training" {
              let setup = onCartPole small
              let mutable calls = 0

              let counting: Collector<_> =
                  fun environment actor horizon threads key instances ->
                      calls <- calls + 1
                      Rollout.collect environment actor horizon threads (Key.named "other" key) instances

              let train setup = Training.run setup (TrainingState.start setup 3L) |> Seq.item 2 |> expectOk |> fst
              let state, other = train setup, train { setup with Collect = counting }
              Expect.equal calls 3 "calls"
              Expect.notEqual other.PolicyParameters state.PolicyParameters "parameters"
          }

          test "may fail, and its fault ends the iteration" {
              let setup = onCartPole small
              let fault = Mismatch "another machine is away"
              let failing: Collector<_> = fun _ _ _ _ _ _ -> Error fault
              let results = Training.run { setup with Collect = failing } (TrainingState.start setup 3L) |> List.ofSeq

              match results with
              | [ Error found ] -> Expect.equal found fault "fault"
              | _ -> failtest "one fault was expected"
          } ]

/// A change of one field that determines what a state consists of.
let private otherStates =
    [ "environments", { small with Environments = 5 }
      "hidden", { small with Hidden = [ 5; 5 ] }
      "activation", { small with Activation = FunTrpo.Kernels.Activation.Relu }
      "criticHidden", { small with CriticHidden = [ 4 ] }
      "criticActivation", { small with CriticActivation = FunTrpo.Kernels.Activation.Relu }
      "normaliseObservations", { small with NormaliseObservations = not small.NormaliseObservations }
      "normaliseReturns", { small with NormaliseReturns = not small.NormaliseReturns }
      "scaleActions", { small with ScaleActions = not small.ScaleActions } ]

let private changes =
    testList
        "a changed setup"
        [ test "has the new settings, and keeps the collector and the rule" {
              let mutable improved = false

              let rule settings surrogate =
                  improved <- true
                  TrustRegion.improve settings surrogate

              let setup = { onCartPole small with Improve = ImprovementRule.ofStep rule }
              let changed = Setup.change 2 { small with Delta = 0.5; Horizon = 7 } setup |> expectOk
              Expect.equal (changed.Configuration.Delta, changed.Threads) (0.5, 2) "settings"
              let state, report = Training.update changed (TrainingState.start setup 1L) |> expectOk
              Expect.equal (state.Steps, report.Delta) (21L, 0.5) "steps and δ"
              Expect.isTrue improved "the rule"
          }

          testList
              "is refused, with the field's name, where a state would consist of other parts:"
              [ for name, configuration in otherStates ->
                    test name {
                        match Setup.change 1 configuration (onCartPole small) with
                        | Error(InvalidSetting(field, _, allowed)) ->
                            Expect.equal field name "field"
                            Expect.stringContains allowed "cannot change" "why"
                        | other -> failtest $"{other} is not that fault"
                    } ]

          test "is refused with a field out of its range" {
              match Setup.change 1 { small with Gamma = 1.5 } (onCartPole small) with
              | Error(InvalidSetting("gamma", _, _)) -> ()
              | other -> failtest $"{other} is not that fault"
          } ]

let private refusals =
    testList
        "the environment's spaces"
        [ let four = CartPole.environment.ObservationSpace
          let swapped = Space.box 1 1.0 -1.0
          let uneven = Space.between (Vector.zero 2) (Vector.zero 3)

          for observations, actions in
              [ four, Discrete 0
                four, MultiBinary 0
                four, MultiDiscrete []
                four, MultiDiscrete [ 2; 0 ]
                four, swapped
                four, uneven
                uneven, Discrete 2
                swapped, Discrete 2
                Space.box 2 infinity infinity, Discrete 2
                four, Space.box 1 -infinity -infinity
                MultiBinary((1 <<< 24) + 1), Discrete 2
                four, MultiBinary 1_000_000_000
                four, Discrete((1 <<< 24) + 1) ] do
              test $"refuses {Space.describe observations} seen and {Space.describe actions} done" {
                  match Setup.create 1 small (withSpaces "Odd-v0" observations actions) with
                  | Error(Mismatch why) -> Expect.stringContains why "Odd-v0" "the message"
                  | _ -> failtest "accepted"
              } ]

/// Spaces whose sizes are far apart, up to the largest that there can be.
let private sizes =
    Gen.frequency [ 3, Gen.choose (1, 200); 2, Gen.choose (1000, 1 <<< 24); 1, Gen.constant (1 <<< 24) ]

let private oversized =
    let ofSize = withSpaces "Sized-v0"

    let refusalOf configuration observations actions =
        match Setup.create 1 configuration (ofSize observations actions) with
        | Ok _ -> failtest "accepted"
        | Error(InvalidSetting(field, _, _) as fault) -> field, Fault.message fault
        | Error fault -> failtest (Fault.message fault)

    testList
        "what memory cannot hold is refused by the name of a setting, before it is made:"
        [ test "a first or last layer" {
              for configuration, observations, actions, expected in
                  [ { small with Hidden = [ 65536 ] }, MultiBinary 2000, Discrete 2, "hidden"
                    { small with Hidden = [ 65536 ] }, MultiBinary 2, Discrete 2000, "hidden"
                    { small with Hidden = [ 65536 ] }, MultiBinary 2, MultiBinary 1000, "hidden"
                    { small with Hidden = [] }, MultiBinary 20000, Discrete 20000, "hidden"
                    { small with CriticHidden = [ 65536 ] }, MultiBinary 2000, Discrete 2, "criticHidden" ] do
                  let field, message = refusalOf configuration observations actions
                  Expect.equal field expected "the setting"
                  Expect.stringContains message "100000000" "the limit"
          }

          test "the rows of a batch: images that in 32 bits would be few, or fewer than none" {
              for environments, horizon, width in [ 64, 1024, 65536; 64, 512, 65536; 1024, 1024, 3 * 64 * 64 ] do
                  let configuration =
                      { small with
                          Environments = environments
                          Horizon = horizon
                          Hidden = [ 2 ]
                          CriticHidden = [ 2 ] }

                  let field, message = refusalOf configuration (MultiBinary width) (Discrete 2)
                  Expect.equal field "horizon" "the setting"
                  Expect.stringContains message $"for rows of {width} numbers" "why"

              let branching =
                  { small with
                      Hidden = [ 2 ]
                      CriticHidden = [ 2 ]
                      Environments = 1000
                      Horizon = 1
                      Branches = 1000 }

              Expect.equal (refusalOf branching (MultiBinary 1000) (Discrete 2) |> fst) "branches" "branches"
              let branching = { branching with Branches = 2; BranchSteps = 1000 }
              Expect.equal (refusalOf branching (MultiBinary 1000) (Discrete 2) |> fst) "branchSteps" "branchSteps"
          }

          testPropertyWithConfig (few 200) "whatever the sizes, and what is accepted fits"
          <| Prop.forAll
              (Gen.zip3
                  (Gen.zip sizes sizes)
                  (Gen.zip (Gen.choose (1, 65536)) (Gen.choose (1, 10_000_000)))
                  (Gen.choose (0, 2) |> Gen.bind (fun count -> Gen.listOfLength count (Gen.choose (1, 65536))))
               |> Arb.fromGen)
              (fun ((observations, actions), (environments, horizon), hidden) ->
                  let configuration =
                      { small with
                          Environments = environments
                          Horizon = horizon
                          Hidden = hidden
                          CriticHidden = hidden }

                  match Setup.create 1 configuration (ofSize (MultiBinary observations) (Discrete actions)) with
                  | Error(InvalidSetting _) -> true
                  | Error _ -> false
                  | Ok setup ->
                      let numbers = bigint environments * bigint horizon * bigint (max observations actions)

                      let count =
                          Policy.parameterCount
                              DistributionKind.Gaussian
                              (Architecture.uniform hidden small.Activation)
                              (MultiBinary observations)
                              (Discrete actions)

                      numbers * 3I / 2I < bigint Array.MaxLength && float setup.Policy.Network.ParameterCount = count) ]

let tests = testList "setup" [ collectors; changes; refusals; oversized ]
