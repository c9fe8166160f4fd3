namespace FunTrpo

open System

/// A state of an environment with a row of numbers that a wrapper keeps beside it.
[<Struct>]
type WithRow<'State> =
    { Inner: 'State
      Row: Vector }

    interface Releasable with
        member this.Release() = Releasable.release this.Inner

/// What a wrapper keeps beside the states of an environment, and what it shows.
[<AbstractClass>]
type internal RowKeeper<'State>() =

    abstract ObservationSpace: Space

    /// The length of the row.
    abstract Width: int

    /// The row of a first state of an episode.
    abstract Start: 'State -> Vector

    /// The row after a transition.
    abstract Next: row: Vector * action: ReadOnlySpan<float32> * Transition<'State> -> Vector

    /// Writes the observation of a state with its row.
    abstract Observe: WithRow<'State> * observation: Span<float32> -> unit

/// Environments around others, which keep a row of numbers beside each state.
module internal RowWrapper =

    let private codec width inner =
        StateCodec.withRow
            width
            (fun state -> struct (state.Row, state.Inner))
            (fun row inner -> { Inner = inner; Row = row })
            inner

    let private started (keeper: RowKeeper<'State>) state = { Inner = state; Row = keeper.Start state }

    let private reached (keeper: RowKeeper<'State>) row (action: ReadOnlySpan<float32>) (next: Transition<'State>) =
        { State = { Inner = next.State; Row = keeper.Next(row, action, next) }
          Reward = next.Reward
          Terminated = next.Terminated
          Truncated = next.Truncated }

    /// Calls for one of several states: an exception tells which.
    let private at position call = BatchSteps.forSome [| position |] call

    let private batchOf (keeper: RowKeeper<'State>) width (inner: BatchSteps<'State>) =
        { new BatchSteps<WithRow<'State>> with
            member _.Size = inner.Size
            member _.Reset keys = inner.Reset keys |> Array.mapi (fun i state -> at i (fun () -> started keeper state))

            member _.Step(keys, actions, states) =
                inner.Step(keys, actions, states |> Array.map _.Inner)
                |> Array.mapi (fun i next ->
                    at i (fun () -> reached keeper states[i].Row (ReadOnlySpan(actions, i * width, width)) next)) }

    /// The environment `inner`, as the keeper shows it.
    let wrap (keeper: RowKeeper<'State>) (inner: Environment<'State>) : Environment<WithRow<'State>> =
        { new Environment<WithRow<'State>> with
            member _.Id = inner.Id
            member _.ObservationSpace = keeper.ObservationSpace
            member _.ActionSpace = inner.ActionSpace
            member _.Reset key = inner.Reset key |> started keeper

            member _.Step(key, action, state) =
                let next = inner.Step(key, action, state.Inner)
                reached keeper state.Row action next

            member _.Observe(state, observation) = keeper.Observe(state, observation)
          interface RestartableEnvironment with
              member _.AllowRestarts times = Restarts.allow times inner
          interface BatchEnvironment<WithRow<'State>> with
              member _.Batch =
                  BatchSteps.ofEnvironment<'State> inner
                  |> Option.map (batchOf keeper (Space.width inner.ActionSpace))
          interface WaitingEnvironment with
              member _.InFlight = InFlight.ofEnvironment inner
          interface CheckpointableEnvironment<WithRow<'State>> with
              member _.StateCodec = StateCodec.ofEnvironment<'State> inner |> Result.map (codec keeper.Width)
          interface PicturedEnvironment<WithRow<'State>> with
              member _.Picture state = Picture.ofState inner state.Inner }
