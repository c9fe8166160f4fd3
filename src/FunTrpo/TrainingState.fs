namespace FunTrpo

open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// Everything that training knows between two iterations. A state is a value: a program can keep it, compare it, and continue training from
/// it as often as it likes. The same state and setup always give the same next state. For another future, continue with another setup or
/// another seed (`TrainingState.reseed`).
[<NoComparison>]
type TrainingState<'State when 'State: equality> =
    {
        /// The root of all randomness.
        Key: Key
        /// The number of iterations so far.
        Iteration: int
        /// The number of environment steps so far, with those of branches.
        Steps: int64
        /// The number of episodes that have finished so far.
        Episodes: int64
        /// θ: the parameters of the policy's network, of length `Setup.Policy.Network.ParameterCount`.
        PolicyParameters: Vector
        /// The optimiser of the improvement rule. Only PPO has one, and only after its first improvement.
        PolicyOptimiser: AdamState
        /// The critic, and the state of its optimiser.
        Critic: CriticState
        /// The running moments of the observations, if they are standardised.
        Normaliser: Normaliser
        /// The environments between two steps, one for each of `Configuration.Environments`.
        Instances: ImmutableArray<Instance<'State>>
        /// The returns of the last 100 finished episodes, oldest first.
        RecentReturns: ImmutableArray<float>
        /// The largest mean of 100 successive returns so far.
        BestMeanReturn: float option
        /// For how many iterations training has been stuck, for each kind of warning.
        Streaks: Streaks
        /// The number of float32 in a vector of the kernels on the processor that made this state (`Lanes.Width`): 16, 8 or 4. With another
        /// width, rounding may differ.
        VectorWidth: int
        /// The fault that kept an environment from starting. The first iteration returns it. `Instances` then holds default
        /// values that must not be used.
        Failure: Fault option
    }

