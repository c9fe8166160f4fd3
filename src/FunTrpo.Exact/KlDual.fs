/// Solves  max Σ_a π(a) w(a)  for one state, with a price for KL(p ‖ π) or a limit on it: exactly, by the one-dimensional duals.
///
/// If p(a) > 0 for all a, the solution is π(a) = λ p(a) / (ν − w(a)) with ν > max w. λ ≥ 0 is the multiplier of the KL, and ν that of
/// Σ π = 1. The code writes ν = max w + x and uses the gaps g(a) = max w − w(a), so ν − w = x + g has no cancellation. An action with
/// p(a) = 0 costs no KL. If the best of them has w > ν, then ν is set to this w, and the action has the remaining probability.
module FunTrpo.Exact.KlDual

open System
open MathNet.Numerics.RootFinding

/// The problem of one state: the actions with p > 0 (the support), and the best of the others. Gaps are scaled by `Unit`, so that no
/// product of two of them overflows or underflows.
type private Problem =
    {
        Actions: int
        /// The actions with p > 0.
        Support: int[]
        /// p of the support.
        Weights: float[]
        /// g = (max w − w) / unit of the support.
        Gaps: float[]
        /// Σ p of the actions in the support without a gap. It may be tiny; then the solution has a similarly tiny x.
        TopWeight: float
        /// The best action with p = 0, or −1 if there is none.
        Free: int
        /// (w of the free action − max w of the support) / unit. The free action is used only if this is positive.
        FreeExcess: float
        /// The largest gap, or the unscaled `FreeExcess` if that is larger; 1 if neither is positive.
        Unit: float
    }

let private requireProblem (p: float[]) (w: float[]) =
    if p.Length = 0 || w.Length <> p.Length then
        invalidArg (nameof w) $"{w.Length} numbers do not go with {p.Length} actions"

    if not (Array.forall (fun pi -> pi >= 0.0) p && abs (Array.sum p - 1.0) <= 1e-9) then
        invalidArg (nameof p) "a row of probabilities has no negative numbers, and they sum to 1"

    if not (Double.IsFinite(Array.max w - Array.min w)) then
        invalidArg (nameof w) "the values of actions are finite, and so are their differences"

let private problem (p: float[]) (w: float[]) =
    requireProblem p w

    let support =
        [| for a in 0 .. p.Length - 1 do
               if p[a] > 0.0 then
                   a |]

    let others =
        [| for a in 0 .. p.Length - 1 do
               if p[a] <= 0.0 then
                   a |]

    let top = support |> Seq.map (fun a -> w[a]) |> Seq.max
    let gaps = support |> Array.map (fun a -> top - w[a])
    let free = if others.Length = 0 then -1 else others |> Array.maxBy (fun a -> w[a])
    let beyond = if free < 0 then -1.0 else w[free] - top
    let largest = max (Array.max gaps) beyond
    let unit = if largest > 0.0 then largest else 1.0

    { Actions = p.Length
      Support = support
      Weights = support |> Array.map (fun a -> p[a])
      Gaps = gaps |> Array.map (fun g -> g / unit)
      TopWeight = support |> Seq.sumBy (fun a -> if w[a] = top then p[a] else 0.0)
      Free = free
      FreeExcess = beyond / unit
      Unit = unit }

/// x with its logarithm. If p is as small as 10⁻³⁰⁰, x may underflow although p / x is an ordinary number.
[<Struct>]
type private Point =
    {
        LogX: float
        X: float
        /// Σ p / x of the actions without a gap.
        TopShare: float
    }

let private pointAt problem logX =
    let x = exp logX
    // The quotient is accurate unless x is close to underflow.
    { LogX = logX
      X = x
      TopShare = (if x > 1e-290 then problem.TopWeight / x else exp (log problem.TopWeight - logX)) }

