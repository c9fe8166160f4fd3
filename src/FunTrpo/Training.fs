namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// The parts of a training run that stay the same from the first iteration to the last.
[<NoComparison; NoEquality>]
type Setup<'State> =
    {
        Environment: Environment<'State>
        Configuration: Configuration
        Policy: Policy
        Critic: Network
        /// The number of threads. The results do not depend on it.
        Threads: int
    }

/// Everything that training knows between two iterations. A state is a value: a program can keep it, compare it, and continue training from
/// it as often as it likes. The same state and setup always give the same next state. For another future, continue with another setup or
/// another seed (`Training.reseed`).
[<NoComparison>]
type State<'State when 'State: equality> =
    {
        /// The root of all randomness.
        Key: Key
        /// The number of iterations so far. `Steps` counts environment steps, and `Episodes` finished episodes.
        Iteration: int
        Steps: int64
        Episodes: int64
        PolicyParameters: Vector
        Critic: CriticState
        Normaliser: Normaliser
        Instances: ImmutableArray<Instance<'State>>
        /// The returns of the last 100 finished episodes, oldest first.
        RecentReturns: ImmutableArray<float>
        /// The largest mean of 100 successive returns so far.
        BestMeanReturn: float option
        /// For how many iterations training has been stuck, for each kind of warning.
        Streaks: Streaks
        /// The float32 numbers in a vector register of the processor that made this state. With another width, rounding may differ.
        VectorWidth: int
        /// The fault that kept an environment from starting. The first iteration returns it. `Instances` holds no states then.
        Failure: Fault option
    }

/// The rows that the surrogate is made of.
[<RequireQualifiedAccess>]
type UpdateBatch =
    {
        /// Normalised, one row a sample.
        Observations: Matrix
        Actions: Matrix
        /// Estimates of A(s, a), one a row. Standardised over the rows if `normaliseAdvantages` is set.
        Advantages: ImmutableArray<float>
        /// The environment steps that these rows took in addition to those of the batch.
        Steps: int64
    }

/// Values, advantages and returns of the rows of a batch, under the critic from before the batch.
type AdvantageBatch =
    {
        /// Normalised, one row a sample.
        Observations: Matrix
        /// V(s), one a row.
        Values: ImmutableArray<float>
        /// The GAE estimates of A(s, a), one a row. Standardised over the batch if `normaliseAdvantages` is set.
        Advantages: ImmutableArray<float>
        /// The λ-returns, one a row: the targets of the critic's fit.
        Returns: ImmutableArray<float>
        /// The critic with the return unit for this fit.
        Critic: CriticState
    }

/// A summary of one iteration.
type Report =
    {
        Iteration: int
        Steps: int64
        Episodes: int64
        /// The mean return of the last 100 finished episodes, or of all if fewer have finished.
        MeanReturn: float option
        Improvement: Improvement
        /// The radius δ of the trust region in nats; ∞ for fixed steps.
        Delta: float
        /// 1 − Var(G − V) / Var(G), with the returns G of the batch and the values V of the critic before this iteration's fit.
        ExplainedVariance: float
        /// Usually empty.
        Warnings: Warning list
    }

