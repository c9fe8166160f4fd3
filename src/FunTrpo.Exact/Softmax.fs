/// The derivatives of a policy's softmax in its logits, exactly: what a batch estimates in practice.
module FunTrpo.Exact.Softmax

open System

/// ∇η, which is also ∇L at the policy: ρ(s) π(a|s) A(s, a) (the policy gradient theorem).
let gradient (values: Values) =
    Table.init values.Policy.Rows values.Policy.Columns (fun state action ->
        values.Visitation[state] * values.Policy[state, action] * values.Advantages[state, action])

/// F x with the Fisher matrix of the mean KL: d(s) (diag π − π πᵀ) for each state, d = (1 − γ) ρ.
let fisherProduct mdp (values: Values) (x: Table) =
    let horizon = Values.horizon mdp values

    Table.initRows x.Rows x.Columns (fun state ->
        let weight = values.Visitation[state] / horizon
        let mean = Table.rowDot values.Policy.Table x state
        Array.init x.Columns (fun action -> weight * values.Policy[state, action] * (x[state, action] - mean)))

/// xᵀF x, as the mean variance of x: where an action is nearly certain, the difference of squares would lose all digits.
let fisherQuadratic mdp (values: Values) (x: Table) =
    let horizon = Values.horizon mdp values

    let ofState state =
        let mean = Table.rowDot values.Policy.Table x state
        let mutable sum = 0.0

        for action in 0 .. x.Columns - 1 do
            sum <- sum + values.Policy[state, action] * (x[state, action] - mean) * (x[state, action] - mean)

        values.Visitation[state] / horizon * sum

    Seq.sum (Seq.init x.Rows ofState)

/// (F + c)⁻¹ ∇η for the row of a state, by the formula of Sherman and Morrison: F + c is diagonal but for d π πᵀ.
let private dampedRow damping weight (row: float[]) (gradient: float[]) =
    let solve (b: float[]) = Array.map2 (fun p x -> x / (weight * p + damping)) row b
    let ofGradient, ofRow = solve gradient, solve row
    let dot a b = Array.sum (Array.map2 (*) a b)
    let factor = weight * dot row ofGradient / (1.0 - weight * dot row ofRow)
    Array.map2 (fun x y -> x + factor * y) ofGradient ofRow

/// The damped natural gradient x = (F + c)⁻¹ ∇η, and what it gives: xᵀ (F + c) x. Without damping F is singular, and x is the smallest
/// solution: as ∇η = ρ(s) π(a|s) A(s, a), F x = ∇η for x = A / (1 − γ), to which any number may be added in a state (Kakade 2001); an
/// action of probability 0 has no part in it.
let naturalGradient mdp damping (values: Values) =
    if not (damping >= 0.0 && Double.IsFinite damping) then
        invalidArg (nameof damping) $"damping = {damping} is negative or not finite"

    let horizon = Values.horizon mdp values
    let gradient = gradient values

    let direction =
        Table.initRows gradient.Rows gradient.Columns (fun state ->
            let row, advantages = TabularPolicy.rowArray values.Policy state, Table.rowArray values.Advantages state
            let possible = Array.map (fun p -> if p > 0.0 then 1.0 else 0.0) row
            let mean = Array.sum (Array.map2 (*) possible advantages) / Array.sum possible

            if values.Visitation[state] = 0.0 then
                Array.zeroCreate gradient.Columns
            elif damping = 0.0 then
                Array.map2 (fun isPossible a -> horizon * isPossible * (a - mean)) possible advantages
            else
                dampedRow damping (values.Visitation[state] / horizon) row (Table.rowArray gradient state))

    direction, Seq.sum (Seq.init gradient.Rows (Table.rowDot direction gradient))
