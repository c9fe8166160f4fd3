namespace FunTrpo

open System
open System.Collections.Immutable

/// The returns of a number of episodes.
type Scores =
    {
        Mean: float
        /// The population standard deviation.
        Std: float
        Min: float
        Max: float
        Returns: ImmutableArray<float>
    }

module Evaluation =

    let private scores (returns: float[]) =
        let mean = Array.average returns

        { Mean = mean
          Std = sqrt (returns |> Array.averageBy (fun r -> (r - mean) * (r - mean)))
          Min = Array.min returns
          Max = Array.max returns
          Returns = ImmutableArray.CreateRange returns }

    /// An episode longer than this has no end.
    let private mostSteps = 1_000_000L

    /// The undiscounted return of one episode in which `choose` gives the action for each observation.
    let private episode (environment: Environment<'State>) (choose: Vector -> Vector) instance key =
        let stepKey = Key.named "environment" key

        let rec play (state: 'State) steps total =
            let observation = Environment.observation environment state

            if steps >= mostSteps then
                Error(EndlessEpisode(environment.Id, steps))
            elif not (Vector.isFinite observation) then
                Error(NonFiniteEnvironment("observation", environment.Id, instance, steps))
            else
                let action = choose observation
                let clipped = Vector.Create(action.Length, Fill(Space.clip environment.ActionSpace action.Span))
                let next = environment.Step(Key.at steps stepKey, clipped.Span, state)

                if not (Double.IsFinite next.Reward) then
                    Error(NonFiniteEnvironment("reward", environment.Id, instance, steps + 1L))
                elif next.Terminated || next.Truncated then
                    Ok(total + next.Reward)
                else
                    play next.State (steps + 1L) (total + next.Reward)

        play (environment.Reset(Key.named "reset" key)) 0L 0.0

    /// Plays `count` episodes with the actions that `choose` gives for each raw observation: a rule written by hand, for
    /// instance. Each episode has its own key, so the scores do not depend on the number of threads, and all who play with
    /// one key meet the same start states. An episode that goes on for a million steps is an `EndlessEpisode`.
    let play threads (environment: Environment<'State>) choose count (key: Key) =
        if count < 1 then
            invalidArg "count" $"{count} episodes have no scores: it must be at least 1"

        let results = Parallel.map threads count (fun i -> episode environment choose i (Key.at (int64 i) key))

        (Ok [], results)
        ||> Array.fold (fun soFar result ->
            match soFar, result with
            | Ok returns, Ok total -> Ok(total :: returns)
            | Error failure, _
            | _, Error failure -> Error failure)
        |> Result.map (List.rev >> Array.ofList >> scores)

    /// As `play`, with the most probable actions of the actor.
    let run threads environment actor count key = play threads environment (Actor.mode actor) count key
