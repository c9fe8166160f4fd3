namespace FunTrpo

open System

/// Proximal policy optimization with the clipped surrogate (Schulman et al. 2017, "Proximal policy optimization algorithms", algorithm 1).
module Ppo =

    /// The mean KL(π_old ‖ π_θ) over the rows of a minibatch.
    let private meanKl (surrogate: Surrogate) (rows: ReadOnlyMemory<int>) (distributions: Matrix) =
        let family = surrogate.Policy.Family
        let before = surrogate.Linearization.Outputs
        let mutable sum = 0.0

        for row in 0 .. rows.Length - 1 do
            sum <- sum + family.Kl(before.Row rows.Span[row], distributions.Row row)

        sum / float rows.Length

    let private negate (numbers: Memory<float32>) =
        let numbers = numbers.Span

        for i in 0 .. numbers.Length - 1 do
            numbers[i] <- -numbers[i]

    /// Improves the policy by epochs of minibatch steps of Adam on the clipped surrogate:
    ///
    /// minibatch → ratios r → clipped cotangents → gradient of L^CLIP → step of Adam, until the epochs end or the mean KL of a minibatch exceeds
    /// the target
    ///
    /// The key determines the minibatches. `optimiser` is Adam's state after the last improvement; one without moments is that before the
    /// first. The outcome is `Moved` with the fraction of the planned steps that were made, and no tries, because there is no line search.
    /// If the gradient ∇L at θ_old is zero, neither the parameters nor Adam's state change.
    ///
    /// Errors: "policy gradient", if ∇L at θ_old is NaN or infinite. The parameters are not checked: they may become so later.
    let improve
        (settings: PpoSettings)
        key
        (optimiser: AdamState)
        (surrogate: Surrogate)
        : Result<Improvement * AdamState, string> =
        let old = surrogate.Parameters
        let network = surrogate.Policy.Network
        let gradientNorm = Surrogate.gradient surrogate |> Vector.norm

        let cotangents (rows: ReadOnlyMemory<int>) (at: Linearization) (result: Memory<float32>) =
            let isNear =
                Double.IsInfinity settings.TargetKl || meanKl surrogate rows at.Outputs <= settings.TargetKl

            if isNear then
                ClippedSurrogate.cotangentsTo result settings.ClipRange surrogate (fun row -> rows.Span[row]) at.Outputs
                negate result // Adam descends.

            isNear

        let ended outcome parameters =
            { Parameters = parameters
              Outcome = outcome
              Comparison = Surrogate.compare surrogate parameters
              GradientNorm = gradientNorm
              SignalShare = None
              Solution = None }

        if gradientNorm = 0.0 then
            Ok(ended NoGradient old, optimiser)
        elif not (Double.IsFinite gradientNorm) then
            Error "policy gradient"
        else
            let sequences, observations = surrogate.Sequences, surrogate.Observations

            let struct (parameters, next, steps) =
                Adam.orInit old optimiser
                |> Minibatches.descend settings.Adam network sequences observations key cotangents old

            let planned = Minibatches.stepCount settings.Adam network sequences observations.Rows

            let outcome = if parameters = old then LineSearchFailed 0 else Moved(float steps / float planned, 0)

            Ok(ended outcome parameters, next)
