namespace FunTrpo

open System
open System.Collections.Immutable
open System.Threading

/// The returns of a number of episodes.
type Scores =
    {
        Mean: float
        /// The population standard deviation.
        Std: float
        Min: float
        Max: float
        Returns: ImmutableArray<float>
        /// How many steps each episode had, in the order of the returns.
        Lengths: ImmutableArray<int>
    }

module Evaluation =

    let private scores (episodes: Episode[]) =
        let returns = episodes |> Array.map _.Return
        let mean = Array.average returns

        { Mean = mean
          Std = sqrt (returns |> Array.averageBy (fun r -> (r - mean) * (r - mean)))
          Min = Array.min returns
          Max = Array.max returns
          Returns = ImmutableArray.CreateRange returns
          Lengths = ImmutableArray.CreateRange(episodes |> Array.map _.Length) }

    /// An episode longer than this has no end.
    let private mostSteps = 1_000_000L

    /// One episode in which `choose` gives the action for each observation, or nothing where it has no finite one.
    let private episode
        (cancellation: CancellationToken)
        (environment: Environment<'State>)
        (choose: Vector -> Vector voption)
        (nonFinite: Vector -> int -> int64 -> Fault)
        instance
        key
        =
        let stepKey = Key.named "environment" key

        /// What a call to the environment gives, or the exception that it throws: one that says that it was cancelled, as was wanted,
        /// is no failure of it.
        let attempt steps call =
            try
                Ok(call ())
            with
            | :? OperationCanceledException when cancellation.IsCancellationRequested -> reraise ()
            | error -> Error(FailedEnvironment(error, environment.Id, instance, steps))

        /// The transition that the chosen action makes.
        let step state steps =
            result {
                let! observation = attempt steps (fun () -> Environment.observation environment state)

                if not (Space.isValidObservation environment.ObservationSpace observation.Span) then
                    return! Error(Environment.badObservation environment instance steps)
                else
                    let! action =
                        match choose observation with
                        | ValueSome action -> Ok action
                        | ValueNone -> Error(nonFinite observation instance steps)

                    let clipped = Vector.Create(action.Length, Fill(Space.clip environment.ActionSpace action.Span))
                    let key = Key.at steps stepKey
                    let! next = attempt (steps + 1L) (fun () -> environment.Step(key, clipped.Span, state))

                    return!
                        if Environment.isReward next.Reward then
                            Ok next
                        else
                            Error(Environment.badReward environment instance (steps + 1L) next.Reward)
            }

        let rec play (state: 'State) steps total =
            cancellation.ThrowIfCancellationRequested()

            if steps >= mostSteps then
                Error(EndlessEpisode(environment.Id, steps))
            else
                match step state steps with
                | Error fault -> Error fault
                | Ok next when next.Terminated || next.Truncated ->
                    Ok { Return = total + next.Reward; Length = int steps + 1 }
                | Ok next -> play next.State (steps + 1L) (total + next.Reward)

        attempt 0L (fun () -> environment.Reset(Key.named "reset" key))
        |> Result.bind (fun state -> play state 0L 0.0)

    let private playWith cancellation threads (environment: Environment<'State>) choose nonFinite count (key: Key) =
        if count < 1 then
            invalidArg "count" $"{count} episodes have no scores: it must be at least 1"

        let results =
            Parallel.map threads count (fun i ->
                episode cancellation environment choose nonFinite i (Key.at (int64 i) key))

        (Ok [], results)
        ||> Array.fold (fun soFar result ->
            match soFar, result with
            | Ok episodes, Ok episode -> Ok(episode :: episodes)
            | Error failure, _
            | _, Error failure -> Error failure)
        |> Result.map (List.rev >> Array.ofList >> scores)

    /// Plays `count` episodes with the actions that `choose` gives for each raw observation: a rule written by hand, for
    /// instance. Each episode has its own key, so the scores do not depend on the number of threads, and all who play with
    /// one key meet the same start states. An episode that goes on for a million steps is an `EndlessEpisode`. Where it is cancelled, an
    /// `OperationCanceledException` ends it before the next step.
    let playUntil cancellation threads (environment: Environment<'State>) (choose: Vector -> Vector) count key =
        let nonFinite _ instance steps = NonFinitePolicy(environment.Id, instance, steps)
        playWith cancellation threads environment (choose >> ValueSome) nonFinite count key

    /// As `playUntil`, to its end.
    let play threads environment choose count key =
        playUntil CancellationToken.None threads environment choose count key

    /// As `playUntil`, with the most probable actions of the actor, which must be one for such observations and actions.
    let runUntil cancellation threads (environment: Environment<'State>) (actor: Actor) count key =
        Policy.requireFit "the policy" environment actor.Policy
        |> Result.bind (fun () ->
            let player = InferencePolicy actor
            let choose observation = player.TryAct(observation, ValueNone)

            let nonFinite (observation: Vector) instance steps =
                Actor.nonFiniteAction environment actor observation.Span instance steps

            playWith cancellation threads environment choose nonFinite count key)

    /// As `runUntil`, to its end.
    let run threads environment actor count key = runUntil CancellationToken.None threads environment actor count key
