/// Linear-quadratic problems: exact values against moments that are iterated step by step, derivatives against hyper-dual numbers, steps, and the
/// edge of stability.
module FunTrpo.Tests.ExactLinearQuadraticTests

open System
open Expecto
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Exact
open FunTrpo.Tests.Generators
open FunTrpo.Tests.Oracle
open FunTrpo.Tests.ExactCases

/// A problem, its tables, and a stable policy.
[<NoComparison; NoEquality>]
type private Case =
    { Gamma: float
      Tables: LinearQuadraticTables
      Problem: LinearQuadratic
      Policy: LinearPolicy
      Values: LinearValues }

let private normalMatrix rows columns key : Matrix<float> =
    Matrix<float>.Build.DenseOfColumnMajor(rows, columns, Key.normals (rows * columns) key)

/// M Mᵀ + floor · I
let private positive (floor: float) count key : Matrix<float> =
    let m = normalMatrix count count key
    let product = m * m.Transpose() + floor * Matrix<float>.Build.DenseIdentity count
    0.5 * (product + product.Transpose())

/// Stable problems and policies, √γ ρ(A − BK) ≤ 0.9, with any number of the listed actions.
let private casesOf actionCounts =
    gen {
        let! key = key
        let! states = Gen.choose (1, 4)
        let! actions = Gen.elements actionCounts
        let! gamma = Gen.elements [ 0.0; 0.5; 0.9 ]
        let! noise = Gen.elements [ 0.0; 1.0 ]

        let a, gain =
            normalMatrix states states (Key.named "A" key), normalMatrix actions states (Key.named "K" key)

        let b = normalMatrix states actions (Key.named "B" key)
        // A scaled dynamics matrix is stable without control, and the gain is scaled until it is with it.
        let a = 0.8 / a.L2Norm() * a

        let tables =
            { A = a.ToArray()
              B = b.ToArray()
              Q = (positive 0.0 states (Key.named "Q" key)).ToArray()
              R = (positive 0.1 actions (Key.named "R" key)).ToArray()
              W = (noise * positive 0.0 states (Key.named "W" key)).ToArray()
              S = (positive 0.1 states (Key.named "S" key)).ToArray() }

        let problem = LinearQuadratic.create "case" gamma tables |> expectOk

        let gain =
            Seq.initInfinite (fun i -> Math.ScaleB(1.0, -i) * gain)
            |> Seq.find (fun gain -> LinearQuadratic.stability problem gain < 0.9)

        let policy = { Gain = gain; Exploration = positive 0.1 actions (Key.named "Sigma" key) }

        return
            { Gamma = gamma
              Tables = tables
              Problem = problem
              Policy = policy
              Values = LinearQuadratic.values problem policy |> Option.get }
    }

let private cases = casesOf [ 1; 2 ]

// ---- η by its definition, with derivatives ----

let private matrixOf (table: float[,]) = Array2D.map constant table

let private times (x: HyperDual[,]) (y: HyperDual[,]) =
    Array2D.init (Array2D.length1 x) (Array2D.length2 y) (fun i j ->
        Seq.init (Array2D.length2 x) (fun k -> x[i, k] * y[k, j]) |> Seq.reduce (+))

let private transposed (x: HyperDual[,]) = Array2D.init (Array2D.length2 x) (Array2D.length1 x) (fun i j -> x[j, i])
let private added (x: HyperDual[,]) (y: HyperDual[,]) = Array2D.mapi (fun i j number -> number + y[i, j]) x
let private trace (x: HyperDual[,]) = Seq.init (Array2D.length1 x) (fun i -> x[i, i]) |> Seq.reduce (+)

/// Σ_t γᵗ E[r_t] over 400 steps, from the second moments of the states, step by step. The gain is given row by row.
let private etaOf case (gain: HyperDual[]) =
    let states, actions = case.Problem.States, case.Problem.Actions
    let k = Array2D.init actions states (fun i j -> gain[i * states + j])
    let sigma = matrixOf (case.Policy.Exploration.ToArray())
    let b, r = matrixOf case.Tables.B, matrixOf case.Tables.R
    let m = added (matrixOf case.Tables.A) (Array2D.map (~-) (times b k))
    let noise = added (matrixOf case.Tables.W) (times (times b sigma) (transposed b))
    let cost = added (matrixOf case.Tables.Q) (times (times (transposed k) r) k)
    let exploring = trace (times r sigma)

    let step (eta, discount, moments) _ =
        let reward = -(trace (times cost moments) + exploring)

        eta + constant discount * reward, discount * case.Gamma, added (times (times m moments) (transposed m)) noise

    let eta, _, _ =
        List.fold step (HyperDual.Zero, 1.0, matrixOf case.Tables.S) [ 1 .. (if case.Gamma = 0.0 then 1 else 400) ]

    eta

