/// How far two policies are apart, state by state. KL is always KL(old ‖ new).
module FunTrpo.Exact.Divergence

open System

/// y − log(1 + y) ≥ 0 for y = ratio − 1, without the cancellation that a small y would bring: its series there.
let internal excess ratio y =
    if abs y < 1e-2 then
        // y²/2 − y³/3 + y⁴/4 − …; the tenth term is below 10⁻¹⁸ of the first.
        let mutable sum = 0.0

        for n in 10..-1..2 do
            sum <- (if n % 2 = 0 then 1.0 else -1.0) / float n + y * sum

        y * y * sum
    else
        y - Math.Log ratio

/// Σ_a p(a) log(p(a) / q(a)), infinite where q has lost an action of p. The terms are p (y − log(1 + y)) with y = q/p − 1, whose
/// first parts sum to what q gives to actions that p does not know.
let klOfRows (p: float[]) (q: float[]) =
    let mutable sum = 0.0
    let mutable elsewhere = 0.0

    for a in 0 .. p.Length - 1 do
        let ratio = q[a] / p[a]

        if p[a] = 0.0 then elsewhere <- elsewhere + q[a]
        elif q[a] = 0.0 then sum <- infinity
        elif ratio > 1e-300 && ratio < 1e300 then sum <- sum + p[a] * excess ratio ((q[a] - p[a]) / p[a])
        else sum <- sum + (q[a] - p[a]) - p[a] * (log q[a] - log p[a]) // the ratio may be rounded, or infinite

    sum + elsewhere

/// ½ Σ_a |p(a) − q(a)|
let tvOfRows (p: float[]) (q: float[]) = 0.5 * Array.sum (Array.map2 (fun x y -> abs (x - y)) p q)

/// KL(π_old(·|s) ‖ π_new(·|s)) of each state.
let kl (oldPolicy: TabularPolicy) (newPolicy: TabularPolicy) =
    Table.requireSameShape oldPolicy.Table newPolicy.Table

    PerState.init oldPolicy.Rows (fun state ->
        klOfRows (TabularPolicy.rowArray oldPolicy state) (TabularPolicy.rowArray newPolicy state))

/// The total variation of each state.
let tv (oldPolicy: TabularPolicy) (newPolicy: TabularPolicy) =
    Table.requireSameShape oldPolicy.Table newPolicy.Table

    PerState.init oldPolicy.Rows (fun state ->
        tvOfRows (TabularPolicy.rowArray oldPolicy state) (TabularPolicy.rowArray newPolicy state))

/// The maximum over the states that are not terminal.
let maximum (mdp: FiniteMdp) (ofStates: Collections.Immutable.ImmutableArray<float>) =
    let mutable largest = 0.0

    for state in 0 .. mdp.States - 1 do
        if not (mdp.IsTerminal state) then
            largest <- max largest ofStates[state]

    largest

/// The mean over the states as the old policy visits them: with the weights (1 − γ) ρ(s), or ρ(s) / Σ ρ where γ = 1. States that are
/// never visited do not count, however far apart the policies are there.
let mean (mdp: FiniteMdp) (values: Values) (ofStates: Collections.Immutable.ImmutableArray<float>) =
    let scale = 1.0 / Values.horizon mdp values
    let mutable sum = 0.0

    for state in 0 .. mdp.States - 1 do
        if values.Visitation[state] > 0.0 then
            sum <- sum + scale * values.Visitation[state] * ofStates[state]

    sum
