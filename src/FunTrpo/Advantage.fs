namespace FunTrpo

open System.Collections.Immutable
open System.Runtime.InteropServices

/// Estimates of how much better each action was than the policy's average, one number a row.
type Advantages =
    {
        /// A(s, a)
        Advantages: ImmutableArray<float>
        /// The λ-return A(s, a) + V(s): what the critic is fitted to.
        Returns: ImmutableArray<float>
    }

module Advantage =

    /// Generalised advantage estimation (Schulman et al. 2015, "High-dimensional continuous control using generalized
    /// advantage estimation", equation 16): with the TD error δ_t = r_t + γ V(s_{t+1}) − V(s_t),
    ///
    ///     A_t = δ_t + γλ A_{t+1}
    ///
    /// `values` is V of each row, and `bootstraps` V of the observation after each truncated or interrupted row, in the
    /// order of those rows. After a termination V is 0; the sum never runs past the end of an episode.
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
        let mutable following = 0.0
        let mutable bootstrap = bootstraps.Length

        for t in rewards.Length - 1 .. -1 .. 0 do
            let nextValue =
                match ends[t] with
                | End.Continues -> values[t + 1]
                | End.Terminated -> 0.0
                | _ ->
                    bootstrap <- bootstrap - 1
                    bootstraps[bootstrap]

            let beyond = if ends[t] = End.Continues then following else 0.0
            let error = rewards[t] + gamma * nextValue - values[t]
            following <- error + gamma * lambda * beyond
            advantages[t] <- following
            returns[t] <- following + values[t]

        { Advantages = ImmutableCollectionsMarshal.AsImmutableArray advantages
          Returns = ImmutableCollectionsMarshal.AsImmutableArray returns }

    let private meanAndDeviation (numbers: ImmutableArray<float>) =
        let mean = Seq.average numbers
        let variance = numbers |> Seq.averageBy (fun x -> (x - mean) * (x - mean))
        mean, sqrt variance

    /// Shifted and scaled to mean 0 and standard deviation 1 over the batch.
    let normalise (advantages: ImmutableArray<float>) =
        let mean, deviation = meanAndDeviation advantages
        ImmutableArray.CreateRange(advantages |> Seq.map (fun a -> (a - mean) / (deviation + 1e-8)))

    /// How much of the variance of the returns the values explain: 1 is all of it, 0 no more than their mean does.
    /// Not a number where the returns do not vary.
    let explainedVariance (returns: ImmutableArray<float>) (values: ImmutableArray<float>) =
        let errors = ImmutableArray.CreateRange(Seq.map2 (-) returns values)
        let _, deviation = meanAndDeviation returns
        let _, unexplained = meanAndDeviation errors

        if Seq.min returns = Seq.max returns then
            nan
        else
            1.0 - (unexplained * unexplained) / (deviation * deviation)
