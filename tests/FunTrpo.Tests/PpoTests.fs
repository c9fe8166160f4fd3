/// PPO: the clipped surrogate, and the improvement by minibatches on it.
module FunTrpo.Tests.PpoTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Tasks

// ---- A row ----

let private row =
    testList
        "a row"
        [ for ratio, advantage, expected in
              [ 1.0, 3.0, 3.0
                1.1, 2.0, 2.2
                1.5, 1.0, 1.2
                1.5, -1.0, -1.5
                0.5, 1.0, 0.5
                0.5, -1.0, -0.8
                0.0, -2.0, -1.6
                4.0, 0.0, 0.0 ] do
              test $"of ratio {ratio} and advantage {advantage} has the value {expected} with ε = 0.2" {
                  expectClose 1e-12 expected (ClippedSurrogate.ofRow 0.2 ratio advantage) "value"
              }

          let numbers =
              Gen.zip3
                  (Gen.choose (1, 300) |> Gen.map (fun i -> float i / 100.0))
                  (Gen.choose (-50, 50) |> Gen.map (fun i -> float i / 10.0))
                  (Gen.elements [ 0.01; 0.1; 0.2; 0.5; 2.0; infinity ])

          property "is never above r A, and equals it inside the range" numbers (fun (ratio, advantage, clipRange) ->
              let value = ClippedSurrogate.ofRow clipRange ratio advantage
              Expect.isLessThanOrEqual value (ratio * advantage) "the minimum"

              if abs (ratio - 1.0) <= clipRange - 1e-9 then
                  Expect.equal value (ratio * advantage) "inside")

          property "has the slope of its value in log r" numbers (fun (ratio, advantage, clipRange) ->
              let isCorner = abs (abs (ratio - 1.0) - clipRange) < 1e-4

              if not isCorner then
                  let at step = ClippedSurrogate.ofRow clipRange (ratio * exp step) advantage
                  let difference = (at 1e-6 - at -1e-6) / 2e-6
                  expectClose 1e-7 difference (ClippedSurrogate.slopeOfRow clipRange ratio advantage) "slope")

          property
              "gives nothing exactly where its ratio has left the range and more of it would gain"
              numbers
              (fun (ratio, advantage, clipRange) ->
                  let isBeyond =
                      (advantage > 0.0 && ratio > 1.0 + clipRange) || (advantage < 0.0 && ratio < 1.0 - clipRange)

                  let expected = if isBeyond then 0.0 else ratio * advantage
                  Expect.equal (ClippedSurrogate.slopeOfRow clipRange ratio advantage) expected "slope") ]

// ---- The clipped surrogate of a batch ----

/// The entropy of a squashed Gaussian is a quadrature of few points (`Squash`), which has tests of its own: here it has no bonus.
let private case =
    gen {
        let! case = Gen.where Oracle.isResolved policyCase
        let! step = vector 0.4 case.Parameters.Length
        let hasExactEntropy = case.Policy.Distribution <> DistributionKind.SquashedGaussian
        let! bonus = Gen.elements (if hasExactEntropy then [ 0.0; 0.3 ] else [ 0.0 ])
        let! clipRange = Gen.elements [ 0.02; 0.1; 0.2; 0.5 ]
        return case, Vector.addScaled 1.0 step case.Parameters, bonus, clipRange
    }

let private surrogateOf bonus (case: PolicyCase) = Surrogate.withEntropyBonus bonus case.Surrogate

