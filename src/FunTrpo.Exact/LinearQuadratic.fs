namespace FunTrpo.Exact

open System
open System.Collections.Immutable
open MathNet.Numerics.LinearAlgebra
open FunTrpo

/// A linear-quadratic problem: the next state is A s + B a + w with noise w ~ N(0, W), the reward is −(sᵀQs + aᵀRa), and the start
/// s₀ has E[s₀ s₀ᵀ] = S. Nothing terminates, and γ < 1. `LinearQuadratic.create` guarantees shapes and definiteness.
[<NoComparison; NoEquality>]
type LinearQuadratic =
    private
        {
            Id: string
            Discount: float
            /// A: states × states.
            Dynamics: Matrix<float>
            /// B: states × actions.
            Input: Matrix<float>
            /// Q: states × states, positive semidefinite.
            StateCost: Matrix<float>
            /// R: actions × actions, positive definite.
            ActionCost: Matrix<float>
            /// W: states × states, positive semidefinite.
            Noise: Matrix<float>
            /// S: states × states, positive semidefinite.
            Start: Matrix<float>
        }

    member this.Name = this.Id
    member this.Gamma = this.Discount
    member this.States = this.Dynamics.RowCount
    member this.Actions = this.Input.ColumnCount

    override this.ToString() = $"{this.Id} ({this.States} states, {this.Actions} actions, γ = {this.Discount})"

/// The tables of a linear-quadratic problem, row by row.
[<NoComparison; NoEquality>]
type LinearQuadraticTables =
    {
        /// A, with one row and one column for each number of the state.
        A: float[,]
        /// B, with one row for each number of the state and one column for each number of the action.
        B: float[,]
        /// Q, symmetric and positive semidefinite.
        Q: float[,]
        /// R, symmetric and positive definite.
        R: float[,]
        /// W, the covariance of the noise.
        W: float[,]
        /// S = E[s₀ s₀ᵀ]; the start is normal with the mean 0.
        S: float[,]
    }

/// A linear policy: the action is drawn from N(−K s, Σ). With Σ = 0 it is deterministic.
[<NoComparison; NoEquality>]
type LinearPolicy =
    {
        /// K: actions × states.
        Gain: Matrix<float>
        /// Σ: actions × actions, positive semidefinite. It is not learned.
        Exploration: Matrix<float>
    }

/// The exact values of a linear policy with a finite η.
[<NoComparison; NoEquality>]
type LinearValues =
    {
        Policy: LinearPolicy
        /// P with V(s) = −sᵀPs − c.
        P: Matrix<float>
        /// c, the cost of the noise and of the exploration.
        Offset: float
        /// η = E[V(s₀)]
        Eta: float
        /// D = Σ_t γᵗ E[s_t s_tᵀ], unnormalised.
        Visitation: Matrix<float>
    }

