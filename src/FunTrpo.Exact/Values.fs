namespace FunTrpo.Exact

open System
open System.Collections.Immutable
open MathNet.Numerics.LinearAlgebra

/// The exact values of a policy.
type Values =
    {
        Policy: TabularPolicy
        /// V(s), the expected discounted sum of rewards from state s.
        V: ImmutableArray<float>
        /// Q(s, a), the expected discounted sum of rewards after action a in state s.
        Q: Table
        /// A(s, a) = Q(s, a) − V(s); 0 in terminal states.
        Advantages: Table
        /// η = Σ μ(s) V(s)
        Eta: float
        /// ρ(s) = Σ_t γᵗ P(s_t = s), unnormalised; 0 in terminal states.
        Visitation: ImmutableArray<float>
        /// A bound of the rounding error of η.
        EtaError: float
    }

/// Solves systems (I − W) x = b, where W has no negative number and its powers vanish.
module internal LinearSystem =

    /// An entry of W: row, column and number.
    type Entry = (struct (int * int * float))

    /// Solves the system by elimination (LU).
    let private eliminate count (entries: Entry[]) (b: float[]) =
        let matrix = Matrix<float>.Build.DenseIdentity count

        for struct (row, column, weight) in entries do
            matrix[row, column] <- matrix[row, column] - weight

        matrix.LU().Solve(Vector<float>.Build.DenseOfArray b).ToArray()

    /// The entries of a system, row by row.
    type private Rows =
        {
            /// The entries of a row go from `First[row]` to `First[row + 1]`, exclusive.
            First: int[]
            Columns: int[]
            Weights: float[]
        }

    let private byRows count (entries: Entry[]) =
        let first = Array.zeroCreate (count + 1)

        for struct (row, _, _) in entries do
            first[row + 1] <- first[row + 1] + 1

        for row in 0 .. count - 1 do
            first[row + 1] <- first[row + 1] + first[row]

        let free = Array.copy first
        let columns = Array.zeroCreate entries.Length
        let weights = Array.zeroCreate entries.Length

        for struct (row, column, weight) in entries do
            columns[free[row]] <- column
            weights[free[row]] <- weight
            free[row] <- free[row] + 1

        { First = first; Columns = columns; Weights = weights }

    /// One symmetric Gauss–Seidel sweep. Returns the largest change of a number, and the largest number.
    let private sweepOnce rows (b: float[]) (x: float[]) =
        let mutable largest = 0.0
        let mutable change = 0.0

        let visit row =
            let mutable sum = b[row]
            let mutable itself = 0.0

            for i in rows.First[row] .. rows.First[row + 1] - 1 do
                if rows.Columns[i] = row then
                    itself <- itself + rows.Weights[i]
                else
                    sum <- sum + rows.Weights[i] * x[rows.Columns[i]]

            let value = sum / (1.0 - itself)
            change <- max change (abs (value - x[row]))
            largest <- max largest (abs value)
            x[row] <- value

        for row in 0 .. x.Length - 1 do
            visit row

        for row in x.Length - 1 .. -1 .. 0 do
            visit row

        struct (change, largest)

    /// A system with at most this many rows is always eliminated, which takes a few milliseconds.
    let alwaysEliminated = 200

    /// The largest system that is eliminated. For more rows the matrix and its factors would need more than half a gigabyte.
    let largestEliminated = 5_000

    /// The cost of elimination, in units of one entry in a sweep: n³/3 multiplications, each of which is somewhat slower.
    let private costOfElimination count = if count > largestEliminated then infinity else 0.5 * float count ** 3.0

    /// The number of sweeps from which the rate of convergence is estimated.
    let private several = 8

    /// Sweeps until no number changes by more than rounding. For these systems sweeps converge from any guess. Returns none if the
    /// remaining sweeps would cost more than elimination, by the rate of the last ones. Near the end rounding hides the rate, but then
    /// few sweeps remain.
    let sweep (guess: float[]) (entries: Entry[]) (b: float[]) =
        let rows = byRows b.Length entries
        let x = Array.copy guess
        let mostSweeps = costOfElimination b.Length / (2.0 * float entries.Length)

        let rec go count before =
            let struct (change, largest) = sweepOnce rows b x
            let goal = 4.0 * Double.Epsilon + 1e-15 * largest

            if change <= goal then
                Some x
            elif count % several > 0 || change <= 1e3 * goal then
                go (count + 1) before
            else
                let sweepsToCome = float several * log (change / goal) / log (before / change)
                let isNoNearer = change >= before

                if (isNoNearer && mostSweeps < infinity) || sweepsToCome > mostSweeps then
                    None
                else
                    go (count + 1) change

        go 1 infinity

    /// Solves the system by elimination or by sweeps, whichever costs less. A guess near the solution saves sweeps.
    let solveFrom guess entries (b: float[]) =
        if b.Length <= alwaysEliminated then
            eliminate b.Length entries b
        else
            match sweep guess entries b with
            | Some x -> x
            | None -> eliminate b.Length entries b

    /// Solves the system with b as the guess.
    let solve entries b = solveFrom b entries b

    /// The entries of the transposed matrix.
    let transpose (entries: Entry[]) : Entry[] =
        entries |> Array.map (fun struct (row, column, weight) -> struct (column, row, weight))

