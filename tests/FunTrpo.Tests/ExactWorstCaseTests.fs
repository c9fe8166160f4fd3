module FunTrpo.Tests.ExactWorstCaseTests

open System
open System.Numerics
open Expecto
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ExactCases

let private gap = 1e-6

/// Rows, a gradient and a limit, and the units of the parameters.
type private Problem = { Rows: RowFisher.Row[]; Gradient: float[]; Units: float[]; Delta: float; Key: Key }

/// By how much larger the largest change of the weighted rows is than the smallest, by directions of the same length, with parameters in units in which
/// each changes some row by 1 at most: what rounding is multiplied by.
let private conditionBy (weights: float[]) problem =
    let vectors = Array.concat problem.Rows
    let largest i = vectors |> Array.map (fun a -> abs a[i]) |> Array.max
    let units = Array.init problem.Gradient.Length largest

    let weighted =
        Array.map2
            (fun w row -> row |> Array.map (Array.map2 (fun unit x -> sqrt w * x / unit) units))
            weights
            problem.Rows
        |> Array.concat

    let singular = (Matrix<float>.Build.DenseOfRowArrays weighted).Svd(false).S
    singular[0] / singular[singular.Count - 1]

let private uniform problem = Array.create problem.Rows.Length (1.0 / float problem.Rows.Length)

let private conditionOf problem = conditionBy (uniform problem) problem

/// Up to five parameters and thirty rows of a few vectors, of any sizes. They span all directions.
let private problemsOf (parameters: FsCheck.Gen<int>) =
    gen {
        let! parameters = parameters
        let! vectors = Gen.choose (1, 3)
        let! count = Gen.choose ((parameters + vectors - 1) / vectors, 30)
        let! key = key
        let! exponent = Gen.choose (-6, 6)
        let! spread = Gen.elements [ 0.0; 1.0; 2.0 ]
        let! apart = Gen.elements [ 0.0; 1.0; 6.0 ]
        let! alike = Gen.elements [ 1.0; 1.0; 1e-3; 1e-6 ]
        let! delta = Gen.elements [ 1e-4; 0.01; 1.0 ]

        // Rows and parameters may differ much in size, as distances and angles do; and two parameters may do nearly the same.
        let sizes = Key.normals (count + parameters) (Key.named "sizes" key)
        let size n = 10.0 ** float exponent * exp (spread * sizes[n])
        let units = Array.init parameters (fun j -> 10.0 ** (apart * Math.Clamp(sizes[count + j], -2.0, 2.0)))

        let vector n i =
            let a = Key.normals parameters (Key.named "vectors" key |> Key.at (int64 (n * 10 + i)))
            a[parameters - 1] <- a[0] + alike * a[parameters - 1]
            Array.map2 (fun unit x -> size n * unit * x) units a

        return
            { Rows = Array.init count (fun n -> Array.init vectors (vector n))
              Gradient = Key.normals parameters (Key.named "gradient" key) |> Array.map2 (*) units
              Units = units
              Delta = delta
              Key = key }
    }
    // Beyond it a direction changes the rows so little that rounding cannot tell it from one that changes none.
    |> Gen.where (fun problem -> conditionOf problem < 1e10)

let private problems = problemsOf (Gen.choose (1, 5))

let private step problem = (WorstCase.step gap problem.Delta problem.Gradient problem.Rows).Value

let private dot = Array.fold2 (fun sum x y -> sum + x * y) 0.0

/// What rounding may be worth, as a share, for a problem of this condition.
let private rounding problem = 1e-14 * conditionOf problem

/// The same for a bound, in which few rows may count.
let private roundingBy weights problem = 2e-14 * conditionBy weights problem

/// max ½ xᵀF_n x, by the definition.
let private worst problem x = problem.Rows |> Array.map (Array.sumBy (fun a -> 0.5 * dot a x * dot a x)) |> Array.max

/// As far along a direction as the limit allows.
let private stretched problem x =
    let length = sqrt (problem.Delta / worst problem x)
    x |> Array.map (fun xi -> length * xi)

let private vectorOf (x: float[]) = MathNet.Numerics.LinearAlgebra.Vector<float>.Build.DenseOfArray x

