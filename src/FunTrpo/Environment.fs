namespace FunTrpo

open System
open FunTrpo.Kernels

/// An environment: pure functions over immutable states. The same key, action and state must always give the same transition.
///
/// Observations and actions are rows of float32. Their `Space` defines what they mean. The actions that `Step` receives are elements of
/// the action space (the rollout clips them to the bounds of a box).
///
/// An exception in `Reset`, `Step` or `Observe` ends training with a `FailedEnvironment`.
type Environment<'State> =

    /// The name of the environment, such as `CartPole-v1`.
    abstract Id: string

    /// The set of possible observations. It never changes.
    abstract ObservationSpace: Space

    /// The set of possible actions. It never changes.
    abstract ActionSpace: Space

    /// Returns the start state of an episode. All randomness comes from `key`.
    abstract Reset: key: Key -> 'State

    /// Takes `action` in `state` and returns the transition. All randomness comes from `key`. Every episode must end: use
    /// `Environment.withTimeLimit` for a task that does not terminate by itself.
    abstract Step: key: Key * action: ReadOnlySpan<float32> * state: 'State -> Transition<'State>

    /// Writes the observation of the state to `observation`, which has the width of `ObservationSpace` and holds zeros.
    abstract Observe: state: 'State * observation: Span<float32> -> unit

/// A state that holds a resource, such as a mutable simulator. Implementing this interface is optional: it lets the environment reuse the
/// resource earlier.
type Releasable =

    /// Called when the library abandons an episode in this state before its end, for instance at the end of a branch of a vine, or at a
    /// time limit that wraps the environment. The environment may then use the resource for another episode. `Release` is not called when
    /// an episode ends, because the environment itself knows that. The state must stay valid: a later `Observe` or `Step` of it must give
    /// the same as before.
    abstract Release: unit -> unit

module Releasable =

    /// Calls `Release` if the state implements `Releasable`.
    let release (state: 'State) =
        // Skip the boxing of structs that cannot be `Releasable`.
        if not typeof<'State>.IsValueType || typeof<Releasable>.IsAssignableFrom typeof<'State> then
            match box state with
            | :? Releasable as releasable -> releasable.Release()
            | _ -> ()

/// An environment whose simulators may fail and be replaced by fresh ones. It is optional.
type RestartableEnvironment =

    /// Lets so many simulators fail from now on and be replaced. The results are those of simulators that have not failed.
    abstract AllowRestarts: times: int -> unit

module Restarts =

    /// Lets so many simulators of the environment fail from now on and be replaced by fresh ones, if it is made of simulators.
    let allow times (environment: obj) =
        match environment with
        | :? RestartableEnvironment as restartable -> restartable.AllowRestarts times
        | _ -> ()

/// A state of an environment with a time limit: the inner state, and the number of steps since the reset.
[<Struct>]
type Timed<'State> =
    { Inner: 'State
      Elapsed: int }

    interface Releasable with
        member this.Release() = Releasable.release this.Inner

/// An environment of which so many calls may be in flight.
[<Sealed>]
type private InFlightEnvironment<'State>(inner: Environment<'State>, inFlight) =
    member _.Inner = inner

    interface Environment<'State> with
        member _.Id = inner.Id
        member _.ObservationSpace = inner.ObservationSpace
        member _.ActionSpace = inner.ActionSpace
        member _.Reset key = inner.Reset key
        member _.Step(key, action, state) = inner.Step(key, action, state)
        member _.Observe(state, observation) = inner.Observe(state, observation)

    interface WaitingEnvironment with
        member _.InFlight = Some inFlight

    interface BatchEnvironment<'State> with
        member _.Batch = BatchSteps.ofEnvironment<'State> inner

    interface RestartableEnvironment with
        member _.AllowRestarts times = Restarts.allow times inner

    interface CheckpointableEnvironment<'State> with
        member _.StateCodec = StateCodec.ofEnvironment<'State> inner

    interface PicturedEnvironment<'State> with
        member _.Picture state = Picture.ofState inner state

