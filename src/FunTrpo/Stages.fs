namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// Values, advantages and returns of the rows of a batch, under the critic from before the batch.
type AdvantageBatch =
    {
        /// Normalised, one row a sample.
        Observations: Matrix
        /// The rows as sequences, for a critic with memory.
        Sequences: Sequences option
        /// V(s), one a row.
        Values: ImmutableArray<float>
        /// The GAE estimates of A(s, a), one a row. Standardised over the batch with `normaliseAdvantages`. Otherwise divided by the standard
        /// deviation of the returns with `normaliseReturns`. Otherwise in the unit of the reward.
        Advantages: ImmutableArray<float>
        /// The λ-returns, one a row: the targets of the critic's fit.
        Returns: ImmutableArray<float>
        /// The critic that gave the values.
        CriticBefore: CriticState
        /// The same critic with the return unit for this fit.
        CriticToFit: CriticState
    }

/// The rows that the surrogate is made of.
[<RequireQualifiedAccess>]
type UpdateBatch =
    {
        /// Normalised, one row a sample.
        Observations: Matrix
        /// The rows as sequences, for a policy with memory.
        Sequences: Sequences option
        /// As the policy drew them, one row a sample.
        Actions: Matrix
        /// Estimates of A(s, a), one a row. Scaled as those of the `AdvantageBatch`, over these rows.
        Advantages: ImmutableArray<float>
        /// The environment steps that these rows, and those held out, took in addition to those of the batch.
        Steps: int64
        /// The rows of the instances that are held out, with `heldOut`.
        HeldOut: HeldOutBatch option
    }

/// Rows that certify an improvement, and have no part in it.
and [<RequireQualifiedAccess>] HeldOutBatch =
    {
        /// The rows, with advantages that are shifted and scaled as those of the update are.
        Rows: UpdateBatch
        /// The lengths of the independent parts of these rows, in their order: the episodes of each instance, or the states of a vine.
        Clusters: ImmutableArray<int>
    }

