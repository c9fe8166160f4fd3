module FunTrpo.Tests.TrustRegionTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Tests.Generators

// ---- What is acceptable ----

let private comparison =
    let number = Gen.elements [ nan; infinity; -infinity; -1.0; -1e-300; 0.0; 1e-300; 0.01; 0.02; 1.0 ]

    gen {
        let! gain = number
        let! meanKl = number
        let! maxKl = number
        let! entropy = number

        return { Gain = gain; GainError = 0.0; MeanKl = meanKl; MaxKl = maxKl; Entropy = entropy }
    }

let private acceptable =
    testList
        "acceptable"
        [ propertyOf
              1000
              "a comparison that is NaN, does not gain, or leaves the trust region is never acceptable"
              comparison
              (fun it ->
                  let isBad =
                      Double.IsNaN it.Gain
                      || Double.IsNaN it.MeanKl
                      || Double.IsNaN it.Entropy
                      || Double.IsInfinity it.Gain
                      || it.Gain <= 0.0
                      || it.MeanKl > 0.01

                  if isBad then
                      Expect.isFalse (TrustRegion.acceptable 0.01 it) "acceptable")
          propertyOf 1000 "a gain within the trust region is acceptable" comparison (fun it ->
              let isGood =
                  Double.IsFinite it.Gain
                  && it.Gain > 0.0
                  && Double.IsFinite it.MeanKl
                  && it.MeanKl <= 0.01
                  && Double.IsFinite it.Entropy

              if isGood then
                  Expect.isTrue (TrustRegion.acceptable 0.01 it) "acceptable") ]

// ---- One improvement ----

let private conjugateGradient =
    gen {
        let! iterations = Gen.choose (1, 20)
        let! tolerance = Gen.elements [ 0.0; 1e-8; 1e-2 ]

        return NaturalGradient { Iterations = iterations; Tolerance = tolerance }
    }

let private trustRegionSettings =
    gen {
        let! direction = Gen.frequency [ 1, Gen.constant Gradient; 3, conjugateGradient ]
        let! delta = Gen.elements [ 1e-12; 1e-6; 1e-4; 1e-2; 0.1; 1.0 ]
        let! tries = Gen.choose (1, 10)
        let! ratio = Gen.elements [ 0.3; 0.5; 0.8 ]
        let! damping = Gen.elements [ 0.0; 1e-3; 0.1 ]
        let! damped = Gen.elements [ true; false ]
        let! fraction = Gen.elements [ 0.3; 1.0 ]
        let! shrinkage = Gen.elements [ 0.0; 0.0; 1.0; 2.0 ]

        return
            { Direction = direction
              StepRule = TrustRegionStep(delta, { Tries = tries; Ratio = ratio })
              Damping = damping
              DampedLength = damped
              FisherFraction = fraction
              DeltaShrinkage = shrinkage
              Ppo = None },
            delta
    }

let private withAdvantages advantages (case: PolicyCase) =
    { case with Advantages = ImmutableArray.CreateRange<float> advantages }

let private isMoved improvement =
    match improvement.Outcome with
    | Moved _ -> true
    | NoGradient
    | NoCurvature
    | LineSearchFailed _ -> false

let private improve settings surrogate = TrustRegion.improve settings surrogate |> Result.defaultWith failtest

/// Fails unless nothing at all has changed.
let private isUnchanged (case: PolicyCase) improvement =
    Expect.isFalse (isMoved improvement) $"{improvement.Outcome} is not a move"
    Expect.equal improvement.Parameters case.Parameters "the old parameters, bit for bit"

