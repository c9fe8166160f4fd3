module FunTrpo.Tests.SetupTests

open Expecto
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

let private small =
    { Configuration.standard with
        Environments = 4
        Horizon = 12
        Hidden = [ 5 ]
        CriticHidden = [ 4 ]
        CriticSteps = 1 }

let private setupOf configuration = setupOf 1 configuration CartPole.environment

let private collectors =
    testList
        "the collector of a setup"
        [ test "makes the batches, so a training with the batches of another collector is another training" {
              let setup = setupOf small
              let mutable calls = 0

              let counting: Collector<_> =
                  fun environment actor horizon threads key instances ->
                      calls <- calls + 1
                      Rollout.collect environment actor horizon threads (Key.named "other" key) instances

              let train setup = Training.run setup (State.start setup 3L) |> Seq.item 2 |> expectOk |> fst
              let state, other = train setup, train { setup with Collect = counting }
              Expect.equal calls 3 "calls"
              Expect.notEqual other.PolicyParameters state.PolicyParameters "parameters"
          }

          test "may fail, and its fault ends the iteration" {
              let setup = setupOf small
              let fault = Mismatch "another machine is away"
              let failing: Collector<_> = fun _ _ _ _ _ _ -> Error fault
              let results = Training.run { setup with Collect = failing } (State.start setup 3L) |> List.ofSeq

              match results with
              | [ Error found ] -> Expect.equal found fault "fault"
              | _ -> failtest "one fault was expected"
          } ]

/// A change of one field that determines what a state consists of.
let private otherStates =
    [ "environments", { small with Environments = 5 }
      "hidden", { small with Hidden = [ 5; 5 ] }
      "activation", { small with Activation = FunTrpo.Kernels.Activation.Relu }
      "criticHidden", { small with CriticHidden = [ 5 ] }
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

              let setup = { setupOf small with Improve = rule }
              let changed = Setup.change 2 { small with Delta = 0.5; Horizon = 7 } setup |> expectOk
              Expect.equal (changed.Configuration.Delta, changed.Threads) (0.5, 2) "settings"
              let state, report = Training.update changed (State.start setup 1L) |> expectOk
              Expect.equal (state.Steps, report.Delta) (28L, 0.5) "steps and δ"
              Expect.isTrue improved "the rule"
          }

          testList
              "is refused, with the field's name, where a state would consist of other parts:"
              [ for name, configuration in otherStates ->
                    test name {
                        match Setup.change 1 configuration (setupOf small) with
                        | Error(InvalidSetting(field, _, allowed)) ->
                            Expect.equal field name "field"
                            Expect.stringContains allowed "cannot change" "why"
                        | other -> failtest $"{other} is not that fault"
                    } ]

          test "is refused with a field out of its range" {
              match Setup.change 1 { small with Gamma = 1.5 } (setupOf small) with
              | Error(InvalidSetting("gamma", _, _)) -> ()
              | other -> failtest $"{other} is not that fault"
          } ]

let tests = testList "setup" [ collectors; changes ]
