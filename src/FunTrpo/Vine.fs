namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// The settings of a vine.
[<RequireQualifiedAccess>]
type VineSettings =
    {
        /// The number of actions that are tried in each state; at least 2.
        Branches: int
        /// The maximum number of environment steps of a branch; at least 1.
        Steps: int
        /// γ, the discount.
        Gamma: float
    }

/// Several actions from each state of a rollout set, with the return of each (Schulman et al. 2015, "Trust region
/// policy optimization", section 5.2). Rows are ordered by state, and by branch within a state.
[<RequireQualifiedAccess>]
type Vine =
    {
        States: int
        /// The number of branches of each state: the requested number, or the number of actions if that is smaller.
        Branches: int
        /// True if the branches of a state take every action exactly once; false if the policy drew the actions.
        HasEveryAction: bool
        /// The raw observation of each row's state: each observation is repeated for every branch.
        Observations: Matrix
        /// What the policy remembers in each row's state: rows × the memory of its network.
        Memory: Matrix
        /// The first action of each row, before scaling and clipping.
        Actions: Matrix
        /// The estimate of Q(s, a) from each branch: its discounted return.
        Returns: ImmutableArray<float>
        /// The number of environment steps of all branches together.
        Steps: int64
    }

/// The state of an environment inside a branch.
[<Struct; NoComparison; NoEquality>]
type private BranchState<'State> =
    {
        /// The environment's own state; none after the end of the episode.
        Inner: 'State voption
        /// The first action of the branch; empty once it was taken.
        First: ReadOnlyMemory<float32>
    }

