namespace FunTrpo.Exact

/// A stochastic policy as a table: π(a|s), each row of which sums to 1.
type TabularPolicy = Table

module TabularPolicy =

    /// Every action is as likely as any other.
    let uniform (mdp: FiniteMdp) : TabularPolicy =
        Table.init mdp.States mdp.Actions (fun _ _ -> 1.0 / float mdp.Actions)

    let private normalised (weights: float[]) =
        let sum = Array.sum weights
        weights |> Array.map (fun weight -> weight / sum)

    /// The row that takes the largest of some numbers for certain, the first of several that are equal.
    let internal certainly (row: float[]) =
        let best = Array.findIndex ((=) (Array.max row)) row
        Array.init row.Length (fun action -> if action = best then 1.0 else 0.0)

    /// softmax of logits
    let ofLogits (logits: Table) : TabularPolicy =
        Table.initRows logits.Rows logits.Columns (fun state ->
            let row = Table.rowArray logits state
            let largest = Array.max row
            row |> Array.map (fun logit -> exp (logit - largest)) |> normalised)

    /// π(a|s) · exp(x(s, a)), normalised: what adding x to the logits of a softmax policy makes of it. An action of probability 0
    /// keeps it.
    let tilt (x: Table) (policy: TabularPolicy) : TabularPolicy =
        Table.initRows policy.Rows policy.Columns (fun state ->
            let row, x = Table.rowArray policy state, Table.rowArray x state
            let largest = Array.max (Array.map2 (fun p xi -> if p > 0.0 then xi else -infinity) row x)

            Array.map2 (fun p xi -> if p > 0.0 then p * exp (xi - largest) else 0.0) row x |> normalised)

    /// The best action of each state by a table of values, the first of several that are equal.
    let greedy (values: Table) : TabularPolicy =
        Table.initRows values.Rows values.Columns (Table.rowArray values >> certainly)

    /// (1 − α) π + α π′
    let mix alpha (policy: TabularPolicy) (other: TabularPolicy) : TabularPolicy =
        Table.map2 (fun p q -> (1.0 - alpha) * p + alpha * q) policy other
