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
                let struct (forChoice, forInner) = Key.split key

                let taken =
                    if Key.uniform forChoice < probability then state.LastAction
                    elif action.SequenceEqual state.LastAction.Span then state.LastAction
                    else Vector.ofArray (action.ToArray())

                let next = inner.Step(forInner, taken.Span, state.Inner)

                { State = { Inner = next.State; LastAction = taken }
                  Reward = next.Reward
                  Terminated = next.Terminated
                  Truncated = next.Truncated }

            member _.Observe(state, observation) = inner.Observe(state.Inner, observation)
          interface RestartableEnvironment with
              member _.AllowRestarts times = Restarts.allow times inner
          interface WaitingEnvironment with
              member _.InFlight = InFlight.ofEnvironment inner
          interface CheckpointableEnvironment<Sticky<'State>> with
              member _.StateCodec = StateCodec.ofEnvironment<'State> inner |> Result.map (codec width)
          interface PicturedEnvironment<Sticky<'State>> with
              member _.Picture state = Picture.ofState inner state.Inner }