let private moves =
    testList
        "a trust-region step"
        [ property
              "gains and has a mean KL of at most δ, or the parameters are the old ones, bit for bit"
              (Gen.zip policyCase trustRegionSettings)
              (fun (case, (settings, delta)) ->
                  let surrogate = case.Surrogate
                  let it = improve settings surrogate

                  match it.Outcome, settings.StepRule with
                  | Moved(fraction, tries), TrustRegionStep(_, lineSearch) ->
                      let again = Surrogate.compare case.Surrogate it.Parameters
                      Expect.equal again it.Comparison "the comparison is that of the new parameters"
                      Expect.isGreaterThan again.Gain 0.0 "gain"
                      Expect.isLessThanOrEqual again.MeanKl delta "mean KL"
                      Expect.isTrue (Vector.isFinite it.Parameters) "finite"
                      Expect.isLessThanOrEqual tries lineSearch.Tries "tries"

                      Expect.equal
                          fraction
                          (List.fold (*) 1.0 (List.replicate (tries - 1) lineSearch.Ratio))
                          "fraction"
                  | outcome, _ ->
                      isUnchanged case it

                      Expect.equal
                          it.Comparison
                          (Surrogate.compare surrogate case.Parameters)
                          "the comparison is with itself"

                      Expect.equal it.Comparison.MeanKl 0.0 "mean KL"

                      match outcome, settings.StepRule with
                      | NoGradient, _ -> Expect.equal it.GradientNorm 0.0 "no gradient"
                      | NoCurvature, _ -> Expect.isGreaterThan it.GradientNorm 0.0 "a gradient, but no curvature"
                      | LineSearchFailed tries, TrustRegionStep(_, lineSearch) ->
                          Expect.equal tries lineSearch.Tries "every length was tried"
                      | _ -> failtest $"{outcome} is no outcome of this step")
          propertyOf
              60
              "has the mean KL and the gain that float64 gives its parameters"
              (Gen.zip (Gen.where Oracle.isResolved policyCase) trustRegionSettings)
              (fun (case, (settings, delta)) ->
                  let it = improve settings case.Surrogate

                  if isMoved it then
                      let theta = Oracle.constants (Vector.toArray it.Parameters)
                      let size = 1.0 + (Vector.toArray it.Parameters |> Array.map abs |> Array.max |> float)
                      let scale = size * (1.0 + Seq.sumBy abs case.Advantages)
                      expectClose (1e-5 * scale) (Oracle.gain case theta).X it.Comparison.Gain "gain"
                      expectClose (1e-4 * size) (Oracle.meanKl case theta).X it.Comparison.MeanKl "mean KL"
                      Expect.isLessThan (Oracle.meanKl case theta).X (delta + 1e-4 * size) "mean KL")
          property
              "has the quadratic model ½ sᵀFs = δ before it is shortened, or ½ sᵀHs = δ where the damping counts"
              (Gen.zip3
                  policyCase
                  (Gen.elements [ Gradient; NaturalGradient { Iterations = 50; Tolerance = 1e-8 } ])
                  (Gen.elements [ true; false ]))
              (fun (case, direction, damped) ->
                  let delta = 0.02

                  let it =
                      improve
                          { Direction = direction
                            StepRule = TrustRegionStep(delta, { Tries = 10; Ratio = 0.5 })
                            Damping = 0.1
                            DampedLength = damped
                            FisherFraction = 1.0
                            DeltaShrinkage = 0.0
                            Ppo = None }
                          case.Surrogate

                  match it.Outcome with
                  | Moved(fraction, _) ->
                      let old, now = Oracle.floats case.Parameters, Oracle.floats it.Parameters

                      let step =
                          Array.map2 (fun old now -> (now - old) / fraction) old now |> Vector<float>.Build.Dense

                      let fisher = Oracle.fisher case |> Matrix<float>.Build.DenseOfRowArrays
                      let hs = fisher * step + 0.1 * step
                      let model = if damped then hs else fisher * step
                      // The new parameters are rounded, and the products are float32.
                      let rounding = 1e-7 / fraction * Array.sumBy (fun x -> 1.0 + abs x) now * hs.InfinityNorm()
                      let products = 2e-6 * fisher.FrobeniusNorm() * (step * step)
                      // Where the damping is taken off again, F is what is left of a rounded sum.
                      let left = if damped then 0.0 else 1e-5 * (step * hs)
                      expectClose (1e-3 * delta + rounding + products + left) (0.5 * (step * model)) delta "the model"
                  | _ -> ())
          property
              "does not depend on the scale of the advantages, to the last bit"
              (Gen.zip3 policyCase trustRegionSettings (Gen.elements [ 0.25; 2.0; 1024.0 ]))
              (fun (case, (settings, _), factor) ->
                  let it = improve settings case.Surrogate
                  let scaled = withAdvantages (case.Advantages |> Seq.map (fun a -> factor * a)) case
                  let other = improve settings scaled.Surrogate
                  Expect.equal other.Parameters it.Parameters "parameters"
                  Expect.equal other.Outcome it.Outcome "outcome"
                  Expect.equal other.Comparison.Gain (factor * it.Comparison.Gain) "gain")
          property
              "gives the same bits when it is asked again, whatever its memory held before"
              (Gen.zip policyCase trustRegionSettings)
              (fun (case, (settings, _)) ->
                  let it = improve settings case.Surrogate
                  poisonMemory ()
                  let again = improve settings case.Surrogate
                  Expect.equal again.Parameters it.Parameters "parameters"
                  Expect.equal again.Outcome it.Outcome "outcome"
                  Expect.equal again.Comparison it.Comparison "comparison")
          property
              "nowhere to go: zero advantages leave the parameters as they are"
              (Gen.zip policyCase trustRegionSettings)
              (fun (case, (settings, _)) ->
                  let idle = withAdvantages (Seq.replicate case.Advantages.Length 0.0) case
                  let it = improve settings idle.Surrogate
                  isUnchanged idle it
                  Expect.equal it.Outcome NoGradient "outcome")
          property
              "an advantage that is NaN or infinite is an error"
              (Gen.zip3 policyCase trustRegionSettings (Gen.elements [ nan; infinity; -infinity ]))
              (fun (case, (settings, _), advantage) ->
                  let poisoned = { case with Advantages = case.Advantages.SetItem(0, advantage) }

                  for stepRule in [ settings.StepRule; FixedStep 0.1 ] do
                      for direction in [ settings.Direction; Gradient ] do
                          let settings = { settings with StepRule = stepRule; Direction = direction }
                          let it = TrustRegion.improve settings poisoned.Surrogate
                          Expect.equal it (Error "policy gradient") "result")
          property
              "an observation that is NaN is an error, or leaves the parameters as they are"
              (Gen.zip policyCase trustRegionSettings)
              (fun (case, (settings, _)) ->
                  let poisoned =
                      { case with
                          Observations =
                              Matrix.init case.Observations.Rows case.Observations.Columns (fun row column ->
                                  if row = 0 && column = 0 then nanf else case.Observations[row, column]) }

                  match TrustRegion.improve settings poisoned.Surrogate with
                  | Ok it -> isUnchanged poisoned it
                  | Error what ->
                      Expect.contains [ "policy gradient"; "Fisher-vector product" ] what "what is not finite") ]

