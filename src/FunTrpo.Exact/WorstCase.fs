/// The trust-region step with a limit on the KL in the worst row of a batch instead of on the mean, for policies with few parameters.
/// It solves the quadratic model of TRPO with the maximum over the states (Schulman et al. 2015, "Trust region policy optimization",
/// equation 11 in place of 12),
///
///     max gᵀx   subject to   ½ xᵀF_n x ≤ δ   for every row n.
///
/// For weights w of the rows that sum to 1, and F_w = Σ w_n F_n, every such x has ½ xᵀF_w x ≤ δ, so gᵀx ≤ √(2δ gᵀF_w⁻¹g). The smallest of
/// these bounds is the maximum itself (strong duality), and the step lies along F_w⁻¹g. This is a natural gradient whose Fisher matrix
/// weights only the rows in which the policy changes most.
module FunTrpo.Exact.WorstCase

open System
open FunTrpo.Exact.RowFisher

/// A step with its gain and an upper bound of the gain.
type Step =
    {
        X: float[]
        /// gᵀx
        Gain: float
        /// √(2δ gᵀF_w⁻¹g) plus its rounding error: no step within the limit gains more. Infinite if the rounding error is as large as the
        /// bound.
        Bound: float
        /// w: the multipliers of the rows, normalised to sum to 1.
        Weights: float[]
        /// The number of Newton steps.
        Iterations: int
    }

/// The directions that change some row beyond rounding (the columns of V), each with its singular value s. In the coordinates
/// x = V S⁻¹ z the mean of the F_n is the identity.
let private axesOf (rows: Row[]) =
    let vectors = weighted (uniform rows) rows
    Triangular.axes vectors[0].Length vectors

let private nothing (rows: Row[]) parameters =
    { X = Array.zeroCreate parameters; Gain = 0.0; Bound = 0.0; Weights = uniform rows; Iterations = 0 }

/// √(gᵀF_w⁻¹g) plus its rounding error. It is the largest gain gᵀz within zᵀF_w z ≤ 1, reached along F_w⁻¹g. Rounding of the vectors in
/// their last digits changes the limit there in proportion to the sizes of the vectors and of the step.
let private boundOf (weights: float[]) (rows: Row[]) g =
    let vectors = weighted weights rows
    let r = Triangular.ofVectors (Array.length g) vectors
    let solvedG = Triangular.solveTransposed r g
    let best = Triangular.solve r solvedG
    let bound = sqrt (dot solvedG solvedG)

    let rounding =
        1e-15 * float g.Length * sqrt ((vectors |> Array.sumBy (fun a -> dot a a)) * dot best best)

    if rounding < bound then bound / (1.0 - rounding / bound) else infinity

/// `step` for a gradient and rows that are not all 0. The parameters are scaled so that all have the same largest effect on a row.
let private stepOfScaled gap (g: float[]) (rows: Row[]) =
    let axes = axesOf rows
    let along v = axes |> Array.map (fun (axis, _) -> dot axis v)
    let projectedG = along g

    // The part of g outside the directions that change a row.
    let beyond =
        Array.fold2 (fun rest (axis, _) size -> Array.map2 (fun r a -> r - size * a) rest axis) g axes projectedG

    if sqrt (dot beyond beyond) > 1e-12 * sqrt (dot g g) then
        None
    else
        let whiten v = Array.map2 (fun (_, size) x -> x / size) axes (along v)
        let c = whiten g
        let size = sqrt (dot c c)

        let best, iterations, weights =
            BarrierMethod.solveWithFew gap (rows |> Array.map (Array.map whiten)) (scaled (1.0 / size) c)

        let projected = rows |> Array.map (Array.map along)

        let direction =
            Array.fold2
                (fun x (axis, size) z -> Array.map2 (fun xi a -> xi + z / size * a) x axis)
                (Array.zeroCreate g.Length)
                axes
                best.Z

        Some(direction, boundOf weights projected projectedG, weights, iterations)

let private requireProblem gap delta (gradient: float[]) (rows: Row[]) =
    if not (gap > 0.0 && gap < 1.0) then
        invalidArg (nameof gap) $"gap = {gap} is not between 0 and 1"

    if not (delta > 0.0 && Double.IsFinite delta) then
        invalidArg (nameof delta) $"delta = {delta} is not positive and finite"

    if not (Array.forall Double.IsFinite gradient) then
        invalidArg (nameof gradient) "a number of the gradient is not finite"

    let isRight (a: float[]) = a.Length = gradient.Length && Array.forall Double.IsFinite a

    if not (Array.forall (Array.forall isRight) rows) then
        invalidArg (nameof rows) $"a vector has not {gradient.Length} finite numbers"

/// Returns the step with the largest gain whose KL is at most `delta` in every row. The relative difference between `Gain` and `Bound` is
/// at most `gap`, unless rounding prevents this. The worst row is exactly at the limit. The result does not depend on the units of the
/// parameters.
///
/// Returns none if a direction gains and changes no row, because its step would be unbounded. For this decision the parameters are scaled
/// to the same largest effect on a row, and changes below 10⁻¹³ of the largest change or 10⁻¹² of the gradient count as 0. Arguments
/// outside their ranges throw `ArgumentException`.
let step gap delta (gradient: float[]) (rows: Row[]) =
    requireProblem gap delta gradient rows

    if Array.forall ((=) 0.0) gradient then
        Some(nothing rows gradient.Length)
    elif Array.forall (Array.forall (Array.forall ((=) 0.0))) rows then
        None
    else
        // A parameter that changes no row may have any unit.
        let units = sizesOf rows gradient.Length |> Array.map (fun size -> if size > 0.0 then size else 1.0)
        let inUnits = Array.map2 (fun unit x -> x / unit) units

        stepOfScaled gap (inUnits gradient) (rows |> Array.map (Array.map inUnits))
        |> Option.map (fun (direction, bound, weights, iterations) ->
            let direction = inUnits direction
            let length = sqrt (2.0 * delta / worst rows direction)
            let x = direction |> Array.map (fun xi -> length * xi)

            { X = x
              Gain = dot gradient x
              Bound = sqrt (2.0 * delta) * bound
              Weights = weights
              Iterations = iterations })
