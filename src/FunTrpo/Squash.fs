namespace FunTrpo

open System

/// The map from real numbers u to actions a = tanh u in (−1, 1), which count in half the width of a box, from its middle.
///
/// It is a bijection, so a distribution of u is one of a, with the density p(a) = p(u) / (1 − tanh² u). The factor does not depend on the
/// parameters of the distribution: it cancels in ratios of densities and in KL, and vanishes in the score and the Fisher matrix. Only the
/// density itself and the entropy contain it. A u represents actions close to a bound far better than a float32 of a does.
module internal Squash =

    /// log(1 − tanh² u), which is log da/du. It is finite for all u.
    let logSlope u =
        let distance = abs u
        2.0 * (log 2.0 - distance - SpecialFunctions.log1p (exp (-2.0 * distance)))

    /// The derivative of `logSlope`.
    let private slopeOfLogSlope u = -2.0 * tanh u

    /// The largest standard normal number of the rule below, and the distance between its points.
    let private last, step = 6.0, 0.5

    /// The points z and the weights of the trapezoidal rule for the expectation of a function of a standard normal number.
    let private points =
        let numbers = [| -last .. step .. last |]
        let density z = exp (-0.5 * z * z)
        let total = Array.sumBy density numbers
        numbers |> Array.map (fun z -> struct (z, density z / total))

    /// E[log(1 − tanh² u)] for u ~ N(mean, sigma²). It has no closed form: this is the trapezoidal rule with 25 points. Its error is below
    /// 10⁻⁶ for sigma ≤ 1, below 10⁻³ for sigma ≤ 2, below 0.01 for sigma ≤ 4, and below 2 % of the value for larger ones.
    let meanLogSlope (mean: float) (sigma: float) =
        let mutable sum = 0.0

        for struct (z, weight) in points do
            sum <- sum + weight * logSlope (mean + sigma * z)

        sum

    /// The derivatives of `meanLogSlope` with respect to the mean and to log sigma.
    let meanLogSlopeGradient (mean: float) (sigma: float) =
        let mutable byMean = 0.0
        let mutable byLogSigma = 0.0

        for struct (z, weight) in points do
            let slope = weight * slopeOfLogSlope (mean + sigma * z)
            byMean <- byMean + slope
            byLogSigma <- byLogSigma + slope * sigma * z

        struct (byMean, byLogSigma)