module Vine =

    /// A transition that keeps the state and has reward 0.
    let private stay state = { State = state; Reward = 0.0; Terminated = false; Truncated = false }

    /// The same environment with a step that keeps the state: a rollout of one step in it observes each state.
    let private still (inner: Environment<'State>) =
        { new Environment<'State> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace
            member _.Reset key = inner.Reset key
            member _.Step(_, _, state) = stay state
            member _.Observe(state, observation) = inner.Observe(state, observation) }

    /// The state of an instance whose branch has ended.
    let private ended () = { Inner = ValueNone; First = ReadOnlyMemory.Empty }

    /// The action that is taken in a state when the policy chooses this one.
    let private taken (state: BranchState<'State>) (chosen: ReadOnlySpan<float32>) =
        if state.First.IsEmpty then chosen else state.First.Span

    let private following (next: Transition<'State>) =
        { State = { Inner = ValueSome next.State; First = ReadOnlyMemory.Empty }
          Reward = next.Reward
          Terminated = next.Terminated
          Truncated = next.Truncated }

    /// The calls for several states inside branches: those whose episodes have not ended are stepped.
    let private branchBatch width (inner: BatchSteps<'State>) =
        { new BatchSteps<BranchState<'State>> with
            member _.Size = inner.Size
            member _.Reset keys = keys |> Array.map (fun _ -> ended ())

            member _.Step(keys, actions, states) =
                let going = [| 0 .. states.Length - 1 |] |> Array.filter (fun i -> states[i].Inner.IsSome)
                let transitions = states |> Array.map stay

                if going.Length > 0 then
                    let rows = Array.zeroCreate<float32>(going.Length * width)

                    for row in 0 .. going.Length - 1 do
                        let i = going[row]
                        (taken states[i] (ReadOnlySpan(actions, i * width, width))).CopyTo(rows.AsSpan(row * width))

                    let pick values = going |> Array.map (Array.get values)
                    let inside = pick states |> Array.map _.Inner.Value

                    BatchSteps.forSome going (fun () -> inner.Step(pick keys, rows, inside))
                    |> Array.iteri (fun row next -> transitions[going[row]] <- following next)

                transitions }

    /// The environment inside branches. The first action of a branch is its own; the policy chooses the later ones. After the
    /// end of the episode no new one begins: observations are 0, rewards are 0, and the inner environment is not called.
    let private inBranches (inner: Environment<'State>) =
        { new Environment<BranchState<'State>> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace
            member _.Reset _ = ended ()

            member _.Step(key, action, state) =
                match state.Inner with
                | ValueNone -> stay state
                | ValueSome before -> following (inner.Step(key, taken state action, before))

            member _.Observe(state, observation) =
                match state.Inner with
                | ValueNone ->
                    observation.Clear()
                    // The policy still chooses actions, which are not taken.
                    Mask.allowAll inner.ObservationSpace observation
                | ValueSome inside -> inner.Observe(inside, observation)
          interface WaitingEnvironment with
              member _.InFlight = InFlight.ofEnvironment inner
          interface BatchEnvironment<BranchState<'State>> with
              member _.Batch =
                  BatchSteps.ofEnvironment<'State> inner |> Option.map (branchBatch (Space.width inner.ActionSpace)) }

    /// The number of actions of a discrete space, if it is at most `branches` and no mask forbids some of them.
    let private countWithin branches (environment: Environment<'State>) =
        match environment.ActionSpace with
        | Discrete count when count <= branches && not (Mask.isIn environment.ObservationSpace) -> Some count
        | _ -> None

    /// Returns the number of branches of each state of an environment when `branches` are requested: at most the number of
    /// actions of a discrete space. With action masks, the number is as requested.
    let branchesIn environment branches = defaultArg (countWithin branches environment) branches

    /// The scaled and clipped action that the environment receives for each drawn action.
    let private environmentActions (policy: Policy) (actions: Matrix) =
        let results = Array.zeroCreate (Size.product actions.Rows actions.Columns)

        for row in 0 .. actions.Rows - 1 do
            Policy.toAction policy (actions.Row row) (results.AsSpan(row * actions.Columns, actions.Columns))

        Matrix.adopt actions.Rows actions.Columns results

    /// The number of rows of an instance that belong to its branch: those up to the end of the episode.
    let private lengthOf (batch: Batch) instance =
        let mutable last = instance * batch.Horizon

        while batch.Ends[last] = End.Continues do
            last <- last + 1

        last + 1 - instance * batch.Horizon

    /// The discounted return from the first row of each instance: GAE with λ = 1 and without a baseline. The rows after the end
    /// of an episode do not change its return.
    let private returnsOf gamma (valuesOf: Batch -> ImmutableArray<float>) (batch: Batch) =
        let noValues =
            ImmutableCollectionsMarshal.AsImmutableArray(Array.zeroCreate<float> batch.Rewards.Length)

        let gae = Advantage.gae gamma 1.0 batch.Rewards batch.Ends noValues (valuesOf batch)

        Array.init batch.Instances (fun instance -> gae.Returns[instance * batch.Horizon])

    /// Releases the last states of the branches: no rollout continues from them.
    let private releaseStates (ends: ImmutableArray<Instance<BranchState<'State>>>) =
        for instance in ends do
            instance.State.Inner |> ValueOption.iter Releasable.release

    /// The instances at the start of their branch of this number. `first` has the first action of each branch.
    let private startBranch (instances: ImmutableArray<Instance<'State>>) branches (first: Matrix) branch =
        let width = first.Columns

        ImmutableArray.CreateRange(
            instances
            |> Seq.mapi (fun i instance ->
                let action = first.Memory.Slice((i * branches + branch) * width, width)

                { State = { Inner = ValueSome instance.State; First = action }
                  Return = 0.0
                  Length = 0
                  Steps = instance.Steps
                  Memory = instance.Memory })
        )

    /// Each row as often as there are branches, one after another.
    let private repeatRows branches (rows: Matrix) =
        Matrix.gather
            (ImmutableArray.CreateRange(Seq.init (Size.product rows.Rows branches) (fun row -> row / branches)))
            rows

    /// Draws this many actions in the state of each instance, which the batch of one step shows. Returns the fault of a policy that draws
    /// what is not finite.
    let private drawActions
        (environment: Environment<'State>)
        (actor: Actor)
        branches
        key
        (seen: Batch)
        (instances: ImmutableArray<Instance<'State>>)
        =
        let family = actor.Policy.Family
        let distributions = Actor.distributionsAfter seen.Memory actor seen.Observations

        let actions =
            Array.zeroCreate<float32>(Size.product (Size.product instances.Length branches) family.ActionWidth)

        for i in 0 .. instances.Length - 1 do
            let key = RolloutKey.ofInstance RolloutKey.action i key

            for branch in 0 .. branches - 1 do
                let row = i * branches + branch

                family.Sample(
                    distributions.Row i,
                    Key.at (int64 branch) key,
                    actions.AsSpan(row * family.ActionWidth, family.ActionWidth)
                )

        match actions |> Array.tryFindIndex (Single.IsFinite >> not) with
        | Some index ->
            let instance = index / (branches * family.ActionWidth)
            Error(NonFinitePolicy(environment.Id, instance, instances[instance].Steps))
        | None -> Ok(Matrix.adopt (instances.Length * branches) family.ActionWidth actions)

    /// Returns a vine with the states of the instances as its rollout set, or the fault of a rollout. After the first action of
    /// a branch, the actor's policy chooses the actions.
    ///
    /// In a discrete space with at most `settings.Branches` actions, every action is taken once; otherwise, and with action masks, the policy
    /// draws the first actions. A branch ends with the episode, or after `settings.Steps` steps. If it did not terminate, its return is
    /// bootstrapped with the value that `valuesOf` gives for the last observation: it returns one value for each bootstrap observation of a batch
    /// whose instances begin where these instances are.
    ///
    /// All branches of a state use the same keys at the same step (common random numbers). So the noise that the branches share
    /// cancels in the difference between two of their returns, and the effect of the actions remains.
    let sample
        (environment: Environment<'State>)
        (actor: Actor)
        (settings: VineSettings)
        (valuesOf: Batch -> ImmutableArray<float>)
        threads
        key
        (instances: ImmutableArray<Instance<'State>>)
        : Result<Vine, Fault> =
        let count = countWithin settings.Branches environment
        let branches = branchesIn environment settings.Branches

        result {
            let drawKey = Key.named "draw" key
            let! seen, _ = Rollout.collect (still environment) actor 1 threads drawKey instances

            let! actions =
                match count with
                | Some count -> Ok(Matrix.init (instances.Length * count) 1 (fun row _ -> float32 (row % count)))
                | None -> drawActions environment actor branches drawKey seen instances

            let first = environmentActions actor.Policy actions
            let branchReturns = Array.zeroCreate actions.Rows
            let lengths = Array.zeroCreate actions.Rows

            for branch in 0 .. branches - 1 do
                let! batch, ends =
                    startBranch instances branches first branch
                    |> Rollout.collect (inBranches environment) actor settings.Steps threads (Key.named "play" key)

                releaseStates ends
                let returns = returnsOf settings.Gamma valuesOf batch

                for i in 0 .. instances.Length - 1 do
                    branchReturns[i * branches + branch] <- returns[i]
                    lengths[i * branches + branch] <- lengthOf batch i

            return
                { States = instances.Length
                  Branches = branches
                  HasEveryAction = count.IsSome
                  Observations = repeatRows branches seen.Observations
                  Memory = repeatRows branches seen.Memory
                  Actions = actions
                  Returns = ImmutableCollectionsMarshal.AsImmutableArray branchReturns
                  Steps = Array.sumBy int64 lengths }
        }

    /// Returns one advantage for each row, such that the gain over the N states and K branches, (1/NK) Σ (π_θ/π_old − 1) A, is
    /// that of the TRPO paper (section 5.2).
    ///
    /// If every action was taken, equation 15 of the paper is the mean over the N states of Σ_a π_θ(a|s) Q(s, a). So with
    /// V(s) = Σ_a π_old(a|s) Q(s, a),
    ///
    ///     A(s, a) = K π_old(a|s) (Q(s, a) − V(s)),      (1/K) Σ_a (π_θ/π_old − 1) A = Σ_a (π_θ − π_old) Q
    ///
    /// V changes nothing in exact arithmetic. If the policy drew the K actions, the baseline of each is the mean of the others:
    ///
    ///     A_k = Q_k − (1/(K − 1)) Σ_{j ≠ k} Q_j = K/(K − 1) (Q_k − mean Q)
    ///
    /// This baseline does not depend on the action a_k, so the surrogate is unbiased. Equation 16 of the paper divides
    /// Σ_k (π_θ/π_old) Q_k by Σ_k π_θ/π_old instead. Its gradient at θ_old is (1/K) Σ_k ∇log π(a_k|s) (Q_k − mean Q). Its
    /// expectation is (K − 1)/K of the true gradient.
    let advantages (actor: Actor) (vine: Vine) =
        let branches = vine.Branches
        let family = actor.Policy.Family
        let advantages = Array.zeroCreate vine.Returns.Length

        let weights =
            if vine.HasEveryAction then
                let distributions = Actor.distributionsAfter vine.Memory actor vine.Observations

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
