namespace FunTrpo.Ddpg

open System
open System.Collections.Generic
open FunTrpo
open FunTrpo.Kernels

/// The part of an iteration that acts: policy and noise → environment → replay memory, step after step.
[<Sealed>]
type internal Explorer<'State when 'State: equality>
    (setup: DdpgSetup<'State>, state: DdpgState<'State>, learner: Learner<'State>, memory: ReplayMemory.Writer) =
    let environment, settings = setup.Environment, setup.Settings
    let observationWidth = Space.width environment.ObservationSpace
    let actionWidth = Space.width environment.ActionSpace
    let stepKey = Key.named "environment" state.Key
    let resetKey = Key.named "reset" state.Key
    let noiseKey = Key.named "noise" state.Key
    let observation = Array.zeroCreate<float32> observationWidth
    let following = Array.zeroCreate<float32> observationWidth
    let action = Array.zeroCreate<float32> actionWidth
    let inUnits = Array.zeroCreate<float32> actionWidth
    let episodes = List<Episode>()
    let mutable instance = state.Instance
    let mutable noise = state.Noise
    let mutable steps = state.Steps

    /// Writes the observation of a state. Returns whether it is valid.
    let observe (target: float32[]) state =
        Array.Clear target
        environment.Observe(state, target.AsSpan())
        Space.isValidObservation environment.ObservationSpace (ReadOnlySpan target)

    /// Writes the observation after a step: zeros if the episode has terminated, because its last state need not be observable, and no target
    /// depends on it.
    let observeNext (next: Transition<'State>) =
        if next.Terminated then
            Array.Clear following
            true
        else
            observe following next.State

    /// Draws the noise of this step: that of an episode has its own start.
    let drawNoise () =
        let key = Key.at steps noiseKey

        noise <-
            if instance.Length = 0 then
                ExplorationNoise.start actionWidth key
            else
                ExplorationNoise.next settings.Noise.Correlation key noise

    /// Writes the action with its noise, and what the environment receives. Returns whether it is finite.
    let act () =
        learner.Act(ReadOnlySpan observation, action.AsMemory())
        drawNoise ()
        ExplorationNoise.addTo (action.AsSpan()) (ExplorationNoise.deviationAt steps settings.Noise) noise
        Space.unscale environment.ActionSpace (ReadOnlySpan action) (inUnits.AsSpan())
        Space.clip environment.ActionSpace (ReadOnlySpan inUnits) (inUnits.AsSpan())
        Reductions.AllFinite(ReadOnlySpan inUnits)

    let remember (next: Transition<'State>) =
        let row = memory.Add()
        observation.CopyTo row
        action.CopyTo(row.Slice observationWidth)
        following.CopyTo(row.Slice(observationWidth + actionWidth))
        ReplayMemory.writeEnd row (float32 next.Reward) next.Terminated

    /// Moves on to the next state, or to a new episode.
    let moveOn (next: Transition<'State>) =
        let total, length = instance.Return + next.Reward, instance.Length + 1

        if next.Terminated || next.Truncated then
            episodes.Add { Return = total; Length = length }
            let start = environment.Reset(Key.at steps resetKey)
            instance <- { instance with State = start; Return = 0.0; Length = 0; Steps = steps + 1L }
        else
            instance <- { instance with State = next.State; Return = total; Length = length; Steps = steps + 1L }

        steps <- steps + 1L

    let take () =
        if not (observe observation instance.State) then
            Error(Environment.observationFault environment (ReadOnlySpan observation) 0 steps)
        elif not (act ()) then
            Error(NonFinitePolicy(environment.Id, 0, steps))
        else
            let next = environment.Step(Key.at steps stepKey, ReadOnlySpan inUnits, instance.State)

            if not (Environment.isValidReward next.Reward) then
                Error(Environment.rewardFault environment 0 steps next.Reward)
            elif not (observeNext next) then
                Error(Environment.observationFault environment (ReadOnlySpan following) 0 steps)
            else
                remember next
                moveOn next
                Ok()

    /// Takes one step. Faults: those of the environment, and `NonFinitePolicy`.
    member _.Step() =
        try
            take ()
        with error ->
            Error(FailedEnvironment(error, environment.Id, 0, steps))

    /// The raw observation before the last step.
    member _.Observation = ReadOnlySpan observation

    member _.Instance = instance
    member _.Noise = noise
    member _.Steps = steps

    /// The episodes that ended.
    member _.Episodes = episodes