let private objective =
    testList
        "the clipped surrogate"
        [ propertyOf 60 "has the value of float64" case (fun (case, parameters, bonus, clipRange) ->
              use surrogate = surrogateOf bonus case
              let theta = Oracle.constants (Vector.toArray parameters)
              let entropy = if bonus = 0.0 then 0.0 else bonus * (Oracle.meanEntropy case theta).X
              let expected = (Oracle.clippedSurrogate clipRange case theta).X + entropy
              let size = 1.0 + abs expected + (case.Advantages |> Seq.map abs |> Seq.max)
              expectClose (1e-3 * size) expected (ClippedSurrogate.value clipRange surrogate parameters) "value")

          propertyOf
              60
              "has the gradient that dual numbers give, at any θ"
              case
              (fun (case, parameters, bonus, clipRange) ->
                  use surrogate = surrogateOf bonus case

                  // In float32 a ratio at a corner may be on either side of it.
                  let isAtCorner =
                      Seq.init case.Advantages.Length (fun row ->
                          let distributions = Network.forward case.Policy.Network parameters case.Observations
                          Surrogate.ratio surrogate row (distributions.Row row))
                      |> Seq.exists (fun ratio -> abs (abs (ratio - 1.0) - clipRange) < 1e-3)

                  if not isAtCorner then
                      let objective theta =
                          Oracle.clippedSurrogate clipRange case theta
                          + Oracle.constant bonus * Oracle.meanEntropy case theta

                      let expected = Oracle.gradient objective (Oracle.floats parameters)

                      let actual = ClippedSurrogate.gradientAt clipRange surrogate parameters |> Oracle.floats

                      // What rows cancel is rounded as the rows are.
                      let ofRows = Surrogate.gradientAt surrogate parameters |> Oracle.floats
                      let size = Seq.append expected ofRows |> Seq.map abs |> Seq.max

                      for i in 0 .. expected.Length - 1 do
                          expectClose (1e-3 * size + 1e-5) expected[i] actual[i] $"entry {i}")

          property "has ∇L as its gradient at θ_old, bit for bit" case (fun (case, _, bonus, clipRange) ->
              use surrogate = surrogateOf bonus case

              Expect.equal
                  (ClippedSurrogate.gradientAt clipRange surrogate case.Parameters)
                  (Surrogate.gradient surrogate)
                  "gradient")

          property "has ∇L as its gradient at any θ with ε = ∞, bit for bit" case (fun (case, parameters, bonus, _) ->
              use surrogate = surrogateOf bonus case

              Expect.equal
                  (ClippedSurrogate.gradientAt infinity surrogate parameters)
                  (Surrogate.gradientAt surrogate parameters)
                  "gradient")

          property
              "has the gradient of a batch in which the rows that are clipped have no advantage, bit for bit"
              case
              (fun (case, parameters, bonus, clipRange) ->
                  use surrogate = surrogateOf bonus case
                  let distributions = Network.forward case.Policy.Network parameters case.Observations

                  let kept =
                      case.Advantages
                      |> Seq.mapi (fun row advantage ->
                          let ratio = Surrogate.ratio surrogate row (distributions.Row row)

                          let isClipped =
                              (advantage > 0.0 && ratio > 1.0 + clipRange)
                              || (advantage < 0.0 && ratio < 1.0 - clipRange)

                          if isClipped then 0.0 else advantage)

                  use others = surrogateOf bonus { case with Advantages = ImmutableArray.CreateRange kept }

                  Expect.equal
                      (ClippedSurrogate.gradientAt clipRange surrogate parameters)
                      (Surrogate.gradientAt others parameters)
                      "gradient") ]

// ---- An improvement ----

let private settings epochs batchSize clipRange targetKl : PpoSettings =
    { ClipRange = clipRange
      Adam = { LearningRate = 0.01; Epochs = epochs; BatchSize = batchSize }
      TargetKl = targetKl }

let private improve settings key optimiser surrogate =
    Ppo.improve settings key optimiser surrogate |> Result.defaultWith failtest

/// The same improvement with a surrogate for each minibatch, gradients of whole surrogates, and Adam on vectors.
let private reference (settings: PpoSettings) key optimiser bonus (case: PolicyCase) =
    let rows = case.Advantages.Length

    let minibatches =
        [ for epoch in 1 .. settings.Adam.Epochs do
              yield!
                  Key.permutation rows (Key.at (int64 epoch) key)
                  |> Array.ofSeq
                  |> Array.chunkBySize settings.Adam.BatchSize ]

    ((case.Parameters, Adam.orInit case.Parameters optimiser), minibatches)
    ||> List.fold (fun (parameters, optimiser) rows ->
        use surrogate = Oracle.withRows rows case |> surrogateOf bonus
        let ascent = ClippedSurrogate.gradientAt settings.ClipRange surrogate parameters

        let struct (parameters, optimiser) =
            Adam.update settings.Adam.LearningRate (Vector.map (~-) ascent) optimiser parameters

        parameters, optimiser)

let private improvementCase =
    gen {
        let! case, _, bonus, clipRange = case
        let! epochs = Gen.choose (1, 4)
        let! batchSize = Gen.choose (1, 12)
        let! seed = seeds
        return case, bonus, settings epochs batchSize clipRange infinity, Key.ofSeed seed
    }

