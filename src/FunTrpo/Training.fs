namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// What training is about: it stays the same from the first iteration to the last.
[<NoComparison; NoEquality>]
type Setup<'State> =
    {
        Environment: Environment<'State>
        Configuration: Configuration
        Policy: Policy
        Critic: Network
        /// How many threads work; the results do not depend on it.
        Threads: int
    }

/// All that training knows between two iterations: a value, which can be kept, compared, branched and gone on from. The
/// same state and setup always give the same next state; for another future, go on with another setup or another seed
/// (`Training.reseed`).
[<NoComparison>]
type State<'State when 'State: equality> =
    {
        /// The root of all randomness.
        Key: Key
        /// Iterations, environment steps and finished episodes so far.
        Iteration: int
        Steps: int64
        Episodes: int64
        PolicyParameters: Vector
        Critic: CriticState
        Normaliser: Normaliser
        Instances: ImmutableArray<Instance<'State>>
        /// The returns of the last 100 finished episodes, oldest first.
        RecentReturns: ImmutableArray<float>
        /// The best mean of 100 returns so far.
        BestMeanReturn: float option
        /// For how long training has been stuck, if it is.
        Streaks: Streaks
        /// Numbers to a vector of the processor that made this state: another width may round otherwise.
        VectorWidth: int
        /// What went wrong before the first iteration, which then tells it; there are no states of environments in this case.
        Failure: Fault option
    }

/// What a policy is improved on.
[<RequireQualifiedAccess>]
type UpdateBatch =
    {
        /// As the network sees them (normalised).
        Observations: Matrix
        Actions: Matrix
        /// What is known of A(s, a), standardised over the rows where the configuration says so.
        Advantages: ImmutableArray<float>
        /// How many environment steps were made for them, beside those of the batch.
        Steps: int64
    }

/// What a batch says of each of its rows, under the critic that it was collected with.
type AdvantageBatch =
    {
        /// As the networks see them (normalised).
        Observations: Matrix
        /// V(s)
        Values: ImmutableArray<float>
        /// A(s, a), standardised over the batch where the configuration says so.
        Advantages: ImmutableArray<float>
        /// The λ-returns, which the critic is fitted to.
        Returns: ImmutableArray<float>
        /// The critic in the unit in which it is fitted to them.
        Critic: CriticState
    }

/// What one iteration did.
type Report =
    {
        Iteration: int
        Steps: int64
        Episodes: int64
        /// The mean return of the last 100 finished episodes (of fewer where fewer have finished).
        MeanReturn: float option
        Improvement: Improvement
        /// The radius of the trust region, δ; ∞ where steps are fixed.
        Delta: float
        /// Of the returns, by the critic as it was before this iteration's fit.
        ExplainedVariance: float
        /// What a user should know; usually nothing.
        Warnings: Warning list
    }