/// R with RᵀR = F_w, by another way than the solver's: from the stacked vectors.
let private rootOf (weights: float[]) problem =
    let vectors =
        Array.map2 (fun w row -> row |> Array.map (Array.map (fun a -> sqrt w * a))) weights problem.Rows
        |> Array.concat

    let stacked = Matrix<float>.Build.DenseOfRowArrays vectors
    let r = stacked.QR().R
    r.SubMatrix(0, r.ColumnCount, 0, r.ColumnCount)

/// F_w⁻¹ g
let private natural weights problem =
    let r = rootOf weights problem
    r.Solve(r.Transpose().Solve(vectorOf problem.Gradient)).ToArray()

/// √(2δ gᵀF_w⁻¹g), to 512 places. The weights count as shares of their sum.
let private exactBound problem (weights: float[]) =
    // In other units, in which no digits are lost.
    let number unit (x: float) = Fixed.over (Fixed.ofFloat x) (Fixed.ofFloat unit)
    let size = problem.Rows |> Array.concat |> Array.concat |> Array.map abs |> Array.max
    let vectorOf a = Array.map2 (fun unit x -> number unit (x / Math.ScaleB(1.0, Math.ILogB size))) problem.Units a
    let shares = Fixed.normalised weights
    let parameters = problem.Gradient.Length
    let fisher = Array.init parameters (fun _ -> Array.create parameters BigInteger.Zero)

    for n in 0 .. problem.Rows.Length - 1 do
        for a in problem.Rows[n] do
            let a = vectorOf a

            for i in 0 .. parameters - 1 do
                for j in 0 .. parameters - 1 do
                    fisher[i][j] <- fisher[i][j] + Fixed.times shares[n] (Fixed.times a[i] a[j])

    let gradient = Array.map2 number problem.Units problem.Gradient
    let square = Fixed.dot gradient (Fixed.solve fisher gradient) |> Fixed.toFloat
    sqrt (2.0 * problem.Delta * square) / Math.ScaleB(1.0, Math.ILogB size)

let private solved =
    testList
        "the step"
        [ propertyOf 300 "has its worst row at the limit" problems (fun problem ->
              let worst = worst problem (step problem).X
              expectClose ((1e-12 + rounding problem) * problem.Delta) worst problem.Delta "max ½ xᵀF_n x")

          propertyOf 300 "gains as much as its bound, but for the gap, and says so" problems (fun problem ->
              let step = step problem
              expectClose (1e-12 * step.Gain) (dot problem.Gradient step.X) step.Gain "gᵀx"

              Expect.isTrue
                  (step.Gain >= (1.0 - 1.001 * gap - roundingBy step.Weights problem) * step.Bound)
                  $"within the gap: {1.0 - step.Gain / step.Bound}, {step.Iterations} iterations"

              Expect.isTrue (step.Gain <= step.Bound) "not beyond the bound")

          propertyOf 300 "has a bound that follows from its weights, to 512 places" problems (fun problem ->
              let step = step problem
              Expect.all step.Weights (fun w -> w >= 0.0) "no weight is negative"
              expectClose 1e-12 (Array.sum step.Weights) 1.0 "Σ w"
              let bound = exactBound problem step.Weights
              Expect.isTrue (step.Bound >= bound) $"{step.Bound} is no less than √(2δ gᵀF_w⁻¹g) = {bound}"
              expectClose (roundingBy step.Weights problem * bound) step.Bound bound "and hardly more")

          propertyOf 300 "goes along F_w⁻¹g, and weights no row that is inside of the limit" problems (fun problem ->
              let step = step problem

              let slackness =
                  Array.map2
                      (fun w row -> w * (1.0 - RowFisher.quadratic row step.X / (2.0 * problem.Delta)))
                      step.Weights
                      problem.Rows

              let rounding = rounding problem
              Expect.isTrue (Array.sum slackness <= 4.0 * gap + rounding) "Σ w (δ − ½ xᵀF_n x) / δ"

              // Of all that the weighted limit allows F_w⁻¹g gains most, and nothing else gains nearly as much: in the norm of F_w they
              // are apart by the root of what is missing.
              let best = natural step.Weights problem

              let inner x y =
                  problem.Rows
                  |> Array.map2 (fun w row -> w * Array.sumBy (fun a -> dot a x * dot a y) row) step.Weights
                  |> Array.sum

              let cosine = inner step.X best / sqrt (inner step.X step.X * inner best best)
              expectClose (4.0 * gap + rounding) cosine 1.0 "cosine") ]