/// What several stages need: keys, the normaliser of a batch, and checks of results.
module private StageHelpers =

    /// The key of the iteration that follows the state.
    let keyOf (state: TrainingState<'State>) = state.Key |> Key.named "iteration" |> Key.at (int64 state.Iteration)

    /// The normaliser for a batch: that of the state, or the moments of the batch itself if the state has seen nothing yet.
    let normaliserOf (state: TrainingState<'State>) (batch: Batch) =
        Normaliser.orMomentsOf batch.Observations state.Normaliser

    /// The fault of a stage whose result is NaN, infinite, or too large for float32.
    let nonFinite (setup: Setup<'State>) (state: TrainingState<'State>) stage =
        NonFiniteStage(stage, setup.Environment.Id, state.Iteration + 1)

    let requireFinite stage setup state isFinite = if isFinite then Ok() else Error(nonFinite setup state stage)

    /// Whether float32, in which the networks compute, can represent all numbers.
    let fitFloat32 (numbers: ImmutableArray<float>) =
        let mutable all = true

        for number in numbers do
            all <- all && Single.IsFinite(float32 number)

        all

/// The stages of one iteration, in their order: rollout → advantages → update batch → surrogate → improvement → certificate, and the critic's
/// fit.
module Stages =

    open StageHelpers

    /// Collects a batch with the policy of the state: `horizon` steps of each environment. Also returns the environments after it.
    let rollout horizon (setup: Setup<'State>) (state: TrainingState<'State>) =
        let key = keyOf state |> Key.named "rollout"

        match state.Failure with
        | Some fault -> Error fault
        | None ->
            setup.Collect setup.Environment (TrainingState.actor setup state) horizon setup.Threads key state.Instances

    /// Shifts and scales the advantages in place by the moments of those of `rows`, or divides them by the deviation of the returns, or leaves
    /// them as they are, as configured. The caller must own them.
    let private scaleAdvantagesAs
        (setup: Setup<'State>)
        (unit: ReturnUnit)
        (rows: ImmutableArray<float>)
        (advantages: ImmutableArray<float>)
        =
        let numbers = ImmutableCollectionsMarshal.AsArray advantages

        if setup.Configuration.NormaliseAdvantages then
            Advantage.normaliseInPlaceAs (ImmutableCollectionsMarshal.AsArray rows) numbers
        elif ReturnUnit.deviation unit > 0.0 then
            let deviation = ReturnUnit.deviation unit

            for row in 0 .. numbers.Length - 1 do
                numbers[row] <- numbers[row] / deviation

        advantages

    /// Standardises the advantages in place, or scales them as configured. The caller must own them.
    let private scaleAdvantages setup unit advantages = scaleAdvantagesAs setup unit advantages advantages

    /// Values, advantages and λ-returns of the rows of a batch, under the critic of the state.
    let advantageBatch (setup: Setup<'State>) (state: TrainingState<'State>) (batch: Batch) =
        let configuration = setup.Configuration

        let criticBefore =
            { state.Critic with
                Unit = ReturnUnit.resetIfTooLarge configuration.Gamma batch.Rewards batch.Ends state.Critic.Unit }

        let normaliser = normaliserOf state batch
        let observations = Normaliser.apply normaliser batch.Observations
        let bootstrapObservations = Normaliser.apply normaliser batch.BootstrapObservations

        let struct (values, bootstraps, memory) =
            Critic.valuesOfBatch setup.Critic criticBefore batch observations bootstrapObservations

        let gae =
            Advantage.gae configuration.Gamma configuration.Lambda batch.Rewards batch.Ends values bootstraps

        let unit = ReturnUnit.update gae.Returns criticBefore.Unit

        { Observations = observations
          Sequences = batch |> Batch.sequences criticBefore.Memory
          Values = values
          Advantages = scaleAdvantages setup unit gae.Advantages
          Returns = gae.Returns
          CriticBefore = criticBefore
          CriticToFit = { criticBefore with Unit = unit; Memory = memory } }

    /// The indices of the rows of some instances, each of which has `length` rows.
    let private rowsOf length (instances: int[]) =
        instances |> Array.collect (fun instance -> Array.init length (fun i -> instance * length + i))

    /// The elements of some rows.
    let private pick (numbers: ImmutableArray<float>) (rows: int[]) =
        rows |> Array.map (fun row -> numbers[row]) |> ImmutableCollectionsMarshal.AsImmutableArray

    /// The rows of some instances, each of which has `length` rows.
    let private ofInstances length (instances: int[]) (rows: UpdateBatch) : UpdateBatch =
        let indices = rowsOf length instances
        let gather = Matrix.gather (ImmutableCollectionsMarshal.AsImmutableArray indices)

        let sequences (all: Sequences) = all |> Sequences.gather (if all.Length = length then instances else indices)

        { rows with
            Observations = gather rows.Observations
            Sequences = rows.Sequences |> Option.map sequences
            Actions = gather rows.Actions
            Advantages = pick rows.Advantages indices }

    /// The rows with scaled advantages, and those of some instances held out of them, with `heldOut`. The scale is that of the instances that
    /// stay. Each instance has `length` rows, and `clusters` has the lengths of the independent parts of the rows of some instances.
    let private holdOut
        (setup: Setup<'State>)
        (state: TrainingState<'State>)
        (batch: Batch)
        (advantageBatch: AdvantageBatch)
        length
        (clusters: int[] -> ImmutableArray<int>)
        (rows: UpdateBatch)
        : UpdateBatch =
        let count = state.Instances.Length
        let held = HeldOut.instances setup.Configuration.HeldOut count (keyOf state |> Key.named "heldOut")

        if held.Length = 0 then
            { rows with Advantages = scaleAdvantages setup advantageBatch.CriticToFit.Unit rows.Advantages }
        else
            let others = HeldOut.others held count
            let returns = rowsOf batch.Horizon others |> pick advantageBatch.Returns
            let unit = ReturnUnit.update returns advantageBatch.CriticBefore.Unit
            let stay = rows |> ofInstances length others
            let out = { ofInstances length held rows with Steps = 0L }
            // Those held out come first: the others are scaled in place.
            let out = { out with Advantages = scaleAdvantagesAs setup unit stay.Advantages out.Advantages }

            { stay with
                Advantages = scaleAdvantages setup unit stay.Advantages
                HeldOut = Some { Rows = out; Clusters = clusters held } }

    /// The rows of the batch itself: the single-path scheme of the TRPO paper.
    let private singlePath setup state (batch: Batch) (advantageBatch: AdvantageBatch) : UpdateBatch =
        let withAdvantages advantages : UpdateBatch =
            { Observations = advantageBatch.Observations
              Sequences = batch |> Batch.sequences batch.Memory
              Actions = batch.Actions
              Advantages = advantages
              Steps = 0L
              HeldOut = None }

        if setup.Configuration.HeldOut = 0.0 then
            withAdvantages advantageBatch.Advantages
        else
            Seq.map2 (-) advantageBatch.Returns advantageBatch.Values
            |> ImmutableArray.CreateRange
            |> withAdvantages
            |> holdOut setup state batch advantageBatch batch.Horizon (HeldOut.episodes batch)

    /// The rows of a vine from the states of the instances after the batch, under the critic of the state.
    let private vine
        (setup: Setup<'State>)
        (state: TrainingState<'State>)
        (batch: Batch)
        (advantageBatch: AdvantageBatch)
        instances
        : Result<UpdateBatch, Fault> =
        let configuration = setup.Configuration
        let normaliser = normaliserOf state batch
        let actor = { TrainingState.actor setup state with Normaliser = normaliser }

        // A critic with memory has watched the episodes up to the end of the batch.
        let critic = { advantageBatch.CriticBefore with Memory = advantageBatch.CriticToFit.Memory }

        let valuesOf = Critic.bootstrapsOfBatch setup.Critic critic (Normaliser.apply normaliser)
        let key = keyOf state |> Key.named "vine"

        result {
            let! vine =
                Vine.sample
                    setup.Environment
                    actor
                    (Configuration.vine configuration)
                    valuesOf
                    setup.Threads
                    key
                    instances

            do! requireFinite "branches' returns" setup state (fitFloat32 vine.Returns)

            let clusters (held: int[]) = ImmutableArray.CreateRange(held |> Seq.map (fun _ -> vine.Branches))

            return
                ({ Observations = Normaliser.apply normaliser vine.Observations
                   Sequences = Sequences.ofSingleRows vine.Memory
                   Actions = vine.Actions
                   Advantages = Vine.advantages actor vine
                   Steps = vine.Steps
                   HeldOut = None }
                : UpdateBatch)
                |> holdOut setup state batch advantageBatch vine.Branches clusters
        }

    /// The rows for the surrogate: those of the batch or, with `branches`, those of a vine from the states of `instances`, which are the
    /// instances after the batch. With `heldOut`, the rows of some instances are kept apart. Returns the fault of a rollout, or a
    /// `NonFiniteStage` if returns or advantages do not fit float32.
    let updateBatch (setup: Setup<'State>) state batch advantageBatch instances =
        result {
            do! requireFinite "returns" setup state (fitFloat32 advantageBatch.Returns)

            let! updateBatch =
                if setup.Configuration.Branches = 0 then
                    Ok(singlePath setup state batch advantageBatch)
                else
                    vine setup state batch advantageBatch instances

            do! requireFinite "advantages" setup state (fitFloat32 updateBatch.Advantages)
            return updateBatch
        }

    /// The surrogate of the rows at the policy of the state, with the entropy bonus in force. The caller disposes of it.
    let surrogate (setup: Setup<'State>) (state: TrainingState<'State>) (updateBatch: UpdateBatch) =
        Surrogate.ofSequences
            setup.Threads
            setup.Policy
            updateBatch.Sequences
            updateBatch.Observations
            updateBatch.Actions
            updateBatch.Advantages
            state.PolicyParameters
        |> Surrogate.withEntropyBonus (Configuration.entropyBonusAt state.Steps setup.Configuration)

    /// The settings of the iteration's policy improvement, with the δ in force.
    let improvementSettings (setup: Setup<'State>) (state: TrainingState<'State>) =
        let configuration = setup.Configuration
        let settings = Configuration.improvement state.Steps configuration

        // The Fisher matrix depends on states only, so one row for each state of a vine is enough.
        let rowsPerState =
            if configuration.Branches = 0 then 1 else Vine.branchesIn setup.Environment configuration.Branches

        { settings with FisherFraction = settings.FisherFraction / float rowsPerState }

    /// The improvement of the policy by the rule of the setup, and the optimiser after it. Each log σ ends inside its bounds. The fault of the
    /// stage "policy" if the new parameters, the distributions that they give for the rows, or the moments of the optimiser are not finite:
    /// neither a fixed step nor PPO checks them.
    let internal improve (setup: Setup<'State>) (state: TrainingState<'State>) updateBatch =
        use surrogate = surrogate setup state updateBatch

        result {
            let! improvement, optimiser =
                setup.Improve
                    (improvementSettings setup state)
                    (keyOf state |> Key.named "improvement")
                    state.PolicyOptimiser
                    surrogate
                |> Result.mapError (nonFinite setup state)

            let parameters = Policy.boundLogSigmas setup.Policy improvement.Parameters

            // The KL is finite only if all distributions are.
            let isFinite =
                Vector.isFinite parameters
                && Double.IsFinite improvement.Comparison.MeanKl
                && Adam.isFinite optimiser

            do! requireFinite "policy" setup state isFinite
            return { improvement with Parameters = parameters }, optimiser
        }

    /// The certificate of new parameters of the policy by the rows that the improvement has not seen; none if no rows are held out.
    let certificate (setup: Setup<'State>) (state: TrainingState<'State>) (updateBatch: UpdateBatch) parameters =
        updateBatch.HeldOut
        |> Option.map (fun heldOut ->
            use surrogate = surrogate setup state heldOut.Rows
            SampledCertificate.estimate setup.Configuration.Gamma surrogate heldOut.Clusters parameters)

    /// The critic after its fit to the returns of the batch, and the root mean squared error of its values then. The fault of the stage
    /// "critic" if its parameters, its values of the batch, or the moments of its optimiser are not finite.
    let internal fitCritic (setup: Setup<'State>) (state: TrainingState<'State>) advantageBatch =
        result {
            let! critic =
                CriticFit.fitSequences
                    (Configuration.critic setup.Configuration)
                    setup.Critic
                    advantageBatch.Sequences
                    advantageBatch.Observations
                    advantageBatch.Returns
                    (keyOf state |> Key.named "critic")
                    advantageBatch.CriticToFit
                |> Result.mapError (nonFinite setup state)

            let error =
                Critic.error
                    setup.Critic
                    critic
                    advantageBatch.Sequences
                    advantageBatch.Observations
                    advantageBatch.Returns

            do! requireFinite "critic" setup state (Critic.isFinite critic && Double.IsFinite error)
            return critic, error
        }
