namespace FunTrpo

open System

/// Action masks: an environment says in each observation which actions are legal. Its observation space is `Masked`, and its action space
/// `Discrete`, `MultiDiscrete`, or has only such parts. An illegal action has the probability 0 in everything that a policy does.
///
/// Functions on rows take any observation space. In a space without a mask, every action is legal.
module Mask =

    /// The numbers of alternatives that a mask of these actions is for, or `None` if such actions have no masks.
    let rec private countsOf actionSpace =
        match actionSpace with
        | Discrete count -> Some [ count ]
        | MultiDiscrete counts -> Some counts
        | Parts parts ->
            let counts = parts |> List.map (snd >> countsOf)
            if List.forall Option.isSome counts then Some(List.collect Option.get counts) else None
        | Box _
        | MultiBinary _
        | Masked _ -> None

    /// The observation space `observed` with a mask for the actions. Throws an `ArgumentException` if the actions are not choices: neither
    /// `Discrete` nor `MultiDiscrete`, nor parts of these kinds.
    let space observed actionSpace =
        match countsOf actionSpace with
        | Some counts -> Masked(observed, counts)
        | None ->
            invalidArg
                (nameof actionSpace)
                $"masks are for Discrete and MultiDiscrete actions, and not for {Space.describe actionSpace}"

    /// Whether observations have a mask.
    let isIn observationSpace =
        match observationSpace with
        | Masked _ -> true
        | _ -> false

    /// Why the spaces of an environment do not fit together, or `None` if they do.
    let misfit observationSpace actionSpace =
        match observationSpace, countsOf actionSpace with
        | _, None when isIn actionSpace -> Some $"its actions, {Space.describe actionSpace}, cannot be observations"
        | Masked(_, counts), Some alternatives when counts = alternatives -> None
        | Masked(_, counts), _ ->
            Some
                $"its observations have a mask for {Space.describe (MultiDiscrete counts)}, and its actions are {Space.describe actionSpace}"
        | _ -> None

    /// The mask in a row of observations: 0 or 1 for each alternative of each choice. Empty without a mask.
    let ofRow observationSpace (row: ReadOnlySpan<float32>) = row.Slice(Space.width (Space.observed observationSpace))

    /// Whether a row of observations has a legal alternative for each choice.
    let hasLegalAction observationSpace (row: ReadOnlySpan<float32>) =
        match observationSpace with
        | Masked(_, counts) ->
            let mutable rest = ofRow observationSpace row
            let mutable found = true

            for count in counts do
                found <- found && rest.Slice(0, count).Contains 1f
                rest <- rest.Slice count

            found
        | _ -> true

    /// Whether the row of observations allows the action, which is an element of the action space.
    let allows observationSpace (row: ReadOnlySpan<float32>) (action: ReadOnlySpan<float32>) =
        match observationSpace with
        | Masked(_, counts) ->
            let mutable rest = ofRow observationSpace row
            let mutable allowed = true
            let mutable choice = 0

            for count in counts do
                allowed <- allowed && rest[int action[choice]] = 1f
                rest <- rest.Slice count
                choice <- choice + 1

            allowed
        | _ -> true

    /// Makes every action legal in a row of observations.
    let allowAll observationSpace (row: Span<float32>) =
        row.Slice(Space.width (Space.observed observationSpace)).Fill 1f

    /// A random action that the row of observations allows, uniform among those: for each choice, one of its legal alternatives. Without a
    /// mask it is that of `Space.sample`. Throws an `InvalidOperationException` if no action is legal.
    let sample observationSpace actionSpace (row: ReadOnlySpan<float32>) key =
        match observationSpace with
        | Masked(_, counts) ->
            let mask = (ofRow observationSpace row).ToArray()
            let firsts = List.scan (+) 0 counts

            let drawn choice (first, count) =
                let legal = [| 0 .. count - 1 |] |> Array.filter (fun a -> mask[first + a] = 1f)

                if legal.Length = 0 then
                    invalidOp "no action is legal"

                legal[int (floor (float legal.Length * Key.uniform (Key.at (int64 choice) key)))]

            List.zip (List.truncate counts.Length firsts) counts
            |> Seq.mapi drawn
            |> Seq.map float32
            |> Vector.ofSeq
        | _ -> Space.sample actionSpace key
