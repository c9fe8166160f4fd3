namespace FunTrpo

open System

/// Clipped rewards, so that tasks with rewards of any size need the same settings. The task becomes another one: a large reward is worth no more than
/// the bound.
///
/// Source: Mnih et al., "Human-level control through deep reinforcement learning" (2015).
module RewardClip =

    /// A reward that is not finite stays as it is, so that whoever reads it reports it.
    let private clipped bound (next: Transition<'State>) =
        if Double.IsFinite next.Reward then
            { next with Reward = Math.Clamp(next.Reward, -bound, bound) }
        else
            next

    let private batchOf bound (inner: BatchSteps<'State>) =
        { new BatchSteps<'State> with
            member _.Size = inner.Size
            member _.Reset keys = inner.Reset keys

            member _.Step(keys, actions, states) = inner.Step(keys, actions, states) |> Array.map (clipped bound) }

    /// The environment `inner`, with rewards clipped to [−bound, bound]. Throws an `ArgumentException` if the bound is not above 0.
    let wrap bound (inner: 'Inner :> Environment<'State>) =
        if Double.IsNaN bound || bound <= 0.0 then
            invalidArg (nameof bound) $"a bound of rewards is above 0, and this one is {bound}"

        { new Environment<'State> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace
            member _.Reset key = inner.Reset key
            member _.Step(key, action, state) = inner.Step(key, action, state) |> clipped bound
            member _.Observe(state, observation) = inner.Observe(state, observation)
          interface RestartableEnvironment with
              member _.AllowRestarts times = Restarts.allow times inner
          interface BatchEnvironment<'State> with
              member _.Batch = BatchSteps.ofEnvironment<'State> inner |> Option.map (batchOf bound)
          interface WaitingEnvironment with
              member _.InFlight = InFlight.ofEnvironment inner
          interface CheckpointableEnvironment<'State> with
              member _.StateCodec = StateCodec.ofEnvironment<'State> inner
          interface PicturedEnvironment<'State> with
              member _.Picture state = Picture.ofState inner state }
