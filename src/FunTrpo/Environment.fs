namespace FunTrpo

open System

/// What one step of an environment gives.
[<Struct>]
type Transition<'State> =
    {
        State: 'State
        Reward: float
        /// The task itself came to an end here: nothing follows, the state has no further value.
        Terminated: bool
        /// Only the watching stopped here (a time limit): the state still has the value of what would have followed.
        Truncated: bool
    }

/// An environment: pure functions over immutable states. The same key, action and state always give the same transition.
///
/// Observations and actions are rows of float32 whose meaning their `Space` gives. An action is inside the action space
/// when it arrives (the rollout clips it to a box).
type Environment<'State> =

    /// The name it is known by, for instance `CartPole-v1`.
    abstract Id: string

    abstract ObservationSpace: Space

    abstract ActionSpace: Space

    /// A start state. What an environment throws here, in `Step` or in `Observe` ends training as a `FailedEnvironment`.
    abstract Reset: key: Key -> 'State

    /// What follows when `action` is taken in `state`; `key` holds whatever randomness the environment needs. Every episode
    /// must end: give a task that does not terminate by itself an `Environment.withTimeLimit`.
    abstract Step: key: Key * action: ReadOnlySpan<float32> * state: 'State -> Transition<'State>

    /// Writes what is seen of the state. The span holds zeros: what is not written is 0.
    abstract Observe: state: 'State * observation: Span<float32> -> unit

/// A state that has more behind it than a value, such as a simulator that stands there. It need not implement this.
type Releasable =

    /// Called where a branch of a vine was left before its episode ended: what is behind this state may be used for another one, as it
    /// may where an episode ends, which the environment itself knows. The state stays as good as before.
    abstract Release: unit -> unit

module Releasable =

    /// Gives back what is behind a state, if there is anything.
    let release (state: 'State) =
        match box state with
        | :? Releasable as borrower -> borrower.Release()
        | _ -> ()

/// A state together with the number of steps that led to it.
[<Struct>]
type Timed<'State> =
    { Inner: 'State
      Elapsed: int }

    interface Releasable with
        member this.Release() = Releasable.release this.Inner

module Environment =

    /// The same environment, whose episodes are truncated after `limit` steps. Around an environment that is a struct there is
    /// no call to it: the runtime makes one piece of code of the two.
    let withTimeLimit limit (inner: 'Inner :> Environment<'State>) =
        if limit < 1 then
            invalidArg (nameof limit) $"an episode has at least 1 step, and the limit is {limit}"

        { new Environment<Timed<'State>> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace

            member _.Reset key = { Inner = inner.Reset key; Elapsed = 0 }

            member _.Step(key, action, state) =
                let next = inner.Step(key, action, state.Inner)
                let elapsed = state.Elapsed + 1

                { State = { Inner = next.State; Elapsed = elapsed }
                  Reward = next.Reward
                  Terminated = next.Terminated
                  Truncated = next.Truncated || elapsed >= limit }

            member _.Observe(state, observation) = inner.Observe(state.Inner, observation) }

    /// The fault of an observation that no network could be given.
    let badObservation (environment: Environment<'State>) instance step =
        if Space.hasIndices environment.ObservationSpace then
            StrayObservation(environment.Id, instance, step)
        else
            NonFiniteEnvironment("observation", environment.Id, instance, step)

    /// Whether advantages can be estimated with a reward.
    let isReward (reward: float) = Single.IsFinite(float32 reward)

    /// The fault of what is no reward.
    let badReward (environment: Environment<'State>) instance step (reward: float) =
        if Double.IsFinite reward then
            OversizedEnvironment("reward", reward, environment.Id, instance, step)
        else
            NonFiniteEnvironment("reward", environment.Id, instance, step)

    /// What is seen of the state, as a vector.
    let observation (environment: Environment<'State>) state =
        let row = Array.zeroCreate (Space.width environment.ObservationSpace)
        environment.Observe(state, row.AsSpan())
        Vector.adopt row