let private accurate = NaturalGradient { Iterations = 500; Tolerance = 1e-9 }

/// H = F + damping, and g, in float64.
let private quadratic damping fraction (case: PolicyCase) =
    let fisher = Oracle.withFraction fraction case |> Oracle.fisher |> Matrix<float>.Build.DenseOfRowArrays

    let gradient = Oracle.gradient (Oracle.gain case) (Oracle.floats case.Parameters)

    fisher + Matrix<float>.Build.DenseDiagonal(fisher.RowCount, fisher.RowCount, (damping: float)),
    Vector<float>.Build.Dense gradient

/// What rounding to float32 in g and in products of H can move H⁻¹g by, where no eigenvalue of H is below the damping.
let private solutionTolerance damping (h: Matrix<float>) (g: Vector<float>) (x: Vector<float>) =
    (3e-5 * sqrt (float g.Count) * max 1.0 (g.InfinityNorm()) + 3e-6 * h.FrobeniusNorm() * x.L2Norm())
    / damping

let private fixedSteps =
    let settings direction learningRate damping fraction =
        { Direction = direction
          StepRule = FixedStep learningRate
          Damping = damping
          DampedLength = true
          FisherFraction = fraction
          DeltaShrinkage = 0.0
          Ppo = None }

    let learningRate = Gen.elements [ 1e-3; 0.1; 1.0 ]

    testList
        "a fixed step"
        [ propertyOf
              60
              "along the gradient is REINFORCE: θ + lr·g"
              (Gen.zip policyCase learningRate)
              (fun (case, learningRate) ->
                  let it = improve (settings Gradient learningRate 0.1 1.0) case.Surrogate
                  let gradient = Surrogate.gradient case.Surrogate
                  Expect.equal it.Parameters (Vector.addScaled learningRate gradient case.Parameters) "to the last bit"
                  Expect.equal it.GradientNorm (Vector.norm gradient) "the gradient's norm"
                  Expect.isNone it.Solution "no linear system was solved"

                  let g = Oracle.gradient (Oracle.gain case) (Oracle.floats case.Parameters)
                  let expected = Array.map2 (fun x g -> x + learningRate * g) (Oracle.floats case.Parameters) g
                  let largest = Array.fold (fun most x -> max most (abs x)) 1.0 g
                  expectAllClose (3e-5 * largest) (Vector.toArray it.Parameters) expected "in float64")
          propertyOf
              60
              "along the natural gradient is θ + lr·H⁻¹g, H the damped Fisher matrix"
              (Gen.zip3 policyCase learningRate (Gen.elements [ 0.1, 1.0; 0.5, 0.5; 1.0, 1.0 ]))
              (fun (case, learningRate, (damping, fraction)) ->
                  let it = improve (settings accurate learningRate damping fraction) case.Surrogate

                  if it.Outcome <> NoGradient then
                      let h, g = quadratic damping fraction case
                      let x = h.Cholesky().Solve g
                      let tolerance = solutionTolerance damping h g x
                      let solution = it.Solution.Value.X
                      let actual = Oracle.floats solution |> Vector<float>.Build.Dense
                      expectClose tolerance ((actual - x).L2Norm()) 0.0 "H⁻¹g"
                      let expected = Vector.addScaled learningRate solution case.Parameters
                      Expect.equal it.Parameters expected "θ + lr·x")
          propertyOf
              200
              "that changes no parameter is not taken: there is no curvature, or the learning rate is too small"
              (Gen.zip3
                  (Gen.elements [ 0.0; 1e-300 ])
                  (Gen.zip policyCase learningRate)
                  (Gen.elements [ Gradient; accurate ]))
              (fun (tiny, (case, learningRate), direction) ->
                  let tooShort = improve (settings direction tiny 0.1 1.0) case.Surrogate
                  isUnchanged case tooShort
                  Expect.contains [ NoGradient; LineSearchFailed 1 ] tooShort.Outcome "outcome"

                  // Such a damping makes every curvature negative, so conjugate gradient stops at x = 0.
                  let flat = improve (settings accurate learningRate -1e20 1.0) case.Surrogate
                  isUnchanged case flat

                  if flat.Outcome <> NoGradient then
                      Expect.equal flat.Outcome NoCurvature "outcome"
                      Expect.isTrue (Vector.toArray flat.Solution.Value.X |> Array.forall ((=) 0f)) "x = 0")
          propertyOf
              60
              "gains as its slope promises where it is short"
              (Gen.zip policyCase (Gen.elements [ Gradient; accurate ]))
              (fun (case, direction) ->
                  let size = case.Advantages |> Seq.map abs |> Seq.max
                  let fisher, gradient = quadratic 1.0 1.0 case
                  // Short against the curvature, too.
                  let learningRate = min 1e-3 (0.1 / (max 1.0 size * fisher.FrobeniusNorm()))
                  let it = improve (settings direction learningRate 1.0 1.0) case.Surrogate
                  let step = Array.map2 (-) (Oracle.floats it.Parameters) (Oracle.floats case.Parameters)

                  // Less is lost in the rounding of ratios to float32.
                  if gradient * Vector<float>.Build.Dense step > 3e-6 * size then
                      Expect.isGreaterThan it.Comparison.Gain 0.0 "gain")
          property
              "is not taken where there is no gradient"
              (Gen.zip policyCase (Gen.elements [ Gradient; accurate ]))
              (fun (case, direction) ->
                  let idle = withAdvantages (Seq.replicate case.Advantages.Length 0.0) case
                  let it = improve (settings direction 1.0 0.1 1.0) idle.Surrogate
                  isUnchanged idle it
                  Expect.equal it.Outcome NoGradient "outcome")
          property
              "an advantage that is NaN or infinite is an error"
              (Gen.zip3 policyCase (Gen.elements [ Gradient; accurate ]) (Gen.elements [ nan; infinity; -infinity ]))
              (fun (case, direction, advantage) ->
                  let poisoned = { case with Advantages = case.Advantages.SetItem(0, advantage) }
                  let it = TrustRegion.improve (settings direction 1.0 0.1 1.0) poisoned.Surrogate
                  Expect.equal it (Error "policy gradient") "result") ]

