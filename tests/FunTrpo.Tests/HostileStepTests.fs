module FunTrpo.Tests.HostileStepTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.HostileCases
open FunTrpo.Tests.HostileClaims

let private discrete = [ Discrete 2 ]
let private gaussian = [ Space.box 1 -1.0 1.0 ]

/// The variants that make a single step.
let private singleSteps =
    variants |> List.filter (fun (_, configuration) -> configuration.Rule = RuleKind.SingleStep)

let private trustRegions =
    singleSteps |> List.filter (fun (_, configuration) -> configuration.Step = StepKind.TrustRegion)

let private fixedSteps =
    singleSteps |> List.filter (fun (_, configuration) -> configuration.Step = StepKind.Fixed)

let private warningsOf what results = reportsOf what results |> List.collect _.Warnings

// ---- The policy ----

let private collapsed =
    let at logSigma configuration = { configuration with InitialLogSigma = logSigma }

    testList
        "a policy that has collapsed"
        [ for logSigma in [ -20.0; -19.9; -10.0 ] do
              forEachOf
                  gaussian
                  trustRegions
                  $"to log σ = {logSigma} moves within the trust region, or the line search fails"
                  (fun what actions configuration ->
                      for outcome in resultsIn (healthy actions) 12 (at logSigma configuration) |> outcomesOf what do
                          Expect.isTrue (outcome.IsMoved || outcome.IsLineSearchFailed) $"{what}: {outcome}")

          forEachOf gaussian trustRegions "to the smallest σ is a warning" (fun what actions configuration ->
              let warnings = resultsIn (healthy actions) 10 (at -20.0 configuration) |> warningsOf what
              Expect.exists warnings _.IsSigmaAtBound what)

          forEachOf
              gaussian
              [ "REINFORCE", reinforce ]
              "to a σ whose actions float32 cannot distinguish stays as it is, and the warning says why"
              (fun what actions configuration ->
                  let results = resultsIn (healthy actions) 11 (at -20.0 configuration)
                  expectUnmoved what _.IsNoGradient "float32 cannot distinguish the actions" (List.tail results))

          for scale in [ 1e6f; 1e10f ] do
              forEachOf
                  discrete
                  normalisedVariants
                  $"to certain actions, by logits of {scale} times the usual size, stays as it is, and the warning says why"
                  (fun what actions configuration ->
                      let setup = setupIn (healthy actions) configuration
                      // The first batch is normalised after it was collected, so its actions need not be the certain ones.
                      let results = updates 11 setup (startScaled scale 1f 1L setup) |> List.tail
                      expectUnmoved what _.IsNoGradient "the policy is certain" results

                      Expect.all
                          (reportsOf what results)
                          (fun report -> report.Improvement.Comparison.Entropy = 0.0)
                          what

                      Expect.exists (warningsOf what results) _.IsLowEntropy what)

          forEachOf
              discrete
              normalisedVariants
              "by weights whose products are beyond float32 is a fault that names the stage, or goes on"
              (fun what actions configuration ->
                  let setup = setupIn (healthy actions) configuration

                  updates 5 setup (startScaled 1e30f 1f 1L setup)
                  |> expectStageIfAny what [ "Fisher-vector product"; "policy" ])

          forEach
              [ "two layers", { unnormalised with Hidden = [ 6; 6 ]; Activation = Activation.Relu } ]
              "by weights that overflow at any observation is a fault that names the instance"
              (fun what actions configuration ->
                  let setup = setupIn { healthy actions with Observe = fun _ -> 1f } configuration

                  updates 2 setup (startScaled 1e30f 1f 1L setup)
                  |> expectFault what ((=) (NonFinitePolicy("Hostile-v0", 0, 0L))))

          forEach
              [ "linear", { unnormalised with Hidden = [] } ]
              "by weights that overflow at a huge observation is a fault that names the observation"
              (fun what actions configuration ->
                  let setup = setupIn { healthy actions with Observe = fun _ -> 1e30f } configuration
                  let fault = OversizedEnvironment("observation", float 1e30f, "Hostile-v0", 0, 0L)
                  updates 2 setup (startScaled 1e20f 1f 1L setup) |> expectFault what ((=) fault)) ]

/// Up to five logits of this size, of which several may be equal.
let private logitsOf (size: float32) count =
    Gen.arrayOfLength count (Gen.oneof [ Gen.elements [ size; -size; 0f ]; number |> Gen.map (fun x -> x * size) ])

