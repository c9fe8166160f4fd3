namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// How a vine grows.
[<RequireQualifiedAccess>]
type VineSettings =
    {
        /// Actions from each state; at least 2.
        Branches: int
        /// Environment steps of a branch at most; at least 1.
        Steps: int
        /// γ
        Gamma: float
    }

/// Several actions from each state of a rollout set, and what each of them led to (Schulman et al. 2015, "Trust region
/// policy optimization", section 5.2). Rows are state after state, and branch after branch within one.
[<RequireQualifiedAccess>]
type Vine =
    {
        States: int
        /// The branches of each state: those that were asked for, or as many as there are actions, where that is fewer.
        Branches: int
        /// Whether the branches of a state are all actions that there are, each once; else the policy drew them.
        HasEveryAction: bool
        /// The states' observations as the environment gave them, each as often as there are branches.
        Observations: Matrix
        /// As the policy drew them, before any scaling and clipping.
        Actions: Matrix
        /// Q(s, a) as the branch found it.
        Returns: ImmutableArray<float>
        /// How many steps the environment made.
        Steps: int64
    }

/// The state of an environment along a branch.
[<Struct; NoComparison; NoEquality>]
type private Along<'State> =
    {
        /// Nothing after the end of the branch.
        Inner: 'State voption
        /// The action that the branch begins with, until it is taken.
        First: ReadOnlyMemory<float32>
    }

