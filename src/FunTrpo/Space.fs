namespace FunTrpo

open System
open System.Globalization
open FunTrpo.Kernels

/// The set of allowed observations or actions. In a batch, each observation or action is a row of float32.
type Space =
    /// One of the indices 0 … count − 1. A row holds the index.
    | Discrete of count: int
    /// A point between the corners `low` and `high`, inclusive. Their coordinates may be infinite. A row holds the coordinates of the
    /// point, in the order of an array of this shape. A picture has the shape height, width, channels.
    | Box of low: Vector * high: Vector * shape: ArrayShape
    /// Several independent choices, the i-th among `counts[i]` alternatives. A row holds one index for each choice.
    | MultiDiscrete of counts: int list
    /// `count` independent switches. A row holds 0 or 1 for each switch.
    | MultiBinary of count: int
    /// Observations that say which actions are legal (see `Mask`). A row holds an observation of the space `observed`, and then a number for
    /// each action, 1 if it is legal and 0 if not: for each alternative of the first choice, of the second, and so on. `counts` holds the
    /// numbers of alternatives. It is a space of observations only.
    | Masked of observed: Space * counts: int list
    /// Spaces with names, such as a picture and a speed. A row holds a row of each, one after the other. It is Gymnasium's Dict, and its Tuple
    /// with the names 0, 1 and so on.
    | Parts of (string * Space) list