let private logits =
    property
        "logits of any size have the probabilities, the entropy and the KL that float64 gives them"
        (gen {
            let! exponent = Gen.choose (-20, 38)
            let! count = Gen.choose (1, 5)
            let! p, q = Gen.two (logitsOf (float32 (10.0 ** float exponent)) count)
            return count, p, q
        })
        (fun (count, p, q) ->
            let space, family = Discrete count, Distribution.categorical count
            let oracleP, oracleQ = Oracle.constants p, Oracle.constants q

            let expectSame (actual: float) (expected: Oracle.HyperDual) =
                expectClose (1e-12 * (1.0 + abs expected.X)) actual expected.X

            for action in 0 .. count - 1 do
                let action = [| float32 action |]
                let expected = Oracle.logProbability DistributionKind.Gaussian space oracleP action
                expectSame (family.LogProbability(ReadOnlySpan p, ReadOnlySpan action)) expected "log p"

            expectSame
                (Distribution.probabilities [ count ] (ReadOnlySpan p) |> Array.sum)
                (Oracle.constant 1.0)
                "sum of p"

            expectSame
                (family.Entropy(ReadOnlySpan p))
                (Oracle.entropy DistributionKind.Gaussian space oracleP)
                "entropy"

            expectSame
                (family.Kl(ReadOnlySpan p, ReadOnlySpan q))
                (Oracle.kl DistributionKind.Gaussian space oracleP oracleQ)
                "KL")

// ---- The Fisher matrix ----

let private fisher =
    let withMetric metric configuration actions =
        let setup = setupIn (healthy actions) configuration
        { setup with Policy = withMetric metric setup.Policy }

    let resultsWith metric count configuration actions =
        let setup = withMetric metric configuration actions
        updates count setup (TrainingState.start setup 1L)

    let natural =
        singleSteps
        |> List.filter (fun (_, configuration) -> configuration.Direction = DirectionKind.Natural)

    let gradient = [ "gradient within the trust region", { small with Direction = DirectionKind.Gradient } ]

    testList
        "a Fisher matrix"
        [ for name, metric in [ "zero", zeroMetric; "negative", negativeMetric ] do
              forEach
                  (gradient @ natural)
                  $"that is {name}, without damping, leaves the policy as it is for want of curvature"
                  (fun what actions configuration ->
                      resultsWith metric 10 { configuration with Damping = 0.0 } actions
                      |> expectUnmoved what _.IsNoCurvature "no curvature")

          for name, metric in [ "zero", zeroMetric; "negative", negativeMetric; "indefinite", indefiniteMetric ] do
              for damping in [ 0.0; 0.1; 1e6 ] do
                  forEach
                      (gradient @ natural)
                      $"that is {name}, with a damping of {damping}, leads to a step within the trust region or none"
                      (fun what actions configuration ->
                          resultsWith metric 5 { configuration with Damping = damping } actions
                          |> reportsOf what
                          |> ignore)

          for name, metric in [ "NaN", nanMetric; "infinite", infiniteMetric ] do
              for damping in [ 0.0; 0.1 ] do
                  forEach
                      natural
                      $"that is {name}, with a damping of {damping}, is a fault of the Fisher-vector product"
                      (fun what actions configuration ->
                          resultsWith metric 2 { configuration with Damping = damping } actions
                          |> expectStage what [ "Fisher-vector product" ])

                  forEach
                      gradient
                      $"that is {name}, with a damping of {damping}, gives a step along the gradient no length"
                      (fun what actions configuration ->
                          resultsWith metric 10 { configuration with Damping = damping } actions
                          |> expectUnmoved what _.IsNoCurvature "no curvature")

          for isDamped in [ false; true ] do
              let damped damping (configuration: Configuration) =
                  { configuration with Damping = damping; DampedLength = isDamped }

              forEach
                  variants
                  $"with a damping of 10⁶ (dampedLength {isDamped}) leads to steps within the trust region"
                  (fun what actions configuration ->
                      let outcomes = resultsIn (healthy actions) 5 (damped 1e6 configuration) |> outcomesOf what
                      Expect.all outcomes _.IsMoved what)

              // Without damping the step along nearly flat directions may be too long for ten tries.
              forEach
                  variants
                  $"without damping (dampedLength {isDamped}) leads to steps within the trust region, or the line search fails"
                  (fun what actions configuration ->
                      for outcome in resultsIn (healthy actions) 12 (damped 0.0 configuration) |> outcomesOf what do
                          Expect.isTrue (outcome.IsMoved || outcome.IsLineSearchFailed) $"{what}: {outcome}") ]

// ---- Samples ----

let private few =
    let one = { small with Environments = 1; Horizon = 1 }

    testList
        "a batch"
        [ for length in [ 0; 1; 7 ] do
              for name, configuration in [ "Gauss–Newton", one; "Adam", { one with Critic = CriticKind.Adam } ] do
                  test
                      $"of one row of one environment, in episodes of {length} steps (0: endless), leaves the policy as it is, with a critic by {name}" {
                      for actions in heads do
                          resultsIn { healthy actions with Length = length } 10 configuration
                          |> expectUnmoved name _.IsNoGradient "same advantage"
                  }

          test "of one row whose advantage is not standardised is a sample as others are" {
              for actions in heads do
                  resultsIn (healthy actions) 10 { unnormalised with Environments = 1; Horizon = 1 }
                  |> expectTrains "one row"
          }

          for actions in [ Discrete 1; MultiDiscrete [ 1; 1 ] ] do
              test
                  $"of the only action there is, {Space.describe actions}, leaves the policy as it is, and the warning says why" {
                  for name, configuration in variants do
                      let hostile = { healthy actions with Reward = fun time _ -> float time }
                      resultsIn hostile 10 configuration |> expectUnmoved name _.IsNoGradient "only one action"
              } ]

