/// The problems  max Σ_a π(a) w(a)  with a price on KL(p ‖ π), or a limit to it, for one state: exactly, by their one-dimensional duals.
///
/// Where p(a) > 0 for all a the solution is π(a) = λ p(a) / (ν − w(a)), ν > max w, with λ ≥ 0 the multiplier of the KL and ν that of Σ π = 1.
/// We write ν = max w + x and keep the gaps g(a) = max w − w(a), so that ν − w = x + g has no cancellation. An action with p(a) = 0 costs
/// no KL: where the best of them has w > ν, ν is put there, and it takes what the others leave.
module FunTrpo.Exact.KlDual

open System
open MathNet.Numerics.RootFinding

/// One state's problem: the actions of positive probability, and the best of the others.
type private Problem =
    {
        Actions: int
        /// The actions with p > 0.
        Support: int[]
        /// Their p.
        Weights: float[]
        /// Their g = max w − w.
        Gaps: float[]
        /// The best action with p = 0, and how far its w lies above max w of the support: it matters where that is positive.
        Free: int
        Beyond: float
    }

let private problem (p: float[]) (w: float[]) =
    let support =
        [| for a in 0 .. p.Length - 1 do
               if p[a] > 0.0 then
                   a |]

    let others =
        [| for a in 0 .. p.Length - 1 do
               if p[a] <= 0.0 then
                   a |]

    let top = support |> Seq.map (fun a -> w[a]) |> Seq.max
    let free = if others.Length = 0 then -1 else others |> Array.maxBy (fun a -> w[a])

    { Actions = p.Length
      Support = support
      Weights = support |> Array.map (fun a -> p[a])
      Gaps = support |> Array.map (fun a -> top - w[a])
      Free = free
      Beyond = (if free < 0 then -1.0 else w[free] - top) }

/// Σ p f(x + g)
let inline private sum problem ([<InlineIfLambda>] f: float -> float) =
    let mutable total = 0.0

    for i in 0 .. problem.Weights.Length - 1 do
        total <- total + problem.Weights[i] * f problem.Gaps[i]

    total

/// h of λ = x + h: the mean of the gaps with the weights p / (x + g).
let private meanGap problem x = sum problem (fun g -> g / (x + g)) / sum problem (fun g -> 1.0 / (x + g))

/// The multiplier λ = 1 / Σ p / (x + g) at which π sums to 1.
let private multiplierAt problem x = x + meanGap problem x

/// KL(p ‖ π) at x: Σ p (y − log(1 + y)) with y = π/p − 1 = (h − g) / (x + g).
let private klAt problem x =
    let h = meanGap problem x
    sum problem (fun g -> Divergence.excess ((x + h) / (x + g)) ((h - g) / (x + g)))

/// No finite KL takes a probability to 0, and neither may rounding: the KL would be infinite.
let private smallest = 1e-300

/// The policy in which the support shares `kept` as p / (x + g), and the best of the other actions has `free`; they sum to 1.
let private policyAt problem x kept free =
    let policy = Array.zeroCreate problem.Actions
    let shares = Array.map2 (fun p g -> p / (x + g)) problem.Weights problem.Gaps
    let sum = Array.sum shares

    for i in 0 .. shares.Length - 1 do
        policy[problem.Support[i]] <- max smallest (kept * shares[i] / sum)

    if free > 0.0 then
        policy[problem.Free] <- free

    policy

let private isConstant problem = Array.forall ((=) 0.0) problem.Gaps

/// Beyond e⁶⁶⁰, and below its inverse, products of float64 come to ∞ and 0.
let private farthest = 660.0

/// The x where a positive quantity, which falls while x goes from 0 to ∞, comes to the target; or the last x of float64 on the way
/// there. It is sought in log(x / scale), by the logarithm of quantity / target: relatively exact, whatever the units.
let internal whereItFallsTo target scale (quantity: float -> float) =
    let excess s = max -farthest (log (quantity (scale * exp s) / target))
    let mutable low = 0.0
    let mutable high = 0.0

    while low > -farthest && excess low <= 0.0 do
        high <- low
        low <- max -farthest (low - 2.0)

    while high < farthest && excess high > 0.0 do
        low <- high
        high <- min farthest (high + 2.0)

    if excess low <= 0.0 then scale * exp low
    elif excess high > 0.0 then scale * exp high
    else scale * exp (Brent.FindRoot(excess, low, high, 1e-15, 1000))

/// A solution: the policy, its KL(p ‖ π), and λ, what a nat more of KL would be worth.
[<Struct>]
type Solution = { Row: float[]; Kl: float; Multiplier: float }

let private solution p row multiplier = { Row = row; Kl = Divergence.klOfRows p row; Multiplier = multiplier }

let private unchanged p multiplier = { Row = Array.copy p; Kl = 0.0; Multiplier = multiplier }

/// The size of the gaps, to begin the search with.
let private scaleOf problem = max (Array.max problem.Gaps) (max problem.Beyond 0.0)

/// 1 − e⁻ᵈ, also for a small d.
let private oneLessExp d =
    let t = Math.Tanh(0.5 * d)
    2.0 * t / (1.0 + t)

/// max Σ π w  subject to  KL(p ‖ π) ≤ limit. Where nothing can be gained, or the limit is 0, π = p.
let withinLimit limit (p: float[]) (w: float[]) =
    let problem = problem p w

    if isConstant problem && problem.Beyond <= 0.0 then
        unchanged p 0.0
    elif limit = 0.0 then
        unchanged p (if isConstant problem then problem.Beyond else infinity)
    else
        // ν at the best free action, if it is better: where the support alone has less than the KL, taking e⁻ᵈ of it costs d more.
        let d = if problem.Beyond > 0.0 then limit - klAt problem problem.Beyond else -1.0

        if d >= 0.0 then
            let kept = exp -d

            solution
                p
                (policyAt problem problem.Beyond kept (oneLessExp d))
                (kept * multiplierAt problem problem.Beyond)
        else
            let x = whereItFallsTo limit (scaleOf problem) (klAt problem)
            solution p (policyAt problem x 1.0 0.0) (multiplierAt problem x)

/// max Σ π w − price · KL(p ‖ π), for a positive price. Where nothing can be gained, π = p.
let atPrice price (p: float[]) (w: float[]) =
    let problem = problem p w

    // ν at the best free action, if it is better: it takes what λ = price leaves.
    let most = if problem.Beyond > 0.0 then multiplierAt problem problem.Beyond else 0.0

    if most > price then
        solution p (policyAt problem problem.Beyond (price / most) ((most - price) / most)) price
    elif isConstant problem then
        unchanged p price
    else
        let x = whereItFallsTo (1.0 / price) price (fun x -> 1.0 / multiplierAt problem x)
        solution p (policyAt problem x 1.0 0.0) price
