namespace FunTrpo.Cli

open System
open System.Collections.Immutable

/// A growing sequence of numbers, of which a bounded number is kept: all at first, and later every n-th one.
type Series =
    {
        /// How many numbers there have been.
        Count: int
        /// Every n-th number is kept.
        Every: int
        Kept: ImmutableArray<float>
    }

// Loops, because generic functions over floats would be compiled while a run begins to train.
module Series =

    /// The number of numbers that are kept at most.
    let most = 512

    let empty = { Count = 0; Every = 1; Kept = ImmutableArray<float>.Empty }

    /// Leaves out every second number.
    let private thinned series =
        let kept = ImmutableArray.CreateBuilder<float>(most / 2)

        for i in 0..2 .. series.Kept.Length - 1 do
            kept.Add series.Kept[i]

        { series with Every = 2 * series.Every; Kept = kept.MoveToImmutable() }

    /// The sequence with one more number.
    let add number series =
        let isKept = series.Count % series.Every = 0
        let counted = { series with Count = series.Count + 1 }

        if not isKept then
            counted
        else
            let added = { counted with Kept = series.Kept.Add number }
            if added.Kept.Length = most then thinned added else added

    /// The smallest and the largest finite number; NaN if there is none.
    let extremes series =
        let mutable low = infinity
        let mutable high = -infinity

        for number in series.Kept do
            if Double.IsFinite number then
                low <- min low number
                high <- max high number

        if low <= high then struct (low, high) else struct (nan, nan)

    /// The mean of the finite numbers at `first` and behind, before `last`; NaN if there are none.
    let private meanBetween first last series =
        let mutable sum = 0.0
        let mutable count = 0

        for i in first .. last - 1 do
            if Double.IsFinite series.Kept[i] then
                sum <- sum + series.Kept[i]
                count <- count + 1

        sum / float count

    /// The sequence in at most this many numbers, each of which is the mean of the finite ones of its part, or NaN.
    let inParts (parts: int) series : float[] =
        let count = series.Kept.Length
        let parts = min (max 0 parts) count
        Array.init parts (fun part -> meanBetween (part * count / parts) ((part + 1) * count / parts) series)