let private rowByRow (matrix: Matrix<float>) = matrix.ToRowMajorArray()
let private gainsOf case = rowByRow case.Policy.Gain

/// A change of the gain with numbers of this size.
let private changeOf case size key = size * normalMatrix case.Problem.Actions case.Problem.States key

let private withChange =
    gen {
        let! case = cases
        let! key = key
        let! size = Gen.elements [ 0.01; 0.1 ]
        return case, changeOf case size key
    }

let private scale case = 1.0 + abs case.Values.Eta

let private values =
    testList
        "linear-quadratic: values"
        [ property "η is the discounted sum of expected rewards" cases (fun case ->
              let expected = (etaOf case (Array.map constant (gainsOf case))).X
              expectClose (1e-11 * scale case) case.Values.Eta expected "η")

          property "∇η is that of hyper-dual numbers" cases (fun case ->
              let expected = Oracle.gradient (etaOf case) (gainsOf case)
              let found = LinearQuadratic.gradient case.Problem case.Values |> rowByRow
              let largest = expected |> Array.map abs |> Array.max
              expectSame (1e-10 * (scale case + largest)) found expected "∇η")

          property
              "V is the value of the mean action, Q(s, μ(s)): ∇_a Q is the derivative of Q"
              withChange
              (fun (case, change) ->
                  // Q(s, a) = r(s, a) + γ E V(s′), with V(s) = −sᵀPs − c.
                  let p, gamma = matrixOf (case.Values.P.ToArray()), constant case.Gamma
                  let state = rowByRow change |> Array.truncate case.Problem.States
                  let column numbers = Array2D.init (Array.length numbers) 1 (fun i _ -> numbers[i])
                  let s = column (Array.map constant state)
                  let quadratic matrix x = (times (times (transposed x) matrix) x)[0, 0]

                  let q action =
                      let a = column action
                      let next = added (times (matrixOf case.Tables.A) s) (times (matrixOf case.Tables.B) a)
                      -(quadratic (matrixOf case.Tables.R) a + gamma * quadratic p next)

                  let action = Array.init case.Problem.Actions (fun i -> 0.5 - float i)
                  let found = LinearQuadratic.actionGradient case.Problem case.Values state action
                  expectSame (1e-11 * scale case) found (Oracle.gradient q action) "∇_a Q")

          property "with Σ = 0 the gradient is the deterministic policy gradient" cases (fun case ->
              let policy = { case.Policy with Exploration = 0.0 * case.Policy.Exploration }
              let values = LinearQuadratic.values case.Problem policy |> Option.get

              // Σ γᵗ E[∇_a Q(s, −K s) (−sᵀ)]: each column of D in the place of s.
              let expected =
                  Matrix<float>
                      .Build.DenseOfColumns(
                          [ for column in values.Visitation.EnumerateColumns() do
                                let state = column.ToArray()
                                let action = (-policy.Gain * column).ToArray()

                                -Vector<float>
                                    .Build
                                    .DenseOfArray(LinearQuadratic.actionGradient case.Problem values state action) ]
                      )

              // The sizes of the terms, which may cancel.
              let size =
                  let norm (table: float[,]) = Matrix<float>.Build.DenseOfArray(table).L2Norm()
                  let a, b, r = norm case.Tables.A, norm case.Tables.B, norm case.Tables.R
                  let p, d = values.P.L2Norm(), values.Visitation.L2Norm()
                  ((r + b * b * p) * policy.Gain.L2Norm() + b * p * a) * d

              expectSame
                  (1e-11 * scale case + 1e-13 * size)
                  (LinearQuadratic.gradient case.Problem values |> rowByRow)
                  (rowByRow expected)
                  "∇η")

          property "η(K̃) − η(K) is L's gain with the visitation of K̃" withChange (fun (case, change) ->
              match LinearQuadratic.values case.Problem (LinearQuadratic.changed change case.Values) with
              | None -> ()
              | Some next ->
                  let visited = { case.Values with Visitation = next.Visitation }
                  let gain = LinearQuadratic.surrogateGain case.Problem visited change

                  // What sums over many steps, rounds more.
                  let most = 1.0 / (1.0 - LinearQuadratic.stability case.Problem next.Policy.Gain)

                  expectClose
                      (1e-11 * most * (scale case + abs next.Eta))
                      gain
                      (next.Eta - case.Values.Eta)
                      "the performance difference")

          property "F x = ∇η for the natural gradient x, and the mean KL has the curvature F" cases (fun case ->
              let x = LinearQuadratic.naturalGradient case.Problem case.Values
              let gradient = LinearQuadratic.gradient case.Problem case.Values
              let product = (1.0 - case.Gamma) * case.Policy.Exploration.Inverse() * x * case.Values.Visitation
              let size = 1.0 + gradient.L2Norm()
              expectSame (1e-9 * size) (rowByRow product) (rowByRow gradient) "F x"

              expectClose
                  (1e-9 * size * (1.0 + x.L2Norm()))
                  (LinearQuadratic.meanKl case.Problem case.Values x)
                  (0.5 * (x.TransposeThisAndMultiply gradient).Trace())
                  "½ xᵀF x")

          propertyOf 20 "no gain is better than the optimal one, where ∇η = 0" withChange (fun (case, change) ->
              let gain = LinearQuadratic.optimalGain case.Problem |> Option.get
              let policy = { case.Policy with Gain = gain }
              let best = LinearQuadratic.values case.Problem policy |> Option.get
              let gradient = LinearQuadratic.gradient case.Problem best
              Expect.isLessThan (gradient.L2Norm()) (1e-7 * (1.0 + abs best.Eta)) "‖∇η‖"

              Expect.isLessThanOrEqual
                  (LinearQuadratic.eta case.Problem (LinearQuadratic.changed change best))
                  (best.Eta + 1e-9 * (1.0 + abs best.Eta))
                  "η nearby"

              Expect.isLessThanOrEqual case.Values.Eta (best.Eta + 1e-9 * (1.0 + abs best.Eta)) "η of the case") ]

