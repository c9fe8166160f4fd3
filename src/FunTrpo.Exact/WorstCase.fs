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
open MathNet.Numerics.LinearAlgebra

/// The Fisher matrix F = Σ a aᵀ of a row, as its vectors a: the rows of RJ, where J is the Jacobian of the distribution's parameters and
/// RᵀR their metric. There are at most as many vectors as the distribution has parameters.
type Row = float[][]

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

let private dot (a: float[]) (b: float[]) =
    let mutable sum = 0.0

    for i in 0 .. a.Length - 1 do
        sum <- sum + a[i] * b[i]

    sum

/// Returns xᵀF x.
let quadratic (row: Row) x =
    let mutable sum = 0.0

    for a in row do
        let ax = dot a x
        sum <- sum + ax * ax

    sum

/// The maximum of xᵀF_n x over the rows.
let private worst (rows: Row[]) x =
    let mutable largest = 0.0

    for row in rows do
        largest <- max largest (quadratic row x)

    largest

/// Returns F_w = Σ w_n F_n.
let fisher (weights: float[]) (rows: Row[]) =
    let size = rows |> Array.pick Array.tryHead |> Array.length
    let sum = Array2D.zeroCreate size size

    for n in 0 .. rows.Length - 1 do
        for a in rows[n] do
            for i in 0 .. size - 1 do
                for j in 0 .. size - 1 do
                    sum[i, j] <- sum[i, j] + weights[n] * a[i] * a[j]

    Matrix<float>.Build.DenseOfArray sum

let private uniform (rows: Row[]) = Array.create rows.Length (1.0 / float rows.Length)

/// R with RᵀR = Σ v vᵀ, by Householder reflections of the matrix whose rows are the v. This loses only half as many digits as forming the
/// sum and its Cholesky factor. Large rows come first, which keeps the small ones exact.
let private triangular size (vectors: float[][]) =
    let sorted = vectors |> Array.sortByDescending (fun v -> dot v v)
    let count = max size sorted.Length

    let columns =
        Array.init size (fun j -> Array.init count (fun i -> if i < sorted.Length then sorted[i][j] else 0.0))

    for k in 0 .. size - 1 do
        let column = columns[k]
        let mutable square = 0.0

        for i in k .. count - 1 do
            square <- square + column[i] * column[i]

        let norm = if column[k] > 0.0 then -(sqrt square) else sqrt square
        let first = column[k] - norm

        // I − 2 u uᵀ / uᵀu with u = column − norm · e, for which uᵀu = −2 norm · first.
        if first <> 0.0 then
            for j in k + 1 .. size - 1 do
                let other = columns[j]
                let mutable product = first * other[k]

                for i in k + 1 .. count - 1 do
                    product <- product + column[i] * other[i]

                let factor = product / (norm * first)
                other[k] <- other[k] + factor * first

                for i in k + 1 .. count - 1 do
                    other[i] <- other[i] + factor * column[i]

        column[k] <- norm

    columns

/// R⁻ᵀv, where R is given by its columns.
let private forward (r: float[][]) (v: float[]) =
    let x = Array.copy v

    for j in 0 .. x.Length - 1 do
        for i in 0 .. j - 1 do
            x[j] <- x[j] - r[j][i] * x[i]

        x[j] <- x[j] / r[j][j]

    x

/// R⁻¹v
let private backward (r: float[][]) (v: float[]) =
    let x = Array.copy v

    for j in x.Length - 1 .. -1 .. 0 do
        x[j] <- x[j] / r[j][j]

        for i in 0 .. j - 1 do
            x[i] <- x[i] - r[j][i] * x[j]

    x

/// The vectors √w a, with F_w = Σ (√w a)(√w a)ᵀ.
let private weighted (weights: float[]) (rows: Row[]) =
    Array.map2 (fun w row -> row |> Array.map (Array.map (fun x -> sqrt w * x))) weights rows
    |> Array.concat

/// The largest |a_i| over all vectors, for each parameter i: its largest effect on a row.
let private sizesOf (rows: Row[]) parameters =
    let largest = Array.zeroCreate parameters

    for row in rows do
        for a in row do
            for i in 0 .. parameters - 1 do
                largest[i] <- max largest[i] (abs a[i])

    largest