module Space =

    /// A box with one axis and bounds of its own for each coordinate.
    let between (low: Vector) (high: Vector) = Box(low, high, [ low.Length ])

    /// A box with the same bounds in every dimension, and one axis.
    let box dimensions (low: float) (high: float) =
        between (Vector.init dimensions (fun _ -> float32 low)) (Vector.init dimensions (fun _ -> float32 high))

    /// A box of this shape, with the same bounds for each number. Throws an `ArgumentException` if it has more than 2³⁰ numbers.
    let boxOfShape (shape: ArrayShape) low high =
        let size = ArrayShape.size shape

        if List.exists (fun size -> size < 0) shape || size > int64 PooledBuffer.Largest then
            invalidArg (nameof shape) $"there is no box of {ArrayShape.describe shape} numbers"

        let corner (bound: float) = Vector.init (int size) (fun _ -> float32 bound)
        Box(corner low, corner high, shape)

    /// The number of float32 values in a row.
    let rec width space =
        match space with
        | Discrete _ -> 1
        | Box(low, _, _) -> low.Length
        | MultiDiscrete counts -> counts.Length
        | MultiBinary count -> count
        | Masked(observed, counts) -> width observed + List.sum counts
        | Parts parts -> parts |> List.sumBy (snd >> width)

    /// The space without its mask: what the layers of a network read, and what is normalised.
    let observed space =
        match space with
        | Masked(observed, _) -> observed
        | Discrete _
        | Box _
        | MultiDiscrete _
        | MultiBinary _
        | Parts _ -> space

    /// The shape of a row: that of a box, and one axis for other spaces.
    let shape space =
        match space with
        | Box(_, _, shape) -> shape
        | Discrete _
        | MultiDiscrete _
        | MultiBinary _
        | Masked _
        | Parts _ -> [ width space ]

    /// The parts with the columns of a row at which they begin. A space without parts is a part without a name.
    let placed space =
        match space with
        | Parts parts ->
            let firsts = parts |> List.scan (fun first (_, part) -> first + width part) 0
            List.map2 (fun first (name, part) -> struct (name, first, part)) (List.truncate parts.Length firsts) parts
        | _ -> [ struct ("", 0, space) ]

    /// The space that a column of a row belongs to, without parts and without a mask, and its number among the columns of that space. A column of
    /// a mask belongs to none.
    let rec leaf column space =
        match space with
        | Masked(observed, _) -> if column < width observed then leaf column observed else ValueNone
        | Parts _ ->
            let holds struct (_, first, part) = first <= column && column < first + width part

            match placed space |> List.tryFind holds with
            | Some(struct (_, first, part)) -> leaf (column - first) part
            | None -> ValueNone
        | _ -> ValueSome(struct (space, column))

    /// The column of a row at which the part with this name begins, and its space. A path such as `hand/finger` names a part of a part.
    /// Throws an `ArgumentException` if there is no such part.
    let rec find (path: string) space =
        let name, rest =
            match path.IndexOf '/' with
            | -1 -> path, None
            | i -> path.Substring(0, i), Some(path.Substring(i + 1))

        match space, rest with
        | Parts _, _ ->
            match placed space |> List.tryFind (fun struct (known, _, _) -> known = name), rest with
            | Some(struct (_, first, part)), None -> struct (first, part)
            | Some(struct (_, first, part)), Some rest ->
                let struct (inside, found) = find rest part
                struct (first + inside, found)
            | None, _ ->
                let known = placed space |> List.map (fun struct (known, _, _) -> known) |> String.concat ", "
                invalidArg (nameof path) $"there is no part {name} among {known}"
        | Masked(observed, _), _ -> find path observed
        | _ -> invalidArg (nameof path) $"a space without parts has no part {name}"

    /// The maximal number of alternatives of a choice, and of values in a row: 2²⁴. float32 cannot represent all larger indices.
    let maxCount = 1 <<< 24

    /// The maximal number of levels of parts of parts. Functions on spaces recur into parts, and files and messages come from anybody.
    let maxNesting = 16

    /// The number of levels of parts in a space; 0 if it has none. It stops counting beyond `maxNesting`.
    let private nesting space =
        let rec nestingFrom outer space =
            match space with
            | Parts parts when outer <= maxNesting ->
                parts |> List.fold (fun deepest (_, part) -> max deepest (nestingFrom (outer + 1) part)) (outer + 1)
            | Masked(observed, _) -> nestingFrom outer observed
            | _ -> outer

        nestingFrom 0 space

    /// Whether a finite number lies between two bounds, either of which may be infinite.
    let holdsNumber (low: float32) (high: float32) =
        low <= high && low < Single.PositiveInfinity && high > Single.NegativeInfinity

    /// The reason why the space is invalid, or `None` if it is valid. A valid space has at least one choice or dimension, at least one
    /// alternative in each choice, and at most 2²⁴ choices, dimensions, or alternatives of a choice. The corners of a box have equal widths, which
    /// are the product of the sizes of its shape, and in every dimension low ≤ high and a finite number lies between them. A mask belongs to a
    /// valid space without a mask, and is for the choices of a valid space.
    ///
    /// A space of parts has at least one, with valid spaces without masks, and with names that differ, are not empty, and contain no white
    /// space and none of `/ : ; , { }`, which architectures and paths use. Parts have at most 16 levels of parts.
    let rec invalidReason space =
        let isTooMuch count = count > maxCount
        let tooMuch = Some "has more than 2²⁴ alternatives, or numbers"

        match space with
        | Masked(Masked _, _) -> Some "has a mask of a mask"
        | Masked(observed, counts) ->
            // In 64 bits, because the sum of valid counts may overflow.
            let inLegal = List.sumBy int64 counts

            match invalidReason observed, invalidReason (MultiDiscrete counts) with
            | Some why, _
            | None, Some why -> Some why
            | None, None when inLegal + int64 (width observed) > int64 maxCount -> tooMuch
            | None, None -> None
        | Parts _ when nesting space > maxNesting -> Some $"has more than {maxNesting} levels of parts"
        | Parts parts -> invalidReasonOfParts parts
        | _ when isTooMuch (width space) -> tooMuch
        | Discrete count when isTooMuch count -> tooMuch
        | MultiDiscrete counts when List.exists isTooMuch counts -> tooMuch
        | Discrete count
        | MultiBinary count when count >= 1 -> None
        | MultiDiscrete(_ :: _ as counts) when counts |> List.forall (fun count -> count >= 1) -> None
        | Box(low, high, _) when low.Length <> high.Length -> Some "has corners of different lengths"
        | Box(low, _, shape) when low.Length >= 1 && not (ArrayShape.holds low.Length shape) ->
            Some $"has the shape {ArrayShape.describe shape}, which is not one of {low.Length} numbers"
        | Box(low, high, _) when low.Length >= 1 ->
            if Array.forall2 holdsNumber (Vector.toArray low) (Vector.toArray high) then
                None
            else
                Some "has no finite number between the bounds of a coordinate"
        | Discrete _
        | MultiBinary _
        | MultiDiscrete _
        | Box _ -> Some "has no elements"

    and private invalidReasonOfParts parts =
        let isReserved c = Char.IsWhiteSpace c || Seq.contains c "/:;,{}"
        let names = List.map fst parts

        let invalidPart (name, part) =
            match part with
            | Masked _ -> Some $"has the part {name}, which has a mask"
            | _ -> invalidReason part |> Option.map (fun why -> $"has the part {name}, which {why}")

        if parts.IsEmpty then
            Some "has no parts"
        elif names |> List.exists String.IsNullOrEmpty then
            Some "has a part without a name"
        elif (List.distinct names).Length < names.Length then
            Some "has two parts with the same name"
        else
            match names |> List.tryFind (Seq.exists isReserved) with
            | Some name ->
                Some $"has the part '{name}', and names of parts contain no white space and none of / : ; , {{ }}"
            | None ->
                match List.tryPick invalidPart parts with
                | Some why -> Some why
                | None when parts |> List.sumBy (snd >> width >> int64) > int64 maxCount ->
                    Some "has more than 2²⁴ numbers"
                | None -> None

    /// Whether the space is valid, as `invalidReason` defines it.
    let isValid space = (invalidReason space).IsNone

    let private isIndex count (x: float32) = x >= 0f && x < float32 count && MathF.Floor x = x

    /// Whether the row holds exactly one valid index for each of the counts.
    let rec private areIndices counts (row: ReadOnlySpan<float32>) =
        match counts with
        | [] -> row.IsEmpty
        | count :: others -> not row.IsEmpty && isIndex count row[0] && areIndices others (row.Slice 1)

    /// Whether rows hold indices and nothing else. An index is a label and not a quantity, so arithmetic such as normalisation does not apply
    /// to it. For parts see `labels`.
    let hasIndices space =
        match observed space with
        | Discrete _
        | MultiDiscrete _ -> true
        | Box _
        | MultiBinary _
        | Masked _
        | Parts _ -> false

    /// The columns of a row that hold indices.
    let rec labels space =
        match observed space with
        | Parts _ as parts ->
            placed parts |> List.collect (fun struct (_, first, part) -> labels part |> List.map ((+) first))
        | space when hasIndices space -> [ 0 .. width space - 1 ]
        | _ -> []

    /// The number of indices, summed over the choices of a row; 0 if rows hold no indices. Networks have parameters for each index.
    let indexCount space =
        match observed space with
        | Discrete count -> int64 count
        | MultiDiscrete counts -> List.sumBy int64 counts
        | Box _
        | MultiBinary _
        | Masked _
        | Parts _ -> 0L

    /// The number of rows of weights in the first layer of a network for such observations: one row for each index (see `Embedding`), or
    /// one for each value of an observation.
    let rec inputCount space =
        match observed space with
        | Parts parts -> parts |> List.sumBy (snd >> inputCount)
        | space when hasIndices space -> indexCount space
        | space -> int64 (width space)

    let private areSwitches (row: ReadOnlySpan<float32>) =
        let mutable inside = true

        for number in row do
            inside <- inside && isIndex 2 number

        inside

    let private isBetween (low: Vector) (high: Vector) (row: ReadOnlySpan<float32>) =
        let low = low.Span
        let high = high.Span
        let mutable inside = row.Length = low.Length

        if inside then
            for i in 0 .. row.Length - 1 do
                inside <- inside && low[i] <= row[i] && row[i] <= high[i]

        inside

    /// Whether the row is one of the space: with `isInside` an element, and otherwise with any finite numbers in place of those of boxes
    /// and switches.
    let rec private holds isInside space (row: ReadOnlySpan<float32>) =
        match space with
        | Discrete count -> row.Length = 1 && isIndex count row[0]
        | MultiDiscrete counts -> areIndices counts row
        | Box(low, high, _) -> if isInside then isBetween low high row else Reductions.AllFinite row
        | MultiBinary count -> if isInside then row.Length = count && areSwitches row else Reductions.AllFinite row
        | Masked(observed, _) ->
            row.Length = width space
            && holds isInside observed (row.Slice(0, width observed))
            && areSwitches (row.Slice(width observed))
        | Parts parts -> row.Length = width space && holdParts isInside parts row

    and private holdParts isInside parts (row: ReadOnlySpan<float32>) =
        match parts with
        | [] -> true
        | (_, part) :: rest ->
            let width = width part
            holds isInside part (row.Slice(0, width)) && holdParts isInside rest (row.Slice width)

    /// Whether the row is an element of the space. A mask may have no legal action.
    let contains space (row: ReadOnlySpan<float32>) = holds true space row

    /// Whether a network can take the row as an observation. A row of indices must be an element of the space, and a mask must be of 0 and 1.
    /// Other rows must be finite, but may lie outside the bounds of the space.
    let isValidObservation space (row: ReadOnlySpan<float32>) = holds false space row

    /// The middle and half the width of a coordinate of a box, which map [−1, 1] to its bounds; none without two finite bounds. In float64,
    /// because the width of a box may exceed float32.
    let inline internal scaling (low: Vector) (high: Vector) i =
        let low, high = float low[i], float high[i]

        if Double.IsFinite low && Double.IsFinite high then
            ValueSome(struct (0.5 * (low + high), 0.5 * (high - low)))
        else
            ValueNone

    /// What becomes of the coordinates of a box. Other numbers stay as they are.
    [<RequireQualifiedAccess>]
    type private Change =
        | Clip
        | Unscale
        | Squash

    let private changeBox change (low: Vector) (high: Vector) (row: ReadOnlySpan<float32>) (changed: Span<float32>) =
        let lows = low.Span
        let highs = high.Span

        for i in 0 .. row.Length - 1 do
            changed[i] <-
                match change with
                | Change.Clip -> MathF.Min(MathF.Max(row[i], lows[i]), highs[i])
                | Change.Squash -> float32 (tanh (float row[i]))
                | Change.Unscale ->
                    match scaling low high i with
                    // A result beyond float32 becomes infinite and is still outside the bounds.
                    | ValueSome(struct (middle, half)) -> float32 (middle + half * float row[i])
                    | ValueNone -> row[i]

    /// Writes the row to `changed`, which may be the same memory, with the boxes among its parts changed.
    let rec private applyTo space change (row: ReadOnlySpan<float32>) (changed: Span<float32>) =
        match space with
        | Box(low, high, _) -> changeBox change low high row changed
        | Parts parts ->
            let mutable first = 0

            for _, part in parts do
                let width = width part
                applyTo part change (row.Slice(first, width)) (changed.Slice(first, width))
                first <- first + width
        | Masked(observed, _) ->
            row.CopyTo changed
            applyTo observed change (row.Slice(0, width observed)) changed
        | Discrete _
        | MultiDiscrete _
        | MultiBinary _ -> row.CopyTo changed

    /// Writes the row to `clipped`, with each coordinate clipped to the bounds if the space is a box. Rows of other spaces are copied.
    let clip space (row: ReadOnlySpan<float32>) (clipped: Span<float32>) = applyTo space Change.Clip row clipped

    /// Maps a row from [−1, 1] to the bounds of a box and writes it to `scaled`: 0 becomes the middle of the box, and ±1 become its bounds.
    /// Coordinates without two finite bounds, and rows of spaces that are not boxes, are copied.
    let unscale space (row: ReadOnlySpan<float32>) (scaled: Span<float32>) = applyTo space Change.Unscale row scaled

    /// Writes the tanh of each coordinate of a box to `squashed`, which lies in [−1, 1]. Rows of spaces that are not boxes are copied.
    let squash space (row: ReadOnlySpan<float32>) (squashed: Span<float32>) = applyTo space Change.Squash row squashed

    /// A random element of the space. Indices, switches, and coordinates with two finite bounds are uniform. A coordinate with one finite
    /// bound is that bound plus or minus an exponential random number with mean 1. A coordinate without finite bounds is standard normal.
    /// In a mask, each choice has at least one legal alternative, and the others are legal with probability ½.
    let rec sample space key =
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
        | Box(low, high, _) ->
            Vector.init low.Length (fun i -> float32 (coordinate (float low[i]) (float high[i]) (keyOf i)))
        | MultiDiscrete counts -> counts |> Seq.mapi (fun i count -> index count (keyOf i)) |> Vector.ofSeq
        | MultiBinary count -> Vector.init count (fun i -> index 2 (keyOf i))
        | Masked(observed, counts) ->
            let choiceOf i count =
                let choiceKey = key |> Key.named "mask" |> Key.at (int64 i)
                let legal = int (index count (Key.named "legal" choiceKey))

                Vector.init count (fun a -> if a = legal then 1f else index 2 (Key.at (int64 a) choiceKey))

            Vector.concat (sample observed (Key.named "observed" key) :: List.mapi choiceOf counts)
        | Parts parts -> parts |> List.mapi (fun i (_, part) -> sample part (keyOf i)) |> Vector.concat

    /// Whether a network for observations of one space accepts those of the other: the spaces are equal, or neither has indices and rows
    /// have the same width. If both have several axes, the shapes must be equal, too. If one has a mask, the other has one for the same choices.
    let rec hasSameEncoding other space =
        match other, space with
        | Masked(other, otherCounts), Masked(space, counts) -> counts = otherCounts && hasSameEncoding other space
        | Parts others, Parts parts ->
            List.map fst others = List.map fst parts
            && List.forall2 (fun (_, other) (_, part) -> hasSameEncoding other part) others parts
        | (Masked _ | Parts _), _
        | _, (Masked _ | Parts _) -> false
        | _ when hasIndices space || hasIndices other -> space = other
        | _ ->
            let hasOneAxis = List.length (shape space) = 1 || List.length (shape other) = 1
            width space = width other && (hasOneAxis || shape space = shape other)

    /// The space as text for reports and error messages, such as Box(3; [-1, 1]) or Box(10 × 10 × 4; [0, 1]).
    let rec describe space =
        match space with
        | Discrete count -> $"Discrete({count})"
        | Box(low, high, shape) ->
            let bound (x: float32) =
                if Single.IsPositiveInfinity x then "∞"
                elif Single.IsNegativeInfinity x then "−∞"
                else x.ToString CultureInfo.InvariantCulture

            let bounds =
                Seq.map2 (fun l h -> $"[{bound l}, {bound h}]") (Vector.toArray low) (Vector.toArray high)
                |> Seq.distinct
                |> String.concat " × "

            $"Box({ArrayShape.describe shape}; {bounds})"
        | MultiDiscrete counts ->
            let sizes = counts |> Seq.map string |> String.concat ", "
            $"MultiDiscrete({sizes})"
        | MultiBinary count -> $"MultiBinary({count})"
        | Masked(observed, counts) ->
            let sizes = counts |> Seq.map string |> String.concat ", "
            $"Masked({describe observed}; {sizes})"
        | Parts parts ->
            let described = parts |> Seq.map (fun (name, part) -> $"{name}: {describe part}") |> String.concat ", "
            $"Parts({described})"