module Training =

    /// The number of episodes in the mean return.
    let window = 100

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

        if Space.indices environment.ObservationSpace <= most then
            Ok()
        else
            Error(
                Mismatch
                    $"the observation space of {environment.Id}, {Space.describe environment.ObservationSpace}, has more than the {most} indices that these networks can have parameters for"
            )

    /// Refuses networks and batches that are too large for memory, before any is allocated. The fault names the setting.
    let private requireSizes (configuration: Configuration) (environment: Environment<'State>) =
        let observationSpace = environment.ObservationSpace
        let struct (outputs, free) = Distribution.sizes environment.ActionSpace

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
            [ int64 (Space.width observationSpace); outputs + free + int64 FunTrpo.Kernels.Lanes.Width ]
            |> List.max

        result {
            do! requireWeights (ConfigurationLimits.policyField configuration) configuration.PolicyLayers outputs
            do! requireWeights (ConfigurationLimits.criticField configuration) configuration.CriticLayers 1L
            do! ConfigurationLimits.limitBatch widest configuration |> Result.map ignore
        }

    /// The setup for training in the environment. Returns a `Mismatch` if a space is invalid or too large, and an `InvalidSetting` if a field of
    /// the configuration is out of its range.
    let setup threads configuration (environment: Environment<'State>) =
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
                    observationSpace
                    environment.ActionSpace

            return
                { Environment = environment
                  Configuration = configuration
                  Policy = { policy with Network = onThreads policy.Network; IsScaled = configuration.ScaleActions }
                  Critic = Critic.create configuration.CriticLayers observationSpace |> onThreads
                  Threads = threads }
        }

    /// The state before the first iteration. If an environment throws while its first episode starts, the first iteration returns the
    /// `FailedEnvironment`.
    let start (setup: Setup<'State>) seed =
        let configuration = setup.Configuration
        let key = Key.ofSeed seed

        let instances, failure =
            match Rollout.start setup.Environment configuration.Environments (Key.named "start" key) with
            | Ok instances -> instances, None
            | Error fault ->
                ImmutableCollectionsMarshal.AsImmutableArray(Array.zeroCreate configuration.Environments), Some fault

        { Key = key
          Iteration = 0
          Steps = 0L
          Episodes = 0L
          PolicyParameters = setup.Policy.Network.Initialise(Key.named "policy" key)
          Critic =
            setup.Critic.Initialise(Key.named "critic" key)
            |> Critic.start (if configuration.NormaliseReturns then ReturnUnit.unknown else Plain)
          Normaliser =
            let space = setup.Environment.ObservationSpace

            if configuration.NormaliseObservations && not (Space.hasIndices space) then
                Standardise(Moments.empty (Space.width space))
            else
                Unnormalised
          Instances = instances
          RecentReturns = ImmutableArray.Empty
          BestMeanReturn = None
          Streaks = Streaks.none
          VectorWidth = System.Numerics.Vector<float32>.Count
          Failure = failure }

    /// The same state with the key of another seed, so that all later random numbers differ.
    let reseed seed (state: State<'State>) = { state with Key = Key.ofSeed seed }

    /// Refuses an actor that was created with other settings. The fault names the first setting that differs.
    let private requireSettings (setup: Setup<'State>) (actor: Actor) =
        let configuration = setup.Configuration
        let ours = configuration |> Configuration.ofPolicy setup.Policy
        let its = configuration |> Configuration.ofActor actor

        match Configuration.fields |> List.tryFind (fun field -> field.Get ours <> field.Get its) with
        | None -> Ok()
        | Some field ->
            let value = if field.Get its = "" then "none" else field.Get its

            ours
            |> ConfigurationLimits.refuse field.Name $"the policy to start from has {value}"
            |> Result.map ignore

    /// The state before the first iteration, with the policy and the normaliser of an actor instead of new ones. Returns a `Mismatch` if the
    /// spaces differ, and an `InvalidSetting` if `architecture`, `hidden`, `activation`, `scaleActions` or `normaliseObservations` differ from those of the
    /// actor. `initialLogSigma` applies to new policies only.
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

    /// The actor of a state: its policy, parameters and normaliser.
    let actor (setup: Setup<'State>) (state: State<'State>) =
        { Policy = setup.Policy; Parameters = state.PolicyParameters; Normaliser = state.Normaliser }

    /// The mean return of the last 100 finished episodes, or of all if fewer have finished; None before the first.
    let meanReturn (state: State<'State>) =
        if state.RecentReturns.IsEmpty then None else Some(Seq.average state.RecentReturns)

    let private requireFinite stage (setup: Setup<'State>) (state: State<'State>) isFinite =
        if isFinite then Ok() else Error(NonFiniteStage(stage, setup.Environment.Id, state.Iteration + 1))

    /// Whether float32, in which the networks compute, can represent all numbers.
    let private areFloat32 (numbers: ImmutableArray<float>) =
        let mutable all = true

        for number in numbers do
            all <- all && Single.IsFinite(float32 number)

        all

    let private keyOf (state: State<'State>) = state.Key |> Key.named "iteration" |> Key.at (int64 state.Iteration)

    /// Collects a batch with the policy of the state: `horizon` steps of each environment. Also returns the environments after it.
    let rollout horizon (setup: Setup<'State>) (state: State<'State>) =
        let key = keyOf state |> Key.named "rollout"

        match state.Failure with
        | Some fault -> Error fault
        | None -> Rollout.collect setup.Environment (actor setup state) horizon setup.Threads key state.Instances

    /// The normaliser for a batch: that of the state, or the moments of the batch itself if the state has seen nothing yet.
    let private normaliserOf (state: State<'State>) (batch: Batch) =
        Normaliser.orMomentsOf batch.Observations state.Normaliser

    /// The critic of the state as it is used on a batch.
    let private criticFor (setup: Setup<'State>) (state: State<'State>) (batch: Batch) =
        CriticFit.forRewards setup.Configuration.Gamma batch.Rewards batch.Ends state.Critic

    /// Standardises the advantages in place, or divides them by the deviation of the returns, as configured. The caller must own them.
    let private standardise (setup: Setup<'State>) (unit: ReturnUnit) (advantages: ImmutableArray<float>) =
        let numbers = ImmutableCollectionsMarshal.AsArray advantages

        if setup.Configuration.NormaliseAdvantages then
            Advantage.normaliseInPlace numbers
        elif ReturnUnit.deviation unit > 0.0 then
            let deviation = ReturnUnit.deviation unit

            for row in 0 .. numbers.Length - 1 do
                numbers[row] <- numbers[row] / deviation

        advantages

    /// Values, advantages and λ-returns of the rows of a batch, under the critic of the state.
    let advantageBatch (setup: Setup<'State>) (state: State<'State>) (batch: Batch) =
        let configuration = setup.Configuration
        let critic = criticFor setup state batch
        let valuesOf = Critic.values setup.Critic critic
        let normaliser = normaliserOf state batch
        let observations = Normaliser.apply normaliser batch.Observations
        let values = valuesOf observations
        let bootstraps = valuesOf (Normaliser.apply normaliser batch.BootstrapObservations)

        let gae =
            Advantage.gae configuration.Gamma configuration.Lambda batch.Rewards batch.Ends values bootstraps

        let critic = CriticFit.updateReturnUnit gae.Returns critic

        { Observations = observations
          Values = values
          Advantages = standardise setup critic.Unit gae.Advantages
          Returns = gae.Returns
          Critic = critic }

    /// The rows of the batch itself: the single-path scheme of the TRPO paper.
    let private singlePath (batch: Batch) (advantageBatch: AdvantageBatch) : UpdateBatch =
        { Observations = advantageBatch.Observations
          Actions = batch.Actions
          Advantages = advantageBatch.Advantages
          Steps = 0L }

    /// The rows of a vine from the states of the instances after the batch, under the critic of the state.
    let vine
        (setup: Setup<'State>)
        (state: State<'State>)
        (batch: Batch)
        (advantageBatch: AdvantageBatch)
        instances
        : Result<UpdateBatch, Fault> =
        let configuration = setup.Configuration
        let normaliser = normaliserOf state batch
        let actor = { actor setup state with Normaliser = normaliser }
        let valuesOf = Normaliser.apply normaliser >> Critic.values setup.Critic (criticFor setup state batch)

        let settings: VineSettings =
            { Branches = configuration.Branches
              Steps = configuration.BranchSteps
              Gamma = configuration.Gamma }

        let key = keyOf state |> Key.named "vine"

        result {
            let! vine = Vine.grow setup.Environment actor settings valuesOf setup.Threads key instances
            do! requireFinite "branches' returns" setup state (areFloat32 vine.Returns)

            return
                { Observations = Normaliser.apply normaliser vine.Observations
                  Actions = vine.Actions
                  Advantages = standardise setup advantageBatch.Critic.Unit (Vine.advantages actor vine)
                  Steps = vine.Steps }
        }

    /// The rows for the surrogate: those of the batch or, with `branches`, those of a vine.
    let private updateBatch (setup: Setup<'State>) state batch advantageBatch instances =
        if setup.Configuration.Branches = 0 then
            Ok(singlePath batch advantageBatch)
        else
            vine setup state batch advantageBatch instances

    let private surrogateOf (setup: Setup<'State>) (state: State<'State>) (updateBatch: UpdateBatch) =
        Surrogate.create
            setup.Threads
            setup.Policy
            updateBatch.Observations
            updateBatch.Actions
            updateBatch.Advantages
            state.PolicyParameters
        |> Surrogate.withEntropyBonus setup.Configuration.EntropyBonus

    /// The surrogate of the batch at the policy of the state. The caller disposes of it.
    let surrogate (setup: Setup<'State>) (state: State<'State>) (batch: Batch) (advantageBatch: AdvantageBatch) =
        surrogateOf setup state (singlePath batch advantageBatch)

    let private improve by (setup: Setup<'State>) state updateBatch : Improvement =
        use surrogate = surrogateOf setup state updateBatch
        by surrogate

    let private fitCritic (setup: Setup<'State>) (state: State<'State>) advantageBatch =
        CriticFit.fit
            (Configuration.critic setup.Configuration)
            setup.Critic
            advantageBatch.Observations
            advantageBatch.Returns
            (keyOf state |> Key.named "critic")
            advantageBatch.Critic

    /// The state with the episodes of the batch counted, and their returns appended.
    let private account (batch: Batch) (state: State<'State>) =
        let earlier = state.RecentReturns
        let countAll = earlier.Length + batch.Episodes.Length
        let returnOf i = if i < earlier.Length then earlier[i] else batch.Episodes[i - earlier.Length].Return
        let returns = Array.init countAll returnOf
        let recent = if countAll <= window then returns else Array.sub returns (countAll - window) window

        // The best of the means after every finished episode, not only at the end of an iteration.
        // Each mean has a sum of its own: after an enormous return, a sliding sum would contain nothing but rounding errors.
        let mutable best = state.BestMeanReturn

        for last in window - 1 .. returns.Length - 1 do
            let mutable sum = 0.0

            for i in last - window + 1 .. last do
                sum <- sum + returns[i]

            let mean = sum / float window
            best <- Some(max mean (defaultArg best mean))

        { state with
            Episodes = state.Episodes + int64 batch.Episodes.Length
            RecentReturns = ImmutableCollectionsMarshal.AsImmutableArray recent
            BestMeanReturn = best }

    /// A warning for an episode that has exceeded `longEpisode` steps in this iteration, or twice that, four times that, and so on.
    let private longEpisodes
        (setup: Setup<'State>)
        (before: ImmutableArray<Instance<'State>>)
        (after: ImmutableArray<Instance<'State>>)
        =
        let expected = setup.Configuration.LongEpisode
        let doublings length = if length < expected then -1 else int (Math.Log2(float length / float expected))

        [ for i in 0 .. after.Length - 1 do
              let grown = if after[i].Length >= before[i].Length then doublings before[i].Length else -1

              if doublings after[i].Length > grown then
                  LongEpisode(setup.Environment.Id, i, after[i].Length) ]
        |> List.truncate 1

    /// As `updateFor`, with a rule of the caller in place of `TrustRegion.improve`. The rule may use the surrogate until it returns. The critic
    /// is fitted on another thread meanwhile.
    let updateBy by horizon (setup: Setup<'State>) (state: State<'State>) : Result<State<'State> * Report, Fault> =
        if horizon < 1 then
            invalidArg (nameof horizon) $"an iteration has at least 1 step, and the horizon is {horizon}"

        result {
            let! batch, instances = rollout horizon setup state
            let advantageBatch = advantageBatch setup state batch
            do! requireFinite "returns" setup state (areFloat32 advantageBatch.Returns)
            let! updateBatch = updateBatch setup state batch advantageBatch instances
            do! requireFinite "advantages" setup state (areFloat32 updateBatch.Advantages)

            let struct (improvement, critic) =
                Parallel.both setup.Threads (fun () -> improve by setup state updateBatch) (fun () ->
                    fitCritic setup state advantageBatch)

            let improvement =
                { improvement with Parameters = Policy.boundLogSigmas setup.Policy improvement.Parameters }

            let isFiniteSolve = improvement.Solution |> Option.forall (fun solution -> solution.Stop <> NonFinite)
            do! requireFinite "policy gradient" setup state (Double.IsFinite improvement.GradientNorm)
            do! requireFinite "Fisher-vector product" setup state isFiniteSolve
            do! requireFinite "policy" setup state (Vector.isFinite improvement.Parameters)
            do! requireFinite "critic" setup state (Vector.isFinite critic.Parameters)

            let configuration = setup.Configuration

            let delta =
                match configuration.Step with
                | StepKind.TrustRegion -> Configuration.deltaAt state.Steps configuration
                | StepKind.Fixed -> infinity

            let streaks, warnings =
                Streaks.next setup.Policy delta configuration.EntropyBonus improvement state.Streaks

            let next =
                { account batch state with
                    Iteration = state.Iteration + 1
                    Steps = state.Steps + int64 batch.Rewards.Length + updateBatch.Steps
                    PolicyParameters = improvement.Parameters
                    Critic = critic
                    // After a refused step the policy must act as before, so its normaliser stays the same, too.
                    Normaliser =
                        if improvement.Outcome.IsMoved then
                            Normaliser.observe batch.Observations state.Normaliser
                        else
                            state.Normaliser
                    Streaks = streaks
                    Instances = instances }

            let report =
                { Iteration = next.Iteration
                  Steps = next.Steps
                  Episodes = next.Episodes
                  MeanReturn = meanReturn next
                  Improvement = improvement
                  Delta = delta
                  ExplainedVariance = Advantage.explainedVariance advantageBatch.Returns advantageBatch.Values
                  Warnings = warnings @ longEpisodes setup state.Instances instances }

            return next, report
        }

    /// One iteration with `horizon` steps of each environment: rollout, advantages, policy improvement and the critic's fit. With `branches`,
    /// a vine follows the rollout. Returns the next state and a report, or the fault that ended the iteration.
    let updateFor horizon (setup: Setup<'State>) (state: State<'State>) =
        let configuration = setup.Configuration
        let settings = Configuration.improvement state.Steps configuration

        // The Fisher matrix depends on states only, so one row for each state of a vine is enough.
        let rowsPerState =
            if configuration.Branches = 0 then
                1
            else
                Vine.branchesIn setup.Environment.ActionSpace configuration.Branches

        let settings = { settings with FisherFraction = settings.FisherFraction / float rowsPerState }
        updateBy (TrustRegion.improve settings) horizon setup state

    /// One iteration with the configured horizon.
    let update (setup: Setup<'State>) state = updateFor setup.Configuration.Horizon setup state

    /// The lazy sequence of results of `next`, each from the state of the one before. It ends with None, or after the first error.
    let private unfold next state =
        Some(Ok state)
        |> Seq.unfold (fun previous ->
            match previous with
            | Some(Ok state) -> next state |> Option.map (fun result -> result, Some(Result.map fst result))
            | Some(Error _)
            | None -> None)

    /// The iterations after a state: a lazy, endless sequence. If an iteration fails, its fault is the last element.
    let run (setup: Setup<'State>) state = unfold (fun state -> Some(update setup state)) state

    /// The horizon of the next iteration if `remaining` steps of each environment are left, and the setup with the length of its branches.
    let private withinBudget remaining (setup: Setup<'State>) =
        let configuration = setup.Configuration
        let horizon = int64 configuration.Horizon

        if configuration.Branches = 0 then
            int (if remaining < horizon + horizon / 2L then remaining else horizon), setup
        else
            // A branch may end early. The steps that it saves are left for the next iteration.
            let own = min remaining horizon
            let branches = Vine.branchesIn setup.Environment.ActionSpace configuration.Branches
            let ofBranch = max 1L ((remaining - own) / int64 branches)
            let branchSteps = int (min ofBranch (int64 configuration.BranchSteps))
            int own, { setup with Configuration = { configuration with BranchSteps = branchSteps } }

    /// The iterations after a state until training has made `steps` environment steps since its start. The last iteration is shortened, or
    /// lengthened by less than half, so that the total is met to within one step of each environment, and no iteration has only a few rows.
    /// With `branches`, the last iterations shorten the branches first, and the total is met to within one step of each environment and of
    /// each branch. The sequence is empty if the total is already met.
    let runFor steps (setup: Setup<'State>) state =
        unfold
            (fun (state: State<'State>) ->
                if steps <= state.Steps then
                    None
                else
                    // Rounded up. The formula does not overflow for any number of steps.
                    let remaining = 1L + (steps - state.Steps - 1L) / int64 state.Instances.Length
                    let horizon, setup = withinBudget remaining setup
                    Some(updateFor horizon setup state))
            state
