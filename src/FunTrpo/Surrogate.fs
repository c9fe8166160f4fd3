namespace FunTrpo

open System
open System.Collections.Immutable

/// The surrogate objective of one update: a batch seen from the policy that collected it.
type Surrogate =
    {
        Policy: Policy
        /// θ_old, the parameters that collected the batch.
        Parameters: Vector
        /// As the network sees them (normalised).
        Observations: Matrix
        Actions: Matrix
        Advantages: ImmutableArray<float>
        /// The network at θ_old, on all observations.
        Linearization: Linearization
        /// log π_old(a|s) of each row.
        LogProbabilities: ImmutableArray<float>
        /// β, what a nat of mean entropy is worth beside the advantages; 0 in the TRPO paper.
        EntropyBonus: float
        Threads: int
    }

/// How another policy compares with the one that collected the batch, estimated from its samples.
[<Struct>]
type Comparison =
    {
        /// L(θ) − L(θ_old), where L(θ) = (1/N) Σ (π_θ(a|s)/π_old(a|s) A(s, a) + β H(π_θ(·|s))).
        Gain: float
        /// The mean over the rows of KL(π_old ‖ π_θ), in nats.
        MeanKl: float
        /// Its maximum over the rows.
        MaxKl: float
        /// The mean entropy of π_θ, in nats.
        Entropy: float
    }

module Surrogate =

    /// Rows are summed in blocks of this many, whatever the number of threads.
    let private blockRows = 256

    /// The surrogate of a batch that the policy collected at `parameters`.
    let create threads (policy: Policy) observations (actions: Matrix) advantages parameters =
        let linearization = policy.Network.At parameters observations
        let distributions = linearization.Forward

        { Policy = policy
          Parameters = parameters
          Observations = observations
          Actions = actions
          Advantages = advantages
          Linearization = linearization
          LogProbabilities =
            ImmutableArray.CreateRange(
                Seq.init actions.Rows (fun row -> policy.Family.LogProbability(distributions.Row row, actions.Row row))
            )
          EntropyBonus = 0.0
          Threads = threads }

    /// The same surrogate, in which a nat of mean entropy is worth `bonus`.
    let withEntropyBonus bonus (surrogate: Surrogate) = { surrogate with EntropyBonus = bonus }

    /// The policy at θ, compared with the one that collected the batch (Schulman et al. 2015, "Trust region policy
    /// optimization", equation 14).
    let at (surrogate: Surrogate) parameters =
        let family = surrogate.Policy.Family
        let rows = surrogate.Observations.Rows
        let before = surrogate.Linearization.Forward
        let after = (surrogate.Policy.Network.At parameters surrogate.Observations).Forward

        let sums first count =
            let mutable gain = 0.0
            let mutable kl = 0.0
            let mutable maxKl = 0.0
            let mutable entropy = 0.0

            for row in first .. first + count - 1 do
                let logRatio =
                    family.LogProbability(after.Row row, surrogate.Actions.Row row) - surrogate.LogProbabilities[row]

                let rowKl = family.Kl(before.Row row, after.Row row)
                let rowEntropy = family.Entropy(after.Row row)
                gain <- gain + (exp logRatio - 1.0) * surrogate.Advantages[row]

                if surrogate.EntropyBonus <> 0.0 then
                    gain <- gain + surrogate.EntropyBonus * (rowEntropy - family.Entropy(before.Row row))

                kl <- kl + rowKl
                maxKl <- max maxKl rowKl
                entropy <- entropy + rowEntropy

            { Gain = gain; MeanKl = kl; MaxKl = maxKl; Entropy = entropy }

        let total =
            Parallel.blocks surrogate.Threads blockRows rows sums
            |> Array.reduce (fun a b ->
                { Gain = a.Gain + b.Gain
                  MeanKl = a.MeanKl + b.MeanKl
                  MaxKl = max a.MaxKl b.MaxKl
                  Entropy = a.Entropy + b.Entropy })

        let mean sum = sum / float rows

        { Gain = mean total.Gain
          MeanKl = mean total.MeanKl
          MaxKl = total.MaxKl
          Entropy = mean total.Entropy }

    /// ∇L at θ_old = (1/N) Jᵀ (A · score + β ∇H): the policy gradient.
    let gradient (surrogate: Surrogate) =
        let family = surrogate.Policy.Family
        let distributions = surrogate.Linearization.Forward
        let rows = distributions.Rows
        let width = distributions.Columns

        let entropyWeight = float32 (surrogate.EntropyBonus / float rows)

        let cotangents =
            Matrix.Create(
                rows,
                width,
                Fill(fun all ->
                    let ofEntropy = Array.zeroCreate<float32> width

                    for row in 0 .. rows - 1 do
                        let cotangent = all.Slice(row * width, width)
                        let weight = float32 (surrogate.Advantages[row] / float rows)
                        family.Score(distributions.Row row, surrogate.Actions.Row row, cotangent)

                        if surrogate.EntropyBonus <> 0.0 then
                            family.EntropyGradient(distributions.Row row, ofEntropy.AsSpan())

                        for i in 0 .. width - 1 do
                            cotangent[i] <- weight * cotangent[i] + entropyWeight * ofEntropy[i])
            )

        surrogate.Linearization.Pullback cotangents
