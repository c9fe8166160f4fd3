namespace FunTrpo

open System.Collections.Immutable

/// A collector makes the batch of an iteration: it steps each instance `horizon` times with the actor, on `threads` threads, and returns the
/// rows and the instances after them. `Rollout.collect` is the standard one. If another collector gives the same keys to instance i, the
/// results do not depend on where the instances are stepped.
type Collector<'State> =
    Environment<'State>
        -> Actor
        -> int (* horizon *)
        -> int (* threads *)
        -> Key
        -> ImmutableArray<Instance<'State>>
        -> Result<Batch * ImmutableArray<Instance<'State>>, Fault>

/// The parts of a training run that stay the same from the first iteration to the last.
[<NoComparison; NoEquality>]
type Setup<'State> =
    {
        Environment: Environment<'State>
        Configuration: Configuration
        Policy: Policy
        Critic: Network
        /// Makes the batch of each iteration: `Rollout.collect`, or a collector of your own.
        Collect: Collector<'State>
        /// Improves the policy in each iteration: `ImprovementRule.standard`, or a rule of your own.
        Improve: ImprovementRule
        /// The number of threads. The results do not depend on it.
        Threads: int
    }

module Setup =

    /// Refuses an environment whose spaces are no spaces, or whose mask does not fit its actions.
    let internal requireValidSpaces (environment: Environment<'State>) =
        let require what space =
            match Space.invalidReason space with
            | None -> Ok()
            | Some why -> Error(Mismatch $"the {what} space of {environment.Id}, {Space.describe space}, {why}")

        require "observation" environment.ObservationSpace
        |> Result.bind (fun () -> require "action" environment.ActionSpace)
        |> Result.bind (fun () ->
            match Mask.misfit environment.ObservationSpace environment.ActionSpace with
            | None -> Ok()
            | Some why -> Error(Mismatch $"{environment.Id} cannot be learned: {why}"))

    /// Refuses a network that is too large for memory, before it is allocated. `name` is the field that describes its hidden layers. If the
    /// observations are indices, the first layer has a row of weights for each, and too many of them are a `Mismatch`: no field is wrong.
    let private requireNetwork name architecture outputs (environment: Environment<'State>) configuration =
        let space = environment.ObservationSpace

        let firstUnits =
            match architecture with
            | HiddenLayer.Dense(units, _) :: _ -> int64 units
            | _ -> outputs

        let maxIndices = ConfigurationLimits.maxWeights / firstUnits

        if Space.indexCount space > maxIndices then
            Error(
                Mismatch
                    $"the observation space of {environment.Id}, {Space.describe space}, has more than the {maxIndices} indices that these networks can have parameters for"
            )
        else
            let struct (weights, _) = Architecture.sizes space outputs architecture
            let these = $"with the observations {Space.describe space} and {outputs} outputs"
            ConfigurationLimits.requireWeights name weights these configuration

    /// Refuses an architecture with a layer that cannot read its input. `name` is the field that describes its layers.
    let private requireShapes name architecture (environment: Environment<'State>) configuration =
        match Architecture.shapes environment.ObservationSpace architecture with
        | Ok _ -> Ok configuration
        | Error why ->
            configuration
            |> ConfigurationLimits.refuse
                name
                $"it must fit the observations {Space.describe environment.ObservationSpace}; {why}"

    /// Refuses networks and batches that are too large for memory, before any is allocated.
    let private requireMemory (environment: Environment<'State>) (configuration: Configuration) =
        let struct (outputs, stateIndependent) =
            Distribution.sizes configuration.Distribution environment.ActionSpace

        let policyField = ConfigurationLimits.policyField configuration
        let criticField = ConfigurationLimits.criticField configuration
        // Rows of distribution parameters are padded to whole vectors.
        let paddedOutputs = outputs + stateIndependent + int64 FunTrpo.Kernels.Lanes.Width
        let widest = max (int64 (Space.width environment.ObservationSpace)) paddedOutputs

        let activations = Architecture.activationCount environment.ObservationSpace

        result {
            let policy, critic = configuration.PolicyLayers, configuration.CriticLayers
            let! configuration = requireShapes policyField policy environment configuration
            let! configuration = requireShapes criticField critic environment configuration
            let! configuration = requireNetwork policyField policy outputs environment configuration
            let! configuration = requireNetwork criticField critic 1L environment configuration

            let! configuration =
                ConfigurationLimits.limitActivations (activations policy + activations critic) configuration

            return! ConfigurationLimits.limitBatch widest configuration
        }

    /// Refuses a distribution that is not one for these actions.
    let private requireDistribution (environment: Environment<'State>) (configuration: Configuration) =
        match Distribution.misfit configuration.Distribution environment.ActionSpace with
        | Some why -> configuration |> ConfigurationLimits.refuse "distribution" $"{why} ({environment.Id})"
        | None -> Ok configuration

    /// Refuses a horizon whose rows of one instance do not fit into a buffer: a network with memory computes them together. The last iteration of a
    /// run may be half as long again.
    let private requireSequences (network: Network) (configuration: Configuration) =
        let most = int64 FunTrpo.Kernels.PooledBuffer.Largest / int64 network.Widest

        if network.Memory > 0 && 3L * int64 configuration.Horizon / 2L > most then
            configuration
            |> ConfigurationLimits.refuse
                "horizon"
                $"it must be at most {2L * most / 3L} for networks with memory of this width"
        else
            Ok configuration

    /// The setup for training in the environment. Returns a `Mismatch` if a space is invalid or too large, and an `InvalidSetting` if a field of
    /// the configuration is out of its range.
    let create threads configuration (environment: Environment<'State>) =
        result {
            do! requireValidSpaces environment
            let! configuration = Configuration.validate configuration
            let! configuration = requireDistribution environment configuration
            let! configuration = requireMemory environment configuration
            let observationSpace = environment.ObservationSpace
            let onThreads = Network.onThreads threads

            let policy =
                Policy.createWith
                    configuration.Distribution
                    configuration.PolicyLayers
                    configuration.InitialLogSigma
                    configuration.ScaleActions
                    observationSpace
                    environment.ActionSpace

            let critic = Critic.create configuration.CriticLayers observationSpace
            let! configuration = requireSequences policy.Network configuration
            let! configuration = requireSequences critic configuration

            return
                { Environment = environment
                  Configuration = configuration
                  Policy = { policy with Network = onThreads policy.Network }
                  Critic = onThreads critic
                  Collect = Rollout.collect
                  Improve = ImprovementRule.standard
                  Threads = threads }
        }

    /// The fields of the configuration that determine what a state consists of.
    let private stateFields =
        [ "environments"
          "architecture"
          "hidden"
          "activation"
          "distribution"
          "criticArchitecture"
          "criticHidden"
          "criticActivation"
          "normaliseObservations"
          "normaliseReturns"
          "scaleActions" ]

    /// Returns an `InvalidSetting` if states of the setup do not consist of the same parts with this configuration. It names the first field
    /// that differs.
    let internal requireSameStates configuration (setup: Setup<'State>) =
        let isOther (field: Field<Configuration>) =
            List.contains field.Name stateFields && field.Get configuration <> field.Get setup.Configuration

        match Configuration.fields |> List.tryFind isOther with
        | Some field ->
            configuration
            |> ConfigurationLimits.refuse
                field.Name
                $"it is {field.Get setup.Configuration}, and cannot change during training"
            |> Result.map ignore
        | None -> Ok()

    /// The setup with so many calls of the environment in flight at the same time (`Environment.inFlight`).
    let inFlight count (setup: Setup<'State>) =
        { setup with Environment = Environment.inFlight count setup.Environment }

    /// The setup with rollouts that this process steps.
    let steppedHere (setup: Setup<'State>) = { setup with Collect = Rollout.collect }

    /// The setup with another number of threads and another configuration, with which training can continue from the states of this setup.
    /// Returns an `InvalidSetting` for a field that is out of its range, or that determines what a state consists of and has changed.
    let change threads configuration (setup: Setup<'State>) =
        result {
            let! changed = create threads configuration setup.Environment
            do! requireSameStates configuration setup
            return { changed with Collect = setup.Collect; Improve = setup.Improve }
        }