let private directions =
    testList
        "the natural gradient"
        [ propertyOf
              60
              "promises the largest gain of all steps with the same quadratic model"
              (gen {
                  let! case = policyCase
                  let! w = vector 1.0 case.Parameters.Length
                  return case, w
              })
              (fun (case, w) ->
                  let it =
                      improve
                          { Direction = accurate
                            StepRule = FixedStep 1.0
                            Damping = 0.1
                            DampedLength = true
                            FisherFraction = 1.0
                            DeltaShrinkage = 0.0
                            Ppo = None }
                          case.Surrogate

                  if it.GradientNorm > 1e-3 then
                      let h, g = quadratic 0.1 1.0 case
                      // ⟨g, s⟩ of the step s along a direction with sᵀHs = 1.
                      let promise (direction: Vector<float>) = (g * direction) / sqrt (direction * (h * direction))

                      let best = promise (Vector<float>.Build.Dense(Oracle.floats it.Solution.Value.X))

                      for other in [ Vector<float>.Build.Dense(Oracle.floats w); g ] do
                          if other.L2Norm() > 0.0 then
                              Expect.isLessThanOrEqual (promise other) (best * (1.0 + 1e-3)) "promised gain") ]

// ---- Each outcome, once ----

let private exampleCase biases action =
    let network = Network.create [ 1 ] (Dense.linear 2)

    { Layers = Dense(2, Activation.Identity)
      Policy =
        { ObservationSpace = numbersOf 1
          ActionSpace = Discrete 2
          Architecture = (Architecture.uniform [] Activation.Identity)
          Distribution = DistributionKind.Gaussian
          Family = Distribution.categorical 2
          Network = network
          IsScaled = false }
      Parameters = Vector.ofArray (Array.append [| 0f; 0f |] biases)
      Observations = Matrix.ofRows [| [| 1f |] |]
      Actions = Matrix.ofRows [| [| action |] |]
      Advantages = ImmutableArray.Create 1.0 }

