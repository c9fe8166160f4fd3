namespace FunTrpo

open System
open FunTrpo.Kernels

/// A symmetric matrix M for each row of a block, known from the row's parameters, which is multiplied by many vectors u.
/// Rows lie `stride` numbers apart.
type Metric =

    /// Writes what the products need of each row of parameters: as many factors as there are parameters.
    abstract Factors: rows: int * stride: int * parameters: ReadOnlySpan<float32> * factors: Span<float32> -> unit

    /// Replaces each row u by M·u.
    abstract Apply: rows: int * stride: int * factors: ReadOnlySpan<float32> * u: Span<float32> -> unit

module Metric =

    /// M = 1: the metric of values, where distance is the squared difference.
    let identity =
        { new Metric with
            member _.Factors(_, _, _, _) = ()
            member _.Apply(_, _, _, _) = () }

/// A family of action distributions: everything about one, given a row of its parameters.
///
/// Rows are spans of float32; sums, logarithms and exponentials are float64. `KL` is always KL(old ‖ new).
type Family =

    /// How many parameters a distribution has: the columns of the policy network.
    abstract ParameterWidth: int

    /// How many numbers an action is.
    abstract ActionWidth: int

    /// Writes an action drawn from the distribution.
    abstract Sample: parameters: ReadOnlySpan<float32> * key: Key * action: Span<float32> -> unit

    /// Writes the most probable action.
    abstract Mode: parameters: ReadOnlySpan<float32> * action: Span<float32> -> unit

    /// log p(action)
    abstract LogProbability: parameters: ReadOnlySpan<float32> * action: ReadOnlySpan<float32> -> float

    /// Writes the score, ∂ log p(action) / ∂ parameters.
    abstract Score: parameters: ReadOnlySpan<float32> * action: ReadOnlySpan<float32> * score: Span<float32> -> unit

    /// The entropy in nats (differential where actions are continuous).
    abstract Entropy: parameters: ReadOnlySpan<float32> -> float

    /// Writes ∂ entropy / ∂ parameters.
    abstract EntropyGradient: parameters: ReadOnlySpan<float32> * gradient: Span<float32> -> unit

    /// KL(old ‖ new) in nats.
    abstract Kl: oldParameters: ReadOnlySpan<float32> * newParameters: ReadOnlySpan<float32> -> float

    /// The Hessian of KL(old ‖ ·) at old in the parameters: the Fisher information matrix.
    abstract Metric: Metric