module Values =

    /// The discounted transitions of a policy between states that are not terminal: (s, s′, γ P_π(s′|s)).
    let private discounted (mdp: FiniteMdp) (policy: TabularPolicy) : LinearSystem.Entry[] =
        let entries = ResizeArray()

        for state in 0 .. mdp.States - 1 do
            for action in 0 .. mdp.Actions - 1 do
                if policy[state, action] > 0.0 then
                    for branch in mdp.Branches(state, action) do
                        if not (mdp.IsTerminal branch.Next) then
                            entries.Add(
                                struct (state, branch.Next, mdp.Gamma * policy[state, action] * branch.Probability)
                            )

        entries.ToArray()

    /// r(s, a) + γ Σ P(s′|s, a) V(s′)
    let private backup (mdp: FiniteMdp) (v: float[]) =
        Table.init mdp.States mdp.Actions (fun state action ->
            let mutable sum = 0.0

            for branch in mdp.Branches(state, action) do
                sum <- sum + branch.Probability * v[branch.Next]

            mdp.Rewards[state, action] + mdp.Gamma * sum)

    /// f of each state that is not terminal, and 0 for the terminal states.
    let private ofStates (mdp: FiniteMdp) f =
        Array.init mdp.States (fun state -> if mdp.IsTerminal state then 0.0 else f state)

    /// The mean reward of a policy in each state.
    let private rewards (mdp: FiniteMdp) (policy: TabularPolicy) = ofStates mdp (Table.rowDot policy.Table mdp.Rewards)

    /// A bound of the relative rounding in the terms of a state's equation: sixteen roundings, each by half a unit in the last place.
    let private rounded = 16.0 * 1.1e-16

    /// A bound of the rounding error of η. The equation of each state holds up to a residual, and the rounding of the equation's terms may
    /// hide a part of it. The error of a state counts in η as often as the state is visited.
    let private errorOfEta
        (mdp: FiniteMdp)
        policy
        (transitions: LinearSystem.Entry[])
        (v: float[])
        (visitation: float[])
        =
        let sizes = ofStates mdp (Table.rowDot policy (Table.map abs mdp.Rewards))
        let residuals = Array.map2 (-) (ofStates mdp (Table.rowDot policy mdp.Rewards)) v

        for struct (state, next, weight) in transitions do
            residuals[state] <- residuals[state] + weight * v[next]
            sizes[state] <- sizes[state] + abs (weight * v[next])

        let mutable sum = 0.0

        for state in 0 .. v.Length - 1 do
            let error = abs residuals[state] + rounded * (sizes[state] + abs v[state])
            sum <- sum + abs visitation[state] * error

        sum

    /// Returns V, Q, A, η and ρ of a policy by the linear systems (I − γ P_π) V = r_π and (I − γ P_πᵀ) ρ = μ. A policy that does not have
    /// the shape of the process throws `ArgumentException`.
    let ofPolicy (mdp: FiniteMdp) (policy: TabularPolicy) =
        if policy.Rows <> mdp.States || policy.Columns <> mdp.Actions then
            invalidArg (nameof policy) $"a policy of {policy.Rows} × {policy.Columns} probabilities is none of {mdp}"

        let transitions = discounted mdp policy
        let v = LinearSystem.solve transitions (rewards mdp policy)

        let visitation =
            ofStates mdp (fun state -> mdp.Start[state])
            |> LinearSystem.solve (LinearSystem.transpose transitions)

        let q = backup mdp v

        { Policy = policy
          V = PerState.adopt v
          Q = q
          Advantages =
            Table.init mdp.States mdp.Actions (fun state action ->
                if mdp.IsTerminal state then 0.0 else q[state, action] - v[state])
          Eta = PerState.dot mdp.Start (PerState.adopt v)
          Visitation = PerState.adopt visitation
          EtaError = errorOfEta mdp policy.Table transitions v visitation }

    /// Returns the number by which ρ is divided to weight a mean over states: 1 / (1 − γ), or Σ ρ if γ = 1. Both are equal if γ < 1 and
    /// nothing terminates.
    let horizon (mdp: FiniteMdp) (values: Values) =
        if mdp.Gamma < 1.0 then 1.0 / (1.0 - mdp.Gamma) else Seq.sum values.Visitation

    /// Returns Σ_s ρ(s) Σ_a π̃(a|s) A(s, a): the policy advantage of another policy over this one.
    let policyAdvantage (values: Values) (other: TabularPolicy) =
        let mutable sum = 0.0

        for state in 0 .. other.Rows - 1 do
            sum <- sum + values.Visitation[state] * Table.rowDot other.Table values.Advantages state

        sum

    /// Returns L_π(π̃) = η(π) + Σ_s ρ_π(s) Σ_a π̃(a|s) A_π(s, a), which uses the visitation of the old policy (TRPO, equation 3). L and η
    /// have the same value and gradient at π̃ = π.
    let localApproximation (values: Values) other = values.Eta + policyAdvantage values other

    /// Returns η(π̃) by the identity η(π̃) = η(π) + Σ_s ρ_π̃(s) Σ_a π̃(a|s) A_π(s, a) (Kakade and Langford 2002). It uses the visitation of
    /// π̃.
    let byIdentity (values: Values) (other: Values) =
        let mutable sum = values.Eta

        for state in 0 .. other.Policy.Rows - 1 do
            sum <- sum + other.Visitation[state] * Table.rowDot other.Policy.Table values.Advantages state

        sum

    /// Returns max |Q|.
    let internal size (q: Table) = Table.fold (fun largest x -> max largest (abs x)) 0.0 q

    /// Returns the difference of action values below which rounding may decide which action looks better.
    let internal rounding q = 1e-12 * size q

    /// The greedy policy. States in which the old policy is as good, up to rounding, keep their old row.
    let private improved (mdp: FiniteMdp) (policy: TabularPolicy) (v: float[]) =
        let q = backup mdp v
        let rounding = rounding q

        policy
        |> TabularPolicy.mapRows (fun state old ->
            let row = Table.rowArray q state

            if mdp.IsTerminal state || Array.max row <= v[state] + rounding then
                old
            else
                TabularPolicy.greedyRow row)

    /// Returns the values of an optimal policy, by policy iteration. It continues while Σ V grows, which guarantees that it ends.
    let optimal (mdp: FiniteMdp) =
        let valueFrom guess policy = LinearSystem.solveFrom guess (discounted mdp policy) (rewards mdp policy)

        let rec improve policy v =
            let better = improved mdp policy v
            let betterV = valueFrom v better
            if Array.sum betterV <= Array.sum v then policy else improve better betterV

        let first = TabularPolicy.greedy mdp.Rewards
        ofPolicy mdp (improve first (valueFrom (Array.zeroCreate mdp.States) first))
