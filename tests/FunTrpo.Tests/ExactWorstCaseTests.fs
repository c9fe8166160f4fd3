module FunTrpo.Tests.ExactWorstCaseTests

open System
open Expecto
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators

let private gap = 1e-6

/// Rows, a gradient and a limit.
type private Problem = { Rows: WorstCase.Row[]; Gradient: float[]; Delta: float; Key: Key }

/// Up to five parameters and thirty rows of a few vectors, of any sizes. They span all directions.
let private problemsOf (parameters: FsCheck.Gen<int>) =
    gen {
        let! parameters = parameters
        let! vectors = Gen.choose (1, 3)
        let! count = Gen.choose ((parameters + vectors - 1) / vectors, 30)
        let! key = key
        let! exponent = Gen.choose (-6, 6)
        let! spread = Gen.elements [ 0.0; 1.0; 2.0 ]
        let! delta = Gen.elements [ 1e-4; 0.01; 1.0 ]

        // Rows and parameters may differ much in size, as distances and angles do.
        let sizes = Key.normals (count + parameters) (Key.named "sizes" key)
        let size n = 10.0 ** float exponent * exp (spread * sizes[n])

        let vector n i =
            Key.normals parameters (Key.named "vectors" key |> Key.at (int64 (n * 10 + i)))
            |> Array.mapi (fun j x -> size n * exp (0.5 * spread * sizes[count + j]) * x)

        return
            { Rows = Array.init count (fun n -> Array.init vectors (vector n))
              Gradient = Key.normals parameters (Key.named "gradient" key)
              Delta = delta
              Key = key }
    }

    |> Gen.where (fun problem ->
        // Beyond it a direction changes the rows so little that rounding cannot tell it from one that changes none.
        let weights = Array.create problem.Rows.Length (1.0 / float problem.Rows.Length)
        (WorstCase.fisher weights problem.Rows).ConditionNumber() < 1e9)

let private problems = problemsOf (Gen.choose (1, 5))

let private step problem = (WorstCase.step gap problem.Delta problem.Gradient problem.Rows).Value

let private dot = Array.fold2 (fun sum x y -> sum + x * y) 0.0

/// max ½ xᵀF_n x, by the definition.
let private worst problem x = problem.Rows |> Array.map (Array.sumBy (fun a -> 0.5 * dot a x * dot a x)) |> Array.max

/// As far along a direction as the limit allows.
let private stretched problem x =
    let length = sqrt (problem.Delta / worst problem x)
    x |> Array.map (fun xi -> length * xi)

let private vectorOf (x: float[]) = Vector<float>.Build.DenseOfArray x

/// F_w⁻¹ g, by another way than the solver's: from the stacked vectors.
let private natural (weights: float[]) problem =
    let vectors =
        Array.map2 (fun w row -> row |> Array.map (Array.map (fun a -> sqrt w * a))) weights problem.Rows
        |> Array.concat

    let stacked = Matrix<float>.Build.DenseOfRowArrays vectors
    let r = stacked.QR().R
    let r = r.SubMatrix(0, r.ColumnCount, 0, r.ColumnCount)
    r.Solve(r.Transpose().Solve(vectorOf problem.Gradient)).ToArray()

let private uniform problem = Array.create problem.Rows.Length (1.0 / float problem.Rows.Length)

let private solved =
    testList
        "the step"
        [ propertyOf 300 "has its worst row at the limit" problems (fun problem ->
              expectClose (1e-12 * problem.Delta) (worst problem (step problem).X) problem.Delta "max ½ xᵀF_n x")

          propertyOf 300 "gains as much as its bound, but for the gap, and says so" problems (fun problem ->
              let step = step problem
              expectClose (1e-12 * step.Gain) (dot problem.Gradient step.X) step.Gain "gᵀx"

              Expect.isTrue
                  (step.Gain >= (1.0 - 1.001 * gap) * step.Bound)
                  $"within the gap: {1.0 - step.Gain / step.Bound}, {step.Iterations} iterations"

              Expect.isTrue (step.Gain <= (1.0 + 1e-9) * step.Bound) "not beyond the bound")

          propertyOf 300 "has a bound that follows from its weights" problems (fun problem ->
              let step = step problem
              Expect.all step.Weights (fun w -> w >= 0.0) "no weight is negative"
              expectClose 1e-12 (Array.sum step.Weights) 1.0 "Σ w"
              let bound = sqrt (2.0 * problem.Delta * dot problem.Gradient (natural step.Weights problem))
              expectClose (1e-7 * bound) step.Bound bound "√(2δ gᵀF_w⁻¹g)")

          propertyOf 300 "goes along F_w⁻¹g, and weights no row that is inside of the limit" problems (fun problem ->
              let step = step problem

              let slackness =
                  Array.map2
                      (fun w row -> w * (1.0 - WorstCase.quadratic row step.X / (2.0 * problem.Delta)))
                      step.Weights
                      problem.Rows

              Expect.isTrue (Array.sum slackness <= 4.0 * gap) "Σ w (δ − ½ xᵀF_n x) / δ"

              // Of all that the weighted limit allows F_w⁻¹g gains most, and nothing else gains nearly as much: in the norm of F_w they
              // are apart by the root of what is missing.
              let best = natural step.Weights problem

              let inner x y =
                  problem.Rows
                  |> Array.map2 (fun w row -> w * Array.sumBy (fun a -> dot a x * dot a y) row) step.Weights
                  |> Array.sum

              let cosine = inner step.X best / sqrt (inner step.X step.X * inner best best)
              expectClose (4.0 * gap) cosine 1.0 "cosine") ]