module TrainingState =

    /// The number of episodes in the mean return.
    let window = 100

    /// The state before the first iteration. If an environment throws while its first episode starts, the first iteration returns the
    /// `FailedEnvironment`.
    let start (setup: Setup<'State>) seed =
        let configuration = setup.Configuration
        let key = Key.ofSeed seed

        let instances, failure =
            match
                Rollout.startWithMemory
                    setup.Policy.Network.Memory
                    setup.Environment
                    configuration.Environments
                    (Key.named "start" key)
            with
            | Ok instances -> instances, None
            | Error fault ->
                ImmutableCollectionsMarshal.AsImmutableArray(Array.zeroCreate configuration.Environments), Some fault

        { Key = key
          Iteration = 0
          Steps = 0L
          Episodes = 0L
          PolicyParameters = setup.Policy.Network.Initialise(Key.named "policy" key)
          PolicyOptimiser = Adam.none
          Critic =
            setup.Critic.Initialise(Key.named "critic" key)
            |> Critic.start (if configuration.NormaliseReturns then ReturnUnit.unknown else Plain)
            |> Critic.withoutMemories setup.Critic configuration.Environments
          Normaliser =
            if configuration.NormaliseObservations then
                Normaliser.start setup.Environment.ObservationSpace
            else
                Unnormalised
          Instances = instances
          RecentReturns = ImmutableArray.Empty
          BestMeanReturn = None
          Streaks = Streaks.none
          VectorWidth = Lanes.Width
          Failure = failure }

    /// The same state with the key of another seed, so that all later random numbers differ.
    let reseed seed (state: TrainingState<'State>) = { state with Key = Key.ofSeed seed }

    /// Refuses an actor that was created with other settings. The fault names the first setting that differs.
    let private requireSettings (setup: Setup<'State>) (actor: Actor) =
        let configuration = setup.Configuration
        let ours = configuration |> Configuration.ofPolicy setup.Policy
        let its = configuration |> Configuration.ofActor actor

        match Configuration.fields |> List.tryFind (fun field -> field.Get ours <> field.Get its) with
        | None -> Ok()
        | Some field ->
            let value = if field.Get its = "" then "none" else field.Get its

            ours |> ConfigurationLimits.refuse field.Name $"the policy to start from has {value}"

    /// Refuses an actor whose normaliser does not fit its observations.
    let private requireNormaliser (actor: Actor) =
        let space = Space.observed actor.Policy.ObservationSpace
        let found = "the actor to start from has a normaliser for observations"

        match actor.Normaliser with
        | Standardise moments when Space.hasIndices space ->
            Error(
                Mismatch
                    $"{found} of width {moments.Width}, but its observations are indices, which are never normalised"
            )
        | Standardise moments when moments.Width <> Space.width space ->
            Error(Mismatch $"{found} of width {moments.Width}, but its observations have the width {Space.width space}")
        | Standardise _
        | Unnormalised -> Ok()

    /// The state before the first iteration, with the policy and the normaliser of an actor instead of new ones. Returns a `Mismatch` if the
    /// spaces differ or if the actor's parameters or normaliser do not fit its policy, and an `InvalidSetting` if `architecture`, `hidden`,
    /// `activation`, `distribution`, `scaleActions` or `normaliseObservations` differ from those of the actor. `initialLogSigma` applies to new policies only.
    let startFrom (setup: Setup<'State>) seed (actor: Actor) =
        let describe (policy: Policy) =
            $"observations {Space.describe policy.ObservationSpace}, actions {Space.describe policy.ActionSpace} and {policy.Network.ParameterCount} parameters"

        let isMatch =
            actor.Policy.ActionSpace = setup.Policy.ActionSpace
            && Space.hasSameEncoding setup.Policy.ObservationSpace actor.Policy.ObservationSpace

        result {
            do!
                if isMatch then
                    requireSettings setup actor
                else
                    let ours, theirs = describe setup.Policy, describe actor.Policy
                    Error(Mismatch $"the policy to start from has {theirs}, but this training needs one with {ours}")

            do! requireNormaliser actor

            do!
                if actor.Parameters.Length = setup.Policy.Network.ParameterCount then
                    Ok()
                else
                    Error(
                        Mismatch
                            $"the actor to start from has {actor.Parameters.Length} parameters, and its policy {setup.Policy.Network.ParameterCount}"
                    )

            return { start setup seed with PolicyParameters = actor.Parameters; Normaliser = actor.Normaliser }
        }

    /// Returns a `Mismatch` if training with the setup cannot continue from the state, because it is the state of another setup.
    let requireFit (setup: Setup<'State>) (state: TrainingState<'State>) =
        let require what actual expected =
            if actual = expected then
                Ok()
            else
                Error(Mismatch $"the state has {actual} {what}, and the setup has {expected}")

        result {
            do! require "instances" state.Instances.Length setup.Configuration.Environments
            do! require "numbers of the critic's memory" state.Critic.Memory.Columns setup.Critic.Memory

            for instance in state.Instances do
                do! require "numbers of the policy's memory" instance.Memory.Length setup.Policy.Network.Memory

            do! require "policy parameters" state.PolicyParameters.Length setup.Policy.Network.ParameterCount
            let moments = state.PolicyOptimiser.FirstMoment.Length

            if moments > 0 then
                do! require "moments of the policy's parameters" moments setup.Policy.Network.ParameterCount

            do! require "critic parameters" state.Critic.Parameters.Length setup.Critic.ParameterCount
        }

    /// The actor of a state: its policy, parameters and normaliser.
    let actor (setup: Setup<'State>) (state: TrainingState<'State>) =
        { Policy = setup.Policy; Parameters = state.PolicyParameters; Normaliser = state.Normaliser }

    /// The mean of recent returns; None if there are none.
    let internal meanOf (returns: ImmutableArray<float>) = if returns.IsEmpty then None else Some(Seq.average returns)

    /// Whether there are 100 recent returns, whose mean is at least `goal`.
    let internal haveReached goal (returns: ImmutableArray<float>) =
        returns.Length >= window && meanOf returns |> Option.exists (fun mean -> mean >= goal)

    /// The mean return of the last 100 finished episodes, or of all if fewer have finished; None before the first.
    let meanReturn (state: TrainingState<'State>) = meanOf state.RecentReturns

    /// Whether 100 episodes have finished, and the last 100 have a mean return of at least `goal`.
    let hasReached goal (state: TrainingState<'State>) = haveReached goal state.RecentReturns

    /// Earlier returns, and those of episodes that have finished since.
    let internal withEpisodes (episodes: ImmutableArray<Episode>) (earlier: ImmutableArray<float>) =
        let returnOf i = if i < earlier.Length then earlier[i] else episodes[i - earlier.Length].Return
        Array.init (earlier.Length + episodes.Length) returnOf

    /// The last 100 returns, or all if there are fewer. The caller must not change the array afterwards.
    let internal recentOf (returns: float[]) =
        (if returns.Length <= window then returns else Array.sub returns (returns.Length - window) window)
        |> ImmutableCollectionsMarshal.AsImmutableArray

    /// The best of the means after every finished episode, not only at the end of an iteration.
    let private bestMean (returns: float[]) best =
        let mutable best = best

        for last in window - 1 .. returns.Length - 1 do
            // Each mean has a sum of its own: after an enormous return, a sliding sum would contain nothing but rounding errors.
            let mutable sum = 0.0

            for i in last - window + 1 .. last do
                sum <- sum + returns[i]

            let mean = sum / float window
            best <- Some(max mean (defaultArg best mean))

        best

    /// The state with the episodes of the batch counted, and their returns appended.
    let internal countEpisodes (batch: Batch) (state: TrainingState<'State>) =
        let returns = state.RecentReturns |> withEpisodes batch.Episodes

        { state with
            Episodes = state.Episodes + int64 batch.Episodes.Length
            RecentReturns = recentOf returns
            BestMeanReturn = bestMean returns state.BestMeanReturn }
