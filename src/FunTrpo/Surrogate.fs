namespace FunTrpo

open System
open System.Collections.Immutable
open FunTrpo.Kernels

/// The surrogate objective of one update: a batch seen from the policy that collected it. Its linearization is lent until the
/// surrogate is disposed of.
[<NoComparison; NoEquality>]
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
        /// log π_old(a|s) of each row, in float64.
        LogProbabilities: PooledBuffer
        /// β, what a nat of mean entropy is worth beside the advantages; 0 in the TRPO paper.
        EntropyBonus: float
        Threads: int
    }

    interface IDisposable with
        member this.Dispose() =
            (this.Linearization :> IDisposable).Dispose()
            this.LogProbabilities.Dispose()

/// How another policy compares with the one that collected the batch, estimated from its samples.
[<Struct>]
type Comparison =
    {
        /// L(θ) − L(θ_old), where L(θ) = (1/N) Σ (π_θ(a|s)/π_old(a|s) A(s, a) + β H(π_θ(·|s))).
        Gain: float
        /// The standard error of the gain, if rows were independent: a gain of less than two of them may well be noise.
        GainError: float
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

    /// Does `work` with every row.
    let private forEachRow threads rows (work: int -> unit) =
        Parallel.blocks threads blockRows rows (fun first count ->
            for row in first .. first + count - 1 do
                work row)
        |> ignore

    /// The surrogate of a batch that the policy collected at `parameters`.
    let create threads (policy: Policy) observations (actions: Matrix) advantages parameters =
        let linearization = Network.linearize policy.Network parameters observations
        let distributions = linearization.Forward
        let logProbabilities = PooledBuffer.RentDoubles actions.Rows

        forEachRow threads actions.Rows (fun row ->
            logProbabilities.Doubles[row] <- policy.Family.LogProbability(distributions.Row row, actions.Row row))

        { Policy = policy
          Parameters = parameters
          Observations = observations
          Actions = actions
          Advantages = advantages
          Linearization = linearization
          LogProbabilities = logProbabilities
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
        let width = before.Columns
        use outputs = PooledBuffer.Rent(rows, width)
        use network = Network.at surrogate.Policy.Network parameters
        network.Forward(surrogate.Observations.Memory, outputs.Memory)
        let after = Matrix(rows, width, Memory.op_Implicit outputs.Memory)

        let sums first count =
            let mutable gain = 0.0
            let mutable squares = 0.0
            let mutable kl = 0.0
            let mutable maxKl = 0.0
            let mutable entropy = 0.0

            for row in first .. first + count - 1 do
                let logRatio =
                    family.LogProbability(after.Row row, surrogate.Actions.Row row)
                    - surrogate.LogProbabilities.Doubles[row]

                let rowKl = family.Kl(before.Row row, after.Row row)
                let rowEntropy = family.Entropy(after.Row row)
                let ofAdvantage = (exp logRatio - 1.0) * surrogate.Advantages[row]
                gain <- gain + ofAdvantage
                squares <- squares + ofAdvantage * ofAdvantage

                if surrogate.EntropyBonus <> 0.0 then
                    let bonus = surrogate.EntropyBonus * (rowEntropy - family.Entropy(before.Row row))
                    gain <- gain + bonus
                    squares <- squares + bonus * (2.0 * ofAdvantage + bonus)

                kl <- kl + rowKl
                maxKl <- max maxKl rowKl
                entropy <- entropy + rowEntropy

            { Gain = gain; GainError = squares; MeanKl = kl; MaxKl = maxKl; Entropy = entropy }

        let total =
            Parallel.blocks surrogate.Threads blockRows rows sums
            |> Array.reduce (fun a b ->
                { Gain = a.Gain + b.Gain
                  GainError = a.GainError + b.GainError
                  MeanKl = a.MeanKl + b.MeanKl
                  MaxKl = max a.MaxKl b.MaxKl
                  Entropy = a.Entropy + b.Entropy })

        let mean sum = sum / float rows

        let gain = mean total.Gain

        { Gain = gain
          GainError = sqrt (max 0.0 (mean total.GainError - gain * gain) / float rows)
          MeanKl = mean total.MeanKl
          MaxKl = total.MaxKl
          Entropy = mean total.Entropy }

    /// Writes ∇L at θ_old = (1/N) Jᵀ (A · score + β ∇H): the policy gradient.
    let gradientTo (result: Memory<float32>) (surrogate: Surrogate) =
        let family = surrogate.Policy.Family
        let distributions = surrogate.Linearization.Forward
        let rows, width = distributions.Rows, distributions.Columns
        use cotangents = PooledBuffer.Rent(rows, width)
        use ofEntropy = PooledBuffer.RentZeros(rows, width)
        let entropyWeight = float32 (surrogate.EntropyBonus / float rows)

        forEachRow surrogate.Threads rows (fun row ->
            let cotangent = cotangents.Span.Slice(row * width, width)
            let ofEntropy = ofEntropy.Span.Slice(row * width, width)
            let weight = float32 (surrogate.Advantages[row] / float rows)
            family.Score(distributions.Row row, surrogate.Actions.Row row, cotangent)

            if surrogate.EntropyBonus <> 0.0 then
                family.EntropyGradient(distributions.Row row, ofEntropy)

            for i in 0 .. width - 1 do
                cotangent[i] <- weight * cotangent[i] + entropyWeight * ofEntropy[i])

        surrogate.Linearization.Pullback(Matrix(rows, width, Memory.op_Implicit cotangents.Memory), result)

    /// ∇L at θ_old, as a new vector.
    let gradient (surrogate: Surrogate) =
        let gradient = Array.zeroCreate surrogate.Parameters.Length
        gradientTo (gradient.AsMemory()) surrogate
        Vector.adopt gradient
