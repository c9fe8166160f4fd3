namespace FunTrpo.Exact

open System
open System.Collections.Immutable
open MathNet.Numerics.LinearAlgebra

/// What there is to know of a policy, exactly.
type Values =
    {
        Policy: TabularPolicy
        /// V(s), the expected discounted return from a state.
        V: ImmutableArray<float>
        /// Q(s, a)
        Q: Table
        /// A(s, a) = Q(s, a) − V(s); 0 in terminal states.
        Advantages: Table
        /// η = Σ μ(s) V(s)
        Eta: float
        /// ρ(s) = Σ_t γᵗ P(s_t = s), unnormalised; 0 in terminal states.
        Visitation: ImmutableArray<float>
        /// By how much rounding may have put η off.
        EtaError: float
    }

/// Systems (I − W) x = b, where W has no negative number and its powers vanish.
module internal LinearSystem =

    /// A number of W: its row, its column and itself.
    type Entry = (struct (int * int * float))

    /// By elimination.
    let private eliminate count (entries: Entry[]) (b: float[]) =
        let matrix = Matrix<float>.Build.DenseIdentity count

        for struct (row, column, weight) in entries do
            matrix[row, column] <- matrix[row, column] - weight

        matrix.LU().Solve(Vector<float>.Build.DenseOfArray b).ToArray()

    /// The entries of a system, row by row.
    type private Rows =
        {
            /// The entries of a row are those numbered from `First[row]` up to the next.
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

    /// A sweep of Gauss and Seidel, up and down: the largest change of a number, and the largest number.
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

    /// Up to so many rows a system is eliminated at once, which takes some milliseconds.
    let surelyDense = 200

    /// With more rows the matrix and its factors would take more than half a gigabyte.
    let mostDense = 5_000

    /// What elimination costs, in looks at an entry by a sweep: n³/3 multiplications, each somewhat slower.
    let private costOfElimination count = if count > mostDense then infinity else 0.5 * float count ** 3.0

    /// The rate of convergence is known by so many sweeps.
    let private several = 8

    /// By sweeps until no number changes by more than rounding: for such systems they always get there, from any guess. Or nothing, where by
    /// the rate of the last sweeps those to come cost more than elimination. Near the end rounding hides the rate, but few are to come.
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

    /// x, from a guess that saves sweeps if it is near: by elimination or by sweeps, whatever is less work.
    let solveFrom guess entries (b: float[]) =
        if b.Length <= surelyDense then
            eliminate b.Length entries b
        else
            match sweep guess entries b with
            | Some x -> x
            | None -> eliminate b.Length entries b

    let solve entries b = solveFrom b entries b

    let transpose (entries: Entry[]) : Entry[] =
        entries |> Array.map (fun struct (row, column, weight) -> struct (column, row, weight))

module Values =

    /// The transitions of a policy between states that are not terminal: (s, s′, γ P_π(s′|s)).
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

    /// Numbers of the states that are not terminal, and 0 of the others.
    let private ofStates (mdp: FiniteMdp) f =
        Array.init mdp.States (fun state -> if mdp.IsTerminal state then 0.0 else f state)

    /// The mean reward of a policy in each state.
    let private rewards (mdp: FiniteMdp) (policy: TabularPolicy) = ofStates mdp (Table.rowDot policy.Table mdp.Rewards)

    /// As many roundings as there are, each by half of a last place, in the terms of a state's equation.
    let private rounded = 16.0 * 1.1e-16

    /// By how much rounding may have put η off. The equation of a state holds up to a residual, which the rounding of its own terms may hide in part;
    /// and what is missing in a state counts as often as the state is visited.
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

    /// V, Q, A, η and ρ of a policy, by linear solves: (I − γ P_π) V = r_π and (I − γ P_πᵀ) ρ = μ. The policy must be one of this process.
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

    /// What turns ρ into the weights of a mean over states: 1 / (1 − γ), which is Σ ρ where nothing terminates; Σ ρ where γ = 1.
    let horizon (mdp: FiniteMdp) (values: Values) =
        if mdp.Gamma < 1.0 then 1.0 / (1.0 - mdp.Gamma) else Seq.sum values.Visitation

    /// Σ_s ρ(s) Σ_a π̃(a|s) A(s, a): the policy advantage of another policy over this one.
    let policyAdvantage (values: Values) (other: TabularPolicy) =
        let mutable sum = 0.0

        for state in 0 .. other.Rows - 1 do
            sum <- sum + values.Visitation[state] * Table.rowDot other.Table values.Advantages state

        sum

    /// L_π(π̃) = η(π) + Σ_s ρ_π(s) Σ_a π̃(a|s) A_π(s, a): η with the visitation of the old policy (TRPO, equation 3). It agrees with η
    /// in value and gradient at π̃ = π.
    let localApproximation (values: Values) other = values.Eta + policyAdvantage values other

    /// η(π̃) by the identity η(π̃) = η(π) + Σ_s ρ_π̃(s) Σ_a π̃(a|s) A_π(s, a) (Kakade and Langford 2002), for which the visitation is
    /// that of π̃.
    let byIdentity (values: Values) (ofOther: Values) =
        let mutable sum = values.Eta

        for state in 0 .. ofOther.Policy.Rows - 1 do
            sum <- sum + ofOther.Visitation[state] * Table.rowDot ofOther.Policy.Table values.Advantages state

        sum

    /// max |Q|
    let internal size (q: Table) = Table.fold (fun largest x -> max largest (abs x)) 0.0 q

    /// By how much rounding may make one action look better than another.
    let internal rounding q = 1e-12 * size q

    /// The greedy policy, but in states where the old one is as good, up to rounding, the old one.
    let private improved (mdp: FiniteMdp) (policy: TabularPolicy) (v: float[]) =
        let q = backup mdp v
        let rounding = rounding q

        policy
        |> TabularPolicy.mapRows (fun state old ->
            let row = Table.rowArray q state

            if mdp.IsTerminal state || Array.max row <= v[state] + rounding then
                old
            else
                TabularPolicy.certainly row)

    /// The values of an optimal policy, by policy iteration. It goes on for as long as Σ V grows, so that it ends.
    let optimal (mdp: FiniteMdp) =
        let valueFrom guess policy = LinearSystem.solveFrom guess (discounted mdp policy) (rewards mdp policy)

        let rec improve policy v =
            let better = improved mdp policy v
            let betterV = valueFrom v better
            if Array.sum betterV <= Array.sum v then policy else improve better betterV

        let first = TabularPolicy.greedy mdp.Rewards
        ofPolicy mdp (improve first (valueFrom (Array.zeroCreate mdp.States) first))
