module FunTrpo.Tests.ConjugateGradientTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open MathNet.Numerics.LinearAlgebra
open FunTrpo
open FunTrpo.Tests.Generators

type private Dense = Matrix<float>

/// A x = b with A = Q diag(eigenvalues) Qᵀ, and Q a random rotation.
type private System = { Eigenvalues: float[]; A: Dense; B: Vector }

let private rotation n key =
    let normals = Key.normals (n * n) key
    Matrix<float>.Build.Dense(n, n, normals).QR().Q

let private toFloat (v: Vector) = Vector<float>.Build.Dense(Array.init v.Length (fun i -> float v[i]))

let private ofFloat (v: Vector<float>) = Vector.init v.Count (fun i -> float32 v[i])

let private systemOf (eigenvalues: float[]) key =
    let n = eigenvalues.Length
    let q = rotation n (Key.named "rotation" key)
    let a = q * Matrix<float>.Build.DenseOfDiagonalArray eigenvalues * q.Transpose()

    { Eigenvalues = eigenvalues
      A = a
      B = Key.normals n (Key.named "b" key) |> Array.map float32 |> Vector.ofArray }

/// Symmetric positive definite, of a condition number between 1 and 10⁴ and any scale.
let private definite =
    Gen.map3
        (fun seed n (logCondition, logScale) ->
            let key = Key.ofSeed seed
            let inner = Key.uniforms n (Key.named "eigenvalues" key)

            let exponents =
                inner
                |> Array.mapi (fun i u ->
                    if i = 0 then 0.0
                    elif i = n - 1 then 1.0
                    else u)

            systemOf (exponents |> Array.map (fun e -> 10.0 ** (logScale + logCondition * e))) key)
        seeds
        (Gen.choose (1, 30))
        (Gen.zip (Gen.choose (0, 400)) (Gen.choose (-300, 300))
         |> Gen.map (fun (c, s) -> float c / 100.0, float s / 100.0))
    |> Arb.fromGen

/// v ↦ A v, with float32 at both ends as in the pipeline.
let private product (a: Dense) (v: Vector) = ofFloat (a * toFloat v)

let private trySolve settings (apply: Vector -> Vector) b = ConjugateGradient.solve settings (linearMapOf apply) b

let private solve settings apply b = trySolve settings apply b |> Option.get

let private condition system = Array.max system.Eigenvalues / Array.min system.Eigenvalues

let private settings iterations tolerance = { Iterations = iterations; Tolerance = tolerance }

/// Half a unit in the last place of a float32, relatively.
let private epsilon = 6e-8

let private trueResidual system (x: Vector) =
    let b = toFloat system.B
    (b - system.A * toFloat x).L2Norm() / b.L2Norm()

let private isVanishing solution =
    match solution.Stop with
    | VanishingCurvature _ -> true
    | _ -> false

