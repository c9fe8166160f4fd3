namespace FunTrpo

open System
open System.Collections.Generic
open System.Globalization

/// A problem that random play has found in an environment: something that prevents learning, or that is probably a mistake.
/// A place is the index of a number in an observation or action, counted from 0.
type Finding =
    /// The environment failed, or returned a number that is not finite or not allowed.
    | Broken of Fault
    /// A space of observations or actions has no elements, or more alternatives than float32 can distinguish.
    | ImproperSpace of what: string * space: Space
    /// An observation is outside its space. Holds the place and the value of the first such number.
    | OutsideSpace of place: int * value: float32 * space: Space
    /// The same keys and actions gave a different result when they were repeated, at this step of this episode.
    | NotReproducible of episode: int * step: int
    /// Some numbers of the observations were the same in all steps. Holds their places and values.
    | ConstantObservations of numbers: (int * float32) list * steps: int
    /// The sizes (root mean squares) of two numbers of the observations are far apart.
    | MixedScales of small: (int * float) * large: (int * float)
    /// The size of the largest number of the observations is far from 1.
    | UnusualScale of place: int * size: float
    /// A number of the observations stayed in a small part of the interval between its bounds.
    | UnreachedBounds of place: int * bounds: (float32 * float32) * seen: (float32 * float32)
    /// An action has a single finite bound, and almost all actions that a new policy tries are beyond it.
    | UnreachableActions of place: int * bound: float32
    /// All rewards were equal, and no finished episode had another return than the others.
    | ConstantRewards of reward: float * steps: int
    /// No episode ended within this number of steps.
    | NoEnd of steps: int
    /// All episodes terminated after the same number of steps.
    | TerminatedAlike of episodes: int * steps: int

module Finding =

    let private number (x: float) = x.ToString("G4", CultureInfo.InvariantCulture)

    let private interval (low: float32, high: float32) = $"[{number (float low)}, {number (float high)}]"

    /// Returns true if normalised observations (`normaliseObservations`) solve the problem.
    let isOfScale finding =
        match finding with
        | MixedScales _
        | UnusualScale _ -> true
        | _ -> false

    /// Returns one sentence that describes the finding.
    let message finding =
        match finding with
        | Broken fault -> $"{Fault.message fault}."
        | ImproperSpace(what, space) ->
            $"The {what} space, {Space.describe space}, has no elements, or more than 2²⁴ alternatives."
        | OutsideSpace(place, value, space) ->
            $"observation[{place}] was {number (float value)}, which is outside of its space, {Space.describe space}."
        | NotReproducible(episode, step) ->
            $"Episode {episode}, played again with the same seed and the same actions, was another one from step {step} on."
        | ConstantObservations(numbers, steps) ->
            let shown =
                numbers |> List.truncate 5 |> List.map (fun (i, x) -> $"observation[{i}] = {number (float x)}")

            let others = if numbers.Length > 5 then $" and {numbers.Length - 5} others" else ""
            $"""In {steps} random steps nothing changed at: {String.concat ", " shown}{others}."""
        | MixedScales((i, small), (j, large)) ->
            $"Observations are of very different sizes: observation[{i}] is about {number small}, observation[{j}] about {number large}."
        | UnusualScale(place, size) ->
            $"The largest number of the observations is far from 1: observation[{place}] is about {number size}."
        | UnreachedBounds(place, bounds, seen) ->
            $"observation[{place}] stayed within {interval seen} of {interval bounds} in all random steps."
        | UnreachableActions(place, bound) ->
            $"action[{place}] ends at {number (float bound)}, and is not bounded on the other side: a new policy tries numbers within a few units of 0, and all of them are clipped to that bound."
        | ConstantRewards(reward, steps) ->
            $"Every reward of {steps} random steps was {number reward}, and no episode brought more than another."
        | NoEnd steps -> $"No episode has ended in {steps} steps."
        | TerminatedAlike(episodes, steps) -> $"All {episodes} episodes terminated after exactly {steps} steps."

    /// Returns advice on how to solve the problem.
    let remedy finding =
        match finding with
        | Broken(FailedEnvironment _) -> "Fix the error in the environment."
        | Broken _ -> "Find the source of that number: a division by zero, or a quantity that grows without limit."
        | ImproperSpace _ ->
            "Give it at least one dimension or alternative, and lower bounds that are not above the upper ones."
        | OutsideSpace _ ->
            "Widen the space to include all observations (bounds may be infinite), or fix the observation."
        | NotReproducible _ ->
            "Take all randomness from the key (in C#: from the seed of Reset), not from a clock or from a generator that outlives an episode. Let Reset restore the whole state."
        | ConstantObservations _ ->
            "Leave out numbers that never change. If they should change, check that Observe writes them, and whether random actions reach the states in which they do."
        | MixedScales _
        | UnusualScale _ ->
            "Set normaliseObservations, or divide each number by its usual size, so that it lies between about −3 and 3."
        | UnreachedBounds _ -> "Check its unit, or set bounds that it can reach; ±∞ stands for no bound."
        | UnreachableActions _ -> "Measure the action from that bound, or give it two bounds: it is then scaled."
        | ConstantRewards _ ->
            "Equal rewards cannot show which action is better. Reward progress towards the goal, or start some episodes near it; otherwise training depends on reaching by luck a goal that random play did not reach."
        | NoEnd _ -> "Give it a time limit (Environment.withTimeLimit, WithTimeLimit), which truncates episodes."
        | TerminatedAlike _ ->
            "If that is a time limit, report the end as truncated: terminated means that no reward would have followed. If the task itself ends there, this is right."

