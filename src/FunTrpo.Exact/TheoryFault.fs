namespace FunTrpo.Exact

/// An error of the exact theory, as a value.
type TheoryFault =
    /// A table is invalid: its name, and what is wrong with it.
    | InvalidTable of table: string * why: string
    /// A guarantee of the theory did not hold: what it was about, and by how much it failed.
    | BrokenGuarantee of what: string * why: string

    /// A sentence that describes the fault to a user.
    override fault.ToString() =
        match fault with
        | InvalidTable(table, why) -> $"{table} is not allowed: {why}"
        | BrokenGuarantee(what, why) -> $"a guarantee was broken for {what}: {why}"
