/// The exact derivatives of a softmax policy in its logits. In practice a batch estimates them.
module FunTrpo.Exact.Softmax

open System

/// Returns ∇η = ρ(s) π(a|s) A(s, a) (the policy gradient theorem). It is also ∇L at the policy.
let gradient (values: Values) =
    Table.init values.Policy.Rows values.Policy.Columns (fun state action ->
        values.Visitation[state] * values.Policy[state, action] * values.Advantages[state, action])

/// Returns F x with the Fisher matrix of the mean KL: d(s) (diag π − π πᵀ) for each state, d = (1 − γ) ρ.
let fisherProduct mdp (values: Values) (x: Table) =
    let horizon = Values.horizon mdp values

    Table.initRows x.Rows x.Columns (fun state ->
        let weight = values.Visitation[state] / horizon
        let mean = Table.rowDot values.Policy.Table x state
        Array.init x.Columns (fun action -> weight * values.Policy[state, action] * (x[state, action] - mean)))

/// Returns xᵀF x. It is computed as the mean variance of x: if an action is nearly certain, a difference of squares would lose all digits.
let fisherQuadratic mdp (values: Values) (x: Table) =
    let horizon = Values.horizon mdp values

    let ofState state =
        let mean = Table.rowDot values.Policy.Table x state
        let mutable sum = 0.0

        for action in 0 .. x.Columns - 1 do
            sum <- sum + values.Policy[state, action] * (x[state, action] - mean) * (x[state, action] - mean)

        values.Visitation[state] / horizon * sum

    Seq.sum (Seq.init x.Rows ofState)

/// (F + c)⁻¹ ∇η for the row of a state, by the Sherman–Morrison formula: F + c is a diagonal matrix minus d π πᵀ.
let private dampedRow damping weight (row: float[]) (gradient: float[]) =
    let solve (b: float[]) = Array.map2 (fun p x -> x / (weight * p + damping)) row b
    let solvedGradient, solvedRow = solve gradient, solve row
    let dot a b = Array.sum (Array.map2 (*) a b)
    let factor = weight * dot row solvedGradient / (1.0 - weight * dot row solvedRow)
    Array.map2 (fun x y -> x + factor * y) solvedGradient solvedRow

/// Returns the damped natural gradient x = (F + c)⁻¹ ∇η and the number xᵀ (F + c) x. Without damping F is singular, and x is the smallest
/// solution. Since ∇η = ρ(s) π(a|s) A(s, a), F x = ∇η holds for x = A / (1 − γ) plus any constant in each state (Kakade 2001). Actions
/// of probability 0 have x = 0. A damping that is negative or not finite throws `ArgumentException`.
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
