/// The problems  max Σ_a π(a) w(a)  with a price on KL(p ‖ π), or a limit to it, for one state: exactly, by their one-dimensional duals.
///
/// Where p(a) > 0 for all a the solution is π(a) = λ p(a) / (ν − w(a)), ν > max w, with λ ≥ 0 the multiplier of the KL and ν that of Σ π = 1.
/// We write ν = max w + x and keep the gaps g(a) = max w − w(a), so that ν − w = x + g has no cancellation. An action with p(a) = 0 costs
/// no KL: where the best of them has w > ν, ν is put there, and it takes what the others leave.
module FunTrpo.Exact.KlDual

open System
open MathNet.Numerics.RootFinding

/// One state's problem: the actions of positive probability, and the best of the others. What is worth something is counted in `Unit`, so that no
/// product of two such numbers leaves float64.
type private Problem =
    {
        Actions: int
        /// The actions with p > 0.
        Support: int[]
        /// Their p.
        Weights: float[]
        /// Their g = (max w − w) / unit.
        Gaps: float[]
        /// Σ p of the best of them, those without a gap. It may be as small as numbers are, and then x is as small where it matters.
        Top: float
        /// The best action with p = 0, and how far its w lies above max w of the support: it matters where that is positive.
        Free: int
        Beyond: float
        /// The largest of the gaps, and of what lies beyond; 1 where there is neither.
        Unit: float
    }

let private requireProblem (p: float[]) (w: float[]) =
    if p.Length = 0 || w.Length <> p.Length then
        invalidArg (nameof w) $"{w.Length} numbers do not go with {p.Length} actions"

    if not (Array.forall (fun pi -> pi >= 0.0) p && abs (Array.sum p - 1.0) <= 1e-9) then
        invalidArg (nameof p) "a row of probabilities has no negative numbers, and they sum to 1"

    if not (Double.IsFinite(Array.max w - Array.min w)) then
        invalidArg (nameof w) "what actions are worth is finite, and so is how far it is apart"

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
      Top = support |> Seq.sumBy (fun a -> if w[a] = top then p[a] else 0.0)
      Free = free
      Beyond = beyond / unit
      Unit = unit }

/// x, by its logarithm: with p as small as 10⁻³⁰⁰, x may be below all numbers where p / x is not.
[<Struct>]
type private Place =
    {
        LogX: float
        X: float
        /// Σ p / x of the actions without a gap.
        TopShare: float
    }

let private placeAt problem logX =
    let x = exp logX
    // Where x is a number to all its digits, so is the quotient.
    { LogX = logX
      X = x
      TopShare = (if x > 1e-290 then problem.Top / x else exp (log problem.Top - logX)) }

/// Σ p f(x + g) over the actions with a gap.
let inline private sumOfOthers problem ([<InlineIfLambda>] f: float -> float) =
    let mutable total = 0.0

    for i in 0 .. problem.Weights.Length - 1 do
        if problem.Gaps[i] > 0.0 then
            total <- total + problem.Weights[i] * f problem.Gaps[i]

    total

/// h of λ = x + h: the mean of the gaps with the weights p / (x + g).
let private meanGap problem place =
    sumOfOthers problem (fun g -> g / (place.X + g))
    / (place.TopShare + sumOfOthers problem (fun g -> 1.0 / (place.X + g)))

/// The multiplier λ = 1 / Σ p / (x + g) at which π sums to 1.
let private multiplierAt problem place = place.X + meanGap problem place

/// KL(p ‖ π) at x: Σ p (y − log(1 + y)) with y = π/p − 1 = (h − g) / (x + g).
let private klAt problem place =
    let h = meanGap problem place

    let ofOthers =
        sumOfOthers problem (fun g -> Divergence.excess ((place.X + h) / (place.X + g)) ((h - g) / (place.X + g)))

    let y = h / place.X

    // Where y is beyond all numbers, p y is not.
    let ofTop =
        if y < 1.0 then
            problem.Top * Divergence.excess (1.0 + y) y
        else
            h * place.TopShare - problem.Top * (log (place.X + h) - place.LogX)

    ofTop + ofOthers

/// No finite KL takes a probability to 0, and neither may rounding: the KL would be infinite.
let private smallest = 1e-300

/// The policy in which the support shares `kept` as p / (x + g), and the best of the other actions has `free`; they sum to 1.
let private policyAt problem place kept free =
    let policy = Array.zeroCreate problem.Actions

    let share p g = if g = 0.0 then p / problem.Top * place.TopShare else p / (place.X + g)
    let shares = Array.map2 share problem.Weights problem.Gaps
    let sum = Array.sum shares

    for i in 0 .. shares.Length - 1 do
        policy[problem.Support[i]] <- max (min smallest problem.Weights[i]) (kept * shares[i] / sum)

    if free > 0.0 then
        policy[problem.Free] <- free

    policy

let private isConstant problem = Array.forall ((=) 0.0) problem.Gaps

