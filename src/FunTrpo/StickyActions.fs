namespace FunTrpo

open System

/// A state of an environment with sticky actions: the inner state, and the action that was taken last.
[<Struct>]
type Sticky<'State> =
    { Inner: 'State
      LastAction: Vector }

    interface Releasable with
        member this.Release() = Releasable.release this.Inner

/// Sticky actions: a player that sometimes repeats itself, so that no policy can learn a sequence of actions by heart.
///
/// Source: Machado et al., "Revisiting the Arcade Learning Environment" (2018), section 5.
module StickyActions =

    let private codec width inner =
        StateCodec.withRow
            width
            (fun sticky -> struct (sticky.LastAction, sticky.Inner))
            (fun lastAction inner -> { Inner = inner; LastAction = lastAction })
            inner

    /// The action that is taken in a step, which is the last one with this probability, and the key of the inner step.
    let private choose probability key (action: ReadOnlySpan<float32>) (last: Vector) =
        let struct (forChoice, forInner) = Key.split key

        let taken =
            if Key.uniform forChoice < probability then last
            elif action.SequenceEqual last.Span then last
            else Vector.ofArray (action.ToArray())

        struct (taken, forInner)

    let private reached taken (next: Transition<'State>) =
        { State = { Inner = next.State; LastAction = taken }
          Reward = next.Reward
          Terminated = next.Terminated
          Truncated = next.Truncated }

    let private batchOf probability (start: Vector) (inner: BatchSteps<'State>) =
        { new BatchSteps<Sticky<'State>> with
            member _.Size = inner.Size
            member _.Reset keys = inner.Reset keys |> Array.map (fun state -> { Inner = state; LastAction = start })

            member _.Step(keys, actions, states) =
                let chosen =
                    states
                    |> Array.mapi (fun i state ->
                        let action = ReadOnlySpan(actions, i * start.Length, start.Length)
                        choose probability keys[i] action state.LastAction)

                let taken = chosen |> Array.map (fun struct (taken, _) -> taken)
                let keysOfInner = chosen |> Array.map (fun struct (_, key) -> key)
                let actionsOfInner = taken |> Array.collect Vector.toArray

                inner.Step(keysOfInner, actionsOfInner, states |> Array.map _.Inner) |> Array.map2 reached taken }

    /// The environment `inner`, in which an action is replaced with this probability by the one that was taken before it, independently in each
    /// step. Before the first step, that is the action of zeros. Throws an `ArgumentException` if the probability is not from 0 to 1, or if
    /// the environment has action masks: the repeated action may be illegal.
    let wrap probability (inner: 'Inner :> Environment<'State>) =
        if not (probability >= 0.0 && probability <= 1.0) then
            invalidArg (nameof probability) $"a probability lies between 0 and 1, and this one is {probability}"

        if Mask.isIn inner.ObservationSpace then
            invalidArg (nameof inner) $"{inner.Id} has action masks, and a repeated action may be illegal"

        let width = Space.width inner.ActionSpace
        let start = Vector.zero width

        { new Environment<Sticky<'State>> with
            member _.Id = inner.Id
            member _.ObservationSpace = inner.ObservationSpace
            member _.ActionSpace = inner.ActionSpace
            member _.Reset key = { Inner = inner.Reset key; LastAction = start }

            member _.Step(key, action, state) =
                let struct (taken, forInner) = choose probability key action state.LastAction
                inner.Step(forInner, taken.Span, state.Inner) |> reached taken

            member _.Observe(state, observation) = inner.Observe(state.Inner, observation)
          interface RestartableEnvironment with
              member _.AllowRestarts times = Restarts.allow times inner
          interface BatchEnvironment<Sticky<'State>> with
              member _.Batch = BatchSteps.ofEnvironment<'State> inner |> Option.map (batchOf probability start)
          interface WaitingEnvironment with
              member _.InFlight = InFlight.ofEnvironment inner
          interface CheckpointableEnvironment<Sticky<'State>> with
              member _.StateCodec = StateCodec.ofEnvironment<'State> inner |> Result.map (codec width)
          interface PicturedEnvironment<Sticky<'State>> with
              member _.Picture state = Picture.ofState inner state.Inner }
