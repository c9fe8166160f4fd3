namespace FunTrpo

open System
open FunTrpo.Kernels

/// The distribution of actions in a box. Actions in other spaces have categorical distributions.
[<RequireQualifiedAccess>]
type DistributionKind =
    /// A diagonal Gaussian, whose log σ are parameters that depend on no observation. An action outside the box is clipped to it.
    | Gaussian
    /// A diagonal Gaussian, whose log σ the network computes from the observation, as it does the means. An action outside the box is clipped to
    /// it.
    | StateDependentGaussian
    /// a = tanh u in half-widths of the box, where u has the diagonal Gaussian of `Gaussian`. The box has finite bounds.
    | SquashedGaussian
    /// A Beta distribution between the two bounds of each coordinate. The box has finite bounds.
    | Beta

module Distribution =

    /// The names of the distributions for boxes.
    let kinds =
        [ "gaussian", DistributionKind.Gaussian
          "state-dependent-gaussian", DistributionKind.StateDependentGaussian
          "squashed-gaussian", DistributionKind.SquashedGaussian
          "beta", DistributionKind.Beta ]

    /// The name of a distribution for boxes.
    let nameOf kind = kinds |> List.find (snd >> (=) kind) |> fst

    /// The distribution for boxes with this name, if there is one.
    let tryKind name = kinds |> List.tryFind (fst >> (=) name) |> Option.map snd

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

    /// ½ Σ |p_old − p_new|
    let private tvOfLogits (oldLogits: ReadOnlySpan<float32>) (newLogits: ReadOnlySpan<float32>) =
        let oldTotal = logSumExp oldLogits
        let newTotal = logSumExp newLogits
        let mutable sum = 0.0

        for i in 0 .. oldLogits.Length - 1 do
            sum <- sum + abs (exp (logProbability oldLogits oldTotal i) - exp (logProbability newLogits newTotal i))

        0.5 * sum

    /// Independent categorical distributions. For each choice, with p = softmax(logits) and entropy H: score = e_a − p,
    /// ∂H/∂logits = −p ⊙ (log p + H), and M = diag(p) − p pᵀ. The total variation of one choice is exact. That of several is at most
    /// 1 − Π (1 − D_TV): they can be drawn so that each agrees with the probability 1 − D_TV, independently of the others.
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

            member _.Metric = softmaxMetric starts counts
          interface TotalVariationFamily with
              member _.TotalVariation(oldParameters, newParameters) =
                  let mutable agree = 1.0

                  for c in 0 .. counts.Length - 1 do
                      let oldLogits = oldParameters.Slice(starts[c], counts[c])
                      agree <- agree * (1.0 - tvOfLogits oldLogits (newParameters.Slice(starts[c], counts[c])))

                  1.0 - agree }

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

    /// Independent distributions of actions a = tanh u, where u has a normal distribution. The parameters are all means of u, then all log σ.
    /// The drawn numbers are the u.
    ///
    /// Because u ↦ a is a bijection, everything but densities and entropies is that of `diagonalGaussian`; see `Squash.fs`. Densities and
    /// entropies are those of a: log p(a) = log p(u) − Σ log(1 − tanh² u), and H(a) = H(u) + Σ E[log(1 − tanh² u)]. The expectation has no
    /// closed form. A fixed quadrature estimates it, and `EntropyGradient` is the gradient of this estimate.
    /// The mode is that of u: the tanh of the mean, which is the median of a. The density of a may be larger near the bounds.
    let squashedGaussian dimensions =
        let gaussian = diagonalGaussian dimensions
        let sigma logSigma = exp (float (boundLogSigma logSigma))

        { new Family with
            member _.ParameterWidth = gaussian.ParameterWidth
            member _.ActionWidth = gaussian.ActionWidth
            member _.Sample(parameters, key, action) = gaussian.Sample(parameters, key, action)
            member _.Mode(parameters, action) = gaussian.Mode(parameters, action)

            member _.LogProbability(parameters, action) =
                let mutable sum = gaussian.LogProbability(parameters, action)

                for i in 0 .. dimensions - 1 do
                    sum <- sum - Squash.logSlope (float action[i])

                sum

            member _.Score(parameters, action, score) = gaussian.Score(parameters, action, score)

            member _.Entropy parameters =
                let mutable sum = gaussian.Entropy parameters

                for i in 0 .. dimensions - 1 do
                    sum <- sum + Squash.meanLogSlope (float parameters[i]) (sigma parameters[dimensions + i])

                sum

            member _.EntropyGradient(parameters, gradient) =
                for i in 0 .. dimensions - 1 do
                    let struct (byMean, byLogSigma) =
                        Squash.meanLogSlopeGradient (float parameters[i]) (sigma parameters[dimensions + i])

                    gradient[i] <- float32 byMean
                    gradient[dimensions + i] <- inward parameters[dimensions + i] (float32 (1.0 + byLogSigma))

            member _.Kl(oldParameters, newParameters) = gaussian.Kl(oldParameters, newParameters)
            member _.Metric = gaussian.Metric }

    /// Independent Beta distributions of actions in [−1, 1]; see `BetaFamily.fs`. The parameters are the outputs o for all α, then those for all
    /// β, with α = 1 + softplus(o). The drawn numbers are atanh a.
    let betas dimensions = BetaFamily.create dimensions

    /// α and β of a Beta distribution with this parameter, 1 + softplus(parameter).
    let betaShape (parameter: float32) = 1.0 + BetaFamily.excess parameter

    /// Whether drawn numbers u stand for the actions tanh u, in half-widths of the box.
    let isSquashed kind =
        match kind with
        | DistributionKind.SquashedGaussian
        | DistributionKind.Beta -> true
        | DistributionKind.Gaussian
        | DistributionKind.StateDependentGaussian -> false

    /// The bounds of the boxes of an action space: its own, or those of its parts.
    let rec private boxesOf space =
        match space with
        | Box(low, high, _) -> [ low, high ]
        | Parts parts -> parts |> List.collect (snd >> boxesOf)
        | Discrete _
        | MultiDiscrete _
        | MultiBinary _
        | Masked _ -> []

    /// Whether the distributions of actions have a density: there is a box.
    let hasDensity actionSpace = not (boxesOf actionSpace).IsEmpty

    /// Why a distribution is not one for actions in this space, or `None` if it is. It is that of each box among the parts of actions.
    /// `Gaussian` is for all: it has no effect where there is no box.
    let misfit kind space =
        let isBounded (low, high) = Vector.isFinite low && Vector.isFinite high

        match boxesOf space with
        | _ when kind = DistributionKind.Gaussian -> None
        | [] -> Some $"it is for a box of actions, and these are {Space.describe space}"
        | boxes when isSquashed kind && not (List.forall isBounded boxes) ->
            Some $"it needs two finite bounds in each coordinate of actions, and these are {Space.describe space}"
        | _ -> None

    let private noActions space : 'Result = invalidArg "space" $"{Space.describe space} is a space of observations"

    let private forBox kind dimensions =
        match kind with
        | DistributionKind.Gaussian
        | DistributionKind.StateDependentGaussian -> diagonalGaussian dimensions
        | DistributionKind.SquashedGaussian -> squashedGaussian dimensions
        | DistributionKind.Beta -> betas dimensions

    /// The number of network outputs and the number of state-independent parameters that `forSpace` needs for the action space. The outputs
    /// come first among the parameters of the family. They are computed in 64 bits and without creating the family, so they are right for
    /// spaces that are too large for one.
    let rec sizes kind space =
        match space with
        | Discrete _
        | MultiDiscrete _ -> struct (Space.indexCount space, 0L)
        | MultiBinary count -> struct (2L * int64 count, 0L)
        | Box(low, _, _) ->
            match kind with
            | DistributionKind.Gaussian
            | DistributionKind.SquashedGaussian -> struct (int64 low.Length, int64 low.Length)
            | DistributionKind.StateDependentGaussian
            | DistributionKind.Beta -> struct (2L * int64 low.Length, 0L)
        | Parts parts ->
            let sizes = parts |> List.map (snd >> sizes kind)

            struct (sizes |> List.sumBy (fun struct (outputs, _) -> outputs),
                    sizes |> List.sumBy (fun struct (_, own) -> own))
        | Masked _ -> noActions space

    /// The family for an action space: of this kind for a box, categorical distributions for choices and switches, and their product for
    /// parts.
    let rec forSpace kind space =
        match space with
        | Discrete count -> categorical count
        | MultiDiscrete counts -> categoricals counts
        | MultiBinary count -> categoricalsOf (Array.create count 2)
        | Box(low, _, _) -> forBox kind low.Length
        | Parts parts -> parts |> List.map (snd >> partFamily kind) |> ProductFamily.create
        | Masked _ -> noActions space

    and private partFamily kind part =
        let struct (outputs, stateIndependent) = sizes kind part
        { Family = forSpace kind part; Outputs = int outputs; StateIndependent = int stateIndependent }

    /// The parameters of each part's distribution, of a row of parameters of the family of all.
    let internal ofParts kind (parts: (string * Space) list) (parameters: float32[]) =
        parts |> List.map (snd >> partFamily kind) |> ProductFamily.split parameters

    /// Where the parameters of the family start, before weights and observations have any effect: `initialLogSigma` for each log σ, and 0 for
    /// the others.
    let rec initial kind (initialLogSigma: float) space =
        match space with
        | Box(low, _, _) when kind <> DistributionKind.Beta ->
            Array.append (Array.zeroCreate low.Length) (Array.create low.Length initialLogSigma)
        | Parts parts ->
            let startOf part =
                let struct (outputs, _) = sizes kind part
                initial kind initialLogSigma part |> Array.splitAt (int outputs)

            let outputs, stateIndependent = parts |> List.map (snd >> startOf) |> List.unzip
            Array.concat (outputs @ stateIndependent)
        | Box _
        | Discrete _
        | MultiDiscrete _
        | MultiBinary _ ->
            let struct (outputs, _) = sizes kind space
            Array.zeroCreate (int outputs)
        | Masked _ -> noActions space