let private outcomes =
    let improve damping delta (case: PolicyCase) =
        improve
            { Direction = NaturalGradient { Iterations = 10; Tolerance = 1e-8 }
              StepRule = TrustRegionStep(delta, { Tries = 7; Ratio = 0.5 })
              Damping = damping
              DampedLength = true
              FisherFraction = 1.0
              DeltaShrinkage = 0.0
              Ppo = None }
            case.Surrogate

    testList
        "outcomes"
        [ testCase "an advantage moves a uniform policy towards its action" (fun () ->
              let case = exampleCase [| 0f; 0f |] 1f
              let it = improve 1e-3 0.01 case
              Expect.isTrue (isMoved it) $"{it.Outcome}"
              let logits = Network.forward case.Policy.Network it.Parameters case.Observations
              Expect.isGreaterThan logits[0, 1] logits[0, 0] "logits"
              // The quadratic model is nearly exact there, and the line search takes what it promises.
              Expect.isGreaterThan it.Comparison.MeanKl 0.002 "mean KL")
          testCase "a step too small for float32 fails in the line search" (fun () ->
              let case = exampleCase [| 0.3f; 0.7f |] 1f
              let far = { case with Parameters = Vector.map (fun x -> x + 1f) case.Parameters }
              let it = improve 0.1 1e-30 far
              isUnchanged far it
              Expect.equal it.Outcome (LineSearchFailed 7) "outcome")
          testCase "a policy that is certain has a gradient at an impossible action, but no curvature" (fun () ->
              let case = exampleCase [| 1e4f; 0f |] 1f
              let it = improve 0.0 0.01 case
              isUnchanged case it
              Expect.equal it.Outcome NoCurvature "outcome"
              Expect.isGreaterThan it.GradientNorm 0.0 "gradient") ]

let tests = testList "trust region" [ acceptable; moves; fixedSteps; directions; outcomes ]
