/// Maximises a linear function within quadratic limits, max cᵀz subject to zᵀF_n z ≤ 1 for every row n, by Newton's method on a logarithmic
/// barrier (Boyd and Vandenberghe, "Convex optimization", chapter 11).
module internal FunTrpo.Exact.BarrierMethod

open FunTrpo.Exact.RowFisher

/// An iterate of Newton's method: a z inside all limits zᵀF_n z ≤ 1, and the numbers computed from it.
type Iterate =
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
    let hessian = Triangular.ofVectors c.Length (Array.append weighted alongs)
    let solvedGradient = Triangular.solveTransposed hessian gradient
    let solvedC = Triangular.solveTransposed (Triangular.ofVectors c.Length weighted) c // by the root of Σ 2 F / s = 2 total · F_w

    { Z = z
      Weights = slacks |> Array.map (fun slack -> 1.0 / (slack * total))
      Gain = dot c z / sqrt (1.0 - Array.min slacks)
      Bound = sqrt (2.0 * total * dot solvedC solvedC)
      Newton = Triangular.solve hessian solvedGradient |> scaled -1.0
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
let solveWithFew gap (rows: Row[]) (c: float[]) =
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