let private compared =
    testList
        "compared"
        [ propertyOf 200 "with any other step within the limit it gains more" problems (fun problem ->
              let step = step problem
              let inUnits = Array.map2 (fun unit x -> x / unit) problem.Units
              let x = Array.map2 (*) problem.Units step.X
              let size = sqrt (dot x x)

              for i in 0..99 do
                  let noise = Key.normals problem.Gradient.Length (Key.at (int64 i) problem.Key)
                  let distance = 10.0 ** float (-(i % 8))
                  let other = Array.map2 (fun x n -> x + distance * size * n) x noise |> inUnits |> stretched problem
                  let gain = dot problem.Gradient other
                  Expect.isTrue (gain <= step.Bound * (1.0 + rounding problem)) "beyond the bound"
                  Expect.isTrue (gain <= (1.0 + 2.0 * gap + rounding problem) * step.Gain) "a better one")

          propertyOf
              100
              "with all directions of a plane it gains as much as the best"
              (problemsOf (Gen.constant 2))
              (fun problem ->
                  let step = step problem

                  // An ellipse may be thin: turn evenly in the metric of the mean, where it is round.
                  let root = rootOf (uniform problem) problem

                  let gains =
                      [ for i in 0..20000 do
                            let struct (sine, cosine) = Math.SinCos(Math.PI * float i / 10000.0)
                            let x = root.Solve(vectorOf [| cosine; sine |]).ToArray()
                            dot problem.Gradient (stretched problem x) ]

                  Expect.isTrue (List.max gains <= (1.0 + gap + rounding problem) * step.Gain) "none is better"
                  Expect.isTrue (List.max gains >= (1.0 - 1e-3) * step.Gain) "the best of many is nearly as good")

          propertyOf
              200
              "with the mean-KL step, shortened to the limit, it gains no less; and no more than at its full length"
              problems
              (fun problem ->
                  let step = step problem
                  let mean = natural (uniform problem) problem
                  let gains = dot problem.Gradient

                  Expect.isTrue
                      (gains (stretched problem mean) <= (1.0 + gap + rounding problem) * step.Gain)
                      "shortened"

                  Expect.isTrue
                      (step.Gain <= (1.0 + rounding problem) * sqrt (2.0 * problem.Delta * gains mean))
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
                        Units = Array.create parameters 1.0
                        Delta = 0.01
                        Key = key }

                  let step = step problem
                  let natural = natural [| 1.0 |] problem
                  let length = sqrt (2.0 * problem.Delta / dot problem.Gradient natural)
                  expectClose 1e-15 step.Weights[0] 1.0 "one weight"

                  for x, expected in Array.zip step.X natural do
                      expectClose
                          ((1e-8 + rounding problem) * length * (natural |> Array.map abs |> Array.max))
                          x
                          (length * expected)
                          "√(2δ/gᵀF⁻¹g) F⁻¹g") ]

