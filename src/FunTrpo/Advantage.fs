namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices

/// GAE advantages and λ-returns, one of each per row.
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
    /// The code computes G_t − V(s_t) with the λ-return G_t = r_t + γ ((1 − λ) V(s_{t+1}) + λ G_{t+1}). The returns are computed directly
    /// and not as A + V, so they keep their digits where values are much larger than rewards.
    ///
    /// `rewards`, `ends` and `values` (V of each row) have one element for each row, and the last row does not continue. `bootstraps`
    /// holds V of the observation after each truncated or interrupted row, in the order of those rows. After a termination V is 0. The sum
    /// never crosses the end of an episode. Throws an `IndexOutOfRangeException` if an array is too short.
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
                | _ -> // truncated or interrupted
                    bootstrap <- bootstrap - 1
                    bootstraps[bootstrap]

            returns[t] <- rewards[t] + gamma * next
            advantages[t] <- returns[t] - values[t]

        { Advantages = ImmutableCollectionsMarshal.AsImmutableArray advantages
          Returns = ImmutableCollectionsMarshal.AsImmutableArray returns }

    /// Numbers count as equal if their standard deviation is at most this fraction of their mean: they differ only by rounding. The error of
    /// a mean of n numbers is about √n · 2⁻⁵³ of it, which is 10⁻¹³ for 8 · 10⁵ rows.
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

    /// Shifts and scales the advantages in place as `normalise` does those of `rows`, which may be the same array. The caller must be the only
    /// owner of the array.
    let internal normaliseInPlaceAs (rows: float[]) (advantages: float[]) =
        let struct (mean, deviation) = meanAndDeviation rows.Length (fun i -> rows[i])
        let differ = deviation > rounding * abs mean

        for i in 0 .. advantages.Length - 1 do
            advantages[i] <- if differ then (advantages[i] - mean) / deviation else 0.0

    /// Returns the advantages shifted and scaled to mean 0 and standard deviation 1 over the batch. If all are equal, up to
    /// rounding, every result is 0.
    let normalise (advantages: ImmutableArray<float>) =
        let normalised = Seq.toArray advantages
        normaliseInPlaceAs normalised normalised
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