/// Σ p f(x + g) over the actions with a gap.
let inline private sumOfOthers problem ([<InlineIfLambda>] f: float -> float) =
    let mutable total = 0.0

    for i in 0 .. problem.Weights.Length - 1 do
        if problem.Gaps[i] > 0.0 then
            total <- total + problem.Weights[i] * f problem.Gaps[i]

    total

/// h in λ = x + h: the mean of the gaps with the weights p / (x + g).
let private meanGap problem point =
    sumOfOthers problem (fun g -> g / (point.X + g))
    / (point.TopShare + sumOfOthers problem (fun g -> 1.0 / (point.X + g)))

/// The multiplier λ = 1 / Σ p / (x + g) at which π sums to 1.
let private multiplierAt problem point = point.X + meanGap problem point

/// KL(p ‖ π) at x: Σ p (y − log(1 + y)) with y = π/p − 1 = (h − g) / (x + g).
let private klAt problem point =
    let h = meanGap problem point

    let othersPart =
        sumOfOthers problem (fun g -> Divergence.excess ((point.X + h) / (point.X + g)) ((h - g) / (point.X + g)))

    let y = h / point.X

    // y may overflow where p y does not.
    let topPart =
        if y < 1.0 then
            problem.TopWeight * Divergence.excess (1.0 + y) y
        else
            h * point.TopShare - problem.TopWeight * (log (point.X + h) - point.LogX)

    topPart + othersPart

/// The smallest probability in the support. Rounding must not make a probability 0, because the KL would be infinite.
let private smallest = 1e-300

/// The policy in which the support has the total probability `kept`, in proportion to p / (x + g), and the free action has the
/// probability `free`. `kept` + `free` = 1.
let private policyAt problem point kept free =
    let policy = Array.zeroCreate problem.Actions

    let share p g = if g = 0.0 then p / problem.TopWeight * point.TopShare else p / (point.X + g)
    let shares = Array.map2 share problem.Weights problem.Gaps
    let sum = Array.sum shares

    for i in 0 .. shares.Length - 1 do
        policy[problem.Support[i]] <- max (min smallest problem.Weights[i]) (kept * shares[i] / sum)

    if free > 0.0 then
        policy[problem.Free] <- free

    policy

let private isConstant problem = Array.forall ((=) 0.0) problem.Gaps

/// The search stays between e⁻⁶⁶⁰ and e⁶⁶⁰, so that products do not overflow or underflow.
let private largestLog = 660.0

/// Returns the logarithm of the x at which a positive, decreasing quantity equals the target, or the nearest end of [`least`, `most`].
/// The root of log(quantity / target) is found, so the result is relatively exact in any unit.
let private logDecreasingRoot target least most (quantity: float -> float) =
    let excess s = max -largestLog (log (quantity s / target))
    let mutable low = 0.0
    let mutable high = 0.0

    while low > least && excess low <= 0.0 do
        high <- low
        low <- max least (low - 2.0)

    while high < most && excess high > 0.0 do
        low <- high
        high <- min most (high + 2.0)

    if excess low <= 0.0 then low
    elif excess high > 0.0 then high
    else Brent.FindRoot(excess, low, high, 1e-15, 1000)

/// Returns the x > 0 at which a positive, decreasing quantity equals the target; or the largest or smallest x that the search allows.
/// The search begins at x = `scale`.
let internal decreasingRoot target scale (quantity: float -> float) =
    let least = max -largestLog (-largestLog - log scale)
    let most = min largestLog (largestLog - log scale)
    scale * exp (logDecreasingRoot target least most (fun s -> quantity (scale * exp s)))

/// The same for the x of a problem, which may be smaller by the factor `TopWeight`.
let private pointWhere target problem quantity =
    logDecreasingRoot target (log problem.TopWeight - largestLog) largestLog (pointAt problem >> quantity)
    |> pointAt problem