module Vine =

    /// A transition in which nothing happens.
    let private stay state = { State = state; Reward = 0.0; Terminated = false; Truncated = false }

    /// An environment in which every action leads nowhere: what is looked at from a state, again and again.
    let private still (inner: Environment<'State>) =
        { new Environment<'State> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace
            member _.Reset key = inner.Reset key
            member _.Step(_, _, state) = stay state
            member _.Observe(state, observation) = inner.Observe(state, observation) }

    /// The environment along branches: the first action is the branch's own, and after the end of the episode there is no
    /// other one. Then nothing is seen, nothing happens, and the environment itself is not asked again.
    let private along (inner: Environment<'State>) =
        { new Environment<Along<'State>> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace
            member _.Reset _ = { Inner = ValueNone; First = ReadOnlyMemory.Empty }

            member _.Step(key, action, state) =
                match state.Inner with
                | ValueNone -> stay state
                | ValueSome before ->
                    let taken = if state.First.IsEmpty then action else state.First.Span
                    let next = inner.Step(key, taken, before)

                    { State = { Inner = ValueSome next.State; First = ReadOnlyMemory.Empty }
                      Reward = next.Reward
                      Terminated = next.Terminated
                      Truncated = next.Truncated }

            member _.Observe(state, observation) =
                match state.Inner with
                | ValueNone -> observation.Clear()
                | ValueSome inside -> inner.Observe(inside, observation) }

    /// The number of all actions that there are, where it is no more than so many.
    let private countOfAll branches space =
        match space with
        | Discrete count when count <= branches -> Some count
        | _ -> None

    /// The branches of each state in such an action space, where so many are asked for: no more than there are actions.
    let branchesIn space branches = defaultArg (countOfAll branches space) branches

    /// What the environment is given for each drawn action.
    let private given (policy: Policy) (actions: Matrix) =
        let given = Array.zeroCreate (Size.product actions.Rows actions.Columns)

        for row in 0 .. actions.Rows - 1 do
            Policy.toAction policy (actions.Row row) (given.AsSpan(row * actions.Columns, actions.Columns))

        Matrix.adopt actions.Rows actions.Columns given

    /// How many rows of an instance belong to its branch: those up to the end of the episode.
    let private length (batch: Batch) instance =
        let mutable last = instance * batch.Horizon

        while batch.Ends[last] = End.Continues do
            last <- last + 1

        last + 1 - instance * batch.Horizon

    /// The discounted return from the first row of each instance: GAE(1) without a baseline. What stands still behind the end of
    /// an episode does not reach back over it.
    let private returns gamma (valuesOf: Matrix -> ImmutableArray<float>) (batch: Batch) =
        let noValues =
            ImmutableCollectionsMarshal.AsImmutableArray(Array.zeroCreate<float> batch.Rewards.Length)

        let gae =
            Advantage.gae gamma 1.0 batch.Rewards batch.Ends noValues (valuesOf batch.BootstrapObservations)

        Array.init batch.Instances (fun instance -> gae.Returns[instance * batch.Horizon])

    /// Nobody goes on from where branches end.
    let private leave (ends: ImmutableArray<Instance<Along<'State>>>) =
        for instance in ends do
            instance.State.Inner |> ValueOption.iter Releasable.release

    /// Branches from where the instances are, with the actor's policy after the first action of each.
    ///
    /// In a discrete space of no more actions than there are to be branches, each action is taken once; else the policy draws
    /// them. A branch is followed to the end of the episode, or for so many steps; where it did not terminate, what would have
    /// followed is worth what `valuesOf` says of the observation there.
    ///
    /// All branches of a state draw from the same keys, step by step, so that chance is the same in all of them (common random
    /// numbers): what is left of the difference between two of their returns is due to the actions.
    let grow
        (environment: Environment<'State>)
        (actor: Actor)
        (settings: VineSettings)
        (valuesOf: Matrix -> ImmutableArray<float>)
        threads
        key
        (instances: ImmutableArray<Instance<'State>>)
        : Result<Vine, Fault> =
        let count = countOfAll settings.Branches environment.ActionSpace
        let branches = branchesIn environment.ActionSpace settings.Branches

        /// The instances as they set out on their branch of this number.
        let setOut (first: Matrix) branch =
            let width = first.Columns

            ImmutableArray.CreateRange(
                instances
                |> Seq.mapi (fun i instance ->
                    let action = first.Memory.Slice((i * branches + branch) * width, width)

                    { State = { Inner = ValueSome instance.State; First = action }
                      Return = 0.0
                      Length = 0
                      Steps = instance.Steps })
            )

        result {
            // An instance that stands still for as many steps as there are branches shows its state, and draws an action, for each.
            let! looks, _ =
                Rollout.collect (still environment) actor branches threads (Key.named "draw" key) instances

            let actions =
                match count with
                | Some count -> Matrix.init looks.Actions.Rows 1 (fun row _ -> float32 (row % count))
                | None -> looks.Actions

            let first = given actor.Policy actions
            let found = Array.zeroCreate looks.Rewards.Length
            let lengths = Array.zeroCreate looks.Rewards.Length

            for branch in 0 .. branches - 1 do
                let! batch, ends =
                    setOut first branch
                    |> Rollout.collect (along environment) actor settings.Steps threads (Key.named "play" key)

                leave ends
                let returns = returns settings.Gamma valuesOf batch

                for i in 0 .. instances.Length - 1 do
                    found[i * branches + branch] <- returns[i]
                    lengths[i * branches + branch] <- length batch i

            return
                { States = instances.Length
                  Branches = branches
                  HasEveryAction = count.IsSome
                  Observations = looks.Observations
                  Actions = actions
                  Returns = ImmutableCollectionsMarshal.AsImmutableArray found
                  Steps = Array.sumBy int64 lengths }
        }

    /// Numbers A for the rows, with which the surrogate of all of them, (1/NK) Σ (π_θ/π_old − 1) A, is that of the paper.
    ///
    /// Where every action is there, its equation 15 asks for the mean over the N states of Σ_a π_θ(a|s) Q(s, a). So with
    /// V(s) = Σ_a π_old(a|s) Q(s, a),
    ///
    ///     A(s, a) = K π_old(a|s) (Q(s, a) − V(s)),      (1/K) Σ_a (π_θ/π_old − 1) A = Σ_a (π_θ − π_old) Q
    ///
    /// V changes nothing in exact arithmetic. Where the policy drew the K actions, the baseline of each is the mean of the others:
    ///
    ///     A_k = Q_k − (1/(K − 1)) Σ_{j ≠ k} Q_j = K/(K − 1) (Q_k − mean Q)
    ///
    /// This baseline does not depend on the action a_k, so the surrogate is unbiased. The paper's equation 16 divides
    /// Σ_k (π_θ/π_old) Q_k by Σ_k π_θ/π_old instead, whose gradient at θ_old is (1/K) Σ_k ∇log π(a_k|s) (Q_k − mean Q): the same but
    /// for the factor K/(K − 1), by which it is too short on average.
    let advantages (actor: Actor) (vine: Vine) =
        let branches = vine.Branches
        let family = actor.Policy.Family
        let advantages = Array.zeroCreate vine.Returns.Length

        let weights =
            if vine.HasEveryAction then
                let distributions = Actor.distributions actor vine.Observations

                Array.init advantages.Length (fun row ->
                    exp (family.LogProbability(distributions.Row row, vine.Actions.Row row)))
            else
                Array.create advantages.Length (1.0 / float branches)

        let factorOf row =
            if vine.HasEveryAction then float branches * weights[row] else float branches / float (branches - 1)

        for state in 0 .. vine.States - 1 do
            let rows = seq { state * branches .. (state + 1) * branches - 1 }
            let value = rows |> Seq.sumBy (fun row -> weights[row] * vine.Returns[row])

            for row in rows do
                advantages[row] <- factorOf row * (vine.Returns[row] - value)

        ImmutableCollectionsMarshal.AsImmutableArray advantages
