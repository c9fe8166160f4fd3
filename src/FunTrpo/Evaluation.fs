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

    /// The undiscounted return of one episode in which the most probable action is always taken.
    let private episode (environment: Environment<'State>) (player: Player) instance key =
        let action = Array.zeroCreate<float32>(Space.width environment.ActionSpace)
        let stepKey = Key.named "environment" key
        let nonFinite what steps = Error(NonFiniteEnvironment(what, environment.Id, instance, steps))

        /// What a call to the environment gives, or the exception that it throws.
        let attempt steps call =
            try
                Ok(call ())
            with error ->
                Error(FailedEnvironment(error, environment.Id, instance, steps))

        /// The transition that the most probable action makes.
        let step state steps =
            result {
                let! observation = attempt steps (fun () -> Environment.observation environment state)

                if not (Vector.isFinite observation) then
                    return! nonFinite "observation" steps
                else
                    player.Act(observation.Span, action.AsSpan())
                    let key = Key.at steps stepKey
                    let! next = attempt (steps + 1L) (fun () -> environment.Step(key, ReadOnlySpan action, state))
                    return! if Double.IsFinite next.Reward then Ok next else nonFinite "reward" (steps + 1L)
            }

        let rec play (state: 'State) steps total =
            if steps >= mostSteps then
                Error(EndlessEpisode(environment.Id, steps))
            else
                match step state steps with
                | Error fault -> Error fault
                | Ok next when next.Terminated || next.Truncated -> Ok(total + next.Reward)
                | Ok next -> play next.State (steps + 1L) (total + next.Reward)

        attempt 0L (fun () -> environment.Reset(Key.named "reset" key))
        |> Result.bind (fun state -> play state 0L 0.0)

    /// Plays `count` episodes with the most probable actions. Each episode has its own key, so the scores do not depend on
    /// the number of threads. An episode that goes on for a million steps is an `EndlessEpisode`.
    let run threads (environment: Environment<'State>) actor count (key: Key) =
        if count < 1 then
            invalidArg "count" $"{count} episodes have no scores: it must be at least 1"

        let player = Player actor
        let results = Parallel.map threads count (fun i -> episode environment player i (Key.at (int64 i) key))

        (Ok [], results)
        ||> Array.fold (fun soFar result ->
            match soFar, result with
            | Ok returns, Ok total -> Ok(total :: returns)
            | Error failure, _
            | _, Error failure -> Error failure)
        |> Result.map (List.rev >> Array.ofList >> scores)