/// Plays an environment at random and reports probable mistakes.
module Check =

    // The minimum numbers of steps and episodes that are played, and the maximum number of steps.
    let private fewestSteps = 500
    let private fewestEpisodes = 10
    let private mostSteps = 2000

    /// Two sizes are far apart if they differ by more than this factor. A size is far from 1 by the same factor.
    let private farFactor = 100.0

    /// An episode of random actions.
    type private Played =
        {
            /// The observations before each step and after the last one.
            Seen: Vector list
            Rewards: float list
            End: End
            Fault: Fault option
        }

    /// Plays an episode of at most `most` random steps. All randomness comes from the key.
    let private playEpisode (environment: Environment<'State>) most number key =
        let seen, rewards = List<Vector>(), List<float>()
        let mutable ending = End.Continues
        let mutable fault = None
        // The step that is being made, counted from 1; 0 before the first.
        let mutable step = 0L

        let observe state =
            let observation = Environment.observation environment state
            seen.Add observation

            if not (Space.isValidObservation environment.ObservationSpace observation.Span) then
                fault <- Some(Environment.observationFault environment number step)

        try
            let mutable state = environment.Reset(Key.named "reset" key)
            observe state

            while ending = End.Continues && fault.IsNone do
                let at = step
                let keyOf name = key |> Key.named name |> Key.at at
                let action = Space.sample environment.ActionSpace (keyOf "action")
                step <- step + 1L
                let next = environment.Step(keyOf "environment", action.Span, state)
                state <- next.State
                rewards.Add next.Reward

                if not (Environment.isValidReward next.Reward) then
                    fault <- Some(Environment.rewardFault environment number step next.Reward)

                observe state

                ending <-
                    if next.Terminated then End.Terminated
                    elif next.Truncated then End.Truncated
                    elif rewards.Count >= most then End.Interrupted
                    else End.Continues

            if ending = End.Interrupted then
                Releasable.release state
        with error ->
            fault <- Some(FailedEnvironment(error, environment.Id, number, step))

        { Seen = List.ofSeq seen; Rewards = List.ofSeq rewards; End = ending; Fault = fault }

    let private keyOf key (number: int) = Key.at (int64 number) key

    /// Plays episodes until there are enough of them, or until a fault.
    let private play environment key =
        let rec from number made =
            if made >= mostSteps || (made >= fewestSteps && number >= fewestEpisodes) then
                []
            else
                let played = playEpisode environment (mostSteps - made) number (keyOf key number)

                match played.Fault with
                | Some _ -> [ played ]
                | None -> played :: from (number + 1) (made + played.Rewards.Length)

        from 0 0

    /// The first step after which the repeated episode differs from the original, if there is one.
    let private firstDifference (before: Played) (again: Played) =
        let count = min before.Seen.Length again.Seen.Length
        let ofSeen = Seq.map2 (<>) before.Seen again.Seen |> Seq.truncate count |> Seq.tryFindIndex id
        let ofRewards = Seq.map2 (<>) before.Rewards again.Rewards |> Seq.tryFindIndex id |> Option.map ((+) 1)

        match Option.toList ofSeen @ Option.toList ofRewards with
        | [] when before.Seen.Length = again.Seen.Length && before.End = again.End -> None
        | [] -> Some(count - 1)
        | found -> Some(List.min found)

    /// Repeats the first episodes and compares them with the originals.
    let private notFromKey environment key (played: Played list) =
        let before = played |> List.scan (fun made episode -> made + episode.Rewards.Length) 0

        List.zip (List.truncate played.Length before) (List.indexed played)
        |> List.takeWhile (fun (made, _) -> made < fewestSteps)
        |> List.tryPick (fun (_, (number, episode)) ->
            let again = playEpisode environment episode.Rewards.Length number (keyOf key number)
            firstDifference episode again |> Option.map (fun step -> NotReproducible(number, step)))
        |> Option.toList

    /// Statistics of the numbers at one place of the observations.
    type private Column = { Place: int; Low: float32; High: float32; Size: float }

    let private columns (seen: Vector list) width =
        [ for place in 0 .. width - 1 ->
              let numbers = [ for row in seen -> row[place] ]

              { Place = place
                Low = List.min numbers
                High = List.max numbers
                Size = sqrt (numbers |> List.averageBy (fun x -> float x * float x)) } ]

    let private isConstant column = column.Low = column.High

    let private constants space steps columns =
        match List.filter isConstant columns with
        | [] -> []
        | _ when space = Discrete 1 -> [] // its only observation is constant
        | constant -> [ ConstantObservations([ for column in constant -> column.Place, column.Low ], steps) ]

    let private outside space (seen: Vector list) =
        let isOutside place (x: float32) =
            match space with
            | Box(low, high) -> not (low[place] <= x && x <= high[place])
            | MultiBinary _ -> x <> 0f && x <> 1f
            | Discrete _
            | MultiDiscrete _ -> false // an index outside its space is already a fault

        seen
        |> List.tryPick (fun row ->
            Seq.init row.Length id
            |> Seq.tryFind (fun place -> isOutside place row[place])
            |> Option.map (fun place -> OutsideSpace(place, row[place], space)))
        |> Option.toList

    /// Compares the sizes of the numbers that change.
    let private sizes columns =
        match columns |> List.filter (isConstant >> not) |> List.sortBy _.Size with
        | [] -> []
        | sorted ->
            let small, large = List.head sorted, List.last sorted

            if large.Size > farFactor * small.Size then
                [ MixedScales((small.Place, small.Size), (large.Place, large.Size)) ]
            elif large.Size > farFactor || large.Size < 1.0 / farFactor then
                [ UnusualScale(large.Place, large.Size) ]
            else
                []

    /// Finds numbers that stay in less than a thousandth of the interval between their bounds. A bound of 10³⁰ or more counts as
    /// none.
    let private unreached space columns =
        let isABound (x: float32) = abs x < 1e30f

        match space with
        | Box(low, high) ->
            [ for column in columns do
                  let bounds = low[column.Place], high[column.Place]
                  let width = float (snd bounds) - float (fst bounds)

                  if
                      isABound (fst bounds)
                      && isABound (snd bounds)
                      && not (isConstant column)
                      && 1000.0 * (float column.High - float column.Low) < width
                  then
                      UnreachedBounds(column.Place, bounds, (column.Low, column.High)) ]
        | _ -> []

    /// Finds actions with a single finite bound that excludes nearly all standard normal numbers.
    let private unreachable space =
        match space with
        | Box(low, high) ->
            [ for place in 0 .. low.Length - 1 do
                  match low[place], high[place] with
                  | bound, other when Single.IsFinite bound && bound > 3f && not (Single.IsFinite other) ->
                      UnreachableActions(place, bound)
                  | other, bound when Single.IsFinite bound && bound < -3f && not (Single.IsFinite other) ->
                      UnreachableActions(place, bound)
                  | _ -> () ]
        | _ -> []

    let private rewards steps (played: Played list) =
        let finished = played |> List.filter (fun episode -> Rollout.endsEpisode episode.End)

        match
            played |> List.collect _.Rewards |> List.distinct,
            finished |> List.map (_.Rewards >> List.sum) |> List.distinct
        with
        | [ reward ], ([] | [ _ ]) -> [ ConstantRewards(reward, steps) ]
        | _ -> []

    let private endings steps (played: Played list) =
        let finished = played |> List.filter (fun episode -> Rollout.endsEpisode episode.End)

        match finished |> List.map (fun episode -> episode.End, episode.Rewards.Length) |> List.distinct with
        | [] -> [ NoEnd steps ]
        | [ End.Terminated, length ] when length > 1 && finished.Length > 1 ->
            [ TerminatedAlike(finished.Length, length) ]
        | _ -> []

    let private improper (environment: Environment<'State>) =
        [ for what, space in [ "observation", environment.ObservationSpace; "action", environment.ActionSpace ] do
              if not (Space.isValid space) then
                  ImproperSpace(what, space) ]

    /// Plays several hundred random steps (at most 2,000) and returns the findings; an empty list means that nothing was found.
    /// The same environment and seed give the same findings, unless the environment has randomness that does not come from its
    /// keys; that is a finding itself. An exception of the environment is a finding too.
    let run (environment: Environment<'State>) (seed: int64) =
        match improper environment with
        | [] ->
            let key = Key.ofSeed seed
            let played = play environment key

            match List.tryPick _.Fault played with
            | Some fault -> [ Broken fault ]
            | None ->
                let space = environment.ObservationSpace
                let seen = played |> List.collect _.Seen
                let steps = played |> List.sumBy _.Rewards.Length
                let columns = columns seen (Space.width space)

                List.concat
                    [ notFromKey environment key played
                      outside space seen
                      constants space steps columns
                      (if Space.hasIndices space then [] else sizes columns)
                      unreached space columns
                      unreachable environment.ActionSpace
                      rewards steps played
                      endings steps played ]
        | findings -> findings

    /// Does the same as `run`, without the findings that the configuration solves.
    let runFor configuration environment seed =
        run environment seed
        |> List.filter (fun finding -> not (configuration.NormaliseObservations && Finding.isOfScale finding))
