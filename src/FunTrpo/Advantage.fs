namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// Estimates of how much better each action was than the policy on average: one number for each row of a batch.
type Advantages =
    {
        /// A(s, a) of each row.
        Advantages: ImmutableArray<float>
        /// The λ-return A(s, a) + V(s) of each row: the target that the critic is fitted to.
        Returns: ImmutableArray<float>
    }

module Advantage =

    /// Generalised advantage estimation (Schulman et al. 2015, "High-dimensional continuous control using generalized
    /// advantage estimation", equation 16): with the TD error δ_t = r_t + γ V(s_{t+1}) − V(s_t),
    ///
    ///     A_t = δ_t + γλ A_{t+1}
    ///
    /// The code computes G_t − V(s_t) with the λ-return G_t = r_t + γ ((1 − λ) V(s_{t+1}) + λ G_{t+1}). This form has no
    /// cancellation where values are much larger than rewards.
    ///
    /// `values` holds V of each row. `bootstraps` holds V of the observation after each truncated or interrupted row, in the
    /// order of those rows. After a termination V is 0. The sum never crosses the end of an episode.
    let gae
        gamma
        lambda
        (rewards: ImmutableArray<float>)
        (ends: ImmutableArray<End>)
        (values: ImmutableArray<float>)
        (bootstraps: ImmutableArray<float>)
        =
        let advantages = Array.zeroCreate rewards.Length
        let returns = Array.zeroCreate rewards.Length
        let mutable bootstrap = bootstraps.Length

        for t in rewards.Length - 1 .. -1 .. 0 do
            let next =
                match ends[t] with
                | End.Continues -> (1.0 - lambda) * values[t + 1] + lambda * returns[t + 1]
                | End.Terminated -> 0.0
                | _ ->
                    bootstrap <- bootstrap - 1
                    bootstraps[bootstrap]

            returns[t] <- rewards[t] + gamma * next
            advantages[t] <- returns[t] - values[t]

        { Advantages = ImmutableCollectionsMarshal.AsImmutableArray advantages
          Returns = ImmutableCollectionsMarshal.AsImmutableArray returns }

    /// Numbers count as equal if their standard deviation is at most this fraction of their mean: they differ only by rounding.
    let private rounding = 1e-13

    /// The mean of the numbers f 0 … f (count − 1) and their standard deviation.
    let inline private meanAndDeviation count ([<InlineIfLambda>] f: int -> float) =
        let mutable sum = 0.0

        for i in 0 .. count - 1 do
            sum <- sum + f i

        let mean = sum / float count
        let mutable squares = 0.0

        for i in 0 .. count - 1 do
            squares <- squares + (f i - mean) * (f i - mean)

        struct (mean, sqrt (squares / float count))

    /// The standard deviation of the discounted sums of the rewards that follow each row in its episode, up to the end of the batch.
    let deviationOfSums gamma (rewards: ImmutableArray<float>) (ends: ImmutableArray<End>) =
        let mutable sum = 0.0
        let mutable mean = 0.0
        let mutable squares = 0.0

        // Welford's recurrence, from the last row to the first.
        for t in rewards.Length - 1 .. -1 .. 0 do
            sum <- rewards[t] + (if ends[t] = End.Continues then gamma * sum else 0.0)
            let difference = sum - mean
            mean <- mean + difference / float (rewards.Length - t)
            squares <- squares + difference * (sum - mean)

        sqrt (squares / float rewards.Length)

    /// Does the same as `normalise` in place. The caller must be the only owner of the array.
    let internal normaliseInPlace (advantages: float[]) =
        let struct (mean, deviation) = meanAndDeviation advantages.Length (fun i -> advantages[i])
        let differ = deviation > rounding * abs mean

        for i in 0 .. advantages.Length - 1 do
            advantages[i] <- if differ then (advantages[i] - mean) / deviation else 0.0

    /// Returns the advantages shifted and scaled to mean 0 and standard deviation 1 over the batch. If all are equal, up to
    /// rounding, every result is 0.
    let normalise (advantages: ImmutableArray<float>) =
        let normalised = Seq.toArray advantages
        normaliseInPlace normalised
        ImmutableCollectionsMarshal.AsImmutableArray normalised

    /// Returns the fraction of the variance of the returns that the values explain: 1 − Var(returns − values) / Var(returns).
    /// It is 1 for perfect values, 0 for a constant, and NaN if all returns are equal.
    let explainedVariance (returns: ImmutableArray<float>) (values: ImmutableArray<float>) =
        let struct (_, deviation) = meanAndDeviation returns.Length (fun i -> returns[i])
        let struct (_, unexplained) = meanAndDeviation returns.Length (fun i -> returns[i] - values[i])

        if returns.AsSpan().IndexOfAnyExcept returns[0] < 0 then
            nan
        else
            1.0 - (unexplained * unexplained) / (deviation * deviation)
