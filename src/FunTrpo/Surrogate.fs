namespace FunTrpo

open System
open System.Collections.Immutable
open FunTrpo.Kernels

/// The surrogate objective of one update: N rows, and the policy that drew their actions. Disposing of the surrogate returns the pooled
/// memory of its linearization and log-probabilities.
///
/// π_old is the policy at `Parameters` on the normalised `Observations`. In the first update it is not exactly the policy that acted: the
/// first batch is collected with raw observations, because no moments are known before it, and then normalised by its own moments. The same
/// holds until the first step is taken. This is a deliberate approximation: the ratios π_θ/π_old still start at 1, and what the update
/// learns holds for the policy that follows, which sees normalised observations.
[<NoComparison; NoEquality>]
type Surrogate =
    {
        Policy: Policy
        /// θ_old, the parameters that collected the batch.
        Parameters: Vector
        /// The observations as the network receives them (normalised): N × the inputs of the network.
        Observations: Matrix
        /// How the rows follow one another, for a policy with memory.
        Sequences: Sequences option
        /// The actions as drawn, before scaling and clipping: N × the action width of the family.
        Actions: Matrix
        /// A(s, a) of each row: N numbers.
        Advantages: ImmutableArray<float>
        /// The network, linearized at θ_old on all observations.
        Linearization: Linearization
        /// log π_old(a|s) of each row: N numbers of float64.
        LogProbabilities: PooledBuffer
        /// β, the weight of a nat of mean entropy in the objective; 0 in the TRPO paper.
        EntropyBonus: float
        /// The number of threads. The results do not depend on it.
        Threads: int
    }

    interface IDisposable with
        member this.Dispose() =
            (this.Linearization :> IDisposable).Dispose()
            this.LogProbabilities.Dispose()

/// A comparison of another policy with the one that collected the batch, estimated from the samples of the batch.
[<Struct>]
type Comparison =
    {
        /// L(θ) − L(θ_old), where L(θ) = (1/N) Σ (π_θ(a|s)/π_old(a|s) A(s, a) + β H(π_θ(·|s))).
        Gain: float
        /// The standard error of the gain, if the rows were independent. A gain below two standard errors may well be noise.
        GainError: float
        /// The mean over the rows of KL(π_old ‖ π_θ), in nats.
        MeanKl: float
        /// The maximum over the rows of KL(π_old ‖ π_θ), in nats.
        MaxKl: float
        /// The mean entropy of π_θ, in nats.
        Entropy: float
    }