/// The directions that change some row beyond rounding (the columns of V), each with its singular value s. In the coordinates
/// x = V S⁻¹ z the mean of the F_n is the identity.
let private axesOf (rows: Row[]) =
    let vectors = weighted (uniform rows) rows
    let size = vectors[0].Length
    let columns = triangular size vectors
    let r = Matrix<float>.Build.Dense(size, size, fun i j -> if i <= j then columns[j][i] else 0.0)
    let decomposition = r.Svd true
    let sizes = decomposition.S.ToArray()

    [| for i in 0 .. sizes.Length - 1 do
           if sizes[i] > 1e-13 * sizes[0] then
               decomposition.VT.Row(i).ToArray(), sizes[i] |]

/// An iterate of Newton's method: a z inside all limits zᵀF_n z ≤ 1, and the numbers computed from it.
type private Iterate =
    {
        Z: float[]
        /// w_n ∝ 1/(1 − zᵀF_n z)
        Weights: float[]
        /// The gain after z is scaled to the limit.
        Gain: float
        /// The upper bound of the gain with these weights.
        Bound: float
        /// The Newton step of the barrier −t cᵀz − Σ log(1 − zᵀF_n z).
        Newton: float[]
        /// The square of the Newton step's length in the Hessian.
        Decrement: float
    }

/// The barrier −t cᵀz − Σ log(1 − zᵀF_n z). Infinite if a limit is violated.
let private barrier rows t (c: float[]) z =
    let mutable sum = -t * dot c z

    for row in rows do
        let slack = 1.0 - quadratic row z
        sum <- sum - (if slack > 0.0 then log slack else -infinity)

    sum

/// F z of a row.
let private product (row: Row) (z: float[]) =
    let fz = Array.zeroCreate z.Length

    for a in row do
        let az = dot a z

        for i in 0 .. z.Length - 1 do
            fz[i] <- fz[i] + az * a[i]

    fz

let private scaled (weight: float) = Array.map (fun (x: float) -> weight * x)

let private iterate (rows: Row[]) t (c: float[]) z =
    let slacks = rows |> Array.map (fun row -> 1.0 - quadratic row z)
    let total = slacks |> Array.sumBy (fun slack -> 1.0 / slack)
    let products = rows |> Array.map (fun row -> product row z)

    // With s the slack: ∇ = −t c + Σ 2 F z / s and ∇² = Σ 2 F / s + Σ 4 (F z)(F z)ᵀ / s².
    let gradient = scaled -t c

    for n in 0 .. rows.Length - 1 do
        for i in 0 .. c.Length - 1 do
            gradient[i] <- gradient[i] + 2.0 / slacks[n] * products[n][i]

    let weighted = weighted (slacks |> Array.map (fun slack -> 2.0 / slack)) rows
    let alongs = Array.map2 (fun fz slack -> scaled (2.0 / slack) fz) products slacks
    let hessian = triangular c.Length (Array.append weighted alongs)
    let solvedGradient = forward hessian gradient
    let solvedC = forward (triangular c.Length weighted) c // by the root of Σ 2 F / s = 2 total · F_w

    { Z = z
      Weights = slacks |> Array.map (fun slack -> 1.0 / (slack * total))
      Gain = dot c z / sqrt (1.0 - Array.min slacks)
      Bound = sqrt (2.0 * total * dot solvedC solvedC)
      Newton = backward hessian solvedGradient |> scaled -1.0
      Decrement = dot solvedGradient solvedGradient }

/// If the decrement is below this, the full Newton step stays inside the limits and the next step is far shorter, because the barrier is
/// self-concordant.
let private isNear = 0.1

let private mostIterations = 500

