namespace FunTrpo

open System
open System.Globalization
open FunTrpo.Kernels

/// What an observation or an action can be. In a batch each of them is a row of float32.
type Space =
    /// One of 0 … count − 1; a row holds the index.
    | Discrete of count: int
    /// A point between two corners, either of which may be infinite; a row holds its coordinates.
    | Box of low: Vector * high: Vector
    /// Several independent choices; a row holds an index for each.
    | MultiDiscrete of counts: int list
    /// Several independent switches; a row holds 0 or 1 for each.
    | MultiBinary of count: int

module Space =

    /// A box with the same bounds in each of its dimensions.
    let box dimensions (low: float) (high: float) =
        Box(Vector.init dimensions (fun _ -> float32 low), Vector.init dimensions (fun _ -> float32 high))

    /// How many numbers a row holds.
    let width space =
        match space with
        | Discrete _ -> 1
        | Box(low, _) -> low.Length
        | MultiDiscrete counts -> counts.Length
        | MultiBinary count -> count

    /// The most alternatives of a choice, 2²⁴: beyond it float32 cannot tell indices apart. A row has no more numbers, either.
    let most = 1 <<< 24

    /// Why a space is none: it has no elements, or none that a row can hold. A space has at least one alternative or dimension, no more
    /// than 2²⁴, no corner below its opposite, and a finite number in each coordinate.
    let invalidReason space =
        let isTooMuch count = count > most
        let tooMuch = Some "has more than 2²⁴ alternatives, or numbers"

        let hasNumbers (low: float32) (high: float32) =
            low <= high && low < Single.PositiveInfinity && high > Single.NegativeInfinity

        match space with
        | _ when isTooMuch (width space) -> tooMuch
        | Discrete count when isTooMuch count -> tooMuch
        | MultiDiscrete counts when List.exists isTooMuch counts -> tooMuch
        | Discrete count
        | MultiBinary count when count >= 1 -> None
        | MultiDiscrete(_ :: _ as counts) when counts |> List.forall (fun count -> count >= 1) -> None
        | Box(low, high) when
            low.Length >= 1
            && low.Length = high.Length
            && Array.forall2 hasNumbers (Vector.toArray low) (Vector.toArray high)
            ->
            None
        | Discrete _
        | MultiBinary _
        | MultiDiscrete _
        | Box _ -> Some "has no elements"

    /// Whether the space has elements that rows can hold (`invalidReason`).
    let isProper space = (invalidReason space).IsNone

    let private isIndex count (x: float32) = x >= 0f && x < float32 count && MathF.Floor x = x

    /// Whether the row holds an index below each of the counts, and no more.
    let rec private areIndices counts (row: ReadOnlySpan<float32>) =
        match counts with
        | [] -> row.IsEmpty
        | count :: others -> not row.IsEmpty && isIndex count row[0] && areIndices others (row.Slice 1)

    /// Whether rows hold indices, which are names and not quantities: nothing can be added to one, or divided by.
    let hasIndices space =
        match space with
        | Discrete _
        | MultiDiscrete _ -> true
        | Box _
        | MultiBinary _ -> false

    /// How many indices there are that networks have parameters for: those of all places of a row together.
    let indices space =
        match space with
        | Discrete count -> int64 count
        | MultiDiscrete counts -> List.sumBy int64 counts
        | Box _
        | MultiBinary _ -> 0L

    /// How many numbers a network sees of an observation: a table has a row for each index.
    let inputs space = if hasIndices space then indices space else int64 (width space)

    /// Whether the row is an element of the space.
    let contains space (row: ReadOnlySpan<float32>) =
        match space with
        | Discrete count -> row.Length = 1 && isIndex count row[0]
        | MultiDiscrete counts -> areIndices counts row
        | Box(low, high) ->
            let low = low.Span
            let high = high.Span
            let mutable inside = row.Length = low.Length

            if inside then
                for i in 0 .. row.Length - 1 do
                    inside <- inside && low[i] <= row[i] && row[i] <= high[i]

            inside
        | MultiBinary count ->
            let mutable inside = row.Length = count

            for i in 0 .. row.Length - 1 do
                inside <- inside && isIndex 2 row[i]

            inside

    /// Whether the row can be shown to a network: indices of the space, or numbers that are finite, wherever the space may end.
    let isValidObservation space (row: ReadOnlySpan<float32>) =
        if hasIndices space then contains space row else Reductions.AllFinite row

    /// Writes the nearest element of the space to `clipped`: a box clips each coordinate, an index is what it is.
    let clip space (row: ReadOnlySpan<float32>) (clipped: Span<float32>) =
        match space with
        | Box(low, high) ->
            let low = low.Span
            let high = high.Span

            for i in 0 .. row.Length - 1 do
                clipped[i] <- MathF.Min(MathF.Max(row[i], low[i]), high[i])
        | Discrete _
        | MultiDiscrete _
        | MultiBinary _ -> row.CopyTo clipped

    /// Writes what a row stands for that counts in half-widths of the space around its middle: 0 is the middle of a box, ±1 are its
    /// bounds. Coordinates that are not bounded on both sides, and indices, are what they are.
    let unscale space (row: ReadOnlySpan<float32>) (scaled: Span<float32>) =
        row.CopyTo scaled

        match space with
        | Box(low, high) ->
            for i in 0 .. row.Length - 1 do
                // In float64, where no box is too wide: what is beyond float32 afterwards is infinite, and so beyond the bounds.
                let low, high = float low[i], float high[i]

                if Double.IsFinite low && Double.IsFinite high then
                    scaled[i] <- float32 (0.5 * (low + high) + 0.5 * (high - low) * float row[i])
        | Discrete _
        | MultiDiscrete _
        | MultiBinary _ -> ()

    /// A random element: uniform where the space is bounded, else exponential or normal from the finite bound or zero.
    let sample space key =
        let coordinate (low: float) (high: float) key =
            match Double.IsFinite low, Double.IsFinite high with
            | true, true -> Key.uniformIn low high key
            | true, false -> low - log (1.0 - Key.uniform key)
            | false, true -> high + log (1.0 - Key.uniform key)
            | false, false -> Key.normal key

        let index count key = float32 (floor (float count * Key.uniform key))

        let keyOf (i: int) = Key.at (int64 i) key

        match space with
        | Discrete count -> Vector.init 1 (fun i -> index count (keyOf i))
        | Box(low, high) ->
            Vector.init low.Length (fun i -> float32 (coordinate (float low[i]) (float high[i]) (keyOf i)))
        | MultiDiscrete counts -> counts |> Seq.mapi (fun i count -> index count (keyOf i)) |> Vector.ofSeq
        | MultiBinary count -> Vector.init count (fun i -> index 2 (keyOf i))

    /// Whether a network for observations of one space fits those of the other: the same indices, or as many numbers.
    let hasSameEncoding other space =
        if hasIndices space || hasIndices other then space = other else width space = width other

    /// As a person would write it, for reports and error messages.
    let describe space =
        match space with
        | Discrete count -> $"Discrete({count})"
        | Box(low, high) ->
            let bound (x: float32) =
                if Single.IsPositiveInfinity x then "∞"
                elif Single.IsNegativeInfinity x then "−∞"
                else x.ToString CultureInfo.InvariantCulture

            let bounds =
                Seq.map2 (fun l h -> $"[{bound l}, {bound h}]") (Vector.toArray low) (Vector.toArray high)
                |> Seq.distinct
                |> String.concat " × "

            $"Box({low.Length}; {bounds})"
        | MultiDiscrete counts ->
            let sizes = counts |> Seq.map string |> String.concat ", "
            $"MultiDiscrete({sizes})"
        | MultiBinary count -> $"MultiBinary({count})"
