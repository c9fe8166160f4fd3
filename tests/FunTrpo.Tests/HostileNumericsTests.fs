module FunTrpo.Tests.HostileNumericsTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.HostileCases
open FunTrpo.Tests.HostileClaims

// ---- Rewards and observations ----

let private notFinite =
    testList
        "what is not finite"
        [ for value, fault in
              [ nan, NonFiniteEnvironment("reward", "Hostile-v0", 0, 5L)
                infinity, NonFiniteEnvironment("reward", "Hostile-v0", 0, 5L)
                -infinity, NonFiniteEnvironment("reward", "Hostile-v0", 0, 5L)
                1e39, OversizedEnvironment("reward", 1e39, "Hostile-v0", 0, 5L)
                -1e39, OversizedEnvironment("reward", -1e39, "Hostile-v0", 0, 5L) ] do
              forEach
                  variants
                  $"a reward of {value} is a fault that names environment, instance and step"
                  (fun what actions configuration ->
                      let healthy = healthy actions

                      let hostile =
                          { healthy with
                              Reward = fun time action -> if time = 5 then value else healthy.Reward time action }

                      resultsIn hostile 2 configuration |> expectFault what ((=) fault))

          for value in [ nanf; infinityf; -infinityf ] do
              for time in [ 0; 5 ] do
                  forEach
                      variants
                      $"an observation of {value} after {time} steps is a fault that names environment, instance and step"
                      (fun what actions configuration ->
                          let healthy = healthy actions

                          let hostile =
                              { healthy with Observe = fun t -> if t = time then value else healthy.Observe t }

                          let fault = NonFiniteEnvironment("observation", "Hostile-v0", 0, int64 time)
                          resultsIn hostile 2 configuration |> expectFault what ((=) fault)) ]

let private huge =
    testList
        "huge numbers"
        [ forEach
              normalisedVariants
              "rewards of 2¹⁰⁰ times the size train the same policy, to the last bit, where returns are normalised"
              (fun what actions configuration ->
                  let healthy = healthy actions

                  let hostile =
                      { healthy with Reward = fun time action -> Math.ScaleB(healthy.Reward time action, 100) }

                  let parametersIn hostile =
                      [ for result in resultsIn hostile 4 configuration -> (expectOk result |> fst).PolicyParameters ]

                  Expect.equal (parametersIn hostile) (parametersIn healthy) what)

          for value in [ 1e30; -1e30 ] do
              let rewards =
                  [ "always", fun (_: int) (_: float32) -> value
                    "now and then", fun time action -> if time = 3 then value * float action else float action
                    "mixed", fun time _ -> if time % 2 = 0 then value else -value ]

              for often, reward in rewards do
                  forEach
                      normalisedVariants
                      $"a reward of {value}, {often}, trains on where returns are normalised"
                      (fun what actions configuration ->
                          resultsIn { healthy actions with Reward = reward } 5 configuration |> expectTrains what)

                  test $"a reward of {value}, {often}, trains on without any normalisation, or is a fault of the critic" {
                      for actions in heads do
                          resultsIn { healthy actions with Reward = reward } 5 unnormalised
                          |> expectStageIfAny often [ "critic's gradient"; "critic's Gauss-Newton product" ]
                  }

          forEach
              variants
              "rewards whose sum is beyond float32 are a fault of the returns"
              (fun what actions configuration ->
                  resultsIn { healthy actions with Reward = fun _ _ -> 3e38 } 2 configuration
                  |> expectStage what [ "returns" ])

          for value in [ 1e30f; -1e30f; 3e38f ] do
              let observations =
                  [ "always", fun (_: int) -> value
                    "now and then", fun time -> if time = 3 then value else float32 time
                    "mixed", fun time -> if time % 2 = 0 then value else -value ]

              for often, observe in observations do
                  forEach
                      (variants |> List.filter (fun (_, configuration) -> configuration.NormaliseObservations))
                      $"an observation of {value}, {often}, trains on where observations are normalised"
                      (fun what actions configuration ->
                          resultsIn { healthy actions with Observe = observe } 5 configuration |> expectTrains what)

                  // Which of the two depends on the vector width of the processor: other sums overflow.
                  test
                      $"an observation of {value}, {often}, trains on without any normalisation, or is a fault of a product" {
                      for actions in heads do
                          resultsIn { healthy actions with Observe = observe } 5 unnormalised
                          |> expectStageIfAny often [ "Fisher-vector product"; "critic's Gauss-Newton product" ]
                  } ]

