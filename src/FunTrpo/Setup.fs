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
        /// Improves the policy in each iteration: `TrustRegion.improve`, or a rule of your own.
        Improve: Rule
        /// The number of threads. The results do not depend on it.
        Threads: int
    }

module Setup =

    let private requireProper (environment: Environment<'State>) =
        let require what space =
            match Space.invalidReason space with
            | None -> Ok()
            | Some why -> Error(Mismatch $"the {what} space of {environment.Id}, {Space.describe space}, {why}")

        require "observation" environment.ObservationSpace
        |> Result.bind (fun () -> require "action" environment.ActionSpace)

    /// Refuses an index space that needs more parameters than a network may have.
    let private requireTables (configuration: Configuration) (environment: Environment<'State>) =
        let struct (outputs, _) = Distribution.sizes environment.ActionSpace

        let units layers outputs =
            Architecture.units layers |> List.tryHead |> Option.map int64 |> Option.defaultValue outputs

        let most =
            ConfigurationLimits.mostWeights
            / max (units configuration.PolicyLayers outputs) (units configuration.CriticLayers 1L)

        if Space.indexCount environment.ObservationSpace <= most then
            Ok()
        else
            Error(
                Mismatch
                    $"the observation space of {environment.Id}, {Space.describe environment.ObservationSpace}, has more than the {most} indices that these networks can have parameters for"
            )

    /// Refuses networks and batches that are too large for memory, before any is allocated. The fault names the setting.
    let private requireSizes (configuration: Configuration) (environment: Environment<'State>) =
        let observationSpace = environment.ObservationSpace
        let struct (outputs, stateIndependent) = Distribution.sizes environment.ActionSpace

        let requireWeights name architecture outputs =
            let struct (weights, _) = Architecture.sizes observationSpace outputs architecture

            if weights > float ConfigurationLimits.mostWeights then
                configuration
                |> ConfigurationLimits.refuse
                    name
                    $"with the observations {Space.describe observationSpace} and {outputs} outputs there must be at most {ConfigurationLimits.mostWeights} weights"
                |> Result.map ignore
            else
                Ok()

        let widest =
            // Rows of distribution parameters are padded to whole vectors.
            [ int64 (Space.width observationSpace)
              outputs + stateIndependent + int64 FunTrpo.Kernels.Lanes.Width ]
            |> List.max

        result {
            do! requireWeights (ConfigurationLimits.policyField configuration) configuration.PolicyLayers outputs
            do! requireWeights (ConfigurationLimits.criticField configuration) configuration.CriticLayers 1L
            do! ConfigurationLimits.limitBatch widest configuration |> Result.map ignore
        }

    /// The setup for training in the environment. Returns a `Mismatch` if a space is invalid or too large, and an `InvalidSetting` if a field of
    /// the configuration is out of its range.
    let create threads configuration (environment: Environment<'State>) =
        result {
            do! requireProper environment
            let! configuration = Configuration.validate configuration
            do! requireTables configuration environment
            do! requireSizes configuration environment
            let observationSpace = environment.ObservationSpace
            let onThreads = Network.onThreads threads

            let policy =
                Policy.create
                    configuration.PolicyLayers
                    configuration.InitialLogSigma
                    configuration.ScaleActions
                    observationSpace
                    environment.ActionSpace

            return
                { Environment = environment
                  Configuration = configuration
                  Policy = { policy with Network = onThreads policy.Network }
                  Critic = Critic.create configuration.CriticLayers observationSpace |> onThreads
                  Collect = Rollout.collect
                  Improve = TrustRegion.improve
                  Threads = threads }
        }

    /// The fields of the configuration that determine what a state consists of.
    let private stateFields =
        [ "environments"
          "architecture"
          "hidden"
          "activation"
          "criticArchitecture"
          "criticHidden"
          "criticActivation"
          "normaliseObservations"
          "normaliseReturns"
          "scaleActions" ]

    /// The setup with another number of threads and another configuration, with which training can continue from the states of this setup.
    /// Returns an `InvalidSetting` for a field that is out of its range, or that determines what a state consists of and has changed.
    let change threads configuration (setup: Setup<'State>) =
        let isOther (field: Field<Configuration>) =
            List.contains field.Name stateFields && field.Get configuration <> field.Get setup.Configuration

        result {
            let! changed = create threads configuration setup.Environment

            match Configuration.fields |> List.tryFind isOther with
            | Some field ->
                let value = field.Get setup.Configuration

                return!
                    configuration
                    |> ConfigurationLimits.refuse field.Name $"it is {value}, and cannot change during training"
            | None -> return { changed with Collect = setup.Collect; Improve = setup.Improve }
        }
