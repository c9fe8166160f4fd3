namespace FunTrpo

open System
open FunTrpo.Kernels

module Distribution =

    /// The largest of the logits, and log Σ exp(logit − largest). Their sum is log Σ exp of the logits. No exponential overflows, and nothing
    /// is lost: beyond 10¹⁶ the sum of the two would be the largest logit again.
    let private logSumExp (logits: ReadOnlySpan<float32>) =
        let mutable largest = Single.NegativeInfinity

        for logit in logits do
            largest <- MathF.Max(largest, logit)

        let mutable sum = 0.0

        for logit in logits do
            sum <- sum + exp (float logit - float largest)

        struct (float largest, log sum)

    /// log p of the i-th alternative, given the `logSumExp` of the logits.
    let inline private logProbability (logits: ReadOnlySpan<float32>) (struct (largest, rest)) i =
        (float logits[i] - largest) - rest

    /// The softmax of the logits, separately for each of several independent choices. The i-th choice has `counts[i]` alternatives. The
    /// logits and the returned probabilities are ordered choice after choice. Throws an `ArgumentException` if there are fewer logits than
    /// alternatives.
    let probabilities (counts: int list) (logits: ReadOnlySpan<float32>) =
        let all = Array.zeroCreate<float> logits.Length
        let mutable first = 0

        for count in counts do
            let choiceLogits = logits.Slice(first, count)
            let total = logSumExp choiceLogits

            for i in 0 .. count - 1 do
                all[first + i] <- exp (logProbability choiceLogits total i)

            first <- first + count

        all

    /// The entropy −Σ p log p of the softmax of the logits, where `total` is their `logSumExp`.
    let private entropyOfLogits (logits: ReadOnlySpan<float32>) total =
        let mutable entropy = 0.0

        for i in 0 .. logits.Length - 1 do
            let logP = logProbability logits total i
            entropy <- entropy - exp logP * logP

        entropy

    /// M = diag(p) − p pᵀ for each choice. The factors are the probabilities p.
    let private softmaxMetric (starts: int[]) (counts: int[]) =
        { new Metric with
            member _.Factors(rows, stride, parameters, factors) =
                for row in 0 .. rows - 1 do
                    for c in 0 .. counts.Length - 1 do
                        let first = row * stride + starts[c]
                        let logits = parameters.Slice(first, counts[c])
                        let total = logSumExp logits

                        for i in 0 .. counts[c] - 1 do
                            factors[first + i] <- float32 (exp (logProbability logits total i))

            member _.Apply(rows, stride, factors, u) =
                for c in 0 .. counts.Length - 1 do
                    Softmax.ApplyMetric(rows, stride, starts[c], counts[c], factors, u) }

    /// The choice at which the cumulative distribution of the softmax exceeds a number from 0 to 1, excluding 1. Its probability is not 0.
    let internal choiceAt (logits: ReadOnlySpan<float32>) (number: float) =
        let total = logSumExp logits
        let mutable remaining = number
        let mutable choice = 0
        remaining <- remaining - exp (logProbability logits total 0)

        while remaining >= 0.0 && choice < logits.Length - 1 do
            choice <- choice + 1
            remaining <- remaining - exp (logProbability logits total choice)

        // The probabilities may sum to a little less than 1. The random number is then beyond all, and belongs to the last one that is not 0.
        // NaN stays at the last choice.
        while choice > 0 && exp (logProbability logits total choice) = 0.0 do
            choice <- choice - 1

        choice

    /// Samples one choice by inversion of the cumulative distribution of the softmax.
    let private sampleChoice (logits: ReadOnlySpan<float32>) key = choiceAt logits (Key.uniform key)

    /// The index of the first of the largest logits.
    let private mostProbable (logits: ReadOnlySpan<float32>) =
        let mutable best = 0

        for i in 1 .. logits.Length - 1 do
            if logits[i] > logits[best] then
                best <- i

        best

    /// score = e_a − p
    let private scoreOfChoice (logits: ReadOnlySpan<float32>) choice (score: Span<float32>) =
        let total = logSumExp logits

        for i in 0 .. logits.Length - 1 do
            let chosen = if i = choice then 1.0 else 0.0
            score[i] <- float32 (chosen - exp (logProbability logits total i))

    /// ∂H/∂logits = −p ⊙ (log p + H)
    let private entropyGradientOfLogits (logits: ReadOnlySpan<float32>) (gradient: Span<float32>) =
        let total = logSumExp logits
        let entropy = entropyOfLogits logits total

        for i in 0 .. logits.Length - 1 do
            let logP = logProbability logits total i
            gradient[i] <- float32 (-(exp logP) * (logP + entropy))

    /// Σ p_old (log p_old − log p_new)
    let private klOfLogits (oldLogits: ReadOnlySpan<float32>) (newLogits: ReadOnlySpan<float32>) =
        let oldTotal = logSumExp oldLogits
        let newTotal = logSumExp newLogits
        let mutable kl = 0.0

        for i in 0 .. oldLogits.Length - 1 do
            let oldLogP = logProbability oldLogits oldTotal i
            kl <- kl + exp oldLogP * (oldLogP - logProbability newLogits newTotal i)

        kl

    /// Independent categorical distributions. For each choice, with p = softmax(logits) and entropy H: score = e_a − p,
    /// ∂H/∂logits = −p ⊙ (log p + H), and M = diag(p) − p pᵀ.
    let private categoricalsOf (counts: int[]) =
        let starts = Array.scan Checked.(+) 0 counts
        let width = Array.last starts

        { new Family with
            member _.ParameterWidth = width
            member _.ActionWidth = counts.Length

            member _.Sample(parameters, key, action) =
                for c in 0 .. counts.Length - 1 do
                    let choiceKey = if counts.Length = 1 then key else Key.at (int64 c) key
                    action[c] <- float32 (sampleChoice (parameters.Slice(starts[c], counts[c])) choiceKey)

            member _.Mode(parameters, action) =
                for c in 0 .. counts.Length - 1 do
                    action[c] <- float32 (mostProbable (parameters.Slice(starts[c], counts[c])))

            member _.LogProbability(parameters, action) =
                let mutable sum = 0.0

                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    sum <- sum + logProbability logits (logSumExp logits) (int action[c])

                sum

            member _.Score(parameters, action, score) =
                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    scoreOfChoice logits (int action[c]) (score.Slice(starts[c], counts[c]))

            member _.Entropy parameters =
                let mutable entropy = 0.0

                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    entropy <- entropy + entropyOfLogits logits (logSumExp logits)

                entropy

            member _.EntropyGradient(parameters, gradient) =
                for c in 0 .. counts.Length - 1 do
                    let logits = parameters.Slice(starts[c], counts[c])
                    entropyGradientOfLogits logits (gradient.Slice(starts[c], counts[c]))

            member _.Kl(oldParameters, newParameters) =
                let mutable kl = 0.0

                for c in 0 .. counts.Length - 1 do
                    let oldLogits = oldParameters.Slice(starts[c], counts[c])
                    kl <- kl + klOfLogits oldLogits (newParameters.Slice(starts[c], counts[c]))

                max 0.0 kl

            member _.Metric = softmaxMetric starts counts }

    /// Independent choices, the i-th among `counts[i]` alternatives. The parameters are the logits, choice after choice.
    let categoricals (counts: int list) = categoricalsOf (Array.ofList counts)

    /// One choice among `count` alternatives. The parameters are its logits.
    let categorical count = categoricals [ count ]

    /// ½ log 2π
    let private halfLogTwoPi = 0.5 * log (2.0 * Math.PI)

    /// The bounds of the log σ of a Gaussian: σ lies between e⁻²⁰ and e¹⁰. Between these bounds float32 represents actions, densities and
    /// the metric well enough. A log σ outside them is clipped.
    let lowestLogSigma, highestLogSigma = -20f, 10f

    /// The log σ of a Gaussian with this parameter, which is clipped to the bounds.
    let boundLogSigma (parameter: float32) = Math.Clamp(parameter, lowestLogSigma, highestLogSigma)

    /// The derivative with respect to log σ, or 0 if log σ is at a bound or beyond it and the derivative points further out.
    let inline private inward logSigma derivative =
        if derivative > 0f && logSigma >= highestLogSigma || derivative < 0f && logSigma <= lowestLogSigma then
            0f
        else
            derivative

    /// A diagonal M, whose elements are the factors: 1/σ² for the means and 2 for the log σ.
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

    /// Σ [log σ_new − log σ_old + ½ (σ_old² + (μ_old − μ_new)²) / σ_new² − ½]
    let private gaussianKl dimensions (oldParameters: ReadOnlySpan<float32>) (newParameters: ReadOnlySpan<float32>) =
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

    /// An independent normal distribution in each of the dimensions. The parameters are all means, then all log σ.
    ///
    /// With z = (a − μ)/σ: score = (z/σ, z² − 1), and M is diagonal with 1/σ² for the means and 2 for the log σ. log σ is clipped to
    /// [`lowestLogSigma`, `highestLogSigma`].
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

            member _.Kl(oldParameters, newParameters) = gaussianKl dimensions oldParameters newParameters

            member _.Metric = gaussianMetric dimensions }

    let private noActions space : 'Result = invalidArg "space" $"{Space.describe space} is a space of observations"

    /// The number of network outputs and the number of state-independent parameters that `forSpace` needs for the action space. They are
    /// computed in 64 bits and without creating the family, so they are right for spaces that are too large for one.
    let rec sizes space =
        match space with
        | Discrete _
        | MultiDiscrete _ -> struct (Space.indexCount space, 0L)
        | MultiBinary count -> struct (2L * int64 count, 0L)
        | Box(low, _, _) -> struct (int64 low.Length, int64 low.Length)
        | Parts parts ->
            let sizes = parts |> List.map (snd >> sizes)

            struct (sizes |> List.sumBy (fun struct (outputs, _) -> outputs),
                    sizes |> List.sumBy (fun struct (_, own) -> own))
        | Masked _ -> noActions space

    /// The family for an action space: a diagonal Gaussian for a box, categorical distributions for choices and switches, and their product
    /// for parts.
    let rec forSpace space =
        match space with
        | Parts parts -> parts |> List.map (snd >> partFamily) |> ProductFamily.create
        | Discrete count -> categorical count
        | MultiDiscrete counts -> categoricals counts
        | MultiBinary count -> categoricalsOf (Array.create count 2)
        | Box(low, _, _) -> diagonalGaussian low.Length
        | Masked _ -> noActions space

    and private partFamily part =
        let struct (outputs, stateIndependent) = sizes part
        { Family = forSpace part; Outputs = int outputs; StateIndependent = int stateIndependent }

    /// The parameters of each part's distribution, of a row of parameters of the family of all.
    let internal ofParts (parts: (string * Space) list) (parameters: float32[]) =
        parts |> List.map (snd >> partFamily) |> ProductFamily.split parameters
