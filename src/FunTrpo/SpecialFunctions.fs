namespace FunTrpo

open System

/// Functions that .NET does not have, in float64. Their relative or absolute error, whichever is larger, is below 1e-14.
module internal SpecialFunctions =

    /// log(1 + x) for x ≥ 0, also where 1 + x rounds to 1. W. Kahan's formula.
    let log1p x =
        let sum = 1.0 + x
        if sum = 1.0 then x else log sum * (x / (sum - 1.0))

    /// log(1 + eˣ). No exponential overflows.
    let softplus x = max x 0.0 + log1p (exp -(abs x))

    /// 1 / (1 + e⁻ˣ), the derivative of `softplus`.
    let logistic x = 1.0 / (1.0 + exp -x)

    // The functions of the Γ family are computed from asymptotic series: Abramowitz and Stegun, "Handbook of mathematical functions" (1964),
    // 6.1.41, 6.3.18 and 6.4.12. Smaller arguments are moved up by the recurrences 6.1.15, 6.3.5 and 6.4.6.

    /// From here on, the first omitted term of each series is below 1e-16.
    let private farEnough = 10.0

    /// ½ log 2π
    let private halfLogTwoPi = 0.5 * log (2.0 * Math.PI)

    /// The polynomial Σ c_k xᵏ, by Horner's rule.
    let private polynomial (coefficients: float[]) x =
        let mutable sum = 0.0

        for k in coefficients.Length - 1 .. -1 .. 0 do
            sum <- sum * x + coefficients[k]

        sum

    let private ofLnGamma =
        [| 1.0 / 12.0
           -1.0 / 360.0
           1.0 / 1260.0
           -1.0 / 1680.0
           1.0 / 1188.0
           -691.0 / 360360.0
           1.0 / 156.0 |]

    let private ofDigamma =
        [| 1.0 / 12.0; -1.0 / 120.0; 1.0 / 252.0; -1.0 / 240.0; 1.0 / 132.0; -691.0 / 32760.0; 1.0 / 12.0 |]

    let private ofTrigamma =
        [| 1.0 / 6.0; -1.0 / 30.0; 1.0 / 42.0; -1.0 / 30.0; 5.0 / 66.0; -691.0 / 2730.0; 7.0 / 6.0 |]

    /// log Γ(x) for x > 0.
    let lnGamma x =
        let mutable z = x
        let mutable product = 1.0

        while z < farEnough do
            product <- product * z
            z <- z + 1.0

        (z - 0.5) * log z - z + halfLogTwoPi + polynomial ofLnGamma (1.0 / (z * z)) / z - log product

    /// ψ(x), the derivative of log Γ, for x > 0.
    let digamma x =
        let mutable z = x
        let mutable sum = 0.0

        while z < farEnough do
            sum <- sum + 1.0 / z
            z <- z + 1.0

        let square = 1.0 / (z * z)
        log z - 0.5 / z - square * polynomial ofDigamma square - sum

    /// ψ′(x), the second derivative of log Γ, for x > 0.
    let trigamma x =
        let mutable z = x
        let mutable sum = 0.0

        while z < farEnough do
            sum <- sum + 1.0 / (z * z)
            z <- z + 1.0

        let square = 1.0 / (z * z)
        (1.0 + square * polynomial ofTrigamma square) / z + 0.5 * square + sum

    /// P(|T| ≤ tan θ · √ν) of Student's t with ν degrees of freedom, for 0 ≤ θ ≤ π/2: finite sums of powers of cos θ (Abramowitz and Stegun,
    /// 26.7.3 and 26.7.4).
    let private studentWithin degrees theta =
        let sine, cosine = sin theta, cos theta
        let isOdd = degrees % 2 = 1
        let mutable term = if isOdd then cosine else 1.0
        let mutable sum = if degrees = 1 then 0.0 else term
        let mutable k = if isOdd then 3 else 2

        while k < degrees do
            term <- term * cosine * cosine * float (k - 1) / float k
            sum <- sum + term
            k <- k + 2

        if isOdd then 2.0 / Math.PI * (theta + sine * sum) else sine * sum

    /// The number that Student's t with ν ≥ 1 degrees of freedom exceeds with the probability 1 − level, for a level from ½ to 1, excluding 1.
    /// By bisection of the angle θ, t = tan θ · √ν.
    let studentQuantile degrees level =
        let mutable low, high = 0.0, Math.PI / 2.0

        for _ in 1..60 do
            let middle = 0.5 * (low + high)

            if studentWithin degrees middle < 2.0 * level - 1.0 then low <- middle else high <- middle

        tan (0.5 * (low + high)) * sqrt (float degrees)
