namespace FunTrpo

open System

/// Frame stacking: a policy sees the last observations together, so that it knows how things move. It is memory of a fixed length for
/// networks without memory.
///
/// Source: Mnih et al., "Human-level control through deep reinforcement learning" (2015).
module FrameStack =

    /// The length of the last axis of the rows of a space, along which frames are joined.
    let private lastAxis space = Space.shape space |> List.last

    /// A row for each of `count` frames, joined along the last axis.
    let private join count axis width (frame: int -> int -> float32) =
        Vector.init (count * width) (fun i ->
            let position, inside = i / (count * axis), i % (count * axis)
            frame (inside / axis) (position * axis + inside % axis))

    /// The space of `count` observations together. The axes are those of one, and the last one is `count` times as long: the channels of a
    /// picture of several frames. Choices and switches follow one another. Parts are joined part by part. Of a mask, only the newest counts.
    let rec space count (observed: Space) =
        match observed with
        | Discrete alternatives -> MultiDiscrete(List.replicate count alternatives)
        | MultiDiscrete counts -> MultiDiscrete(counts |> List.replicate count |> List.concat)
        | MultiBinary switches -> MultiBinary(count * switches)
        | Box(low, high, shape) ->
            let axis = lastAxis observed
            let joined (corner: Vector) = join count axis corner.Length (fun _ i -> corner[i])
            Box(joined low, joined high, List.truncate (shape.Length - 1) shape @ [ count * axis ])
        | Masked(observed, counts) -> Masked(space count observed, counts)
        | Parts parts -> Parts [ for name, part in parts -> name, space count part ]

    /// Writes an observation of the joined space. `frames` holds the rows of the space of one, oldest first, which are `stride` apart.
    let rec private write count observed stride (frames: ReadOnlySpan<float32>) (joined: Span<float32>) =
        match observed with
        | Masked(inner, counts) ->
            write count inner stride frames joined
            let newest = frames.Slice((count - 1) * stride + Space.width inner, List.sum counts)
            newest.CopyTo(joined.Slice(count * Space.width inner))
        | Parts parts -> writeParts count parts stride frames joined
        | _ ->
            let axis = lastAxis observed

            for position in 0 .. Space.width observed / axis - 1 do
                for frame in 0 .. count - 1 do
                    frames
                        .Slice(frame * stride + position * axis, axis)
                        .CopyTo(joined.Slice((position * count + frame) * axis, axis))

    and private writeParts count parts stride (frames: ReadOnlySpan<float32>) (joined: Span<float32>) =
        match parts with
        | [] -> ()
        | (_, part) :: rest ->
            write count part stride frames joined

            if not rest.IsEmpty then
                let width = Space.width part
                writeParts count rest stride (frames.Slice width) (joined.Slice(count * width))

    /// The environment `inner`, of which a policy sees the last `count` observations together, oldest first. Before there are so many, the
    /// first one of the episode stands for those before it. Throws an `ArgumentException` if the count is less than 1.
    let wrap count (inner: 'Inner :> Environment<'State>) : Environment<WithRow<'State>> =
        if count < 1 then
            invalidArg (nameof count) $"a policy sees at least 1 observation, and the count is {count}"

        let observed = inner.ObservationSpace
        let width = Space.width observed

        let observe state =
            let row = Array.zeroCreate<float32> width
            inner.Observe(state, row.AsSpan())
            row

        let keeper =
            { new RowKeeper<'State>() with
                member _.ObservationSpace = space count observed
                member _.Width = count * width
                member _.Start state = observe state |> Array.replicate count |> Array.concat |> Vector.adopt

                member _.Next(row, _, next) =
                    let frames = Array.zeroCreate<float32> row.Length
                    row.Span.Slice(width).CopyTo(frames.AsSpan())

                    // The state in which an episode has terminated need not be observable. Its last frame stands for it.
                    let newest = (count - 1) * width

                    if next.Terminated then
                        row.Span.Slice(newest).CopyTo(frames.AsSpan newest)
                    else
                        (observe next.State).CopyTo(frames, newest)

                    Vector.adopt frames

                member _.Observe(state, observation) = write count observed width state.Row.Span observation }

        RowWrapper.wrap keeper inner