let private improving =
    testList
        "an improvement"
        [ property
              "makes the steps of Adam along the gradients of its minibatches"
              improvementCase
              (fun (case, bonus, settings, key) ->
                  use surrogate = surrogateOf bonus case
                  let improvement, optimiser = improve settings key Adam.none surrogate

                  if improvement.Outcome = NoGradient then
                      Expect.equal (improvement.Parameters, optimiser) (case.Parameters, Adam.none) "unchanged"
                  else
                      let expected, expectedOptimiser = reference settings key Adam.none bonus case
                      Expect.equal optimiser.Steps expectedOptimiser.Steps "steps"

                      // Adam divides by the size of a gradient: rounding decides where there is nearly none.
                      for i in 0 .. expected.Length - 1 do
                          if float expectedOptimiser.SecondMoment[i] > 1e-9 then
                              expectClose
                                  (0.02 * settings.Adam.LearningRate * float optimiser.Steps)
                                  (float expected[i])
                                  (float improvement.Parameters[i])
                                  $"parameter {i}")

          property
              "of one epoch, one minibatch and ε = ∞ is a step of Adam along ∇L"
              improvementCase
              (fun (case, bonus, _, key) ->
                  use surrogate = surrogateOf bonus case
                  let rows = case.Advantages.Length
                  let improvement, optimiser = improve (settings 1 rows infinity infinity) key Adam.none surrogate
                  let gradient = Surrogate.gradient surrogate

                  if improvement.Outcome <> NoGradient then
                      Expect.equal optimiser.Steps 1L "one step"
                      let largest = gradient |> Vector.toArray |> Array.map abs |> Array.max

                      for i in 0 .. gradient.Length - 1 do
                          // The first moment after one step is 0.1 g, in the direction of descent.
                          expectClose
                              (1e-5 * float largest)
                              (-0.1 * float gradient[i])
                              (float optimiser.FirstMoment[i])
                              $"moment {i}")

          property
              "reports its comparison with θ_old, the norm of ∇L, the fraction of its steps and no tries"
              improvementCase
              (fun (case, bonus, settings, key) ->
                  use surrogate = surrogateOf bonus case
                  let it, _ = improve settings key Adam.none surrogate
                  Expect.equal it.Comparison (Surrogate.compare surrogate it.Parameters) "comparison"
                  Expect.equal it.GradientNorm (Surrogate.gradient surrogate |> Vector.norm) "norm"
                  Expect.equal it.Outcome.Tries 0 "tries"
                  Expect.isNone it.Solution "no linear system was solved"

                  if it.Outcome.IsMoved then
                      Expect.equal it.Outcome.Fraction 1.0 "all steps"
                  else
                      Expect.equal it.Parameters case.Parameters "unchanged")

          property
              "goes on from the optimiser of the last: two of one epoch are one of two, with these keys and no new batch"
              improvementCase
              (fun (case, bonus, settings, key) ->
                  use surrogate = surrogateOf bonus case
                  let _, once = improve settings key Adam.none surrogate
                  let _, twice = improve settings key once surrogate
                  let it, again = improve settings key once surrogate
                  Expect.equal twice again "the same again"

                  if it.Outcome <> NoGradient then
                      Expect.equal twice.Steps (2L * once.Steps) "steps")

          property
              "ends before the step of the first minibatch whose mean KL exceeds the target"
              improvementCase
              (fun (case, bonus, free, key) ->
                  use surrogate = surrogateOf bonus case
                  let settings = { free with TargetKl = 1e-4 }
                  let it, optimiser = improve settings key Adam.none surrogate
                  let rows = case.Advantages.Length
                  let ofEpoch = (rows + settings.Adam.BatchSize - 1) / settings.Adam.BatchSize
                  let planned = ofEpoch * settings.Adam.Epochs

                  let minibatch number =
                      Key.permutation rows (Key.at (int64 (number / ofEpoch + 1)) key)
                      |> Array.ofSeq
                      |> Array.chunkBySize settings.Adam.BatchSize
                      |> Array.item (number % ofEpoch)

                  if it.Outcome.IsMoved then
                      let steps = int optimiser.Steps
                      expectClose 1e-12 (float steps / float planned) it.Outcome.Fraction "fraction"
                      Expect.isGreaterThan steps 0 "the first minibatch is at θ_old"

                      if steps < planned then
                          let next = Oracle.withRows (minibatch steps) case
                          use ofNext = next.Surrogate
                          Expect.isGreaterThan (Surrogate.compare ofNext it.Parameters).MeanKl 0.99e-4 "the next KL")

          property "without advantages and bonus has no gradient" improvementCase (fun (case, _, settings, key) ->
              let zeros = ImmutableArray.CreateRange(Seq.replicate case.Advantages.Length 0.0)
              use surrogate = { case with Advantages = zeros }.Surrogate
              let _, begun = improve settings key Adam.none case.Surrogate
              let it, optimiser = improve settings key begun surrogate
              Expect.equal (it.Outcome, it.Parameters, optimiser) (NoGradient, case.Parameters, begun) "unchanged")

          property "with an advantage that is NaN is an error" improvementCase (fun (case, bonus, settings, key) ->
              use surrogate = surrogateOf bonus { case with Advantages = case.Advantages.SetItem(0, nan) }
              Expect.equal (Ppo.improve settings key Adam.none surrogate) (Error "policy gradient") "error")

          test "whose steps are lost in rounding leaves the parameters as they are" {
              let case = Gen.sample 1 policyCase |> Array.head
              let settings = settings 2 4 0.2 infinity
              let settings = { settings with Adam = { settings.Adam with LearningRate = 1e-300 } }
              use surrogate = case.Surrogate
              let it, _ = improve settings (Key.ofSeed 1L) Adam.none surrogate
              Expect.equal it.Parameters case.Parameters "parameters"
              Expect.contains [ NoGradient; LineSearchFailed 0 ] it.Outcome "outcome"
          } ]