let private compared =
    testList
        "compared"
        [ propertyOf 200 "with any other step within the limit it gains more" problems (fun problem ->
              let step = step problem
              let size = sqrt (dot step.X step.X)

              for i in 0..99 do
                  let noise = Key.normals problem.Gradient.Length (Key.at (int64 i) problem.Key)
                  let distance = 10.0 ** float (-(i % 8))
                  let other = Array.map2 (fun x n -> x + distance * size * n) step.X noise |> stretched problem
                  Expect.isTrue (dot problem.Gradient other <= (1.0 + 2.0 * gap) * step.Gain) "a better one")

          propertyOf
              100
              "with all directions of a plane it gains as much as the best"
              (problemsOf (Gen.constant 2))
              (fun problem ->
                  let step = step problem

                  let gains =
                      [ for i in 0..20000 do
                            let struct (sine, cosine) = Math.SinCos(Math.PI * float i / 10000.0)
                            // An ellipse may be thin: turn evenly in the metric of the mean, where it is round.
                            let x = [| cosine; sine |]
                            let root = (WorstCase.fisher (uniform problem) problem.Rows).Cholesky().Factor.Transpose()
                            dot problem.Gradient (stretched problem (root.Solve(vectorOf x).ToArray())) ]

                  Expect.isTrue (List.max gains <= (1.0 + gap) * step.Gain) "none is better"
                  Expect.isTrue (List.max gains >= (1.0 - 1e-3) * step.Gain) "the best of many is nearly as good")

          propertyOf
              200
              "with the mean-KL step, shortened to the limit, it gains no less; and no more than at its full length"
              problems
              (fun problem ->
                  let step = step problem
                  let mean = natural (uniform problem) problem
                  let gains = dot problem.Gradient
                  Expect.isTrue (gains (stretched problem mean) <= (1.0 + gap) * step.Gain) "shortened"

                  Expect.isTrue
                      (step.Gain <= (1.0 + 1e-9) * sqrt (2.0 * problem.Delta * gains mean))
                      "the mean is at most the maximum")

          propertyOf
              100
              "for one parameter it is where the largest F_n stops it"
              (problemsOf (Gen.constant 1))
              (fun problem ->
                  let largest = worst problem [| 1.0 |]
                  let expected = float (sign problem.Gradient[0]) * sqrt (problem.Delta / largest)
                  expectClose (1e-12 * abs expected) (step problem).X[0] expected "x")

          propertyOf
              100
              "for one row it is the natural gradient's"
              (Gen.zip (Gen.choose (1, 5)) key)
              (fun (parameters, key) ->
                  let vectorAt i = Key.normals parameters (Key.at (int64 i) key)

                  let problem =
                      { Rows = [| Array.init (parameters + 2) vectorAt |]
                        Gradient = vectorAt 100
                        Delta = 0.01
                        Key = key }

                  let step = step problem
                  let natural = natural [| 1.0 |] problem
                  let length = sqrt (2.0 * problem.Delta / dot problem.Gradient natural)
                  expectClose 1e-15 step.Weights[0] 1.0 "one weight"

                  for x, expected in Array.zip step.X natural do
                      expectClose
                          (1e-8 * length * (natural |> Array.map abs |> Array.max))
                          x
                          (length * expected)
                          "√(2δ/gᵀF⁻¹g) F⁻¹g") ]

let private laws =
    testList
        "laws"
        [ propertyOf 100 "other units of the parameters change nothing but the units" problems (fun problem ->
              let units = Array.mapi (fun i _ -> 10.0 ** float (i % 3 - 1)) problem.Gradient

              let other =
                  { problem with
                      Rows = problem.Rows |> Array.map (Array.map (Array.map2 (*) units))
                      Gradient = Array.map2 (*) units problem.Gradient }

              let gain = (step problem).Gain
              expectClose (2.0 * gap * gain) (step other).Gain gain "gᵀx")

          propertyOf 100 "a limit four times as far doubles the step" problems (fun problem ->
              let near, far = step problem, step { problem with Delta = 4.0 * problem.Delta }
              Expect.equal far.Weights near.Weights "weights"

              for x, y in Array.zip near.X far.X do
                  expectClose (1e-12 * abs y) (2.0 * x) y "x")

          propertyOf
              100
              "rows that are there twice, or change less than another, do not matter"
              problems
              (fun problem ->
                  let smaller = problem.Rows |> Array.map (Array.map (Array.map ((*) 0.9)))
                  let more = { problem with Rows = Array.concat [ problem.Rows; problem.Rows; smaller ] }
                  let gain = (step problem).Gain
                  expectClose (2.0 * gap * gain) (step more).Gain gain "gᵀx")

          test "without a gradient there is no step, and with one that changes no row no end of it" {
              let rows = [| [| [| 1.0; 0.0 |] |]; [| [| 2.0; 0.0 |] |] |]
              Expect.equal (WorstCase.step gap 0.01 [| 0.0; 0.0 |] rows).Value.X [| 0.0; 0.0 |] "no gradient"
              Expect.isNone (WorstCase.step gap 0.01 [| 1.0; 1.0 |] rows) "nothing limits the second parameter"
              Expect.isNone (WorstCase.step gap 0.01 [| 1.0 |] [| [| [| 0.0 |] |] |]) "nothing limits anything"
              let along = (WorstCase.step gap 0.02 [| 3.0; 0.0 |] rows).Value
              expectClose 1e-12 along.X[0] 0.1 "the larger row limits the first"
              expectClose 1e-12 along.X[1] 0.0 "and the second is left alone"
          } ]

let tests = testList "ExactWorstCase" [ solved; compared; laws ]
