namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// What is done to rewards before advantages are estimated from them.
type RewardScale =
    /// They are taken as they are.
    | Unscaled
    /// They are divided by the standard deviation of the discounted sum of an instance's rewards so far, and clipped to
    /// ±10: then values are near 1 whatever the unit of the reward. `Sums` holds that sum for each instance.
    | ByReturn of Moments * Sums: ImmutableArray<float>

module Rewards =

    let private clip = 10.0
    let private smallest = 1e-8

    /// No scaling yet, for this many instances.
    let start instances =
        ByReturn(Moments.empty 1, ImmutableCollectionsMarshal.AsImmutableArray(Array.zeroCreate instances))

    /// The discounted sums after each row of the batch, and those that the next batch goes on with.
    let private discountedSums gamma (sums: ImmutableArray<float>) (batch: Batch) =
        let along = Array.zeroCreate batch.Rewards.Length
        let final = Array.zeroCreate sums.Length

        for instance in 0 .. batch.Instances - 1 do
            let mutable sum = sums[instance]

            for row in instance * batch.Horizon .. (instance + 1) * batch.Horizon - 1 do
                sum <- gamma * sum + batch.Rewards[row]
                along[row] <- sum

                if Rollout.endsEpisode batch.Ends[row] then
                    sum <- 0.0

            final[instance] <- sum

        along, ImmutableCollectionsMarshal.AsImmutableArray final

    /// Writes the rewards, divided by the standard deviation that the moments have and clipped, to `scaled`.
    let private writeScaled moments (rewards: ImmutableArray<float>) (scaled: float[]) =
        let factor = 1.0 / sqrt ((moments: Moments).Variance 0 + smallest)

        for row in 0 .. scaled.Length - 1 do
            scaled[row] <- Math.Clamp(rewards[row] * factor, -clip, clip)

        ImmutableCollectionsMarshal.AsImmutableArray scaled

    /// Rewards as the scale has them that has seen others: it learns nothing from these.
    let apply scale (rewards: ImmutableArray<float>) =
        match scale with
        | Unscaled -> rewards
        | ByReturn(moments, _) -> writeScaled moments rewards (Array.zeroCreate rewards.Length)

    /// The scaled rewards of the batch, and the scale that has seen them.
    let scale gamma (batch: Batch) scale =
        match scale with
        | Unscaled -> batch.Rewards, Unscaled
        | ByReturn(moments, sums) ->
            let along, nextSums = discountedSums gamma sums batch
            let moments = Moments.merge moments (Moments.ofNumbers (ReadOnlyMemory along))

            // The discounted sums have been seen, and their array is as long as the rewards are.
            writeScaled moments batch.Rewards along, ByReturn(moments, nextSums)
