module FunTrpo.Tests.FisherTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// A policy and its batch, two tangents of its parameters, and a damping.
let private caseOf (policies: Gen<PolicyCase>) =
    gen {
        let! case = policies
        let! v = vector 1.0 case.Parameters.Length
        let! w = vector 1.0 case.Parameters.Length
        let! damping = Gen.elements [ 0.0; 1e-3; 0.1; 1.0 ]
        return case, v, w, damping
    }

let private case = caseOf policyCase

let private times (matrix: float[][]) (v: Vector) =
    let v = Oracle.floats v
    matrix |> Array.map (fun row -> Array.fold2 (fun sum x y -> sum + x * y) 0.0 row v)

let private largest = Array.fold (fun most (x: float) -> max most (abs x)) 1.0

/// Fails unless the vectors agree to float32, at the scale of the largest of their numbers.
let private expectSame (actual: Vector) (expected: float[]) what =
    expectAllClose (1e-4 * largest expected) (Vector.toArray actual) expected what

let private fisher =
    testList
        "Fisher"
        [ property "⟨w, Fv⟩ = ⟨v, Fw⟩" case (fun (case, v, w, damping) ->
              let f = fisherProduct damping 1.0 case.Surrogate
              let fv, fw = f v, f w
              let scale = Vector.norm w * Vector.norm fv + Vector.norm v * Vector.norm fw
              expectClose (1e-5 * (1.0 + scale)) (Vector.dot w fv) (Vector.dot v fw) "symmetry")
          property "⟨v, Fv⟩ ≥ 0 at damping 0" case (fun (case, v, _, _) ->
              let fv = fisherProduct 0.0 1.0 case.Surrogate v
              let scale = Vector.norm v * Vector.norm fv
              Expect.isGreaterThanOrEqual (Vector.dot v fv) (-1e-6 * (1.0 + scale)) "semi-definiteness")
          property "F(v + 2w) = Fv + 2Fw, and F(2v) = 2Fv to the last bit" case (fun (case, v, w, damping) ->
              let f = fisherProduct damping 1.0 case.Surrogate
              let fv, fw = f v, f w
              let separately = Vector.addScaled 2.0 fw fv
              let tolerance = 3e-5 * (1.0 + Vector.norm fv + Vector.norm fw)
              let together = f (Vector.addScaled 2.0 w v)
              expectAllClose tolerance (Vector.toArray together) (Oracle.floats separately) "linearity"
              Expect.equal (f (Vector.scale 2.0 v)) (Vector.scale 2.0 fv) "twice")
          property "damping adds damping · v" case (fun (case, v, _, damping) ->
              let undamped = fisherProduct 0.0 1.0 case.Surrogate v
              let damped = fisherProduct damping 1.0 case.Surrogate v

              for i in 0 .. v.Length - 1 do
                  // Both sides are rounded: damping · v, its sum with Fv, and Fv alone.
                  let moved = damping * float v[i]
                  let rounding = 2e-7 * (abs moved + abs (float undamped[i]))
                  expectClose rounding (float damped[i]) (float undamped[i] + moved) $"damped {i}")
          property "Fisher.product gives what Product writes, in memory of its own" case (fun (case, v, w, damping) ->
              use fisher = Fisher.matrix damping 1.0 case.Surrogate
              let product = Fisher.product fisher v
              Fisher.product fisher w |> ignore
              Expect.equal product (applied fisher.Product v) "Fv")
          propertyOf 40 "F = (1/N) Σ JₙᵀMₙJₙ, built up from dual numbers" case (fun (case, v, _, _) ->
              expectSame (fisherProduct 0.0 1.0 case.Surrogate v) (times (Oracle.fisher case) v) "Fv")
          propertyOf 40 "F is the Hessian of the mean KL at θ_old, by hyper-dual numbers" case (fun (case, v, _, _) ->
              let expected =
                  Oracle.hessianTimes (Oracle.meanKl case) (Oracle.floats case.Parameters) (Oracle.floats v)

              expectSame (fisherProduct 0.0 1.0 case.Surrogate v) expected "Fv")
          propertyOf
              40
              "a fraction of the rows gives F of about as many of them, evenly spread"
              (Gen.zip (caseOf (policyCaseOf activation (Gen.choose (1, 25)))) (Gen.choose (1, 99)))
              (fun ((case, v, _, damping), percent) ->
                  let fraction = float percent / 100.0

                  let expected =
                      Array.map2
                          (+)
                          (times (Oracle.fisher (Oracle.withFraction fraction case)) v)
                          (Oracle.floats v |> Array.map (fun x -> damping * x))

                  expectSame (fisherProduct damping fraction case.Surrogate v) expected "Fv")
          property
              "any fraction of rows that are all alike gives F of all of them"
              (Gen.zip case (Gen.choose (1, 99)))
              (fun ((case, v, _, damping), percent) ->
                  let alike = Oracle.withRows (Array.create 12 0) case
                  let all = fisherProduct damping 1.0 alike.Surrogate v
                  let some = fisherProduct damping (float percent / 100.0) alike.Surrogate v
                  expectSame some (Oracle.floats all) "Fv")
          property
              "its memory is its own: two matrices of one surrogate, and the surrogate after both"
              case
              (fun (case, v, w, damping) ->
                  use surrogate = case.Surrogate
                  let gradient = Surrogate.gradient surrogate
                  let all = Fisher.matrix damping 1.0 surrogate
                  let some = Fisher.matrix damping 0.5 surrogate
                  let ofAll, ofSome = applied all.Product v, applied some.Product v
                  applied all.Product w |> ignore
                  Expect.equal (applied some.Product v) ofSome "of half of the rows"
                  (some :> IDisposable).Dispose()
                  poisonMemory ()
                  Expect.equal (applied all.Product v) ofAll "of all rows"
                  (all :> IDisposable).Dispose()
                  poisonMemory ()
                  Expect.equal (Surrogate.gradient surrogate) gradient "the gradient"
                  Expect.throwsT<ObjectDisposedException> (fun () -> applied some.Product v |> ignore) "given back")
          property "advantages and actions do not enter F" case (fun (case, v, _, damping) ->
              let other =
                  { case with
                      Actions = drawActions case.Policy case.Parameters case.Observations (Key.ofSeed 77L)
                      Advantages = ImmutableArray.CreateRange(Seq.map (fun a -> 1.0 - 3.0 * a) case.Advantages) }

              let f (case: PolicyCase) = fisherProduct damping 1.0 case.Surrogate v
              Expect.equal (f other) (f case) "Fv") ]