/// The discounted return of an episode with the linear policy.
let private discountedReturn case (environment: Environment<_>) key =
    let root = case.Policy.Exploration.Cholesky().Factor
    let observation = Array.zeroCreate<float32> case.Problem.States

    let step (sum, discount, state) i =
        environment.Observe(state, observation.AsSpan())
        let s = Vector<float>.Build.DenseOfArray(Array.map float observation)
        let key = Key.at (int64 i) key
        let drawn = Vector<float>.Build.DenseOfArray(Key.normals case.Problem.Actions (Key.named "action" key))
        let action = (-case.Policy.Gain * s + root * drawn).ToArray() |> Array.map float32
        let transition = environment.Step(Key.named "step" key, ReadOnlySpan action, state)
        sum + discount * transition.Reward, discount * case.Gamma, transition.State

    let sum, _, _ =
        List.fold
            step
            (0.0, 1.0, environment.Reset(Key.named "reset" key))
            [ 0 .. (if case.Gamma = 0.0 then 0 else 150) ]

    sum

let private example a b =
    { A = array2D [ [ a ] ]
      B = array2D [ [ b ] ]
      Q = array2D [ [ 1.0 ] ]
      R = array2D [ [ 1.0 ] ]
      W = array2D [ [ 0.0 ] ]
      S = array2D [ [ 1.0 ] ] }

let private scalarPolicy gain =
    { Gain = Matrix<float>.Build.Dense(1, 1, [| gain |])
      Exploration = Matrix<float>.Build.Dense(1, 1, [| 0.04 |]) }