/// Returns a solution whose measure is at most the limit. Rounding can put the measure of a solution above its limit. Then the target is
/// lowered by the excess, and by twice, four times … the excess if that is not enough. None if the target is no longer positive.
let internal solveWithin limit (measure: 'Solution -> float) (solve: float -> 'Solution) =
    let rec go factor target =
        if target <= 0.0 then
            None
        else
            let solution = solve target
            let beyond = measure solution - limit
            if beyond <= 0.0 then Some solution else go (2.0 * factor) (target - factor * beyond)

    go 1.0 limit

/// A solution: the row π, its KL(p ‖ π) in nats, and the multiplier λ, the derivative of Σ π w in the KL limit.
[<Struct>]
type Solution = { Row: float[]; Kl: float; Multiplier: float }

let private solution p row multiplier = { Row = row; Kl = Divergence.klOfRows p row; Multiplier = multiplier }

let private unchanged p multiplier = { Row = Array.copy p; Kl = 0.0; Multiplier = multiplier }

/// 1 − e⁻ᵈ without cancellation for a small d.
let private oneMinusExp d =
    let t = Math.Tanh(0.5 * d)
    2.0 * t / (1.0 + t)

/// The point at which the KL is equal to the limit, with the probabilities of the support and of the free action there.
let private pointAtLimit problem limit =
    // ν equals the w of the free action, if that is better. If the support alone has a KL below the limit, scaling it by e⁻ᵈ adds d.
    let beyond = pointAt problem (log problem.FreeExcess)
    let d = if problem.FreeExcess > 0.0 then limit - klAt problem beyond else -1.0

    if d >= 0.0 then
        struct (beyond, exp -d, oneMinusExp d)
    else
        struct (pointWhere limit problem (klAt problem), 1.0, 0.0)

let private hasNoGain problem = isConstant problem && problem.FreeExcess <= 0.0

/// Returns λ at a KL limit: the derivative of the largest Σ π w in the limit.
let internal multiplierAtLimit limit p w =
    let problem = problem p w

    if hasNoGain problem then
        0.0
    else
        let struct (point, kept, _) = pointAtLimit problem limit
        problem.Unit * kept * multiplierAt problem point

/// Solves  max Σ π w  subject to  KL(p ‖ π) ≤ limit  for a row p of probabilities. The computed KL of the solution is never above the
/// limit. π = p if nothing can be gained, or if the limit is 0 or too small for float64. Rows that are no problem of this kind and a
/// limit that is negative or not finite throw `ArgumentException`.
let withinLimit limit (p: float[]) (w: float[]) =
    if not (limit >= 0.0 && Double.IsFinite limit) then
        invalidArg (nameof limit) $"limit = {limit} is negative or not finite"

    let problem = problem p w

    let solveFor limit =
        let struct (point, kept, free) = pointAtLimit problem limit
        solution p (policyAt problem point kept free) (problem.Unit * kept * multiplierAt problem point)

    if hasNoGain problem then
        unchanged p 0.0
    else
        solveWithin limit _.Kl solveFor
        |> Option.defaultWith (fun () ->
            unchanged p (if isConstant problem then problem.Unit * problem.FreeExcess else infinity))

/// Solves  max Σ π w − price · KL(p ‖ π)  for a row p of probabilities. π = p if nothing can be gained. Rows that are no problem of this
/// kind and a price that is not positive and finite throw `ArgumentException`.
let atPrice price (p: float[]) (w: float[]) =
    if not (price > 0.0 && Double.IsFinite price) then
        invalidArg (nameof price) $"price = {price} is not positive and finite"

    let problem = problem p w
    let inUnits = price / problem.Unit

    // ν equals the w of the free action, if that is better. It has the probability that the support leaves at λ = price.
    let beyond = pointAt problem (log problem.FreeExcess)
    let most = if problem.FreeExcess > 0.0 then multiplierAt problem beyond else 0.0

    if most > inUnits then
        solution p (policyAt problem beyond (inUnits / most) ((most - inUnits) / most)) price
    elif isConstant problem then
        unchanged p price
    else
        let point = pointWhere (1.0 / inUnits) problem (fun point -> 1.0 / multiplierAt problem point)
        solution p (policyAt problem point 1.0 0.0) price
