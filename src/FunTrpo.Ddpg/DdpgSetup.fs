namespace FunTrpo.Ddpg

open FunTrpo

/// The parts of a training with DDPG that stay the same from the first step to the last.
[<NoComparison; NoEquality>]
type DdpgSetup<'State> =
    {
        Environment: Environment<'State>
        Settings: DdpgSettings
        /// The policy whose mode is learned.
        Policy: Policy
        /// The network of the critic.
        Critic: Network
        /// The number of threads. The results do not depend on it.
        Threads: int
    }

module DdpgSetup =

    /// Refuses actions for which there is no deterministic policy with a gradient.
    let private requireBox (environment: Environment<'State>) =
        match environment.ActionSpace with
        | Box(low, high, _) when Vector.isFinite low && Vector.isFinite high -> Ok()
        | space ->
            Error(
                Mismatch
                    $"DDPG needs a box of actions with finite bounds, and those of {environment.Id} are {Space.describe space}"
            )

    /// Refuses layers that cannot read their input, that are too large for memory, or that remember: experiences are drawn one by one.
    let private requireLayers name architecture inputSpace outputs settings =
        match Architecture.shapes inputSpace architecture with
        | Error why -> DdpgSettings.refuse name $"it must fit {Space.describe inputSpace}; {why}" settings
        | Ok _ ->
            let struct (weights, _) = Architecture.sizes inputSpace outputs architecture

            if weights > float ConfigurationLimits.maxWeights then
                DdpgSettings.refuse name $"there must be at most {ConfigurationLimits.maxWeights} weights" settings
            else
                Ok()

    /// The numbers of a replay memory: 32 GiB.
    let private maxMemoryNumbers = 1L <<< 33

    /// Refuses settings that need more memory than there is. Widths are multiplied in 64 bits.
    let private requireRoom observations actions (settings: DdpgSettings) =
        let observations, actions = int64 (Space.width observations), int64 (Space.width actions)

        let limit name value width most =
            if int64 value > most / width then
                settings
                |> DdpgSettings.refuse name $"it must be at most {most / width} for rows of {width} numbers"
            else
                Ok()

        result {
            let experience = 2L * observations + actions + 2L
            do! limit "capacity" settings.Capacity experience maxMemoryNumbers
            do! limit "batchSize" settings.BatchSize (observations + actions) ConfigurationLimits.maxBatchNumbers

            if settings.NormaliseObservations then
                do! limit "iterationSteps" settings.IterationSteps observations ConfigurationLimits.maxBatchNumbers
        }

    let private requireNoMemory name (network: Network) settings =
        if network.Memory = 0 then
            Ok()
        else
            DdpgSettings.refuse name "its layers must have no memory: experiences are drawn one by one" settings

    /// The setup for training in the environment. Returns a `Mismatch` if the actions are no box with finite bounds, or a space is invalid,
    /// and an `InvalidSetting` if a setting is out of its range.
    let create threads settings (environment: Environment<'State>) =
        result {
            do! Setup.requireValidSpaces environment
            do! requireBox environment
            let! settings = DdpgSettings.validate settings
            let observations, actions = environment.ObservationSpace, environment.ActionSpace
            do! requireRoom observations actions settings
            do! requireLayers "actor" settings.Actor observations (int64 (Space.width actions)) settings
            do! requireLayers "critic" settings.Critic (QCritic.inputSpace observations actions) 1L settings
            let policy = DeterministicActor.create settings.Actor settings.LogSigma observations actions
            let critic = QCritic.create settings.Critic observations actions
            do! requireNoMemory "actor" policy.Network settings
            do! requireNoMemory "critic" critic settings

            return
                { Environment = environment
                  Settings = settings
                  Policy = { policy with Network = Network.onThreads threads policy.Network }
                  Critic = Network.onThreads threads critic
                  Threads = threads }
        }