let private steps =
    testList
        "linear-quadratic: steps"
        [ statisticOf 10 "η is the mean discounted return of episodes of the environment" cases (fun case ->
              let environment = LinearQuadratic.environment case.Problem infinity
              let returns = Array.init 2_000 (fun i -> discountedReturn case environment (Key.ofSeed (int64 i)))
              let mean = Array.average returns
              let variance = returns |> Array.averageBy (fun x -> (x - mean) * (x - mean))
              Expect.isLessThan (abs (mean - case.Values.Eta)) (4.0 * sqrt (variance / 2_000.0)) "mean return")

          property "TRPO's step gains L, and its mean KL is at most δ" cases (fun case ->
              for delta in [ 1e-4; 0.01; 1.0 ] do
                  match LinearQuadratic.trustRegionChange case.Problem delta case.Values with
                  | None ->
                      Expect.isLessThan ((LinearQuadratic.gradient case.Problem case.Values).L2Norm()) 1e-9 "‖∇η‖"
                  | Some change ->
                      Expect.isGreaterThan (LinearQuadratic.surrogateGain case.Problem case.Values change) 0.0 "L"

                      Expect.isLessThanOrEqual
                          (LinearQuadratic.meanKl case.Problem case.Values change)
                          (delta * (1.0 + 1e-9))
                          "mean KL")

          // With one action, Δ = −tΣE, so what L gains in a state has the same sign in all: t (tΣG − 2) Σ (Es)².
          property "with one action, TRPO's steps never lower η" (casesOf [ 1 ]) (fun case ->
              for delta in [ 1e-4; 0.01; 1.0; 100.0 ] do
                  match LinearQuadratic.trustRegionChange case.Problem delta case.Values with
                  | None -> ()
                  | Some change ->
                      Expect.isGreaterThanOrEqual
                          (LinearQuadratic.eta case.Problem (LinearQuadratic.changed change case.Values))
                          (case.Values.Eta - 1e-9 * scale case)
                          "η")

          test "beyond the edge of stability η is −∞, where L is finite" {
              // √0.81 |1.2 − K| < 1 for K in (0.0889, 2.3111).
              let problem = LinearQuadratic.create "scalar" 0.81 (example 1.2 1.0) |> expectOk
              let eta gain = LinearQuadratic.eta problem (scalarPolicy gain)
              let edge = 1.2 + 1.0 / 0.9
              Expect.isTrue (Double.IsFinite(eta (edge - 1e-9))) "before the edge"
              Expect.equal (eta (edge + 1e-9)) -infinity "beyond the edge"
              Expect.equal (eta nan) -infinity "a gain that is not finite"
              let steep = LinearQuadratic.create "steep" 0.81 (example 1.2 1e200) |> expectOk
              Expect.equal (LinearQuadratic.eta steep (scalarPolicy 1e200)) -infinity "dynamics that are not finite"

              // By hand: P = (1 + K²) / (1 − γ(1.2 − K)²), and η = −P S − (Σ + γ P Σ)/(1 − γ).
              let p = (1.0 + 0.25) / (1.0 - 0.81 * 0.49)
              expectClose 1e-12 (eta 0.5) (-p - (0.04 + 0.81 * p * 0.04) / 0.19) "η"

              let values = LinearQuadratic.values problem (scalarPolicy 0.5) |> Option.get
              let change = LinearQuadratic.gradient problem values
              let far = Matrix<float>.Build.Dense(1, 1, [| 4.0 |])
              Expect.isGreaterThan change[0, 0] 0.0 "∇η"
              Expect.isTrue (Double.IsFinite(LinearQuadratic.surrogateGain problem values far)) "L"
              Expect.equal (LinearQuadratic.eta problem (LinearQuadratic.changed far values)) -infinity "a step too far"
          }

          test "tables that are no problem are refused, with the reason" {
              let valid = example 1.0 1.0

              let refused gamma tables (part: string) =
                  match LinearQuadratic.create "problem" gamma tables with
                  | Ok _ -> failtest $"{part} was expected"
                  | Error fault -> Expect.stringContains (string fault) part "the reason"

              refused 1.0 valid "γ = 1"
              refused nan valid "γ = NaN"
              refused 0.9 { valid with R = array2D [ [ 0.0 ] ] } "R is not positive definite"
              refused 0.9 { valid with Q = array2D [ [ -1.0 ] ] } "Q has a negative eigenvalue"
              refused 0.9 { valid with A = array2D [ [ nan ] ] } "A is not finite"
              refused 0.9 { valid with B = array2D [ [ 1.0 ]; [ 1.0 ] ] } "B is 2 × 1, and must be 1 × 1"

              let two = array2D [ [ 1.0; 0.5 ]; [ 0.0; 1.0 ] ]

              refused 0.9 { A = two; B = two; Q = two; R = two; W = two; S = two } "Q is not symmetric"
          }

          test "a policy of another shape is a misuse" {
              let problem = LinearQuadratic.create "scalar" 0.9 (example 1.0 1.0) |> expectOk
              let wide = { scalarPolicy 0.5 with Gain = Matrix<float>.Build.Dense(1, 2) }
              Expect.throwsT<ArgumentException> (fun () -> LinearQuadratic.eta problem wide |> ignore) "a wide gain"

              Expect.throwsT<ArgumentException>
                  (fun () ->
                      LinearQuadratic.values problem (scalarPolicy 0.5)
                      |> Option.get
                      |> LinearQuadratic.trustRegionChange problem 0.0
                      |> ignore)
                  "δ = 0"
          } ]


let tests = testList "linear-quadratic problems" [ values; steps ]