module Distribution =

    /// log Σ exp of the logits
    let private logSumExp (logits: ReadOnlySpan<float32>) =
        let mutable largest = Single.NegativeInfinity

        for logit in logits do
            largest <- MathF.Max(largest, logit)

        let mutable sum = 0.0

        for logit in logits do
            sum <- sum + exp (float logit - float largest)

        float largest + log sum

    /// The probabilities whose logits these are: those of independent choices among `counts` alternatives, one choice after another.
    let probabilities (counts: int list) (logits: ReadOnlySpan<float32>) =
        let all = Array.zeroCreate<float> logits.Length
        let mutable first = 0

        for count in counts do
            let ofChoice = logits.Slice(first, count)
            let total = logSumExp ofChoice

            for i in 0 .. count - 1 do
                all[first + i] <- exp (float ofChoice[i] - total)

            first <- first + count

        all

    /// −Σ p log p of the softmax of logits whose log Σ exp is `total`
    let private entropyOfLogits (logits: ReadOnlySpan<float32>) total =
        let mutable entropy = 0.0

        for logit in logits do
            let logP = float logit - total
            entropy <- entropy - exp logP * logP

        entropy

    /// diag(p) − p pᵀ for each choice; the factors are the probabilities p.
    let private softmaxMetric (starts: int[]) (counts: int[]) =
        { new Metric with
            member _.Factors(rows, stride, parameters, factors) =
                for row in 0 .. rows - 1 do
                    for c in 0 .. counts.Length - 1 do
                        let first = row * stride + starts[c]
                        let logits = parameters.Slice(first, counts[c])
                        let total = logSumExp logits

                        for i in 0 .. counts[c] - 1 do
                            factors[first + i] <- float32 (exp (float logits[i] - total))

            member _.Apply(rows, stride, factors, u) =
                for c in 0 .. counts.Length - 1 do
                    Softmax.ApplyMetric(rows, stride, starts[c], counts[c], factors, u) }

    /// With p = softmax(logits): score = e_a − p, ∂H/∂logits = −p ⊙ (log p + H), and M = diag(p) − p pᵀ for each choice.
    let private categoricalsOf (counts: int[]) =
        let starts = Array.scan Checked.(+) 0 counts
        let width = Array.last starts

        { new Family with
            member _.ParameterWidth = width
            member _.ActionWidth = counts.Length

            member _.Sample(parameters, key, action) =
                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    let total = logSumExp logits

                    let mutable remaining = Key.uniform (if counts.Length = 1 then key else Key.at (int64 c) key)

                    let mutable choice = 0
                    remaining <- remaining - exp (float logits[0] - total)

                    while remaining >= 0.0 && choice < counts[c] - 1 do
                        choice <- choice + 1
                        remaining <- remaining - exp (float logits[choice] - total)

                    action[c] <- float32 choice

            member _.Mode(parameters, action) =
                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    let mutable best = 0

                    for i in 1 .. logits.Length - 1 do
                        if logits[i] > logits[best] then
                            best <- i

                    action[c] <- float32 best

            member _.LogProbability(parameters, action) =
                let mutable sum = 0.0

                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    sum <- sum + float logits[int action[c]] - logSumExp logits

                sum

            member _.Score(parameters, action, score) =
                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    let total = logSumExp logits

                    for i in 0 .. logits.Length - 1 do
                        let chosen = if i = int action[c] then 1.0 else 0.0
                        score[starts[c] + i] <- float32 (chosen - exp (float logits[i] - total))

            member _.Entropy parameters =
                let mutable entropy = 0.0

                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    entropy <- entropy + entropyOfLogits logits (logSumExp logits)

                entropy

            member _.EntropyGradient(parameters, gradient) =
                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    let total = logSumExp logits
                    let entropy = entropyOfLogits logits total

                    for i in 0 .. logits.Length - 1 do
                        let logP = float logits[i] - total
                        gradient[starts[c] + i] <- float32 (-(exp logP) * (logP + entropy))

            member _.Kl(oldParameters, newParameters) =
                let mutable kl = 0.0

                for c in 0 .. counts.Length - 1 do
                    let oldLogits = oldParameters.Slice(starts[c], counts[c])
                    let newLogits = newParameters.Slice(starts[c], counts[c])
                    let oldTotal = logSumExp oldLogits
                    let newTotal = logSumExp newLogits

                    for i in 0 .. oldLogits.Length - 1 do
                        let oldLogP = float oldLogits[i] - oldTotal
                        kl <- kl + exp oldLogP * (oldLogP - (float newLogits[i] - newTotal))

                max 0.0 kl

            member _.Metric = softmaxMetric starts counts }

    /// Independent choices, the i-th among `counts[i]` alternatives; the parameters are their logits, one after another.
    let categoricals (counts: int list) = categoricalsOf (Array.ofList counts)

    /// One choice among `count` alternatives; the parameters are its logits.
    let categorical count = categoricals [ count ]

    /// ½ log 2π
    let private halfLogTwoPi = 0.5 * log (2.0 * Math.PI)

    /// The log σ that a Gaussian can have: from e⁻²⁰ to e¹⁰, between which actions, densities and the metric are numbers that float32
    /// tells apart. Beyond them it is the nearest of the two.
    let lowestLogSigma, highestLogSigma = -20f, 10f

    /// The log σ that a Gaussian has where its parameter is this.
    let boundLogSigma (parameter: float32) = Math.Clamp(parameter, lowestLogSigma, highestLogSigma)

    /// A derivative in log σ, which is 0 where it would lead further out.
    let inline private inward logSigma derivative =
        if derivative > 0f && logSigma >= highestLogSigma || derivative < 0f && logSigma <= lowestLogSigma then
            0f
        else
            derivative

    /// 1/σ² on the means and 2 on the log σ, which are the factors.
    let private gaussianMetric dimensions =
        { new Metric with
            member _.Factors(rows, stride, parameters, factors) =
                factors.Clear()

                for row in 0 .. rows - 1 do
                    for i in 0 .. dimensions - 1 do
                        let logSigma = float (boundLogSigma parameters[row * stride + dimensions + i])
                        factors[row * stride + i] <- float32 (exp (-2.0 * logSigma))
                        factors[row * stride + dimensions + i] <- 2f

            member _.Apply(_, _, factors, u) = Reductions.Multiply(Span.op_Implicit u, factors, u) }

    /// Independent normal distributions in each of `dimensions`; the parameters are the means, then the log σ.
    ///
    /// With z = (a − μ)/σ: score = (z/σ, z² − 1), and the metric is 1/σ² on the means and 2 on the log σ. σ stays between bounds.
    let diagonalGaussian dimensions =
        { new Family with
            member _.ParameterWidth = 2 * dimensions
            member _.ActionWidth = dimensions

            member _.Sample(parameters, key, action) =
                Key.fillNormal action key

                for i in 0 .. dimensions - 1 do
                    action[i] <- parameters[i] + MathF.Exp(boundLogSigma parameters[dimensions + i]) * action[i]

            member _.Mode(parameters, action) = parameters.Slice(0, dimensions).CopyTo action

            member _.LogProbability(parameters, action) =
                let mutable sum = 0.0

                for i in 0 .. dimensions - 1 do
                    let logSigma = float (boundLogSigma parameters[dimensions + i])
                    let z = (float action[i] - float parameters[i]) * exp -logSigma
                    sum <- sum - 0.5 * z * z - logSigma - halfLogTwoPi

                sum

            member _.Score(parameters, action, score) =
                for i in 0 .. dimensions - 1 do
                    let logSigma = parameters[dimensions + i]
                    let inverseSigma = exp (-float(boundLogSigma logSigma))
                    let z = (float action[i] - float parameters[i]) * inverseSigma
                    score[i] <- float32 (z * inverseSigma)
                    score[dimensions + i] <- inward logSigma (float32 (z * z - 1.0))

            member _.Entropy parameters =
                let mutable sum = 0.0

                for i in 0 .. dimensions - 1 do
                    sum <- sum + float (boundLogSigma parameters[dimensions + i]) + 0.5 + halfLogTwoPi

                sum

            member _.EntropyGradient(parameters, gradient) =
                gradient.Slice(0, dimensions).Clear()

                for i in dimensions .. 2 * dimensions - 1 do
                    gradient[i] <- inward parameters[i] 1f

            member _.Kl(oldParameters, newParameters) =
                let mutable sum = 0.0

                for i in 0 .. dimensions - 1 do
                    let oldLogSigma = float (boundLogSigma oldParameters[dimensions + i])
                    let newLogSigma = float (boundLogSigma newParameters[dimensions + i])
                    let difference = float oldParameters[i] - float newParameters[i]
                    let ratio = exp (2.0 * (oldLogSigma - newLogSigma))

                    sum <-
                        sum + newLogSigma - oldLogSigma
                        + 0.5 * (ratio + difference * difference * exp (-2.0 * newLogSigma) - 1.0)

                max 0.0 sum

            member _.Metric = gaussianMetric dimensions }

    /// The family that fits an action space: a diagonal Gaussian on a box, categoricals on everything that is counted.
    let forSpace space =
        match space with
        | Discrete count -> categorical count
        | MultiDiscrete counts -> categoricals counts
        | MultiBinary count -> categoricalsOf (Array.create count 2)
        | Box(low, _) -> diagonalGaussian low.Length

    /// How many outputs of a network, and how many parameters beside it, give the parameters of that family; known without making it,
    /// however many there are.
    let sizes space =
        match space with
        | Discrete _
        | MultiDiscrete _ -> struct (Space.indices space, 0L)
        | MultiBinary count -> struct (2L * int64 count, 0L)
        | Box(low, _) -> struct (int64 low.Length, int64 low.Length)