let private solving =
    testList
        "on symmetric positive definite systems of condition number ≤ 10⁴"
        [ // Rounding delays convergence. Of 60,000 systems, two needed more than 2n iterations, and none 3n.
          testProperty "converges within 3n iterations to max(10⁻⁶, 10⁻⁹κ²)"
          <| Prop.forAll definite (fun system ->
              let n = system.B.Length
              let tolerance = max 1e-6 (1e-9 * condition system ** 2.0)

              let solution = solve (settings (3 * n) tolerance) (product system.A) system.B

              solution.Stop = Converged && solution.Iterations <= 3 * n && solution.Residual <= tolerance)

          testProperty "after 2n iterations is at the direct solver's solution: ‖x − x*‖_A ≤ (10⁻⁶ + 2 κ√κ ε₃₂) ‖x*‖_A"
          <| Prop.forAll definite (fun system ->
              let solution = solve (settings (2 * system.B.Length) 1e-8) (product system.A) system.B

              let exact = system.A.Cholesky().Solve(toFloat system.B)
              let error = toFloat solution.X - exact
              let energy (v: Vector<float>) = sqrt (v * (system.A * v))
              energy error <= (1e-6 + 2.0 * condition system ** 1.5 * epsilon) * energy exact)

          testProperty "the reported residual is the true one, to 10 κ ε₃₂"
          <| Prop.forAll definite (fun system ->
              [ 1; 3; 2 * system.B.Length ]
              |> List.forall (fun iterations ->
                  let solution = solve (settings iterations 1e-5) (product system.A) system.B

                  abs (trueResidual system solution.X - solution.Residual) <= 10.0 * condition system * epsilon))

          testProperty "the curvatures lie between the smallest and the largest eigenvalue"
          <| Prop.forAll definite (fun system ->
              let solution = solve (settings (2 * system.B.Length) 1e-5) (product system.A) system.B

              let largest = Array.max system.Eigenvalues
              let slack = 10.0 * epsilon * largest

              solution.Curvatures.Length = solution.Iterations
              && solution.Curvatures
                 |> Seq.forall (fun c -> Array.min system.Eigenvalues - slack <= c && c <= largest + slack))

          testProperty "the residual history starts at 1, and the last of it is the first within the tolerance"
          <| Prop.forAll definite (fun system ->
              let tolerance = 1e-4

              let solution = solve (settings (2 * system.B.Length) tolerance) (product system.A) system.B

              let residuals = List.ofSeq solution.Residuals

              residuals.Head = 1.0
              && solution.Residual = List.last residuals
              && residuals |> List.take solution.Iterations |> List.forall (fun r -> r > tolerance)
              && (solution.Stop = Converged) = (solution.Residual <= tolerance))

          testProperty "each iteration lowers the energy ½xᵀAx − bᵀx"
          <| Prop.forAll definite (fun system ->
              let energy iterations =
                  let x = (solve (settings iterations 1e-5) (product system.A) system.B).X |> toFloat

                  0.5 * (x * (system.A * x)) - toFloat system.B * x

              let energies = List.init 6 (fun k -> energy (k + 1))
              let slack = 10.0 * condition system * epsilon * abs (List.last energies)
              List.pairwise (0.0 :: energies) |> List.forall (fun (before, after) -> after <= before + slack))

          testProperty "never makes more iterations or products than it may"
          <| Prop.forAll (Gen.zip (Arb.toGen definite) (Gen.choose (1, 12)) |> Arb.fromGen) (fun (system, limit) ->
              let mutable products = 0

              let counted v =
                  products <- products + 1
                  product system.A v

              let solution = solve (settings limit 0.0) counted system.B

              solution.Iterations <= limit
              && products <= limit
              && (solution.Stop <> IterationLimit || solution.Iterations = limit && products = limit))

          testProperty "is a pure function, and doubling b doubles x to the last bit"
          <| Prop.forAll (Gen.zip (Arb.toGen definite) (Gen.choose (-20, 20)) |> Arb.fromGen) (fun (system, power) ->
              let solveFor b = solve (settings 10 1e-5) (product system.A) b

              let scaled = Vector.map (fun x -> MathF.ScaleB(x, power))
              let solution = solveFor system.B

              solution = solveFor system.B && (solveFor (scaled system.B)).X = scaled solution.X) ]

/// A definite system one of whose eigenvalues is replaced.
let private withEigenvalue replacement =
    Gen.map2
        (fun seed n ->
            let key = Key.ofSeed seed

            let eigenvalues = Key.uniforms n (Key.named "eigenvalues" key) |> Array.map (fun u -> 0.5 + u)

            eigenvalues[n / 2] <- replacement
            let system = systemOf eigenvalues key
            // b leans towards the direction of that eigenvalue, so that it cannot be overlooked.
            let q = rotation n (Key.named "rotation" key)
            { system with B = ofFloat (toFloat system.B + q.Column(n / 2)) })
        seeds
        (Gen.choose (1, 12))

/// What the solver had when it stopped is what it has after that many iterations: nothing of the bad direction is in it.
let private keepsWhatItHad apply b (solution: Solution) =
    let again = solve (settings solution.Iterations 0.0) apply b

    Vector.isFinite solution.X
    && (if solution.Iterations = 0 then
            solution.X = Vector.zero b.Length
        else
            again.X = solution.X && again.Residuals = solution.Residuals)

