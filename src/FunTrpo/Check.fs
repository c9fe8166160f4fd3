namespace FunTrpo

open System
open System.Collections.Generic

/// Plays an environment at random and reports probable mistakes.
module Check =

    /// The minimum number of steps that are played, unless there is a fault.
    let private minSteps = 500

    /// The minimum number of episodes, unless they would take more than `maxSteps` steps.
    let private minEpisodes = 10

    /// The maximum number of steps that are played.
    let private maxSteps = 2000

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

    /// Plays an episode of at most `maxLength` random steps. All randomness comes from the key. If the episode is left before its end, its
    /// last state is released.
    let private playEpisode (environment: Environment<'State>) maxLength number key =
        let seen, rewards = List<Vector>(), List<float>()
        let mutable ending = End.Continues
        let mutable fault = None
        // The state of the episode while it has not ended.
        let mutable current = ValueNone
        // The step that is being made, counted from 1; 0 before the first.
        let mutable step = 0L

        let observe step state =
            let observation = Environment.observation environment state
            seen.Add observation

            if Space.isValidObservation environment.ObservationSpace observation.Span then
                None
            else
                Some(Environment.observationFault environment observation.Span number step)

        try
            try
                let mutable state = environment.Reset(Key.named "reset" key)
                current <- ValueSome state
                fault <- observe step state

                while ending = End.Continues && fault.IsNone do
                    let at = step
                    let keyOf name = key |> Key.named name |> Key.at at
                    let space, observation = environment.ObservationSpace, seen[seen.Count - 1]

                    if Mask.hasLegalAction space observation.Span then
                        let action = Mask.sample space environment.ActionSpace observation.Span (keyOf "action")
                        step <- step + 1L
                        let next = environment.Step(keyOf "environment", action.Span, state)
                        state <- next.State
                        current <- if next.Terminated || next.Truncated then ValueNone else ValueSome state
                        rewards.Add next.Reward

                        if not (Environment.isValidReward next.Reward) then
                            fault <- Some(Environment.rewardFault environment number step next.Reward)

                        fault <- observe step state |> Option.orElse fault

                        ending <-
                            if next.Terminated then End.Terminated
                            elif next.Truncated then End.Truncated
                            elif rewards.Count >= maxLength then End.Interrupted
                            else End.Continues
                    else
                        fault <- Some(NoLegalAction(environment.Id, number, step))
            finally
                current |> ValueOption.iter Releasable.release
        with error ->
            fault <- Some(FailedEnvironment(error, environment.Id, number, step))

        { Seen = List.ofSeq seen; Rewards = List.ofSeq rewards; End = ending; Fault = fault }

    let private keyOf key (number: int) = Key.at (int64 number) key

    /// Plays episodes until there are enough of them, or until a fault.
    let private play environment key =
        let rec from number made =
            if made >= maxSteps || (made >= minSteps && number >= minEpisodes) then
                []
            else
                let played = playEpisode environment (maxSteps - made) number (keyOf key number)

                match played.Fault with
                | Some _ -> [ played ]
                | None -> played :: from (number + 1) (made + played.Rewards.Length)

        from 0 0

    /// The first step whose observation or reward differs between the original episode and its repetition, if there is one.
    let private firstDifference (before: Played) (again: Played) =
        let count = min before.Seen.Length again.Seen.Length
        let ofSeen = Seq.map2 (<>) before.Seen again.Seen |> Seq.tryFindIndex id
        let ofRewards = Seq.map2 (<>) before.Rewards again.Rewards |> Seq.tryFindIndex id |> Option.map ((+) 1)

        match Option.toList ofSeen @ Option.toList ofRewards with
        | [] when before.Seen.Length = again.Seen.Length && before.End = again.End -> None
        | [] -> Some(count - 1)
        | found -> Some(List.min found)

    /// Repeats the first episodes and compares them with the originals.
    let private notReproducible environment key (played: Played list) =
        let before = played |> List.scan (fun made episode -> made + episode.Rewards.Length) 0

        List.zip (List.truncate played.Length before) (List.indexed played)
        |> List.takeWhile (fun (made, _) -> made < minSteps)
        |> List.tryPick (fun (_, (number, episode)) ->
            let again = playEpisode environment episode.Rewards.Length number (keyOf key number)
            firstDifference episode again |> Option.map (fun step -> NotReproducible(number, step)))
        |> Option.toList

    /// Statistics of the numbers with one index in the observations.
    type private Column = { Index: int; Low: float32; High: float32; Size: float }

    let private columns (seen: Vector list) width =
        [ for index in 0 .. width - 1 ->
              let numbers = [ for row in seen -> row[index] ]

              { Index = index
                Low = List.min numbers
                High = List.max numbers
                Size = sqrt (numbers |> List.averageBy (fun x -> float x * float x)) } ]

    let private isConstant column = column.Low = column.High

    let private constants space steps columns =
        match List.filter isConstant columns with
        | [] -> []
        | _ when Space.observed space = Discrete 1 -> [] // its only observation is constant
        | constant -> [ ConstantObservations([ for column in constant -> column.Index, column.Low ], steps) ]

    let private outside space (seen: Vector list) =
        let isOutside index (x: float32) =
            match Space.leaf index space with
            | ValueSome(struct (Box(low, high, _), index)) -> not (low[index] <= x && x <= high[index])
            | ValueSome(struct (MultiBinary _, _)) -> x <> 0f && x <> 1f
            | _ -> false // an index outside its space is already a fault, and a mask of other numbers is, too

        seen
        |> List.tryPick (fun row ->
            Seq.init row.Length id
            |> Seq.tryFind (fun index -> isOutside index row[index])
            |> Option.map (fun index -> OutsideSpace(index, row[index], space)))
        |> Option.toList

    /// Compares the sizes of the numbers that change.
    let private sizes columns =
        match columns |> List.filter (isConstant >> not) |> List.sortBy _.Size with
        | [] -> []
        | sorted ->
            let small, large = List.head sorted, List.last sorted

            if large.Size > farFactor * small.Size then
                [ MixedScales((small.Index, small.Size), (large.Index, large.Size)) ]
            elif large.Size > farFactor || large.Size < 1.0 / farFactor then
                [ UnusualScale(large.Index, large.Size) ]
            else
                []

    /// Finds numbers that stay in less than a thousandth of the interval between their bounds. A bound of 10³⁰ or more counts as
    /// none.
    let private unreached space columns =
        let isABound (x: float32) = abs x < 1e30f

        [ for column in columns do
              match Space.leaf column.Index space with
              | ValueSome(struct (Box(low, high, _), index)) ->
                  let bounds = low[index], high[index]
                  let width = float (snd bounds) - float (fst bounds)

                  if
                      isABound (fst bounds)
                      && isABound (snd bounds)
                      && not (isConstant column)
                      && 1000.0 * (float column.High - float column.Low) < width
                  then
                      UnreachedBounds(column.Index, bounds, (column.Low, column.High))
              | _ -> () ]

    /// Finds actions with a single finite bound that excludes nearly all standard normal numbers.
    let private unreachable space =
        [ for column in 0 .. Space.width space - 1 do
              match Space.leaf column space with
              | ValueSome(struct (Box(low, high, _), index)) ->
                  match low[index], high[index] with
                  | bound, other when Single.IsFinite bound && bound > 3f && not (Single.IsFinite other) ->
                      UnreachableActions(column, bound)
                  | other, bound when Single.IsFinite bound && bound < -3f && not (Single.IsFinite other) ->
                      UnreachableActions(column, bound)
                  | _ -> ()
              | _ -> () ]

    let private rewards steps (played: Played list) =
        let finished = played |> List.filter (fun episode -> Batch.endsEpisode episode.End)

        match
            played |> List.collect _.Rewards |> List.distinct,
            finished |> List.map (_.Rewards >> List.sum) |> List.distinct
        with
        | [ reward ], ([] | [ _ ]) -> [ ConstantRewards(reward, steps) ]
        | _ -> []

    let private endings steps (played: Played list) =
        let finished = played |> List.filter (fun episode -> Batch.endsEpisode episode.End)

        match finished |> List.map (fun episode -> episode.End, episode.Rewards.Length) |> List.distinct with
        | [] -> [ NoEnd steps ]
        | [ End.Terminated, length ] when length > 1 && finished.Length > 1 ->
            [ TerminatedAlike(finished.Length, length) ]
        | _ -> []

    let private improper (environment: Environment<'State>) =
        [ for what, space in [ "observation", environment.ObservationSpace; "action", environment.ActionSpace ] do
              if not (Space.isValid space) then
                  ImproperSpace(what, space)

          match Mask.misfit environment.ObservationSpace environment.ActionSpace with
          | Some why -> Broken(Mismatch $"{environment.Id} cannot be learned: {why}")
          | None -> () ]

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
                // What a mask says is not a quantity: a constant one, for instance, is no mistake.
                let columns = columns seen (Space.width (Space.observed space))
                let labels = Space.labels space

                List.concat
                    [ notReproducible environment key played
                      outside space seen
                      constants space steps columns
                      (sizes (columns |> List.filter (fun column -> not (List.contains column.Index labels))))
                      unreached space columns
                      unreachable environment.ActionSpace
                      rewards steps played
                      endings steps played ]
        | findings -> findings

    /// Does the same as `run`, without the findings that the configuration solves.
    let runFor configuration environment seed =
        run environment seed
        |> List.filter (fun finding -> not (configuration.NormaliseObservations && Finding.isOfScale finding))