/// max cᵀz subject to zᵀF_n z ≤ 1, by Newton's method on a barrier whose weight is lowered until the relative gap between gain and bound
/// is small enough. The bound holds for any weights, so the barrier affects only the speed, and not the validity of the bound.
let private solve gap (rows: Row[]) (c: float[]) =
    let inside = 0.5 / sqrt (worst rows c)

    // Halves the Newton step until the barrier decreases enough (Armijo's rule) and all limits are kept.
    let advance t (current: Iterate) =
        let along length = Array.map2 (fun z d -> z + length * d) current.Z current.Newton
        let before = barrier rows t c current.Z

        let rec attempt length =
            let z = along length

            if barrier rows t c z <= before - 0.25 * length * current.Decrement then Some z
            elif length > 1e-10 then attempt (0.5 * length)
            else None

        if current.Decrement < isNear then Some(along 1.0) else attempt 1.0

    // At the minimum of the barrier the absolute gap is at most the number of rows over t.
    let promised t z = float rows.Length / (t * dot c z)

    let rec go iterations t z =
        let current = iterate rows t c z
        let isThere = current.Gain >= (1.0 - gap) * current.Bound

        if isThere || iterations >= mostIterations then
            current, iterations
        elif current.Decrement < isNear && promised t z > 0.5 * gap then
            go iterations (10.0 * t) z
        elif current.Decrement < 1e-14 then
            current, iterations // at the minimum, up to rounding
        else
            match advance t current with
            | Some next -> go (iterations + 1) t next
            | None -> current, iterations // rounding prevents further progress

    let start = c |> Array.map (fun ci -> inside * ci)
    go 0 (float rows.Length / inside) start

/// The number of rows that are added at a time.
let private rowsAtOnce = 8

/// The z with the largest gain within the limits of all rows, the number of Newton steps, and the weights of the rows. Few rows reach
/// their limit, so the problem is solved with few of them. The rows whose limits the last solution violates are added, until no
/// relevant row is missing. The mean of the F_n, which is the identity here, is included from the start: its limit follows from the
/// others, and it bounds every direction.
let private solveWithFew gap (rows: Row[]) (c: float[]) =
    let identity: Row =
        Array.init c.Length (fun i -> Array.init c.Length (fun j -> if i = j then 1.0 else 0.0))

    // The first solutions only have to find the rows that matter, so they need less accuracy.
    let rec go iterations inner (chosen: int[]) =
        let few = Array.append [| identity |] (chosen |> Array.map (fun n -> rows[n]))
        let best, more = solve inner few c
        let iterations = iterations + more

        // Scaled to the limit of the chosen rows.
        let z = scaled (1.0 / sqrt (worst few best.Z)) best.Z
        let rowValues = rows |> Array.map (fun row -> quadratic row z)
        let most = Array.max rowValues

        let broken =
            [| for n in 0 .. rows.Length - 1 do
                   if rowValues[n] > 1.0 then
                       n |]
            |> Array.except chosen

        let isThere = dot c z / sqrt most >= (1.0 - gap) * best.Bound

        if isThere || broken.Length = 0 && inner <= 0.5 * gap then
            // The weight of the mean is that of all rows.
            let weights = Array.create rows.Length (best.Weights[0] / float rows.Length)
            chosen |> Array.iteri (fun i n -> weights[n] <- weights[n] + best.Weights[i + 1])
            { best with Z = z }, iterations, weights
        else
            let worstFew = broken |> Array.sortByDescending (fun n -> rowValues[n]) |> Array.truncate rowsAtOnce
            let next = if broken.Length = 0 || most < 1.0 + inner then max (0.5 * gap) (0.01 * inner) else inner
            go iterations next (Array.append chosen worstFew)

    go 0 (max (0.5 * gap) 0.01) [||]

let private nothing (rows: Row[]) parameters =
    { X = Array.zeroCreate parameters; Gain = 0.0; Bound = 0.0; Weights = uniform rows; Iterations = 0 }

/// √(gᵀF_w⁻¹g) plus its rounding error. It is the largest gain gᵀz within zᵀF_w z ≤ 1, reached along F_w⁻¹g. Rounding of the vectors in
/// their last digits changes the limit there in proportion to the sizes of the vectors and of the step.
let private boundOf (weights: float[]) (rows: Row[]) g =
    let vectors = weighted weights rows
    let r = triangular (Array.length g) vectors
    let solvedG = forward r g
    let best = backward r solvedG
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
            solveWithFew gap (rows |> Array.map (Array.map whiten)) (scaled (1.0 / size) c)

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