module Environment =

    /// The same environment with calls that mostly wait: up to `count` of them are in flight at the same time, each on a thread of its own,
    /// however few processors there are. None is for an environment that computes, of which as many states are stepped at the same time as
    /// there are threads. Results do not depend on it. Throws an `ArgumentException` if the count is less than 1.
    let inFlight count (environment: Environment<'State>) =
        let inner =
            match environment with
            | :? InFlightEnvironment<'State> as earlier -> earlier.Inner
            | _ -> environment

        match count with
        | None -> inner
        | Some count when count < 1 ->
            invalidArg (nameof count) $"at least 1 call of an environment is in flight, and the number is {count}"
        | Some count -> InFlightEnvironment(inner, count)

    let private timedCodec inner =
        StateCodec.withNumber
            (fun timed -> struct (timed.Elapsed, timed.Inner))
            (fun elapsed inner -> { Inner = inner; Elapsed = elapsed })
            inner

    /// The transition after so many steps, with the limit. The inner environment does not know that it ends its episode.
    let inline private limited limit elapsed (next: Transition<'State>) =
        let isOver = next.Terminated || next.Truncated
        let isTruncated = elapsed >= limit

        if isTruncated && not isOver then
            Releasable.release next.State

        { State = { Inner = next.State; Elapsed = elapsed }
          Reward = next.Reward
          Terminated = next.Terminated
          Truncated = next.Truncated || isTruncated }

    let private limitedBatch limit (inner: BatchSteps<'State>) =
        { new BatchSteps<Timed<'State>> with
            member _.Size = inner.Size
            member _.Reset keys = inner.Reset keys |> Array.map (fun start -> { Inner = start; Elapsed = 0 })

            member _.Step(keys, actions, states) =
                let following = inner.Step(keys, actions, states |> Array.map _.Inner)
                Array.map2 (fun (state: Timed<'State>) next -> limited limit (state.Elapsed + 1) next) states following }

    // Generic in the type of `inner`: if that is a struct, the runtime compiles code for its type and can inline its members, so the wrapper
    // costs no call.

    /// The environment `inner`, with its episodes truncated after `limit` steps. Throws an `ArgumentException` if `limit` is less than 1.
    let withTimeLimit limit (inner: 'Inner :> Environment<'State>) =
        if limit < 1 then
            invalidArg (nameof limit) $"an episode has at least 1 step, and the limit is {limit}"

        { new Environment<Timed<'State>> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace

            member _.Reset key = { Inner = inner.Reset key; Elapsed = 0 }

            member _.Step(key, action, state) = limited limit (state.Elapsed + 1) (inner.Step(key, action, state.Inner))

            member _.Observe(state, observation) = inner.Observe(state.Inner, observation)
          interface WaitingEnvironment with
              member _.InFlight = InFlight.ofEnvironment inner
          interface RestartableEnvironment with
              member _.AllowRestarts times = Restarts.allow times inner
          interface BatchEnvironment<Timed<'State>> with
              member _.Batch = BatchSteps.ofEnvironment<'State> inner |> Option.map (limitedBatch limit)
          interface CheckpointableEnvironment<Timed<'State>> with
              member _.StateCodec = StateCodec.ofEnvironment<'State> inner |> Result.map timedCodec
          interface PicturedEnvironment<Timed<'State>> with
              member _.Picture state = Picture.ofState inner state.Inner }

    /// The fault for an observation that `Space.isValidObservation` rejects.
    let observationFault (environment: Environment<'State>) (observation: ReadOnlySpan<float32>) instance step =
        let space = environment.ObservationSpace
        let hasLabels = Mask.isIn space || not (Space.labels space).IsEmpty

        if Space.hasIndices space || hasLabels && Reductions.AllFinite observation then
            InvalidObservation(environment.Id, instance, step)
        else
            NonFiniteEnvironment("observation", environment.Id, instance, step)

    /// Whether the reward is valid: a finite number that is also finite in float32.
    let isValidReward (reward: float) = Single.IsFinite(float32 reward)

    /// The fault for a reward that `isValidReward` rejects.
    let rewardFault (environment: Environment<'State>) instance step (reward: float) =
        if Double.IsFinite reward then
            OversizedEnvironment("reward", reward, environment.Id, instance, step)
        else
            NonFiniteEnvironment("reward", environment.Id, instance, step)

    /// The observation of the state, as a vector.
    let observation (environment: Environment<'State>) state =
        let row = Array.zeroCreate (Space.width environment.ObservationSpace)
        environment.Observe(state, row.AsSpan())
        Vector.adopt row