/// Linear-quadratic problems with exact values, gradients and steps (Fazel et al. 2018, "Global convergence of policy gradient methods for the
/// linear quadratic regulator", here with a discount and noise). They have a cliff: η is finite where √γ times the spectral radius of A − BK is below 1,
/// and −∞ beyond.
module LinearQuadratic =

    let private refuse name why = Error(InvalidTable($"a table of {name}", why))

    let private shapes tables =
        let states, actions = Array2D.length1 tables.A, Array2D.length2 tables.B

        [ "A", tables.A, states, states
          "B", tables.B, states, actions
          "Q", tables.Q, states, states
          "R", tables.R, actions, actions
          "W", tables.W, states, states
          "S", tables.S, states, states ]

    let private ofTable (table: float[,]) = Matrix<float>.Build.DenseOfArray table

    let private smallestEigenvalue (matrix: Matrix<float>) =
        let symmetric = 0.5 * (matrix + matrix.Transpose())
        (symmetric.Evd Symmetricity.Symmetric).EigenValues |> Seq.map _.Real |> Seq.min

    /// What is wrong with a table that must be symmetric and positive, if something is.
    let private indefinite (mustBePositive: bool) (name, table) =
        let matrix = ofTable table
        let size, smallest = matrix.L2Norm(), smallestEigenvalue matrix

        if (matrix - matrix.Transpose()).L2Norm() > 1e-12 * size then Some $"{name} is not symmetric"
        elif mustBePositive && smallest <= 1e-12 * size then Some $"{name} is not positive definite"
        elif smallest < -1e-12 * size then Some $"{name} has a negative eigenvalue"
        else None

    /// Returns the problem of these tables. `InvalidTable` if a shape does not go with the others, a number is not finite, a matrix is not
    /// symmetric and positive as it must be, or γ is not in [0, 1).
    let create name gamma (tables: LinearQuadraticTables) =
        let wrongShape =
            shapes tables
            |> List.tryFind (fun (_, table, rows, columns) ->
                rows = 0 || columns = 0 || Array2D.length1 table <> rows || Array2D.length2 table <> columns)

        let notFinite =
            shapes tables
            |> List.tryFind (fun (_, table, _, _) -> table |> Seq.cast<float> |> Seq.forall Double.IsFinite |> not)

        match wrongShape, notFinite with
        | Some(table, numbers, rows, columns), _ ->
            refuse
                name
                $"{table} is {Array2D.length1 numbers} × {Array2D.length2 numbers}, and must be {rows} × {columns}"
        | _, Some(table, _, _, _) -> refuse name $"a number of {table} is not finite"
        | None, None when not (gamma >= 0.0 && gamma < 1.0) -> refuse name $"γ = {gamma} is not in [0, 1)"
        | None, None ->
            [ "Q", tables.Q; "W", tables.W; "S", tables.S ]
            |> List.tryPick (indefinite false)
            |> Option.orElse (indefinite true ("R", tables.R))
            |> function
                | Some why -> refuse name why
                | None ->
                    Ok
                        { Id = name
                          Discount = gamma
                          Dynamics = ofTable tables.A
                          Input = ofTable tables.B
                          StateCost = ofTable tables.Q
                          ActionCost = ofTable tables.R
                          Noise = ofTable tables.W
                          Start = ofTable tables.S }

    /// A − BK: the dynamics under the mean action.
    let private closedLoop problem (gain: Matrix<float>) = problem.Dynamics - problem.Input * gain

    /// Returns √γ times the spectral radius of A − BK. η is finite if it is below 1. It is infinite if a number of A − BK is not finite.
    let stability problem (gain: Matrix<float>) =
        let m = closedLoop problem gain

        if m.Exists(fun number -> not (Double.IsFinite number)) then
            infinity
        else
            let eigenvalues = m.Evd().EigenValues
            sqrt problem.Discount * (eigenvalues |> Seq.map _.Magnitude |> Seq.max)

    /// Whether η is finite.
    let private isStable problem gain = stability problem gain < 1.0

    /// Solves X = C + γ M X Mᵀ by doubling: X = Σ γᵏ Mᵏ C (Mᵏ)ᵀ, whose first 2ʲ terms give the first 2ʲ⁺¹. M must be stable; if it is so within
    /// rounding only, numbers may not be finite.
    let private solveStein gamma (m: Matrix<float>) (c: Matrix<float>) =
        let rec go doublings (power: Matrix<float>) (x: Matrix<float>) =
            let added = power * x * power.Transpose()
            let next = x + added
            let isDone = doublings = 64 || added.L2Norm() <= 1e-17 * next.L2Norm()
            if isDone then next else go (doublings + 1) (power * power) next

        go 0 (sqrt gamma * m) c

    /// The noise of a state's successor: W + B Σ Bᵀ.
    let private noise problem policy = problem.Noise + problem.Input * policy.Exploration * problem.Input.Transpose()

    /// Returns the exact values of a policy, or none if its η is −∞. A gain or a covariance of another shape throws `ArgumentException`.
    let values problem (policy: LinearPolicy) =
        let states, actions, gain = problem.Dynamics.RowCount, problem.Input.ColumnCount, policy.Gain

        if gain.RowCount <> actions || gain.ColumnCount <> states then
            invalidArg (nameof policy) $"a gain of {gain.RowCount} × {gain.ColumnCount} numbers is none of {problem}"

        if policy.Exploration.RowCount <> actions || policy.Exploration.ColumnCount <> actions then
            invalidArg (nameof policy) $"an exploration of {policy.Exploration.RowCount} actions is none of {problem}"

        let gamma, m = problem.Discount, closedLoop problem gain

        if not (isStable problem gain) then
            None
        else
            let cost = problem.StateCost + gain.Transpose() * problem.ActionCost * gain
            let p = solveStein gamma (m.Transpose()) cost
            let noise = noise problem policy

            let offset =
                ((problem.ActionCost * policy.Exploration).Trace() + gamma * (p * noise).Trace()) / (1.0 - gamma)

            let eta = -(p * problem.Start).Trace() - offset

            if Double.IsFinite eta then
                Some
                    { Policy = policy
                      P = p
                      Offset = offset
                      Eta = eta
                      Visitation = solveStein gamma m (problem.Start + gamma / (1.0 - gamma) * noise) }
            else
                None

    /// Returns η of a policy; −∞ if it is not stable.
    let eta problem policy = values problem policy |> Option.map _.Eta |> Option.defaultValue -infinity

    /// G = R + γ BᵀPB, the curvature of the cost in the action.
    let private curvature problem (values: LinearValues) =
        problem.ActionCost + problem.Discount * problem.Input.Transpose() * values.P * problem.Input

    /// E = GK − γ BᵀPA. ∇_a Q(s, a) at the mean action is 2 E s.
    let private slope problem (values: LinearValues) =
        curvature problem values * values.Policy.Gain
        - problem.Discount * problem.Input.Transpose() * values.P * problem.Dynamics

    /// Returns ∇_a Q(s, a) = −2 (G a + γ BᵀPA s), for the deterministic policy gradient.
    let actionGradient problem (values: LinearValues) (state: float[]) (action: float[]) =
        let state, action = Vector<float>.Build.DenseOfArray state, Vector<float>.Build.DenseOfArray action
        let drift = problem.Discount * problem.Input.Transpose() * values.P * problem.Dynamics * state
        (-2.0 * (curvature problem values * action + drift)).ToArray()

    /// Returns ∇η in the gain K, −2 E D. It is the policy gradient as well as the deterministic policy gradient Σ γᵗ E[∇_a Q ∇_K(−K s)]: Σ changes D
    /// alone.
    let gradient problem (values: LinearValues) = -2.0 * slope problem values * values.Visitation

    /// Returns the natural gradient F⁻¹∇η = −2/(1−γ) Σ E, where F is the Fisher matrix of the mean KL. Σ must be positive definite: a
    /// deterministic policy has no Fisher matrix.
    let naturalGradient problem (values: LinearValues) =
        -2.0 / (1.0 - problem.Discount) * values.Policy.Exploration * slope problem values

    /// Returns L(K̃) − η(K) = −tr(Δᵀ G Δ D) − 2 tr(Δᵀ E D) for a change Δ of the gain. It is finite even where η(K̃) is −∞.
    let surrogateGain problem (values: LinearValues) (change: Matrix<float>) =
        let weighted = change * values.Visitation

        -(change.Transpose() * curvature problem values * weighted).Trace()
        - 2.0 * (slope problem values).TransposeThisAndMultiply(weighted).Trace()

    /// Returns the mean KL of a change Δ of the gain in nats, ½ (1−γ) tr(Δᵀ Σ⁻¹ Δ D). It is quadratic, so the model that TRPO uses for the length of
    /// a step is exact here. Σ must be positive definite.
    let meanKl problem (values: LinearValues) (change: Matrix<float>) =
        0.5
        * (1.0 - problem.Discount)
        * (change.Transpose() * values.Policy.Exploration.Solve(change) * values.Visitation).Trace()

    /// The policy after a change of its gain.
    let changed change (values: LinearValues) = { values.Policy with Gain = values.Policy.Gain + change }

    /// The number of lengths that a line search tries.
    let private tries = 100

    /// Returns TRPO's change of the gain: √(2δ / xᵀFx) x along the natural gradient x, where the mean KL is δ, shortened by factors of 0.8 until L gains.
    /// None if the gradient is 0.
    let trustRegionChange problem delta (values: LinearValues) =
        Algorithms.requirePositive (nameof delta) delta
        let x = naturalGradient problem values
        let kl = meanKl problem values x

        if kl > 0.0 && Double.IsFinite kl then
            Seq.init tries (fun i -> sqrt (delta / kl) * 0.8 ** float i * x)
            |> Seq.tryFind (fun change -> surrogateGain problem values change > 0.0)
        else
            None

    /// The gain that maximises Q(s, a), (R + γBᵀPB)⁻¹ γBᵀPA.
    let private greedyGain problem (p: Matrix<float>) =
        let b, gamma = problem.Input, problem.Discount
        (problem.ActionCost + gamma * b.Transpose() * p * b).Solve(gamma * b.Transpose() * p * problem.Dynamics)

    /// A stable gain, by value iteration from P = Q. None if 10,000 iterations find none.
    let private stableGain problem =
        let next (p: Matrix<float>) =
            let gain = greedyGain problem p

            problem.StateCost + problem.Discount * problem.Dynamics.Transpose() * p * closedLoop problem gain

        Seq.unfold (fun p -> Some(greedyGain problem p, next p)) problem.StateCost
        |> Seq.truncate 10_000
        |> Seq.tryFind (isStable problem)

    /// Returns the gain with the largest η, by policy iteration from a stable gain (Hewer 1971). None if no stable gain is found, as for a state that
    /// grows and that no action reaches.
    let optimalGain problem =
        let ofGain gain = values problem { Gain = gain; Exploration = 0.0 * problem.ActionCost }

        // The cost tr P falls by each round until it is right to rounding, and convergence is quadratic. The last round still counts: the cost
        // falls with the square of a change of the gain, so it does not show the last change.
        let rec improve (current: LinearValues) =
            let gain = greedyGain problem current.P

            match ofGain gain with
            | Some better when better.P.Trace() < current.P.Trace() -> improve better
            | Some _ -> gain
            | None -> current.Policy.Gain

        stableGain problem |> Option.bind ofGain |> Option.map improve

    /// A matrix L with L Lᵀ = C, of a positive semidefinite C.
    let private root (c: Matrix<float>) =
        let evd = c.Evd Symmetricity.Symmetric
        let roots = evd.EigenValues |> Seq.map (fun value -> sqrt (max 0.0 value.Real)) |> Array.ofSeq
        evd.EigenVectors * Matrix<float>.Build.DenseOfDiagonalArray roots

    let private drawNormal (root: Matrix<float>) key =
        root * Vector<float>.Build.DenseOfArray(Key.normals root.ColumnCount key)

    /// Returns the problem as an environment, whose observations are states. Actions lie in a box from −limit to limit. Nothing terminates:
    /// use `Environment.withTimeLimit`. The rewards are not discounted: the learner applies the γ of its configuration.
    let environment problem limit : Environment<ImmutableArray<float>> =
        let ofStart, ofNoise = root problem.Start, root problem.Noise
        let observations = Space.box problem.States -infinity infinity
        let actions = Space.box problem.Actions -limit limit

        { new Environment<ImmutableArray<float>> with
            member _.Id = problem.Id
            member _.ObservationSpace = observations
            member _.ActionSpace = actions
            member _.Reset key = PerState.adopt ((drawNormal ofStart key).ToArray())

            member _.Step(key, action, state) =
                let a = Vector<float>.Build.DenseOfEnumerable(Seq.map float (action.ToArray()))
                let s = Vector<float>.Build.DenseOfEnumerable state
                let next = problem.Dynamics * s + problem.Input * a + drawNormal ofNoise key

                { State = PerState.adopt (next.ToArray())
                  Reward = -(s * problem.StateCost * s + a * problem.ActionCost * a)
                  Terminated = false
                  Truncated = false }

            member _.Observe(state, observation) =
                for i in 0 .. state.Length - 1 do
                    observation[i] <- float32 state[i] }
