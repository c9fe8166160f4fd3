namespace FunTrpo.Exact

open System
open FunTrpo

/// A stochastic policy as a table π(a|s): no number is negative, and each row sums to 1. The functions of the module `TabularPolicy`
/// guarantee this.
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

    /// The probabilities as a table.
    member this.Table = this.Probabilities

    override this.ToString() = $"TabularPolicy {this.Rows} × {this.Columns}"

module TabularPolicy =

    /// The allowed deviation of a sum of probabilities from 1, for rows with rounded numbers.
    let private tolerance = 1e-9

    /// The reason why the numbers of a state are not probabilities of its actions, if there is one.
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

    /// Returns the policy with these probabilities. Rows are normalised if they sum to 1 up to rounding to nine digits. `InvalidTable`,
    /// with the state and the action, if the table does not have the shape of the process, if a number is negative or NaN, or if a row
    /// does not sum to 1.
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

    /// Returns the policy whose row in each state is `choose` of the state and the old row.
    let internal mapRows (choose: int -> float[] -> float[]) (policy: TabularPolicy) =
        ofRows policy.Rows policy.Columns (fun state -> choose state (Table.rowArray policy.Probabilities state))

    /// Returns a copy of the probabilities of a state.
    let rowArray (policy: TabularPolicy) state = Table.rowArray policy.Probabilities state

    /// Returns the policy in which all actions have the same probability.
    let uniform (mdp: FiniteMdp) =
        { Probabilities = Table.init mdp.States mdp.Actions (fun _ _ -> 1.0 / float mdp.Actions) }

    /// Throws `ArgumentException` if the row of a state is not usable by `isEnough`.
    let private requireNumbers what (table: Table) state (row: float[]) isEnough =
        if not (isEnough row) then
            let numbers = row |> Array.map string |> String.concat ", "
            invalidArg what $"state {state} of the {table.Rows} × {table.Columns} {what} has {numbers}"

    let private hasNoNaN (row: float[]) = not (Array.exists Double.IsNaN row)

    /// Returns the row with the probability 1 for the action with the largest number; the first one if several are equal.
    let internal greedyRow (row: float[]) =
        let best = Array.findIndex ((=) (Array.max row)) row
        Array.init row.Length (fun action -> if action = best then 1.0 else 0.0)

    /// Returns the softmax policy with these logits. A logit of −∞ excludes its action. NaN, +∞ and a row of only −∞ throw
    /// `ArgumentException`.
    let ofLogits (logits: Table) =
        ofRows logits.Rows logits.Columns (fun state ->
            let row = Table.rowArray logits state
            requireNumbers (nameof logits) logits state row (fun row -> hasNoNaN row && Double.IsFinite(Array.max row))
            let largest = Array.max row
            row |> Array.map (fun logit -> exp (logit - largest)) |> normalised)

    /// Returns π(a|s) · exp(length · x(s, a)), normalised: the softmax policy after length · x is added to its logits. An action of
    /// probability 0 keeps it. Exponents are differences from the largest one, so a large length does not overflow; in the limit the
    /// action with the largest x has the probability 1. A length or a number of x that is not finite throws `ArgumentException`.
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

    /// Returns π(a|s) · exp(x(s, a)), normalised: `tiltBy` with the length 1.
    let tilt x policy = tiltBy 1.0 x policy

    /// Returns the policy that takes the action with the largest value in each state; the first one if several are equal. NaN throws
    /// `ArgumentException`.
    let greedy (values: Table) =
        ofRows values.Rows values.Columns (fun state ->
            let row = Table.rowArray values state
            requireNumbers (nameof values) values state row hasNoNaN
            greedyRow row)

    /// Returns the mixture (1 − α) π + α π′. An α outside [0, 1] throws `ArgumentException`.
    let mix alpha (policy: TabularPolicy) (other: TabularPolicy) =
        if not (alpha >= 0.0 && alpha <= 1.0) then
            invalidArg (nameof alpha) $"α = {alpha} is not in [0, 1]"

        { Probabilities = Table.map2 (fun p q -> (1.0 - alpha) * p + alpha * q) policy.Probabilities other.Probabilities }
