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
               if not (p[a] > 0.0) then
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

/// The policy in which the support has λ p / (x + g), and the best of the other actions has what is left of 1.
let private policyAt problem x multiplier isFreeUsed =
    let policy = Array.zeroCreate problem.Actions

    for i in 0 .. problem.Support.Length - 1 do
        policy[problem.Support[i]] <- max smallest (multiplier * problem.Weights[i] / (x + problem.Gaps[i]))

    let given = Array.sum policy

    if isFreeUsed then
        policy[problem.Free] <- max 0.0 (1.0 - given)
        policy
    else
        policy |> Array.map (fun q -> q / given)

let private isConstant problem = Array.forall ((=) 0.0) problem.Gaps

/// Beyond e⁶⁶⁰, and below its inverse, products of float64 come to ∞ and 0.
let private farthest = 660.0

/// x with f x = 0, for an f that falls from above 0 to below it while x goes from 0 to ∞; or the last x of float64 on the way
/// there. It is sought in log x.
let internal positiveRoot scale (f: float -> float) =
    let ofLog s = f (exp s)
    let mutable low = log scale
    let mutable high = low

    while low > -farthest && ofLog low <= 0.0 do
        low <- max -farthest (low - 2.0)

    while high < farthest && ofLog high >= 0.0 do
        high <- min farthest (high + 2.0)

    if low = -farthest && ofLog low <= 0.0 then exp low
    elif high = farthest && ofLog high >= 0.0 then exp high
    else exp (Brent.FindRoot(ofLog, low, high, 1e-15, 1000))

/// A solution: the policy, its KL(p ‖ π), and λ, what a nat more of KL would be worth.
[<Struct>]
type Solution = { Row: float[]; Kl: float; Multiplier: float }

/// The size of the gaps, to begin the search with.
let private scaleOf problem = max (Array.max problem.Gaps) (max problem.Beyond 0.0)

/// max Σ π w  subject to  KL(p ‖ π) ≤ limit. Where nothing can be gained, or the limit is 0, π = p.
let withinLimit limit (p: float[]) (w: float[]) =
    let problem = problem p w
    let unchanged = { Row = Array.copy p; Kl = 0.0; Multiplier = (if limit = 0.0 then infinity else 0.0) }

    /// ν at the best free action: the support has π = λ p / (ν − w) with KL = limit, and less than all.
    let withFree () =
        let x = problem.Beyond
        let multiplier = exp (sum problem (fun g -> log (x + g)) - limit)
        { Row = policyAt problem x multiplier true; Kl = limit; Multiplier = multiplier }

    if limit = 0.0 || (isConstant problem && problem.Beyond <= 0.0) then
        unchanged
    elif problem.Beyond > 0.0 && (isConstant problem || klAt problem problem.Beyond <= limit) then
        withFree ()
    else
        let x = positiveRoot (scaleOf problem) (fun x -> klAt problem x - limit)

        { Row = policyAt problem x (multiplierAt problem x) false
          Kl = limit
          Multiplier = multiplierAt problem x }

/// max Σ π w − price · KL(p ‖ π), for a positive price. Where nothing can be gained, π = p.
let atPrice price (p: float[]) (w: float[]) =
    let problem = problem p w

    if problem.Beyond > 0.0 && (isConstant problem || multiplierAt problem problem.Beyond >= price) then
        // ν stays at the best free action, which takes what λ = price leaves.
        let x = problem.Beyond
        let row = policyAt problem x price true
        { Row = row; Kl = sum problem (fun g -> log (x + g)) - log price; Multiplier = price }
    elif isConstant problem then
        { Row = Array.copy p; Kl = 0.0; Multiplier = price }
    else
        // λ(x) − x = h lies between 0 and the largest gap.
        let x = positiveRoot price (fun x -> price - multiplierAt problem x)
        { Row = policyAt problem x price false; Kl = klAt problem x; Multiplier = price }