let private constants =
    testList
        "constants"
        [ property
              "an observation that never changes is close to 0 after normalisation, however large it is"
              (Gen.zip (Gen.choose (-380, 384)) (Gen.nonEmptyListOf (Gen.choose (1, 300))))
              (fun (exponent, blocks) ->
                  let value = float32 (1.3 * 10.0 ** (float exponent / 10.0))
                  let block rows = Matrix.init rows 1 (fun _ _ -> value)

                  let normaliser =
                      (Standardise(Moments.empty 1), blocks)
                      ||> List.fold (fun seen rows -> Normaliser.observe (block rows) seen)

                  let normalised = Normaliser.apply normaliser (block 1)
                  expectClose 0.01 (float normalised[0, 0]) 0.0 "normalised")

          for value in [ 0f; 1f; 1e30f ] do
              forEach
                  normalisedVariants
                  $"observations that are always {value} let the policy learn what does not depend on them"
                  (fun what actions configuration ->
                      resultsIn { healthy actions with Observe = fun _ -> value } 5 configuration |> expectTrains what)

          forEach
              (variants
               |> List.filter (fun (_, configuration) ->
                   configuration.NormaliseAdvantages && configuration.EntropyBonus = 0.0))
              "equal rewards of episodes of one step leave the policy as it is"
              (fun what actions configuration ->
                  let hostile = { healthy actions with Reward = (fun _ _ -> 1e30); Length = 1 }
                  resultsIn hostile 10 configuration |> expectUnmoved what _.IsNoGradient "same advantage") ]

let private short =
    testList
        "episodes without length"
        [ for isTruncated in [ false; true ] do
              let name = if isTruncated then "truncated" else "terminated"

              forEach
                  variants
                  $"that are {name} by their first step are one row each"
                  (fun what actions configuration ->
                      let hostile = { healthy actions with Length = 1; IsTruncated = isTruncated }
                      let results = resultsIn hostile 5 configuration
                      expectTrains what results

                      for report in reportsOf what results do
                          Expect.equal report.Episodes report.Steps what
                          Expect.all report.Finished (fun episode -> episode.Length = 1) what)

          forEach
              normalisedVariants
              "that are over at their start leave the policy as it is, but for the entropy bonus"
              (fun what actions configuration ->
                  let hostile = { healthy actions with Reward = (fun _ _ -> 0.0); Length = 1 }

                  if configuration.EntropyBonus = 0.0 then
                      resultsIn hostile 10 configuration |> expectUnmoved what _.IsNoGradient "same advantage"
                  else
                      resultsIn hostile 10 configuration |> reportsOf what |> ignore) ]

let private idle =
    testList
        "advantages that are all zero"
        [ forEach
              normalisedVariants
              "leave the policy as it is, but for the entropy bonus, and the report says that there is no gradient"
              (fun what actions configuration ->
                  let hostile = { healthy actions with Reward = fun _ _ -> 0.0 }

                  if configuration.EntropyBonus = 0.0 then
                      let results = resultsIn hostile 10 configuration
                      expectUnmoved what _.IsNoGradient "same advantage" results

                      for report in reportsOf what results do
                          Expect.equal (Report.value "outcome" report) (ReportValue.Text "no gradient") what
                  else
                      resultsIn hostile 10 configuration |> reportsOf what |> ignore) ]

let private criticism =
    let fastAdam learningRate = { adam with CriticLearningRate = learningRate }

    testList
        "a critic that diverges"
        [ forEach
              normalisedVariants
              "is fitted to rewards that double, until they are a fault"
              (fun what actions configuration ->
                  let hostile = { healthy actions with Reward = (fun time _ -> 2.0 ** float time); Length = 0 }
                  let results = resultsIn hostile 20 configuration
                  // Iteration 6 holds step 128, and 2¹²⁸ is beyond float32.
                  Expect.hasLength results 6 what
                  List.take 5 results |> reportsOf what |> ignore
                  let fault = OversizedEnvironment("reward", 2.0 ** 128.0, "Hostile-v0", 0, 128L)
                  expectFault what ((=) fault) [ List.last results ])

          forEach
              [ "small", small ]
              "by too large a learning rate is a fault that names it, and not a state that no one can go on from"
              (fun what actions _ ->
                  for learningRate in [ 1e20; 1e38; 1e300 ] do
                      resultsIn (healthy actions) 2 (fastAdam learningRate) |> expectStage what [ "critic" ])

          forEach
              [ "small", small ]
              "by a gradient whose square is beyond float32 is a fault at once, also if its parameters are finite"
              (fun what actions _ ->
                  let hostile = { healthy actions with Reward = fun _ _ -> 1e30 }

                  let configuration =
                      { unnormalised with Critic = CriticKind.Adam; CriticEpochs = 1; CriticBatchSize = 1000 }

                  resultsIn hostile 2 configuration |> expectStage what [ "critic" ])

          forEach
              [ "small", small ]
              "whose values are not finite is a fault, also if its parameters are finite"
              (fun what actions _ ->
                  let configuration =
                      { fastAdam 1e20 with
                          CriticActivation = Activation.Relu
                          CriticHidden = [ 5; 5; 5 ]
                          CriticEpochs = 1
                          CriticBatchSize = 1000 }

                  resultsIn (healthy actions) 2 configuration |> expectStage what [ "critic" ])

          for scale, stages in [ 1e30f, [ "critic"; "critic's gradient" ]; 3e38f, [ "returns" ] ] do
              forEach
                  variants
                  $"with weights of {scale} times the usual size is a fault of its gradient, its step or the returns"
                  (fun what actions configuration ->
                      let setup = setupIn (healthy actions) configuration
                      updates 2 setup (startScaled 1f scale 1L setup) |> expectStage what stages) ]

let tests =
    testList "Hostile numbers in environments" [ notFinite; huge; constants; short; idle; criticism ]
