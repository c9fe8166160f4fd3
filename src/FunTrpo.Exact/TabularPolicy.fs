namespace FunTrpo.Exact

open System
open FunTrpo

/// A stochastic policy as a table: π(a|s), each row of which has no negative number and sums to 1. `TabularPolicy.create` makes one of
/// a table, and the functions beside it never make anything else.
[<NoComparison>]
type TabularPolicy =
    private
        { Probabilities: Table }

    member this.Rows = this.Probabilities.Rows
    member this.Columns = this.Probabilities.Columns

    member this.Item
        with get (state: int, action: int) = this.Probabilities[state, action]

    /// The probabilities of a state, one for each action.
    member this.Row state = this.Probabilities.Row state

    /// The probabilities as numbers like any others.
    member this.Table = this.Probabilities

    override this.ToString() = $"TabularPolicy {this.Rows} × {this.Columns}"

module TabularPolicy =

    /// By how much a sum of probabilities may be off 1 in a row that somebody has written down.
    let private tolerance = 1e-9

    /// What keeps the numbers of a state from being the probabilities of its actions.
    let private faultOfRow state (row: float[]) =
        match Array.tryFindIndex (fun p -> Double.IsNaN p || p < 0.0) row with
        | Some action -> Some $"state {state}, action {action}: a probability is {row[action]}"
        | None ->
            let sum = Array.sum row
            if abs (sum - 1.0) <= tolerance then None else Some $"state {state}: its probabilities sum to {sum}"

    let private normalised (weights: float[]) =
        let sum = Array.sum weights
        weights |> Array.map (fun weight -> weight / sum)

    let private ofRows states actions row = { Probabilities = Table.initRows states actions row }

    /// The policy with these probabilities; rows that sum to 1 but for what nine digits leave are made to. Refused, with the state and the
    /// action, are a table of another shape than the process, negative numbers, NaN, and rows that do not sum to 1.
    let create (mdp: FiniteMdp) (table: Table) =
        let refuse why = Error(InvalidTable($"a policy for {mdp.Name}", why))

        if table.Rows <> mdp.States || table.Columns <> mdp.Actions then
            refuse $"{table.Rows} × {table.Columns} probabilities, for {mdp.States} states and {mdp.Actions} actions"
        else
            match
                Seq.tryPick (fun state -> faultOfRow state (Table.rowArray table state)) (seq { 0 .. table.Rows - 1 })
            with
            | Some why -> refuse why
            | None -> Ok(ofRows table.Rows table.Columns (Table.rowArray table >> normalised))

    /// The policy whose row in each state is the one that `choose` gives for the old one.
    let internal mapRows (choose: int -> float[] -> float[]) (policy: TabularPolicy) =
        ofRows policy.Rows policy.Columns (fun state -> choose state (Table.rowArray policy.Probabilities state))

    let rowArray (policy: TabularPolicy) state = Table.rowArray policy.Probabilities state

    /// Every action is as likely as any other.
    let uniform (mdp: FiniteMdp) =
        { Probabilities = Table.init mdp.States mdp.Actions (fun _ _ -> 1.0 / float mdp.Actions) }

    /// Fails on numbers that decide nothing: on NaN, and on rows that say the same as none.
    let private requireNumbers what (table: Table) state (row: float[]) isEnough =
        if not (isEnough row) then
            let numbers = row |> Array.map string |> String.concat ", "
            invalidArg what $"state {state} of the {table.Rows} × {table.Columns} {what} has {numbers}"

    let private hasNoNaN (row: float[]) = not (Array.exists Double.IsNaN row)

    /// The row that takes the largest of some numbers for certain, the first of several that are equal.
    let internal certainly (row: float[]) =
        let best = Array.findIndex ((=) (Array.max row)) row
        Array.init row.Length (fun action -> if action = best then 1.0 else 0.0)

    /// softmax of logits. One of −∞ excludes its action; NaN, +∞ and a row of nothing but −∞ are refused.
    let ofLogits (logits: Table) =
        ofRows logits.Rows logits.Columns (fun state ->
            let row = Table.rowArray logits state
            requireNumbers (nameof logits) logits state row (fun row -> hasNoNaN row && Double.IsFinite(Array.max row))
            let largest = Array.max row
            row |> Array.map (fun logit -> exp (logit - largest)) |> normalised)

    /// π(a|s) · exp(length · x(s, a)), normalised: what adding length · x to the logits of a softmax policy makes of it. An action of
    /// probability 0 keeps it. The exponents are differences from the largest one, so no length is too long: without end, the
    /// policy comes to the action with the largest x. Numbers of x that are not finite are refused.
    let tiltBy length (x: Table) (policy: TabularPolicy) =
        if not (Double.IsFinite length) then
            invalidArg (nameof length) $"length = {length} is not finite"

        Table.requireSameShape policy.Probabilities x

        policy
        |> mapRows (fun state row ->
            let numbers = Table.rowArray x state
            requireNumbers (nameof x) x state numbers (Array.forall Double.IsFinite)
            let exponents = numbers |> Array.map (fun xi -> float (sign length) * xi)

            let largest =
                Array.fold2 (fun largest p e -> if p > 0.0 then max largest e else largest) -infinity row exponents

            Array.map2 (fun p e -> if p > 0.0 then p * exp (abs length * (e - largest)) else 0.0) row exponents
            |> normalised)

    /// π(a|s) · exp(x(s, a)), normalised.
    let tilt x policy = tiltBy 1.0 x policy

    /// The best action of each state by a table of values, the first of several that are equal. NaN is refused.
    let greedy (values: Table) =
        ofRows values.Rows values.Columns (fun state ->
            let row = Table.rowArray values state
            requireNumbers (nameof values) values state row hasNoNaN
            certainly row)

    /// (1 − α) π + α π′, for α in [0, 1].
    let mix alpha (policy: TabularPolicy) (other: TabularPolicy) =
        if not (alpha >= 0.0 && alpha <= 1.0) then
            invalidArg (nameof alpha) $"α = {alpha} is not in [0, 1]"

        { Probabilities = Table.map2 (fun p q -> (1.0 - alpha) * p + alpha * q) policy.Probabilities other.Probabilities }