module Training =

    /// How many episodes the mean return is taken over.
    let window = 100

    let private requireProper (environment: Environment<'State>) =
        let require what space =
            match Space.invalidReason space with
            | None -> Ok()
            | Some why -> Error(Mismatch $"the {what} space of {environment.Id}, {Space.describe space}, {why}")

        require "observation" environment.ObservationSpace
        |> Result.bind (fun () -> require "action" environment.ActionSpace)

    /// Refuses more indices than tables can hold parameters for.
    let private requireTables configuration (environment: Environment<'State>) =
        let struct (outputs, _) = Distribution.sizes environment.ActionSpace
        let units hidden outputs = hidden |> List.tryHead |> Option.map int64 |> Option.defaultValue outputs

        let most =
            Configuration.mostWeights
            / max (units configuration.Hidden outputs) (units configuration.CriticHidden 1L)

        if Space.indices environment.ObservationSpace <= most then
            Ok()
        else
            Error(
                Mismatch
                    $"the observation space of {environment.Id}, {Space.describe environment.ObservationSpace}, has more than the {most} indices that these networks can have parameters for"
            )

    /// Refuses networks and batches that memory cannot hold, by the name of a setting, before any are made.
    let private requireSizes configuration (environment: Environment<'State>) =
        let observationSpace = environment.ObservationSpace
        let struct (outputs, free) = Distribution.sizes environment.ActionSpace

        let requireWeights name architecture outputs =
            let struct (weights, _) = Architecture.sizes observationSpace outputs architecture

            if weights > float Configuration.mostWeights then
                configuration
                |> Configuration.refuse
                    name
                    $"with the observations {Space.describe observationSpace} and {outputs} outputs there must be at most {Configuration.mostWeights} weights"
                |> Result.map ignore
            else
                Ok()

        let widest =
            // The rows of parameters are padded to whole vectors.
            [ int64 (Space.width observationSpace); outputs + free + int64 FunTrpo.Kernels.Lanes.Width ]
            |> List.max

        result {
            do! requireWeights "hidden" (Configuration.policyArchitecture configuration) outputs
            do! requireWeights "criticHidden" (Configuration.criticArchitecture configuration) 1L
            do! Configuration.limitBatch widest configuration |> Result.map ignore
        }

    /// A setup for training the environment, or the reason why the environment or the configuration is refused.
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
                    (Configuration.policyArchitecture configuration)
                    configuration.InitialLogSigma
                    observationSpace
                    environment.ActionSpace

            return
                { Environment = environment
                  Configuration = configuration
                  Policy = { policy with Network = onThreads policy.Network; IsScaled = configuration.ScaleActions }
                  Critic = Critic.create (Configuration.criticArchitecture configuration) observationSpace |> onThreads
                  Threads = threads }
        }

    /// The state before the first iteration. An environment that throws when its first episodes are to begin is told as a
    /// `FailedEnvironment` by the first iteration.
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

    /// The same state, for which chance goes another way.
    let reseed seed (state: State<'State>) = { state with Key = Key.ofSeed seed }

    /// The configuration with the settings that a policy and its normaliser are made by.
    let private settingsOf (policy: Policy) isNormalised configuration =
        { configuration with
            Hidden = policy.Architecture.Hidden
            Activation = policy.Architecture.Activation
            ScaleActions = policy.IsScaled
            NormaliseObservations = isNormalised }

    /// Refuses an actor that such settings do not make, by the first that would have to be another.
    let private requireSettings (setup: Setup<'State>) (actor: Actor) =
        let configuration = setup.Configuration
        let ours = configuration |> settingsOf setup.Policy configuration.NormaliseObservations

        let its =
            // Indices are never normalised, whatever the setting.
            let isIndices = Space.hasIndices actor.Policy.ObservationSpace
            let isNormalised = if isIndices then ours.NormaliseObservations else actor.Normaliser <> Unnormalised
            configuration |> settingsOf actor.Policy isNormalised

        match Configuration.fields |> List.tryFind (fun field -> field.Get ours <> field.Get its) with
        | None -> Ok()
        | Some field ->
            let value = if field.Get its = "" then "none" else field.Get its
            ours |> Configuration.refuse field.Name $"the policy to start from has {value}" |> Result.map ignore

    /// The state before the first iteration, with the policy of an actor instead of a new one. It is refused where the setup has another
    /// action space or other observations; or, by the name of the setting, where `hidden`, `activation`, `scaleActions` or
    /// `normaliseObservations` are not those of the actor. `initialLogSigma` is for new policies, and not used.
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

    /// The policy of a state, ready to act.
    let actor (setup: Setup<'State>) (state: State<'State>) =
        { Policy = setup.Policy; Parameters = state.PolicyParameters; Normaliser = state.Normaliser }

    /// The mean return of the last finished episodes of a state.
    let meanReturn (state: State<'State>) =
        if state.RecentReturns.IsEmpty then None else Some(Seq.average state.RecentReturns)

    let private requireFinite stage (setup: Setup<'State>) (state: State<'State>) isFinite =
        if isFinite then Ok() else Error(NonFiniteStage(stage, setup.Environment.Id, state.Iteration + 1))

    /// Whether the networks, which know float32 alone, can be given these numbers.
    let private areFloat32 (numbers: ImmutableArray<float>) =
        let mutable all = true

        for number in numbers do
            all <- all && Single.IsFinite(float32 number)

        all

    let private keyOf (state: State<'State>) = state.Key |> Key.named "iteration" |> Key.at (int64 state.Iteration)

    /// The batch that the policy of the state collects in `horizon` steps of each environment, and the environments after it.
    let rollout horizon (setup: Setup<'State>) (state: State<'State>) =
        let key = keyOf state |> Key.named "rollout"

        match state.Failure with
        | Some fault -> Error fault
        | None -> Rollout.collect setup.Environment (actor setup state) horizon setup.Threads key state.Instances

    /// The normaliser through which a batch is seen.
    let private normaliserOf (state: State<'State>) (batch: Batch) =
        Normaliser.orMomentsOf batch.Observations state.Normaliser

    /// The critic of the state, as it is used on a batch.
    let private criticFor (setup: Setup<'State>) (state: State<'State>) (batch: Batch) =
        CriticFit.forRewards setup.Configuration.Gamma batch.Rewards batch.Ends state.Critic

    /// The advantages, which nobody else has seen yet, as the configuration wants them: standardised, or in the deviation of returns.
    let private standardise (setup: Setup<'State>) (unit: ReturnUnit) (advantages: ImmutableArray<float>) =
        let numbers = ImmutableCollectionsMarshal.AsArray advantages

        if setup.Configuration.NormaliseAdvantages then
            Advantage.normaliseInPlace numbers
        elif ReturnUnit.deviation unit > 0.0 then
            let deviation = ReturnUnit.deviation unit

            for row in 0 .. numbers.Length - 1 do
                numbers[row] <- numbers[row] / deviation

        advantages

    /// What the batch says of its rows, under the critic of the state.
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

    /// The rows of the batch itself: the single path of the TRPO paper.
    let private singlePath (batch: Batch) (advantageBatch: AdvantageBatch) : UpdateBatch =
        { Observations = advantageBatch.Observations
          Actions = batch.Actions
          Advantages = advantageBatch.Advantages
          Steps = 0L }

    /// The rows of a vine that grows from where the instances are after the batch, under the critic of the state.
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

    /// What the policy is improved on after a batch: its own rows or, where the configuration has branches, those of a vine.
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

    /// The surrogate objective of the batch, seen from the policy of the state.
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

    /// The state's account of its episodes, with those of a batch.
    let private account (batch: Batch) (state: State<'State>) =
        let earlier = state.RecentReturns
        let countAll = earlier.Length + batch.Episodes.Length
        let returnOf i = if i < earlier.Length then earlier[i] else batch.Episodes[i - earlier.Length].Return
        let returns = Array.init countAll returnOf
        let recent = if countAll <= window then returns else Array.sub returns (countAll - window) window

        // The best of the means after each finished episode, not only of those at the end of an iteration.
        // Each mean is summed on its own: after an enormous return, a sliding sum would hold nothing but its rounding.
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

    /// Episodes that have become longer than the configuration expects of one that ends; each is told again when it has doubled.
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

    /// As `updateFor`; but the policy is improved by a rule of the caller's own, and not by `TrustRegion.improve`. The surrogate is
    /// lent until the rule returns, and may be used by one thread while another one fits the critic.
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
                    // A policy that has not moved acts as before: its normaliser stays, too.
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

    /// One iteration of `horizon` steps of each environment, and of the branches after them where the configuration has any:
    /// improve ∘ advantageBatch ∘ rollout, and the critic's fit.
    let updateFor horizon (setup: Setup<'State>) (state: State<'State>) =
        let configuration = setup.Configuration
        let settings = Configuration.improvement state.Steps configuration

        // The Fisher matrix depends on states alone, of which it needs each only once.
        let rowsPerState =
            if configuration.Branches = 0 then
                1
            else
                Vine.branchesIn setup.Environment.ActionSpace configuration.Branches

        let settings = { settings with FisherFraction = settings.FisherFraction / float rowsPerState }
        updateBy (TrustRegion.improve settings) horizon setup state

    /// One iteration.
    let update (setup: Setup<'State>) state = updateFor setup.Configuration.Horizon setup state

    /// What unfolds from a state when each element is made by `next`; it ends with the first error, which is its last.
    let private unfold next state =
        Some(Ok state)
        |> Seq.unfold (fun previous ->
            match previous with
            | Some(Ok state) -> next state |> Option.map (fun result -> result, Some(Result.map fst result))
            | Some(Error _)
            | None -> None)

    /// The iterations after a state, lazily and without end, except at a failure, which comes last.
    let run (setup: Setup<'State>) state = unfold (fun state -> Some(update setup state)) state

    /// How long the next iteration is, where so many steps of each environment are left: its horizon, and the setup with its
    /// branches.
    let private withinBudget remaining (setup: Setup<'State>) =
        let configuration = setup.Configuration
        let horizon = int64 configuration.Horizon

        if configuration.Branches = 0 then
            int (if remaining < horizon + horizon / 2L then remaining else horizon), setup
        else
            // Branches end when they do, so what is left over by those of one iteration is there for the next.
            let own = min remaining horizon
            let branches = Vine.branchesIn setup.Environment.ActionSpace configuration.Branches
            let ofBranch = max 1L ((remaining - own) / int64 branches)
            let branchSteps = int (min ofBranch (int64 configuration.BranchSteps))
            int own, { setup with Configuration = { configuration with BranchSteps = branchSteps } }

    /// The iterations after a state until training has made `steps` environment steps since its start; the last iteration is
    /// shortened, or lengthened by less than half, so that the total is met (to within one step of each environment) and no
    /// step is taken on a few rows. Where the configuration has branches, the last iterations shorten them first, and the total
    /// is met to within one step of each environment and one of each branch. There are none where the total is already met.
    let runFor steps (setup: Setup<'State>) state =
        unfold
            (fun (state: State<'State>) ->
                if steps <= state.Steps then
                    None
                else
                    // Rounded up, without an overflow for any number of steps.
                    let remaining = 1L + (steps - state.Steps - 1L) / int64 state.Instances.Length
                    let horizon, setup = withinBudget remaining setup
                    Some(updateFor horizon setup state))
            state