// ---- The surrogate ----

/// The policy and its batch, and another point for its parameters.
let private moved =
    gen {
        let! case, v, _, _ = case
        let! size = Gen.elements [ 0.01; 0.1; 0.5 ]
        return case, Vector.addScaled size v case.Parameters
    }

/// Where finite differences have no kinks to fall over.
let private smooth =
    Enum.GetValues<Activation>() |> Array.except [ Activation.Relu; Activation.Elu ] |> Gen.elements

let private surrogate =
    testList
        "surrogate"
        [ property "at θ_old the gain, the mean KL and the largest KL are 0, exactly" case (fun (case, _, _, _) ->
              let it = Surrogate.compare case.Surrogate case.Parameters
              Expect.equal it.Gain 0.0 "gain"
              Expect.equal it.MeanKl 0.0 "mean KL"
              Expect.equal it.MaxKl 0.0 "largest KL")
          property "gain, KL and entropy are those of float64" moved (fun (case, parameters) ->
              let it = Surrogate.compare case.Surrogate parameters
              let theta = Oracle.constants (Vector.toArray parameters)
              let kls = Oracle.rowKls case theta |> Array.map _.X
              // The error of a ratio is that of a log-probability, times the ratio.
              let ratios = case.Advantages |> Seq.sumBy abs
              let gain = (Oracle.gain case theta).X
              let conditioning = 1.0 + Array.max kls
              expectClose (1e-4 * conditioning * (1.0 + ratios + abs gain)) it.Gain gain "gain"
              expectClose (1e-4 * conditioning) it.MeanKl (Array.average kls) "mean KL"
              expectClose (1e-4 * conditioning) it.MaxKl (Array.max kls) "largest KL"
              let entropy = (Oracle.meanEntropy case theta).X

              // The entropy of a squashed Gaussian is a quadrature; `DistributionTests.fs` tests how good it is.
              let tolerance =
                  if case.Policy.Distribution = DistributionKind.SquashedGaussian then
                      0.05 * (1.0 + abs entropy)
                  else
                      1e-5

              expectClose tolerance it.Entropy entropy "entropy")
          property "0 ≤ mean KL ≤ largest KL" moved (fun (case, parameters) ->
              let it = Surrogate.compare case.Surrogate parameters
              Expect.isGreaterThanOrEqual it.MeanKl 0.0 "mean KL"
              Expect.isLessThanOrEqual it.MeanKl (it.MaxKl * (1.0 + 1e-12)) "largest KL")
          property "the gain is linear in the advantages" moved (fun (case, parameters) ->
              let gainOf factor =
                  let advantages = ImmutableArray.CreateRange(case.Advantages |> Seq.map (fun a -> factor * a))
                  (Surrogate.compare { case with Advantages = advantages }.Surrogate parameters).Gain

              Expect.equal (gainOf 2.0) (2.0 * gainOf 1.0) "twice"
              Expect.equal (gainOf -1.0) -(gainOf 1.0) "negated"
              Expect.equal (gainOf 0.0) 0.0 "zero")
          propertyOf 60 "the gradient is that of the gain at θ_old, by dual numbers" case (fun (case, _, _, _) ->
              let expected = Oracle.gradient (Oracle.gain case) (Oracle.floats case.Parameters)
              expectSame (Surrogate.gradient case.Surrogate) expected "gradient")
          property
              "the gradient is the slope of the gain"
              (caseOf (policyCaseOf smooth (Gen.choose (1, 9))))
              (fun (case, v, _, _) ->
                  // A small σ would bend the gain more than a third derivative tells.
                  let case = { case with Parameters = Vector.scale 0.3 case.Parameters }
                  let direction = Vector.scale (1.0 / (1e-3 + Vector.norm v)) v

                  let gain step =
                      (Surrogate.compare case.Surrogate (Vector.addScaled step direction case.Parameters)).Gain

                  let slope step = (gain step - gain -step) / (2.0 * step)
                  // The distance between two slopes shows what the third derivative makes of the wider one. A tiny σ asks for short steps.
                  let wide, narrow =
                      [ 0.04; 0.01; 0.0025; 0.0006 ]
                      |> List.map (fun step -> slope step, slope (0.5 * step))
                      |> List.find (fun (wide, narrow) -> Double.IsFinite wide && Double.IsFinite narrow)

                  let gradient = Surrogate.gradient case.Surrogate
                  let tolerance = abs (wide - narrow) + 1e-3 * (1.0 + Vector.norm gradient)
                  expectClose tolerance narrow (Vector.dot gradient direction) "slope")
          property "the gradient of zero advantages is zero" case (fun (case, _, _, _) ->
              let zero = ImmutableArray.CreateRange(Seq.replicate case.Advantages.Length 0.0)
              let gradient = Surrogate.gradient { case with Advantages = zero }.Surrogate
              Expect.equal (Vector.norm gradient) 0.0 "norm")
          property "a comparison with an infinite or undefined advantage is not finite" moved (fun (case, parameters) ->
              for advantage in [ nan; infinity; -infinity ] do
                  let advantages = case.Advantages.SetItem(0, advantage)
                  let it = Surrogate.compare { case with Advantages = advantages }.Surrogate parameters
                  Expect.isFalse (Double.IsFinite it.Gain) $"gain with {advantage}")
          propertyOf
              8
              "the largest KL is that of one of all rows, however many there are"
              (policyCaseOf activation (Gen.choose (600, 1000)))
              (fun case ->
                  let parameters = Vector.map (fun x -> x + 0.1f) case.Parameters
                  let at parameters = Network.forward case.Policy.Network parameters case.Observations
                  let before, after = at case.Parameters, at parameters

                  let kls =
                      Array.init case.Observations.Rows (fun row ->
                          case.Policy.Family.Kl(before.Row row, after.Row row))

                  let it = Surrogate.compare case.Surrogate parameters
                  Expect.equal it.MaxKl (Array.max kls) "largest KL"
                  expectClose (1e-9 * Array.max kls) it.MeanKl (Array.average kls) "mean KL")
          propertyOf
              12
              "what it says of many rows is the mean of what it says of parts of them, wherever its blocks end"
              (Gen.elements [ 250..262 ]
               |> Gen.map2 (fun blocks rows -> (blocks - 1) * 256 + rows) (Gen.choose (1, 4))
               |> policyCaseOf activation)
              (fun case ->
                  let rows = case.Observations.Rows
                  let parameters = Vector.map (fun x -> x + 0.1f) case.Parameters
                  let v = Vector.map (fun x -> 0.5f - x) case.Parameters

                  /// So few rows that there is one block, and which share of all rows they are.
                  let part (range: int[]) =
                      let first, count = range[0], range.Length

                      float count / float rows,
                      { case with
                          Observations = case.Observations.SliceRows(first, count)
                          Actions = case.Actions.SliceRows(first, count)
                          Advantages = case.Advantages.Slice(first, count) }

                  let numbersOf (case: PolicyCase) =
                      use surrogate = case.Surrogate
                      let it = Surrogate.compare surrogate parameters

                      Array.concat
                          [ [| it.Gain; it.MeanKl; it.Entropy |]
                            Surrogate.gradient surrogate |> Vector.toArray |> toFloats
                            fisherProduct 0.1 1.0 surrogate v |> Vector.toArray |> toFloats ]

                  let parts =
                      [| 0 .. rows - 1 |]
                      |> Array.chunkBySize 97
                      |> Array.map (part >> fun (share, case) -> Array.map (fun x -> share * x) (numbersOf case))

                  let expected = parts |> Array.reduce (Array.map2 (+))
                  let sizes = parts |> Array.map (Array.map abs) |> Array.reduce (Array.map2 (+))
                  let actual = numbersOf case

                  for i in 0 .. actual.Length - 1 do
                      expectClose (1e-5 * (sizes[i] + Array.average sizes)) actual[i] expected[i] $"number {i}")
          propertyOf
              4
              "the number of threads changes no bit"
              (policyCaseOf activation (Gen.choose (257, 1000)))
              (fun case ->
                  let parameters = Vector.map (fun x -> x + 0.1f) case.Parameters

                  let on threads =
                      let policy = { case.Policy with Network = Network.onThreads threads case.Policy.Network }

                      let surrogate =
                          Surrogate.create
                              threads
                              policy
                              case.Observations
                              case.Actions
                              case.Advantages
                              case.Parameters

                      Surrogate.compare surrogate parameters,
                      Surrogate.gradient surrogate,
                      fisherProduct 0.1 0.5 surrogate parameters

                  let one = on 1

                  for threads in [ 2; 3; 8 ] do
                      Expect.equal (on threads) one $"{threads} threads") ]

let tests = testList "surrogate and Fisher" [ fisher; surrogate ]
