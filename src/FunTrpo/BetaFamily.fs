namespace FunTrpo

open System
open FunTrpo.SpecialFunctions

/// Beta distributions of actions between two bounds. Chou, Maturana, Scherer: "Improving stochastic policy gradients in continuous control with
/// deep reinforcement learning using the Beta distribution" (2017).
///
/// x = (1 + a)/2 has the density x^(α−1) (1 − x)^(β−1) / B(α, β), where a in [−1, 1] is the action in half-widths. α = 1 + softplus(output), and
/// so is β, so both are above 1 and the density has one maximum. The drawn number is u = atanh a, as for a squashed Gaussian, because
/// float32 cannot tell an x near 1 from 1. log x = −softplus(−2u) and log(1 − x) = −softplus(2u).
module internal BetaFamily =

    /// The bounds of outputs, to which they are clipped. α and β lie between 1 + 2·10⁻⁹ and 1 + 10⁶: in half-widths of the box, the
    /// standard deviation is at least 7·10⁻⁴.
    let lowestOutput, highestOutput = -20f, 1e6f

    let private bound (output: float32) = float (Math.Clamp(output, lowestOutput, highestOutput))

    /// α − 1 or β − 1, from the output for it.
    let excess output = softplus (bound output)

    /// ∂α/∂output or ∂β/∂output, which is not 0 at a bound.
    let private slope output = logistic (bound output)

    /// The derivative with respect to the output, or 0 if the output is at a bound or beyond it and the derivative points further out.
    let private inward output derivative =
        if derivative > 0.0 && output >= highestOutput || derivative < 0.0 && output <= lowestOutput then
            0f
        else
            float32 derivative

    let private lnBeta alpha beta = lnGamma alpha + lnGamma beta - lnGamma (alpha + beta)

    /// log p(a) of the action a = tanh u, where p is a density over [−1, 1].
    let private logDensity excessAlpha excessBeta (u: float) =
        -excessAlpha * softplus (-2.0 * u)
        - excessBeta * softplus (2.0 * u)
        - lnBeta (1.0 + excessAlpha) (1.0 + excessBeta)
        - log 2.0

    /// The entropy of a, in nats: that of x, and log 2 because a has twice its width.
    let private entropyOf excessAlpha excessBeta =
        let alpha, beta = 1.0 + excessAlpha, 1.0 + excessBeta

        lnBeta alpha beta - excessAlpha * digamma alpha - excessBeta * digamma beta
        + (excessAlpha + excessBeta) * digamma (alpha + beta)
        + log 2.0

    /// log Γ(b) − log Γ(a) − (b − a) ψ(a), which is convex in b and 0 at a.
    let private divergence a b = lnGamma b - lnGamma a - (b - a) * digamma a

    let private klOf oldAlpha oldBeta newAlpha newBeta =
        divergence oldAlpha newAlpha + divergence oldBeta newBeta
        - divergence (oldAlpha + oldBeta) (newAlpha + newBeta)

    /// The logarithm of a number that has the Γ distribution with this shape, which is at least 1. Marsaglia and Tsang, "A simple method for
    /// generating gamma variables" (2000). Each try has a key of its own, and more than 95 % of them succeed. NaN for a shape that is NaN.
    let private sampleLogGamma shape key =
        let d = shape - 1.0 / 3.0
        let c = 1.0 / sqrt (9.0 * d)
        let mutable result = nan
        let mutable attempt = 0L

        while Double.IsNaN result && not (Double.IsNaN shape) do
            let struct (normalKey, uniformKey) = Key.split (Key.at attempt key)
            let z = Key.normal normalKey
            let root = 1.0 + c * z

            if root > 0.0 then
                let logV = 3.0 * log root
                let v = root * root * root

                if log (1.0 - Key.uniform uniformKey) < 0.5 * z * z + d * (1.0 - v + logV) then
                    result <- log d + logV

            attempt <- attempt + 1L

        result

    /// M = S (diag(ψ′(α), ψ′(β)) − ψ′(α + β) 1 1ᵀ) S for each coordinate, with S = diag(∂α/∂output, ∂β/∂output). Its three numbers do not fit into
    /// the two factors of a coordinate. So the factors are the outputs, and each product computes three trigammas.
    let private metric dimensions =
        { new Metric with
            member _.Factors(rows, stride, parameters, factors) =
                factors.Clear()

                for row in 0 .. rows - 1 do
                    let first = row * stride
                    parameters.Slice(first, 2 * dimensions).CopyTo(factors.Slice first)

            member _.Apply(rows, stride, factors, u) =
                for row in 0 .. rows - 1 do
                    for i in row * stride .. row * stride + dimensions - 1 do
                        let j = i + dimensions
                        let alpha, beta = 1.0 + excess factors[i], 1.0 + excess factors[j]
                        let ofAlpha, ofBeta = slope factors[i], slope factors[j]
                        let tangentAlpha, tangentBeta = ofAlpha * float u[i], ofBeta * float u[j]
                        let shared = trigamma (alpha + beta) * (tangentAlpha + tangentBeta)
                        u[i] <- float32 (ofAlpha * (trigamma alpha * tangentAlpha - shared))
                        u[j] <- float32 (ofBeta * (trigamma beta * tangentBeta - shared)) }

    /// An independent Beta distribution in each of the dimensions. The parameters are the outputs for all α, then those for all β. An action is
    /// drawn as u = atanh a. With s = (∂α/∂output, ∂β/∂output):
    ///
    ///     score = s (log x − ψ(α) + ψ(α + β), log(1 − x) − ψ(β) + ψ(α + β))
    ///     ∂H    = s ((α + β − 2) ψ′(α + β) − (α − 1) ψ′(α), (α + β − 2) ψ′(α + β) − (β − 1) ψ′(β))
    ///
    /// Densities and entropies are those of a. The mode is that of a: x = (α − 1)/(α + β − 2).
    let create dimensions =
        { new Family with
            member _.ParameterWidth = 2 * dimensions
            member _.ActionWidth = dimensions

            member _.Sample(parameters, key, action) =
                for i in 0 .. dimensions - 1 do
                    let struct (alphaKey, betaKey) = Key.split (Key.at (int64 i) key)
                    let logAlpha = sampleLogGamma (1.0 + excess parameters[i]) alphaKey
                    let logBeta = sampleLogGamma (1.0 + excess parameters[dimensions + i]) betaKey
                    action[i] <- float32 (0.5 * (logAlpha - logBeta))

            member _.Mode(parameters, action) =
                for i in 0 .. dimensions - 1 do
                    let excessAlpha, excessBeta = excess parameters[i], excess parameters[dimensions + i]
                    action[i] <- float32 (0.5 * (log excessAlpha - log excessBeta))

            member _.LogProbability(parameters, action) =
                let mutable sum = 0.0

                for i in 0 .. dimensions - 1 do
                    sum <- sum + logDensity (excess parameters[i]) (excess parameters[dimensions + i]) (float action[i])

                sum

            member _.Score(parameters, action, score) =
                for i in 0 .. dimensions - 1 do
                    let ofAlpha, ofBeta = parameters[i], parameters[dimensions + i]
                    let alpha, beta = 1.0 + excess ofAlpha, 1.0 + excess ofBeta
                    let ofSum = digamma (alpha + beta)
                    let logX, logRest = -softplus(-2.0 * float action[i]), -softplus(2.0 * float action[i])
                    score[i] <- inward ofAlpha (slope ofAlpha * (logX - digamma alpha + ofSum))
                    score[dimensions + i] <- inward ofBeta (slope ofBeta * (logRest - digamma beta + ofSum))

            member _.Entropy parameters =
                let mutable sum = 0.0

                for i in 0 .. dimensions - 1 do
                    sum <- sum + entropyOf (excess parameters[i]) (excess parameters[dimensions + i])

                sum

            member _.EntropyGradient(parameters, gradient) =
                for i in 0 .. dimensions - 1 do
                    let ofAlpha, ofBeta = parameters[i], parameters[dimensions + i]
                    let excessAlpha, excessBeta = excess ofAlpha, excess ofBeta
                    let ofSum = (excessAlpha + excessBeta) * trigamma (2.0 + excessAlpha + excessBeta)

                    gradient[i] <- inward ofAlpha (slope ofAlpha * (ofSum - excessAlpha * trigamma (1.0 + excessAlpha)))

                    gradient[dimensions + i] <-
                        inward ofBeta (slope ofBeta * (ofSum - excessBeta * trigamma (1.0 + excessBeta)))

            member _.Kl(oldParameters, newParameters) =
                let mutable sum = 0.0

                for i in 0 .. dimensions - 1 do
                    let j = dimensions + i

                    sum <-
                        sum
                        + klOf
                            (1.0 + excess oldParameters[i])
                            (1.0 + excess oldParameters[j])
                            (1.0 + excess newParameters[i])
                            (1.0 + excess newParameters[j])

                max 0.0 sum

            member _.Metric = metric dimensions }