// ---- Fixed steps, which nothing limits ----

let private unlimited =
    testList
        "a fixed step"
        [ for learningRate in [ 1e3; 1e20; 1e38; 1e300 ] do
              forEach
                  fixedSteps
                  $"of {learningRate} leaves a policy that acts, or is a fault"
                  (fun what actions configuration ->
                      let setup = setupIn (healthy actions) { configuration with LearningRate = learningRate }
                      let results = updates 5 setup (TrainingState.start setup 1L)

                      for result in results do
                          match result with
                          | Ok(state, _) ->
                              // Its normaliser has changed, but normalised observations are within the same bounds.
                              Expect.isOk (Stages.rollout 1 setup state |> Result.map ignore) what
                          | Error fault ->
                              Expect.equal fault (NonFiniteStage("policy", "Hostile-v0", results.Length)) what)

          forEach fixedSteps "beyond float32 is a fault of the policy" (fun what actions configuration ->
              resultsIn (healthy actions) 2 { configuration with LearningRate = 1e300 }
              |> expectStage what [ "policy" ])

          test "to a finite policy whose outputs overflow is a fault of the policy" {
              for actions in heads do
                  let configuration =
                      { reinforce with LearningRate = 3e38; Hidden = [ 6; 6 ]; Activation = Activation.Relu }

                  resultsIn (healthy actions) 2 configuration |> expectStage "relu" [ "policy" ]
          }

          forEach
              fixedSteps
              "that is lost in rounding leaves the policy as it is, and the warning says why"
              (fun what actions configuration ->
                  resultsIn (healthy actions) 10 { configuration with LearningRate = 1e-300 }
                  |> expectUnmoved what _.IsLineSearchFailed "too short to change a parameter") ]

// ---- Any mixture ----

let private mixtures =
    testList
        "any mixture of hostile numbers"
        [ propertyOf 300 "keeps the promise of an update in each of four" mixture (fun it ->
              let setup = setupIn it.Hostile it.Configuration

              let policy =
                  it.Metric
                  |> Option.map (fun metric -> withMetric metric setup.Policy)
                  |> Option.defaultValue setup.Policy

              let setup = { setup with Policy = policy }
              updates 4 setup (startScaled it.PolicyScale it.CriticScale it.Seed setup) |> ignore)

          property
              "is a step that float64 finds to gain within the trust region, none, or an error"
              (Gen.zip3
                  (Gen.where Oracle.isResolved policyCase)
                  (Gen.elements [ None; Some zeroMetric; Some negativeMetric; Some indefiniteMetric; Some nanMetric ])
                  (Gen.zip3
                      (Gen.elements [ 0.0; 0.1; 1e6 ])
                      (Gen.elements [ 0.0; 1.0; 1e30; 1e300 ])
                      (Gen.elements [ Gradient; NaturalGradient { Iterations = 10; Tolerance = 1e-5 } ])))
              (fun (case, metric, (damping, size, direction)) ->
                  let delta = 0.01
                  let advantages = case.Advantages |> Seq.map (fun a -> size * a) |> ImmutableArray.CreateRange
                  let case = { case with Advantages = advantages }

                  let policy =
                      metric
                      |> Option.map (fun metric -> withMetric metric case.Policy)
                      |> Option.defaultValue case.Policy

                  use surrogate = { case with Policy = policy }.Surrogate

                  let settings =
                      { Direction = direction
                        StepRule = TrustRegionStep(delta, { Tries = 10; Ratio = 0.5 })
                        Damping = damping
                        DampedLength = false
                        FisherFraction = 1.0
                        DeltaShrinkage = 0.0
                        Ppo = None }

                  match TrustRegion.improve settings surrogate with
                  | Error what -> Expect.contains [ "policy gradient"; "Fisher-vector product" ] what "error"
                  | Ok it when it.Outcome.IsMoved ->
                      let theta = Oracle.constants (Vector.toArray it.Parameters)
                      let scale = 1.0 + (Vector.toArray it.Parameters |> Array.map abs |> Array.max |> float)
                      Expect.isLessThan (Oracle.meanKl case theta).X (delta + 1e-4 * scale) "mean KL"
                      let rounding = 1e-5 * scale * (Seq.averageBy abs advantages)
                      Expect.isGreaterThan (Oracle.gain case theta).X -rounding "gain"
                  | Ok it -> Expect.equal it.Parameters case.Parameters "the old parameters") ]

let tests = testList "Hostile numbers in steps" [ collapsed; logits; fisher; few; unlimited; mixtures ]
