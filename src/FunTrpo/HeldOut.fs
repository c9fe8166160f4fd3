namespace FunTrpo

open System
open System.Collections.Immutable

/// Which rows of a batch are held out of the policy's improvement. Whole instances are held out, so no episode has rows on both sides.
module HeldOut =

    /// Returns the indices of the instances that are held out, in ascending order: `share` of `count`, rounded, but at least one and not all.
    /// A share of 0 holds out none. The key draws them. Throws an `ArgumentException` if there are not two instances to share.
    let instances (share: float) count key =
        if share = 0.0 then
            Array.empty
        elif count < 2 then
            invalidArg (nameof count) $"of {count} instances none can be held out and another one not"
        else
            let held = Math.Clamp(int (round (share * float count)), 1, count - 1)
            Key.permutation count key |> Seq.truncate held |> Seq.sort |> Array.ofSeq

    /// The indices of the instances that are not held out, in ascending order.
    let others (held: int[]) count = Array.except held [| 0 .. count - 1 |]

    /// The lengths of the episodes in the rows of some instances of a batch, in the order of these rows. Of an episode that began before the
    /// batch or goes on after it, only the rows of the batch count.
    let episodes (batch: Batch) (instances: int[]) =
        let lengths = ImmutableArray.CreateBuilder<int>()

        for instance in instances do
            let mutable length = 0

            for t in 0 .. batch.Horizon - 1 do
                length <- length + 1

                if t = batch.Horizon - 1 || Batch.endsEpisode batch.Ends[instance * batch.Horizon + t] then
                    lengths.Add length
                    length <- 0

        lengths.ToImmutable()