let private stopping =
    testList
        "stops with what it has"
        [ testProperty "on negative curvature"
          <| Prop.forAll (Gen.elements [ -2.0; -0.5; -0.01 ] |> Gen.bind withEigenvalue |> Arb.fromGen) (fun system ->
              let solution = solve (settings 50 1e-6) (product system.A) system.B

              match solution.Stop with
              | VanishingCurvature pAp ->
                  pAp <= 0.0
                  && solution.Curvatures[solution.Curvatures.Length - 1] <= 0.0
                  && solution.Curvatures.Length = solution.Iterations + 1
                  && keepsWhatItHad (product system.A) system.B solution
              | _ -> false)

          testProperty "on zero curvature: a singular diagonal matrix, and b not in its range"
          <| Prop.forAll (Gen.zip seeds (Gen.choose (1, 12)) |> Arb.fromGen) (fun (seed, n) ->
              let key = Key.ofSeed seed
              let diagonal = Key.uniforms n (Key.named "diagonal" key) |> Array.map (fun u -> 0.5 + u)
              diagonal[n / 2] <- 0.0
              let apply v = Vector.init n (fun i -> float32 diagonal[i] * (v: Vector)[i])
              let b = Vector.init n (fun i -> if i = n / 2 then 1f else float32 (Key.normal (Key.at (int64 i) key)))
              let solution = solve (settings 50 1e-6) apply b
              isVanishing solution && keepsWhatItHad apply b solution)

          testProperty "on the zero matrix: x = 0 after no iteration"
          <| Prop.forAll (Gen.zip seeds (Gen.choose (1, 12)) |> Arb.fromGen) (fun (seed, n) ->
              let b = Key.normals n (Key.ofSeed seed) |> Array.map float32 |> Vector.ofArray
              let solution = solve (settings 10 1e-6) (fun v -> Vector.zero v.Length) b
              solution.X = Vector.zero n && solution.Iterations = 0 && solution.Stop = VanishingCurvature 0.0)

          testProperty "on a product that is NaN or infinite"
          <| Prop.forAll
              (Gen.zip3
                  (Arb.toGen definite)
                  (Gen.choose (0, 4))
                  (Gen.elements [ Single.NaN; Single.PositiveInfinity; Single.NegativeInfinity ])
               |> Arb.fromGen)
              (fun (system, good, bad) ->
                  let mutable products = 0

                  let apply v =
                      products <- products + 1
                      let healthy = product system.A v

                      if products <= good then
                          healthy
                      else
                          Vector.init healthy.Length (fun i -> if i = good % healthy.Length then bad else healthy[i])

                  match trySolve (settings 50 1e-6) apply system.B with
                  // Small systems are solved before the product goes bad.
                  | Some solution -> solution.Stop = Converged && solution.Iterations <= good && products <= good
                  | None -> products = good + 1)

          testProperty "on a right-hand side that is not finite: no solution, and no product is asked for"
          <| Prop.forAll
              (Gen.zip (Gen.choose (1, 12)) (Gen.elements [ Single.NaN; Single.PositiveInfinity ]) |> Arb.fromGen)
              (fun (n, bad) ->
                  let b = Vector.init n (fun i -> if i = n / 2 then bad else 1f)
                  trySolve (settings 10 1e-6) (fun _ -> failtest "a product") b = None)

          testProperty "at once where b = 0: x = 0, converged, and no product is asked for"
          <| Prop.forAll (Gen.choose (1, 12) |> Arb.fromGen) (fun n ->
              let solution = solve (settings 10 1e-6) (fun _ -> failtest "a product") (Vector.zero n)

              solution.X = Vector.zero n
              && solution.Stop = Converged
              && solution.Iterations = 0
              && solution.Residual = 0.0) ]

let tests = testList "Conjugate gradient" [ solving; stopping ]
