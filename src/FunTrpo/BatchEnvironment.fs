namespace FunTrpo

open System

/// Resets and steps of several states in one call. The results are those of `Environment.Reset` and `Environment.Step`, one after another.
type BatchSteps<'State> =

    /// The number of states that are best stepped in one call, at least 1.
    abstract Size: int

    /// The start state of an episode for each key.
    abstract Reset: keys: Key[] -> 'State[]

    /// The transition from each state, with its key and its row of `actions`. No two states are equal by reference.
    abstract Step: keys: Key[] * actions: float32[] * states: 'State[] -> Transition<'State>[]

/// An environment whose states can be reset and stepped several at a time. It is optional. A rollout then makes one call for all states that
/// a thread steps side by side.
type BatchEnvironment<'State> =

    /// The calls for several states, or none.
    abstract Batch: BatchSteps<'State> option

/// A call for several states or simulators failed at one of them: at its position in the call, counted from 0, with this error. A call that
/// throws any other exception has failed at the first one.
type BatchException(position: int, error: exn) =
    inherit Exception(error.Message, error)

    member _.Position = position

module BatchSteps =

    /// The calls for several states of an environment, if it has them.
    let ofEnvironment<'State> (environment: obj) =
        match environment with
        | :? BatchEnvironment<'State> as batch -> batch.Batch
        | _ -> None

    /// The position, among `count`, at which a call has failed with this exception, and the error.
    let failureOf count (error: exn) =
        match error with
        | :? BatchException as failed when failed.Position >= 0 && failed.Position < count ->
            struct (failed.Position, failed.InnerException)
        | _ -> struct (0, error)

    /// The result of a call for some of several states, at these positions. An exception tells its position among all of them.
    let forSome (positions: int[]) (call: unit -> 'Result) =
        try
            call ()
        with error ->
            let struct (position, cause) = failureOf positions.Length error
            raise (BatchException(positions[position], cause))
