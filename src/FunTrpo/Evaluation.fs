namespace FunTrpo

open System
open System.Collections.Immutable
open System.Threading

/// Statistics of the returns of a number of episodes.
type Scores =
    {
        Mean: float
        /// The population standard deviation.
        Std: float
        Min: float
        Max: float
        Returns: ImmutableArray<float>
        /// The number of steps of each episode, in the order of the returns.
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

    /// An episode of this many steps counts as endless.
    let private mostSteps = 1_000_000L

    /// Plays one episode. `choose` returns the action for each observation, or none if it has no finite action.
    let private episode
        (cancellation: CancellationToken)
        (environment: Environment<'State>)
        (choose: Vector -> Vector voption)
        (nonFinite: Vector -> int -> int64 -> Fault)
        instance
        key
        =
        let stepKey = Key.named "environment" key

        /// The result of a call to the environment, or a fault with the exception that it throws. A requested cancellation is not
        /// a fault, and its exception passes through.
        let attempt steps call =
            try
                Ok(call ())
            with
            | :? OperationCanceledException when cancellation.IsCancellationRequested -> reraise ()
            | error -> Error(FailedEnvironment(error, environment.Id, instance, steps))

        /// The transition after the chosen action.
        let step state steps =
            result {
                let! observation = attempt steps (fun () -> Environment.observation environment state)

                if not (Space.isValidObservation environment.ObservationSpace observation.Span) then
                    return! Error(Environment.observationFault environment instance steps)
                else
                    let! action =
                        match choose observation with
                        | ValueSome action -> Ok action
                        | ValueNone -> Error(nonFinite observation instance steps)

                    let clipped = Vector.Create(action.Length, Fill(Space.clip environment.ActionSpace action.Span))
                    let key = Key.at steps stepKey
                    let! next = attempt (steps + 1L) (fun () -> environment.Step(key, clipped.Span, state))

                    return!
                        if Environment.isValidReward next.Reward then
                            Ok next
                        else
                            Error(Environment.rewardFault environment instance (steps + 1L) next.Reward)
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

    /// Plays `count` episodes and returns their scores. `choose` returns the action for a raw observation, for example by a
    /// handwritten rule. Each episode has its own key, so the scores do not depend on the number of threads, and evaluations with
    /// the same key have the same start states.
    ///
    /// Faults: `EndlessEpisode` for an episode of a million steps, and the faults of the environment and of actions. A cancellation
    /// throws `OperationCanceledException` before the next step; a `count` below 1 throws `ArgumentException`.
    let playUntil cancellation threads (environment: Environment<'State>) (choose: Vector -> Vector) count key =
        let nonFinite _ instance steps = NonFinitePolicy(environment.Id, instance, steps)
        playWith cancellation threads environment (choose >> ValueSome) nonFinite count key

    /// Does the same as `playUntil` without cancellation.
    let play threads environment choose count key =
        playUntil CancellationToken.None threads environment choose count key

    /// Does the same as `playUntil` with the most probable actions of the actor. The fault of `Policy.requireFit` if the actor's
    /// spaces are not those of the environment.
    let runUntil cancellation threads (environment: Environment<'State>) (actor: Actor) count key =
        Policy.requireFit "the policy" environment actor.Policy
        |> Result.bind (fun () ->
            let player = InferencePolicy actor
            let choose observation = player.TryAct(observation, ValueNone)

            let nonFinite (observation: Vector) instance steps =
                Actor.nonFiniteAction environment actor observation.Span instance steps

            playWith cancellation threads environment choose nonFinite count key)

    /// Does the same as `runUntil` without cancellation.
    let run threads environment actor count key = runUntil CancellationToken.None threads environment actor count key
