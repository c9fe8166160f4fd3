/// Divergences between two policies in each state. KL is always KL(old ‖ new), in nats.
module FunTrpo.Exact.Divergence

open System

/// Returns y − log(1 + y) ≥ 0 for y = ratio − 1. A small y uses the series, because the formula would cancel.
let internal excess ratio y =
    if abs y < 1e-2 then
        // y²/2 − y³/3 + y⁴/4 − … + y¹⁰/10; the terms that are left out are below 10⁻¹⁸ of the first.
        let mutable sum = 0.0

        for n in 10..-1..2 do
            sum <- (if n % 2 = 0 then 1.0 else -1.0) / float n + y * sum

        y * y * sum
    else
        y - Math.Log ratio

/// Returns KL(p ‖ q) = Σ_a p(a) log(p(a) / q(a)) of two rows. It is infinite if an action has p(a) > 0 and q(a) = 0. The code sums
/// p (y − log(1 + y)) with y = q/p − 1, and adds the q(a) of the actions with p(a) = 0, which cancel the terms p y.
let klOfRows (p: float[]) (q: float[]) =
    let mutable sum = 0.0
    let mutable elsewhere = 0.0

    for a in 0 .. p.Length - 1 do
        let ratio = q[a] / p[a]

        if p[a] = 0.0 then elsewhere <- elsewhere + q[a]
        elif q[a] = 0.0 then sum <- infinity
        elif ratio > 1e-300 && ratio < 1e300 then sum <- sum + p[a] * excess ratio ((q[a] - p[a]) / p[a])
        else sum <- sum + (q[a] - p[a]) - p[a] * (log q[a] - log p[a]) // the ratio may be inaccurate or infinite

    sum + elsewhere

/// Returns the total variation ½ Σ_a |p(a) − q(a)| of two rows.
let tvOfRows (p: float[]) (q: float[]) = 0.5 * Array.sum (Array.map2 (fun x y -> abs (x - y)) p q)

/// Returns KL(π_old(·|s) ‖ π_new(·|s)) for each state.
let kl (oldPolicy: TabularPolicy) (newPolicy: TabularPolicy) =
    Table.requireSameShape oldPolicy.Table newPolicy.Table

    PerState.init oldPolicy.Rows (fun state ->
        klOfRows (TabularPolicy.rowArray oldPolicy state) (TabularPolicy.rowArray newPolicy state))

/// Returns the total variation between π_old(·|s) and π_new(·|s) for each state.
let tv (oldPolicy: TabularPolicy) (newPolicy: TabularPolicy) =
    Table.requireSameShape oldPolicy.Table newPolicy.Table

    PerState.init oldPolicy.Rows (fun state ->
        tvOfRows (TabularPolicy.rowArray oldPolicy state) (TabularPolicy.rowArray newPolicy state))

/// Returns the maximum over the states that are not terminal.
let maximum (mdp: FiniteMdp) (stateValues: Collections.Immutable.ImmutableArray<float>) =
    let mutable largest = 0.0

    for state in 0 .. mdp.States - 1 do
        if not (mdp.IsTerminal state) then
            largest <- max largest stateValues[state]

    largest

/// Returns the mean over the states with the weights (1 − γ) ρ(s) of the old policy, or ρ(s) / Σ ρ if γ = 1. States that are never
/// visited do not count, even if the divergence is infinite there.
let mean (mdp: FiniteMdp) (values: Values) (stateValues: Collections.Immutable.ImmutableArray<float>) =
    let scale = 1.0 / Values.horizon mdp values
    let mutable sum = 0.0

    for state in 0 .. mdp.States - 1 do
        if values.Visitation[state] > 0.0 then
            sum <- sum + scale * values.Visitation[state] * stateValues[state]

    sum
