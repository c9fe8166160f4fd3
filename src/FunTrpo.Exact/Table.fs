namespace FunTrpo.Exact

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// A read-only table of float64 with one row for each state and one column for each action. Tables with equal numbers are equal.
[<CustomEquality; NoComparison>]
type Table =
    private
        { States: int
          Actions: int
          Numbers: float[] }

    member this.Rows = this.States
    member this.Columns = this.Actions

    member this.Item
        with get (state: int, action: int) = this.Numbers[state * this.Actions + action]

    /// The numbers of a state, one for each action.
    member this.Row state = ReadOnlySpan(this.Numbers, state * this.Actions, this.Actions)

    member this.Equals(other: Table) =
        this.States = other.States
        && this.Actions = other.Actions
        && this.Numbers.AsSpan().SequenceEqual(ReadOnlySpan other.Numbers)

    override this.Equals(other: obj) =
        match other with
        | :? Table as table -> this.Equals table
        | _ -> false

    override this.GetHashCode() =
        HashCode.Combine(this.States, this.Actions, (if this.Numbers.Length = 0 then 0.0 else this.Numbers[0]))

    override this.ToString() = $"Table {this.States} × {this.Actions}"

    interface IEquatable<Table> with
        member this.Equals other = this.Equals other

module Table =

    /// Returns the table of `f state action`.
    let init states actions (f: int -> int -> float) =
        { States = states
          Actions = actions
          Numbers = Array.init (states * actions) (fun i -> f (i / actions) (i % actions)) }

    /// Returns the table of the rows `row state`.
    let initRows states actions (row: int -> float[]) =
        { States = states; Actions = actions; Numbers = Array.collect row [| 0 .. states - 1 |] }

    /// Returns the table of `f` of each number.
    let map f table = { table with Numbers = Array.map f table.Numbers }

    /// Throws `ArgumentException` if the tables have different shapes: they are combined number by number.
    let internal requireSameShape (a: Table) (b: Table) =
        if a.States <> b.States || a.Actions <> b.Actions then
            invalidArg
                (nameof b)
                $"a table of {b.States} × {b.Actions} numbers does not go with one of {a.States} × {a.Actions}"

    /// Returns the table of `f` of each pair of numbers. Tables of different shapes throw `ArgumentException`.
    let map2 f a b =
        requireSameShape a b
        { a with Numbers = Array.map2 f a.Numbers b.Numbers }

    /// Folds `f` over the numbers, row by row.
    let fold f state table = Array.fold f state table.Numbers

    /// Returns a copy of the row of a state.
    let rowArray (table: Table) state = table.Row(state).ToArray()

    /// Returns Σ_a x(s, a) y(s, a) for a state s.
    let rowDot (x: Table) (y: Table) state =
        requireSameShape x y
        let mutable sum = 0.0

        for action in 0 .. x.Actions - 1 do
            sum <- sum + x[state, action] * y[state, action]

        sum

/// Immutable arrays with one number for each state.
module internal PerState =

    /// Uses the array without a copy, so the caller must not change it afterwards.
    let adopt (numbers: float[]) = ImmutableCollectionsMarshal.AsImmutableArray numbers

    let init count f = adopt (Array.init count f)

    let dot (a: ImmutableArray<float>) (b: ImmutableArray<float>) =
        let mutable sum = 0.0

        for i in 0 .. a.Length - 1 do
            sum <- sum + a[i] * b[i]

        sum
