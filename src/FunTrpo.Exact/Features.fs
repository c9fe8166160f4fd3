namespace FunTrpo.Exact

open System
open FunTrpo

/// The features φ(s, a) of a softmax policy whose states share parameters: π(a|s) ∝ exp Σ_k φ_k(s, a) θ_k. The functions of the module
/// `Features` guarantee that all numbers are finite.
[<NoComparison; NoEquality>]
type Features =
    private
        {
            StateCount: int
            ActionCount: int
            Count: int
            /// One row for each state and action, state by state.
            Numbers: float[]
        }

    /// The number of parameters.
    member this.Parameters = this.Count

    /// The features of an action in a state, one for each parameter.
    member this.Row(state: int, action: int) =
        ReadOnlySpan(this.Numbers, (state * this.ActionCount + action) * this.Count, this.Count)

    override this.ToString() = $"Features {this.StateCount} × {this.ActionCount} × {this.Count}"

module Features =

    let private refuse (mdp: FiniteMdp) why = Error(InvalidTable($"a table of features for {mdp.Name}", why))

    /// Returns the features φ(s, a) = `phi state action`, an array with one number for each parameter. `InvalidTable`, with the state and
    /// the action, if an array has another length or a number that is not finite, or if there is no parameter.
    let create (mdp: FiniteMdp) parameters (phi: int -> int -> float[]) =
        let rows = Array.init (mdp.States * mdp.Actions) (fun i -> phi (i / mdp.Actions) (i % mdp.Actions))
        let place i = $"state {i / mdp.Actions}, action {i % mdp.Actions}"

        if parameters < 1 then
            refuse mdp $"it has {parameters} parameters"
        else
            match rows |> Array.tryFindIndex (fun row -> row.Length <> parameters) with
            | Some i -> refuse mdp $"{place i}: it has {rows[i].Length} features, for {parameters} parameters"
            | None ->
                match rows |> Array.tryFindIndex (Array.forall Double.IsFinite >> not) with
                | Some i -> refuse mdp $"{place i}: a feature is not finite"
                | None ->
                    Ok
                        { StateCount = mdp.States
                          ActionCount = mdp.Actions
                          Count = parameters
                          Numbers = Array.concat rows }

    /// Returns the features of a linear policy: each action has one parameter for each of the `count` numbers x(s) = `x state`, and its
    /// logit is their sum with the weights x(s). `InvalidTable` as for `create`.
    let ofStates (mdp: FiniteMdp) count (x: int -> float[]) =
        create mdp (count * mdp.Actions) (fun state action ->
            let numbers = x state

            if numbers.Length <> count then
                numbers
            else
                Array.init (count * mdp.Actions) (fun k ->
                    if k % mdp.Actions = action then numbers[k / mdp.Actions] else 0.0))

    /// Returns the features of a policy that has one row of logits for each class of states: `classOf state` is the class, counted from 0.
    /// Other numbers throw `ArgumentException`.
    let ofClasses (mdp: FiniteMdp) (classOf: int -> int) =
        let classes = Array.init mdp.States classOf

        if Array.min classes < 0 then
            invalidArg (nameof classOf) $"a class is {Array.min classes}, and classes are counted from 0"

        let count = 1 + Array.max classes
        ofStates mdp count (fun state -> Array.init count (fun k -> if k = classes[state] then 1.0 else 0.0))

    /// Returns Σ_k φ_k(s, a) x_k for each state and action: the change of the logits by a change x of the parameters. An x of another
    /// length throws `ArgumentException`.
    let logits (features: Features) (x: float[]) =
        if x.Length <> features.Count then
            invalidArg (nameof x) $"{x.Length} numbers are no change of {features.Count} parameters"

        Table.init features.StateCount features.ActionCount (fun state action ->
            let row = features.Row(state, action)
            let mutable sum = 0.0

            for k in 0 .. x.Length - 1 do
                sum <- sum + row[k] * x[k]

            sum)

    /// Returns Σ_s Σ_a φ(s, a) y(s, a): the gradient in the parameters, if y is the gradient in the logits. A table of another shape throws
    /// `ArgumentException`.
    let pullback (features: Features) (y: Table) =
        if y.Rows <> features.StateCount || y.Columns <> features.ActionCount then
            invalidArg (nameof y) $"a table of {y.Rows} × {y.Columns} numbers does not go with {features}"

        let sum = Array.zeroCreate features.Count

        for state in 0 .. y.Rows - 1 do
            for action in 0 .. y.Columns - 1 do
                let row = features.Row(state, action)

                for k in 0 .. sum.Length - 1 do
                    sum[k] <- sum[k] + row[k] * y[state, action]

        sum
