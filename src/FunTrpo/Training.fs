namespace FunTrpo

open System
open System.Collections.Immutable
open System.Diagnostics

/// The training loop: training = fold update initialState iterations.
module Training =

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

    /// The radius δ of the trust region of an improvement; ∞ for fixed steps and PPO, which have none.
    let private deltaOf (setup: Setup<'State>) (state: TrainingState<'State>) (improvement: Improvement) =
        let configuration = setup.Configuration

        match configuration.Rule, configuration.Step with
        | RuleKind.SingleStep, StepKind.TrustRegion ->
            Configuration.deltaAt state.Steps configuration
            * SignalShare.factor configuration.DeltaShrinkage improvement.SignalShare
        | RuleKind.SingleStep, StepKind.Fixed
        | RuleKind.Ppo, _ -> infinity

    /// The result of a stage and its seconds. The stage is an activity of the iteration.
    let private timed iteration name stage =
        let started = Stopwatch.GetTimestamp()
        use _ = Activities.stage iteration name
        let result = stage ()
        struct (result, Stopwatch.GetElapsedTime(started).TotalSeconds)

    /// The improvement of the policy, the optimiser after it, and the certificate of the improvement.
    let private improve (setup: Setup<'State>) state rows =
        Stages.improve setup state rows
        |> Result.map (fun (improvement, optimiser) ->
            improvement, optimiser, Stages.certificate setup state rows improvement.Parameters)

    /// The state after an iteration, without its streaks.
    let private advance
        (state: TrainingState<'State>)
        (batch: Batch)
        instances
        batchSteps
        (improvement: Improvement)
        optimiser
        critic
        =
        { TrainingState.countEpisodes batch state with
            Iteration = state.Iteration + 1
            Steps = state.Steps + batchSteps
            PolicyParameters = improvement.Parameters
            PolicyOptimiser = optimiser
            Critic = critic
            // After a refused step the policy must act as before, so its normaliser stays the same, too.
            Normaliser =
                if improvement.Outcome.IsMoved then
                    Normaliser.observe batch.Observations state.Normaliser
                else
                    state.Normaliser
            Instances = instances }

    /// One iteration with `horizon` steps of each environment: rollout, advantages, policy improvement and the critic's fit. With `branches`,
    /// a vine follows the rollout. Returns the next state and a report, or the fault that ended the iteration.
    let updateFor
        horizon
        (setup: Setup<'State>)
        (state: TrainingState<'State>)
        : Result<TrainingState<'State> * Report, Fault> =
        if horizon < 1 then
            invalidArg (nameof horizon) $"an iteration has at least 1 step, and the horizon is {horizon}"

        let started = Stopwatch.GetTimestamp()
        use activity = Activities.iteration setup.Environment.Id (state.Iteration + 1)

        result {
            do! TrainingState.requireFit setup state

            let struct (rollout, rolloutSeconds) =
                timed activity "funtrpo.rollout" (fun () -> Stages.rollout horizon setup state)

            let! batch, instances = rollout
            let advantages = Stages.advantageBatch setup state batch
            let! rows = Stages.updateBatch setup state batch advantages instances

            // Both need the advantages only, so the critic is fitted on another thread meanwhile.
            let struct (struct (improvement, policySeconds), struct (critic, criticSeconds)) =
                Parallel.both
                    setup.Threads
                    (fun () -> timed activity "funtrpo.policy" (fun () -> improve setup state rows))
                    (fun () -> timed activity "funtrpo.critic" (fun () -> Stages.fitCritic setup state advantages))

            let! improvement, optimiser, certificate = improvement
            let! critic, criticErrorAfter = critic
            let batchSteps = int64 batch.Rewards.Length + rows.Steps
            let next = advance state batch instances batchSteps improvement optimiser critic
            let delta = deltaOf setup state improvement

            let entropyBonus = Configuration.entropyBonusAt state.Steps setup.Configuration

            let streaks, warnings = Streaks.next setup.Policy delta entropyBonus improvement state.Streaks

            let report =
                { Iteration = next.Iteration
                  Steps = next.Steps
                  BatchSteps = batchSteps
                  Episodes = next.Episodes
                  Finished = batch.Episodes
                  MeanReturn = TrainingState.meanReturn next
                  Improvement = improvement
                  Certificate = certificate
                  Delta = delta
                  ExplainedVariance = Advantage.explainedVariance advantages.Returns advantages.Values
                  CriticErrorBefore = Critic.errorOf (advantages.Values.AsSpan()) (advantages.Returns.AsSpan())
                  CriticErrorAfter = criticErrorAfter
                  Seconds =
                    { Rollout = rolloutSeconds
                      Policy = policySeconds
                      Critic = criticSeconds
                      Total = Stopwatch.GetElapsedTime(started).TotalSeconds }
                  Warnings = warnings @ longEpisodes setup state.Instances instances }

            return { next with Streaks = streaks }, report
        }
        |> Activities.withStatus activity

    /// One iteration with the configured horizon.
    let update (setup: Setup<'State>) state = updateFor setup.Configuration.Horizon setup state

    /// The lazy sequence of results of `next`, each from the state of the one before. It ends when `next` returns None, or after the first
    /// error.
    let private unfold next state =
        Ok state
        |> Seq.unfold (fun previous ->
            match previous with
            // The iteration after a state, or none if training is over.
            | Ok state -> next state |> Option.map (fun result -> result, Result.map fst result)
            // The fault was the last element.
            | Error _ -> None)

    /// The iterations after a state: a lazy, endless sequence. If an iteration fails, its fault is the last element.
    let run (setup: Setup<'State>) state = unfold (fun state -> Some(update setup state)) state

    /// The horizon of the next iteration, and the setup with its branch length cut to fit, when each environment has `remaining` steps left.
    let private withinBudget remaining (setup: Setup<'State>) =
        let configuration = setup.Configuration
        let horizon = int64 configuration.Horizon

        if configuration.Branches = 0 then
            int (if remaining < horizon + horizon / 2L then remaining else horizon), setup
        else
            // A branch may end early. The steps that it saves are left for the next iteration.
            let horizon = min remaining horizon
            let branches = Vine.branchesIn setup.Environment configuration.Branches
            let stepsPerBranch = max 1L ((remaining - horizon) / int64 branches)
            let branchSteps = int (min stepsPerBranch (int64 configuration.BranchSteps))
            int horizon, { setup with Configuration = { configuration with BranchSteps = branchSteps } }

    /// The iterations after a state until training has made `steps` environment steps since its start. The last iteration is shortened, or
    /// lengthened by less than half, so that the total is met to within one step of each environment, and no iteration has only a few rows.
    /// With `branches`, the last iterations shorten the branches first, and the total is met to within one step of each environment and of
    /// each branch. The sequence is empty if the total is already met.
    let runFor steps (setup: Setup<'State>) state =
        unfold
            (fun (state: TrainingState<'State>) ->
                if steps <= state.Steps then
                    None
                else
                    // Rounded up. The formula does not overflow for any number of steps.
                    let remaining = 1L + (steps - state.Steps - 1L) / int64 state.Instances.Length
                    let horizon, setup = withinBudget remaining setup
                    Some(updateFor horizon setup state))
            state