let private laws =
    testList
        "laws"
        [ propertyOf
              200
              "other units of the parameters change the step by its units, and neither gain nor certificate"
              (Gen.zip problems (Gen.elements [ 1; 3; 40; 200 ]))
              (fun (problem, power) ->
                  let among units =
                      { problem with
                          Rows = problem.Rows |> Array.map (Array.map (Array.map2 (*) units))
                          Gradient = Array.map2 (*) units problem.Gradient }

                  let alike = step problem

                  // Powers of two round nothing.
                  let exponents = Array.mapi (fun i _ -> power * (i % 3 - 1)) problem.Gradient
                  let other = step (among (exponents |> Array.map (fun e -> Math.ScaleB(1.0, e))))
                  Expect.equal (other.Gain, other.Bound) (alike.Gain, alike.Bound) "gain and certificate"
                  Expect.equal other.Weights alike.Weights "weights"

                  Expect.equal (Array.map2 (fun x e -> Math.ScaleB(x, e)) other.X exponents) alike.X "x"

                  let rounded = step (among (exponents |> Array.map (fun e -> 10.0 ** (float e / 3.0))))
                  let tolerance = (2.0 * gap + 10.0 * rounding problem) * alike.Gain
                  expectClose tolerance rounded.Gain alike.Gain "gᵀx"
                  expectClose tolerance rounded.Bound alike.Bound "the bound")

          test "units of metres and micrometres leave the certificate true" {
              // Found by trying: in these units a step within the limit gained twice what the certificate allowed.
              let rows: RowFisher.Row[] =
                  [| [| [| -1.34; -7.8e-7 |] |]; [| [| -0.93; -4.6e-7 |] |]; [| [| -0.8; -6.8e-7 |] |] |]

              let gradient, other = [| -1.5; 4.4e-7 |], [| -0.572; 881273.0 |]
              let step = (WorstCase.step gap 0.01 gradient rows).Value
              let worst = rows |> Array.map (fun row -> RowFisher.quadratic row other) |> Array.max
              Expect.isTrue (dot gradient other * sqrt (0.02 / worst) <= step.Bound) "a step within the limit"
              Expect.isTrue (step.Gain >= (1.0 - 1e-6) * step.Bound) "and the step gains all that there is"
          }

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
                  expectClose ((2.0 * gap + rounding problem) * gain) (step more).Gain gain "gᵀx")

          test "without a gradient there is no step, and with one that changes no row no end of it" {
              let rows = [| [| [| 1.0; 0.0 |] |]; [| [| 2.0; 0.0 |] |] |]
              Expect.equal (WorstCase.step gap 0.01 [| 0.0; 0.0 |] rows).Value.X [| 0.0; 0.0 |] "no gradient"
              Expect.isNone (WorstCase.step gap 0.01 [| 1.0; 1.0 |] rows) "nothing limits the second parameter"
              Expect.isNone (WorstCase.step gap 0.01 [| 1.0 |] [| [| [| 0.0 |] |] |]) "nothing limits anything"
              let along = (WorstCase.step gap 0.02 [| 3.0; 0.0 |] rows).Value
              expectClose 1e-12 along.X[0] 0.1 "the larger row limits the first"
              expectClose 1e-12 along.X[1] 0.0 "and the second is left alone"
          }

          test "however small a change of the rows is, what gains by it is found, or there is no end" {
              for tiny in [ 1e-3; 1e-6; 1e-9; 1e-12; 1e-20; 0.0 ] do
                  // The second parameter does what the first does, but for a little: x₁ + x₂ and tiny · x₂ are limited.
                  let rows = [| [| [| 1.0; 1.0 |] |]; [| [| 0.0; tiny |] |] |]

                  match WorstCase.step gap 0.01 [| 1.0; 2.0 |] rows with
                  | Some step ->
                      let bound = sqrt 0.02 * (1.0 + 1.0 / tiny)
                      Expect.isTrue (step.Bound >= bound * (1.0 - 1e-15)) $"{tiny}: no step gains more than the bound"
                  | None -> Expect.isTrue (tiny <= 1e-12) $"{tiny}: there is an end"
          }

          test "a gap, a limit and numbers that mean nothing are refused" {
              let rows = [| [| [| 1.0; 0.5 |] |] |]

              let refused what gap delta gradient rows =
                  expectRefused what (fun () -> WorstCase.step gap delta gradient rows |> ignore)

              for number in [ 0.0; -1.0; nan; infinity ] do
                  refused $"gap = {number}" number 0.01 [| 1.0; 1.0 |] rows
                  refused $"δ = {number}" gap number [| 1.0; 1.0 |] rows

              refused "a gradient of NaN" gap 0.01 [| nan; 1.0 |] rows
              refused "an infinite row" gap 0.01 [| 1.0; 1.0 |] [| [| [| infinity; 1.0 |] |] |]
              refused "a row of one number" gap 0.01 [| 1.0; 1.0 |] [| [| [| 1.0 |] |] |]
          } ]

let tests = testList "ExactWorstCase" [ solved; compared; laws ]