/// Beyond e⁶⁶⁰, and below its inverse, products of float64 come to ∞ and 0.
let private farthest = 660.0

/// The logarithm of the x where a positive quantity, which falls while x grows, comes to the target; or the last one from `least` to `most` on the way
/// there. It is sought by the logarithm of quantity / target: relatively exact, whatever the units.
let private logWhereItFallsTo target least most (quantity: float -> float) =
    let excess s = max -farthest (log (quantity s / target))
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

/// The x where a positive quantity, which falls while x goes from 0 to ∞, comes to the target; or the last x of float64 on the way there. The search begins
/// at the scale, in whatever unit that is.
let internal whereItFallsTo target scale (quantity: float -> float) =
    let least = max -farthest (-farthest - log scale)
    let most = min farthest (farthest - log scale)
    scale * exp (logWhereItFallsTo target least most (fun s -> quantity (scale * exp s)))

/// The same of a problem, whose x may be as much smaller as the p of its best actions is.
let private placeWhereItFallsTo target problem quantity =
    logWhereItFallsTo target (log problem.Top - farthest) farthest (placeAt problem >> quantity)
    |> placeAt problem

/// The solution that measures no more than a limit: what is solved to the last digits is then rounded, and where it has come out beyond the limit, it is
/// solved for as much less, and for twice that. None where float64 knows nothing so near.
let internal keeping limit (measure: 'Solution -> float) (solve: float -> 'Solution) =
    let rec go factor target =
        if target <= 0.0 then
            None
        else
            let solution = solve target
            let beyond = measure solution - limit
            if beyond <= 0.0 then Some solution else go (2.0 * factor) (target - factor * beyond)

    go 1.0 limit

/// A solution: the policy, its KL(p ‖ π), and λ, what a nat more of KL would be worth.
[<Struct>]
type Solution = { Row: float[]; Kl: float; Multiplier: float }

let private solution p row multiplier = { Row = row; Kl = Divergence.klOfRows p row; Multiplier = multiplier }

let private unchanged p multiplier = { Row = Array.copy p; Kl = 0.0; Multiplier = multiplier }

/// 1 − e⁻ᵈ, also for a small d.
let private oneLessExp d =
    let t = Math.Tanh(0.5 * d)
    2.0 * t / (1.0 + t)

/// Where a KL is reached, what the support keeps there, and what is left for the best of the other actions.
let private reaching problem limit =
    // ν at the best free action, if it is better: where the support alone has less than the KL, taking e⁻ᵈ of it costs d more.
    let beyond = placeAt problem (log problem.Beyond)
    let d = if problem.Beyond > 0.0 then limit - klAt problem beyond else -1.0

    if d >= 0.0 then
        struct (beyond, exp -d, oneLessExp d)
    else
        struct (placeWhereItFallsTo limit problem (klAt problem), 1.0, 0.0)

let private isSettled problem = isConstant problem && problem.Beyond <= 0.0

/// λ where a KL is reached: what a nat more of it would be worth.
let internal worthAt limit p w =
    let problem = problem p w

    if isSettled problem then
        0.0
    else
        let struct (place, kept, _) = reaching problem limit
        problem.Unit * kept * multiplierAt problem place

/// max Σ π w  subject to  KL(p ‖ π) ≤ limit, which is kept to the last digit. Where nothing can be gained, or the limit is 0 or less than float64
/// can tell from it, π = p.
let withinLimit limit (p: float[]) (w: float[]) =
    if not (limit >= 0.0 && Double.IsFinite limit) then
        invalidArg (nameof limit) $"limit = {limit} is negative or not finite"

    let problem = problem p w

    let solveFor limit =
        let struct (place, kept, free) = reaching problem limit
        solution p (policyAt problem place kept free) (problem.Unit * kept * multiplierAt problem place)

    if isSettled problem then
        unchanged p 0.0
    else
        keeping limit _.Kl solveFor
        |> Option.defaultWith (fun () ->
            unchanged p (if isConstant problem then problem.Unit * problem.Beyond else infinity))

/// max Σ π w − price · KL(p ‖ π), for a positive price. Where nothing can be gained, π = p.
let atPrice price (p: float[]) (w: float[]) =
    if not (price > 0.0 && Double.IsFinite price) then
        invalidArg (nameof price) $"price = {price} is not positive and finite"

    let problem = problem p w
    let inUnits = price / problem.Unit

    // ν at the best free action, if it is better: it takes what λ = price leaves.
    let beyond = placeAt problem (log problem.Beyond)
    let most = if problem.Beyond > 0.0 then multiplierAt problem beyond else 0.0

    if most > inUnits then
        solution p (policyAt problem beyond (inUnits / most) ((most - inUnits) / most)) price
    elif isConstant problem then
        unchanged p price
    else
        let place = placeWhereItFallsTo (1.0 / inUnits) problem (fun place -> 1.0 / multiplierAt problem place)
        solution p (policyAt problem place 1.0 0.0) price