module Surrogate =

    /// The sums over the rows of a block that a comparison is made of. Blocks are added in order, so the rounding does not depend on the
    /// number of threads.
    [<Struct>]
    type private Sums =
        {
            Gain: float
            /// The sum of the squared gains of the rows.
            Squares: float
            Kl: float
            /// The maximum of the KL of the rows.
            MaxKl: float
            Entropy: float
        }

    let private add a b =
        { Gain = a.Gain + b.Gain
          Squares = a.Squares + b.Squares
          Kl = a.Kl + b.Kl
          MaxKl = max a.MaxKl b.MaxKl
          Entropy = a.Entropy + b.Entropy }

    /// Calls `work` with every row.
    let private forEachRow threads rows (work: int -> unit) =
        Parallel.blocks threads Partition.blockRows rows (fun first count ->
            for row in first .. first + count - 1 do
                work row)
        |> ignore

    /// Returns the surrogate of a batch that the policy collected at `parameters`, without entropy bonus. The rows of the batch are those of
    /// the sequences if the policy has memory. The caller disposes of it.
    let ofSequences threads (policy: Policy) sequences observations (actions: Matrix) advantages parameters =
        let linearization = Network.linearizeSequences policy.Network parameters sequences observations
        let distributions = linearization.Outputs
        let logProbabilities = PooledBuffer.RentDoubles actions.Rows

        forEachRow threads actions.Rows (fun row ->
            logProbabilities.Doubles[row] <- policy.Family.LogProbability(distributions.Row row, actions.Row row))

        { Policy = policy
          Parameters = parameters
          Observations = observations
          Sequences = sequences
          Actions = actions
          Advantages = advantages
          Linearization = linearization
          LogProbabilities = logProbabilities
          EntropyBonus = 0.0
          Threads = threads }

    /// The same for a policy without memory.
    let create threads policy observations actions advantages parameters =
        ofSequences threads policy None observations actions advantages parameters

    /// Returns the same surrogate with the entropy bonus β = `bonus`. It shares the memory of the original.
    let withEntropyBonus bonus (surrogate: Surrogate) = { surrogate with EntropyBonus = bonus }

    /// Compares the policy at θ with the one that collected the batch (Schulman et al. 2015, "Trust region policy
    /// optimization", equation 14).
    let compare (surrogate: Surrogate) parameters =
        let family = surrogate.Policy.Family
        let rows = surrogate.Observations.Rows
        let before = surrogate.Linearization.Outputs
        let width = before.Columns
        use outputs = PooledBuffer.Rent(rows, width)
        use network = Network.at surrogate.Policy.Network parameters
        network.Forward(surrogate.Sequences, surrogate.Observations.Memory, outputs.Memory)
        let after = Matrix(rows, width, Memory.op_Implicit outputs.Memory)

        let sumsOf first count =
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
                let advantageGain = (exp logRatio - 1.0) * surrogate.Advantages[row]
                gain <- gain + advantageGain
                squares <- squares + advantageGain * advantageGain

                if surrogate.EntropyBonus <> 0.0 then
                    let bonus = surrogate.EntropyBonus * (rowEntropy - family.Entropy(before.Row row))
                    gain <- gain + bonus
                    squares <- squares + bonus * (2.0 * advantageGain + bonus)

                kl <- kl + rowKl
                maxKl <- max maxKl rowKl
                entropy <- entropy + rowEntropy

            { Gain = gain; Squares = squares; Kl = kl; MaxKl = maxKl; Entropy = entropy }

        let total = Parallel.blocks surrogate.Threads Partition.blockRows rows sumsOf |> Array.reduce add
        let mean sum = sum / float rows
        let gain = mean total.Gain

        { Gain = gain
          GainError = sqrt (max 0.0 (mean total.Squares - gain * gain) / float rows)
          MeanKl = mean total.Kl
          MaxKl = total.MaxKl
          Entropy = mean total.Entropy }

    /// π_θ(a|s) / π_old(a|s) of a row of the batch, where `distribution` has the parameters of π_θ(·|s).
    let internal ratio (surrogate: Surrogate) row (distribution: ReadOnlySpan<float32>) =
        exp (
            surrogate.Policy.Family.LogProbability(distribution, surrogate.Actions.Row row)
            - surrogate.LogProbabilities.Doubles[row]
        )

    /// Writes (weight · score + β ∇H) / N, the cotangents of N rows, to `result`. `rowOf` says which row of the batch each of them is,
    /// `distributions` has π_θ there, and `weight` is the derivative of the objective of a row in log π_θ(a|s).
    let internal cotangentsTo
        (result: Memory<float32>)
        (surrogate: Surrogate)
        (rowOf: int -> int)
        (distributions: Matrix)
        (weight: int -> float)
        =
        let family = surrogate.Policy.Family
        let rows, width = distributions.Rows, distributions.Columns
        use entropyGradients = PooledBuffer.RentZeros(rows, width)
        let entropyWeight = float32 (surrogate.EntropyBonus / float rows)

        forEachRow surrogate.Threads rows (fun row ->
            let cotangent = result.Span.Slice(row * width, width)
            let entropyGradient = entropyGradients.Span.Slice(row * width, width)
            let weight = float32 (weight row / float rows)
            family.Score(distributions.Row row, surrogate.Actions.Row(rowOf row), cotangent)

            if surrogate.EntropyBonus <> 0.0 then
                family.EntropyGradient(distributions.Row row, entropyGradient)

            for i in 0 .. width - 1 do
                cotangent[i] <- weight * cotangent[i] + entropyWeight * entropyGradient[i])

    /// Writes Jᵀ u to `result`, where `cotangents` writes the rows of u for the distributions of π_θ, and J is the Jacobian there.
    let private pullGradient
        (result: Memory<float32>)
        (linearization: Linearization)
        (cotangents: Memory<float32> -> Matrix -> unit)
        =
        let distributions = linearization.Outputs
        let rows, width = distributions.Rows, distributions.Columns
        use ofOutputs = PooledBuffer.Rent(rows, width)
        cotangents ofOutputs.Memory distributions
        linearization.Pullback(Matrix(rows, width, Memory.op_Implicit ofOutputs.Memory), result)

    /// Writes ∇L at θ_old to `result`: the policy gradient (1/N) Jᵀ (A · score + β ∇H).
    let gradientTo (result: Memory<float32>) (surrogate: Surrogate) =
        pullGradient result surrogate.Linearization (fun cotangents distributions ->
            cotangentsTo cotangents surrogate id distributions (fun row -> surrogate.Advantages[row]))

    /// Returns ∇L at θ_old as a new vector.
    let gradient (surrogate: Surrogate) =
        let gradient = Array.zeroCreate surrogate.Parameters.Length
        gradientTo (gradient.AsMemory()) surrogate
        Vector.adopt gradient

    /// Jᵀ u at any θ, where `cotangents` writes the rows of u for the distributions of π_θ.
    let internal gradientOf (surrogate: Surrogate) parameters (cotangents: Memory<float32> -> Matrix -> unit) =
        use linearization =
            Network.linearizeSequences surrogate.Policy.Network parameters surrogate.Sequences surrogate.Observations

        let gradient = Array.zeroCreate surrogate.Parameters.Length
        pullGradient (gradient.AsMemory()) linearization cotangents
        Vector.adopt gradient

    /// Returns ∇L at any θ: (1/N) Jᵀ (π_θ/π_old · A · score + β ∇H), with J and the score at θ. TRPO needs ∇L at θ_old only; this is for
    /// rules of your own that take several steps on one batch.
    let gradientAt (surrogate: Surrogate) parameters =
        gradientOf surrogate parameters (fun cotangents distributions ->
            cotangentsTo cotangents surrogate id distributions (fun row ->
                ratio surrogate row (distributions.Row row) * surrogate.Advantages[row]))