// ---- Training ----

let private training =
    testList
        "training"
        [ test "may change its rule, and a state of TRPO has no optimiser until PPO has begun" {
              let setup = setupOf 1 small CartPole.environment
              let state = iterations 2 setup (TrainingState.start setup 1L) |> last
              Expect.equal state.PolicyOptimiser Adam.none "TRPO"
              let byPpo = Setup.change 1 ppo setup |> expectOk
              let state = iterations 2 byPpo state |> last
              // 75 rows in minibatches of 16 are 5 steps in each of 3 epochs.
              Expect.equal state.PolicyOptimiser.Steps 30L "two iterations of PPO"
              let back = Setup.change 1 small byPpo |> expectOk
              let next, report = Training.update back state |> expectOk
              Expect.equal next.PolicyOptimiser state.PolicyOptimiser "TRPO keeps it"
              Expect.equal report.Delta small.Delta "δ"
          }

          test "refuses the moments of another policy" {
              let setup = setupOf 1 ppo CartPole.environment
              let state = iterations 1 setup (TrainingState.start setup 1L) |> last
              let other = { state with PolicyOptimiser = Adam.init (Vector.zero 3) }

              match Training.update setup other with
              | Error(Mismatch why) -> Expect.stringContains why "moments of the policy's parameters" "why"
              | result -> failtest $"%A{Result.map fst result}"
          }

          test "reports no δ, no tries, and the fraction of the steps before the target KL" {
              let configuration = { ppo with TargetKl = 1e-6; PpoLearningRate = 0.01 }
              let setup = setupOf 1 configuration CartPole.environment

              for _, report in iterations 3 setup (TrainingState.start setup 1L) do
                  Expect.equal (Report.value "delta" report) ReportValue.Missing "delta"
                  Expect.equal (Report.value "klOverDelta" report) ReportValue.Missing "klOverDelta"
                  Expect.equal (Report.value "lineSearchTries" report) (ReportValue.Whole 0L) "lineSearchTries"

                  match Report.value "stepFraction" report with
                  | ReportValue.Number fraction -> Expect.isTrue (0.0 < fraction && fraction < 1.0) $"{fraction}"
                  | other -> failtest $"{other}"
          }

          test "balances a pole" {
              let configuration = { Configuration.standard with Rule = RuleKind.Ppo; CriticSteps = 1 }
              let setup = setupOf 1 configuration CartPole.environment

              let final =
                  TrainingState.start setup 2L
                  |> Training.runFor 30_000L setup
                  |> Seq.map (expectOk >> fst)
                  |> Seq.last

              let scores =
                  Evaluation.run 1 CartPole.environment (TrainingState.actor setup final) 20 (Key.ofSeed 3L)
                  |> expectOk

              Expect.isGreaterThan scores.Mean 150.0 "mean return"
          } ]

let tests = testList "PPO" [ row; objective; improving; training ]
