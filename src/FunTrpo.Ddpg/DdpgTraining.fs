namespace FunTrpo.Ddpg

open System
open System.Collections.Immutable
open System.Diagnostics
open FunTrpo

/// Deep deterministic policy gradient (Lillicrap et al. 2015, "Continuous control with deep reinforcement learning", algorithm 1):
/// training = fold update initialState iterations.
module DdpgTraining =

    /// Whether updates follow so many environment steps.
    let private isDue (settings: DdpgSettings) (steps: int64) =
        steps >= int64 settings.Warmup && steps % int64 settings.UpdateEvery = 0L

    /// Room for the raw observations of an iteration, if a normaliser is to see them.
    let private roomFor steps width normaliser =
        match normaliser with
        | Unnormalised -> [||]
        | Standardise _ -> Array.zeroCreate<float32>(Size.product steps width)

    /// Takes the steps of an iteration, with the updates that are due. Returns what the updates measured, or the first fault of a step.
    let private play
        steps
        (state: DdpgState<'State>)
        settings
        (learner: Learner<'State>)
        explorer
        memory
        (seen: float32[])
        =
        let updateKey = Key.named "update" state.Key
        let mutable sums = UpdateSums.zero
        let mutable outcome = Ok()
        let mutable t = 0

        while outcome.IsOk && t < steps do
            outcome <- (explorer: Explorer<'State>).Step()

            if outcome.IsOk then
                if seen.Length > 0 then
                    explorer.Observation.CopyTo(seen.AsSpan(t * (seen.Length / steps)))

                if isDue settings explorer.Steps then
                    for _ in 1 .. settings.Updates do
                        let number = state.Updates + int64 sums.Count
                        sums <- learner.Update(memory, Key.at number updateKey, sums)

            t <- t + 1

        outcome |> Result.map (fun () -> sums)

    /// The state after so many steps, with what the updates measured and the episodes that ended.
    let private advance steps (setup: DdpgSetup<'State>) (state: DdpgState<'State>) =
        let width = Space.width setup.Environment.ObservationSpace
        let seen = roomFor steps width state.Normaliser
        use learner = new Learner<'State>(setup, state)
        let memory = ReplayMemory.Writer state.Memory
        let explorer = Explorer<'State>(setup, state, learner, memory)

        play steps state setup.Settings learner explorer memory seen
        |> Result.map (fun sums ->
            let finished = ImmutableArray.CreateRange explorer.Episodes

            let next =
                { state with
                    Iteration = state.Iteration + 1
                    Steps = explorer.Steps
                    Updates = state.Updates + int64 sums.Count
                    Episodes = state.Episodes + int64 finished.Length
                    Actor = learner.Actor
                    Critic = learner.Critic
                    Normaliser = state.Normaliser |> Normaliser.observe (Matrix.adopt (seen.Length / width) width seen)
                    Memory = memory.ToMemory()
                    Noise = explorer.Noise
                    Instance = explorer.Instance
                    RecentReturns =
                        state.RecentReturns |> TrainingState.withEpisodes finished |> TrainingState.recentOf }

            struct (next, sums, finished))

    let private reportOf (state: DdpgState<'State>) (noise: NoiseSettings) before finished (sums: UpdateSums) seconds =
        let mean sum = sum / float sums.Count // NaN without updates

        { Iteration = state.Iteration
          Steps = state.Steps
          BatchSteps = state.Steps - before
          Updates = state.Updates
          Episodes = state.Episodes
          Finished = finished
          MeanReturn = DdpgState.meanReturn state
          CriticLoss = mean sums.Loss
          MeanQ = mean sums.Value
          ActorGradientNorm = mean sums.GradientNorm
          Noise = ExplorationNoise.deviationAt state.Steps noise
          Seconds = seconds }

    /// Refuses networks that are no longer finite.
    let private requireFinite (setup: DdpgSetup<'State>) (state: DdpgState<'State>) =
        let require stage learned =
            if TargetNetwork.isFinite learned then
                Ok()
            else
                Error(NonFiniteStage(stage, setup.Environment.Id, state.Iteration))

        require "critic's fit" state.Critic |> Result.bind (fun () -> require "policy gradient" state.Actor)

    /// One iteration of so many environment steps: act, remember, and update where an update is due. Returns the next state and a report, or the
    /// fault that ended the iteration. Observations are normalised by the moments before the iteration.
    ///
    /// Faults: a `Mismatch` if the state was made with another setup, those of the environment, `NonFinitePolicy` and `NonFiniteStage`. Throws
    /// an `ArgumentException` if `steps` is less than 1.
    let updateFor
        steps
        (setup: DdpgSetup<'State>)
        (state: DdpgState<'State>)
        : Result<DdpgState<'State> * DdpgReport, Fault> =
        if steps < 1 then
            invalidArg (nameof steps) $"an iteration has at least 1 step, and there are {steps}"

        let started = Stopwatch.GetTimestamp()

        result {
            do! DdpgState.requireFit setup state
            let! struct (next, sums, finished) = advance steps setup state
            do! requireFinite setup next
            let seconds = Stopwatch.GetElapsedTime(started).TotalSeconds
            return next, reportOf next setup.Settings.Noise state.Steps finished sums seconds
        }

    /// One iteration of the configured number of steps.
    let update (setup: DdpgSetup<'State>) state = updateFor setup.Settings.IterationSteps setup state

    /// The iterations after a state until training has made `steps` environment steps since its start, which the last iteration meets exactly.
    /// A lazy sequence: whoever stops taking from it ends training. If an iteration fails, its fault is the last element.
    let runFor (steps: int64) (setup: DdpgSetup<'State>) (state: DdpgState<'State>) =
        Ok state
        |> Seq.unfold (fun previous ->
            match previous with
            | Ok(state: DdpgState<'State>) when state.Steps < steps ->
                let left = min (int64 setup.Settings.IterationSteps) (steps - state.Steps)
                let result = updateFor (int left) setup state
                Some(result, Result.map fst result)
            | _ -> None)

    /// The iterations after a state: a lazy, endless sequence. If an iteration fails, its fault is the last element.
    let run (setup: DdpgSetup<'State>) state = runFor Int64.MaxValue setup state
