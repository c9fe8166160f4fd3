namespace FunTrpo

/// The number of consecutive iterations in which a condition has held, and the longest such streak that was reported.
[<Struct>]
type Streak = { Count: int; Told: int }

/// The streaks of the conditions that warnings are about.
type Streaks =
    {
        /// The policy did not move, or moved by less than a thousandth of the trust region.
        Unmoved: Streak
        /// The policy has discrete actions and almost no entropy.
        LowEntropy: Streak
        /// Some log σ of a Gaussian policy is at a bound.
        SigmaBound: Streak
    }

/// A warning about a training run that continues.
type Warning =
    /// The policy has not moved for this number of iterations. Holds the reason why the last step did not move it.
    | NotMoving of iterations: int * reason: string
    /// A policy with discrete actions has had almost no entropy for this number of iterations.
    | LowEntropy of iterations: int * entropy: float
    /// The σ of an action dimension has been at its smallest or largest allowed value for this number of iterations.
    | SigmaAtBound of iterations: int * dimension: int * logSigma: float * entropyBonus: float
    /// An episode has lasted for this number of steps and has not ended.
    | LongEpisode of environment: string * instance: int * steps: int

module Warning =

    /// Returns the text of a warning: one or two sentences.
    let message warning =
        match warning with
        | NotMoving(iterations, reason) -> $"the policy has not moved for {iterations} iterations: {reason}"
        | LowEntropy(iterations, entropy) ->
            $"the policy has hardly any entropy ({entropy:``0.0e+0``} nats) for {iterations} iterations: it no longer explores; an entropyBonus keeps it exploring"
        | SigmaAtBound(iterations, dimension, logSigma, entropyBonus) ->
            let remedy =
                if logSigma > 0.0 && entropyBonus > 0.0 then
                    $"entropyBonus = {entropyBonus} outweighs the effect of this dimension on the return: lower it"
                elif logSigma > 0.0 then
                    "wider actions have kept increasing the return: check the reward, or give the action space bounds"
                else
                    "float32 cannot distinguish its actions"

            $"the sigma of action dimension {dimension} is at its bound (log sigma = {logSigma}) for {iterations} iterations: {remedy}"
        | LongEpisode(environment, instance, steps) ->
            $"an episode of {environment} has gone on for {steps} steps (environment {instance}): if it may never end, give it a time limit"

module Streaks =

    /// The streaks before the first iteration.
    let none =
        let empty = { Count = 0; Told = 0 }
        { Unmoved = empty; LowEntropy = empty; SigmaBound = empty }

    /// The length at which a streak is first reported. It is reported again each time its length has doubled, so even a very long
    /// run has few warnings.
    let private firstReported = 10

    /// The mean entropy in nats below which a policy is almost deterministic.
    let private littleEntropy = 1e-3

    /// The streak after one more iteration.
    let private extend holds streak =
        let count = if holds then streak.Count + 1 else 0
        let isReported = count >= max firstReported (2 * streak.Told)
        { Count = count; Told = if isReported then count else streak.Told }

    let private isNewlyReported before now = now.Told > before.Told

    let private hasMoved delta (improvement: Improvement) =
        improvement.Outcome.IsMoved
        && (System.Double.IsInfinity delta || improvement.Comparison.MeanKl >= 1e-3 * delta)

    let private reason (improvement: Improvement) =
        match improvement.Outcome, improvement.Solution with
        | NoGradient, _ -> "there is no gradient, because all rows of a batch have the same advantage"
        | NoCurvature, _ -> "there is no curvature along the step"
        | LineSearchFailed tries, _ ->
            $"none of {tries} step lengths gains within the trust region; the remaining gain may be noise: try larger batches"
        | Moved _, Some { Stop = VanishingCurvature _ } ->
            "steps are tiny, because curvatures differ by more than float32 can represent: sigma or the entropy is very small"
        | Moved _, _ -> "steps are less than a thousandth of delta"

    /// The dimension and value of the first log σ that is at a bound.
    let private boundSigma policy parameters =
        let logSigmas = (Policy.logSigmas policy parameters).Span
        let mutable found = -1

        for i in logSigmas.Length - 1 .. -1 .. 0 do
            if logSigmas[i] <= Distribution.lowestLogSigma || logSigmas[i] >= Distribution.highestLogSigma then
                found <- i

        if found < 0 then ValueNone else ValueSome(struct (found, float logSigmas[found]))

    /// Returns the streaks after one more iteration and the warnings to report. `delta` is the radius of the trust region (∞ for
    /// fixed steps).
    let next (policy: Policy) delta entropyBonus (improvement: Improvement) streaks =
        let entropy = improvement.Comparison.Entropy
        let sigma = boundSigma policy improvement.Parameters

        let now =
            { Unmoved = extend (not (hasMoved delta improvement)) streaks.Unmoved
              LowEntropy = extend (not policy.ActionSpace.IsBox && entropy < littleEntropy) streaks.LowEntropy
              SigmaBound = extend sigma.IsSome streaks.SigmaBound }

        let warnings =
            [ if isNewlyReported streaks.Unmoved now.Unmoved then
                  NotMoving(now.Unmoved.Count, reason improvement)
              if isNewlyReported streaks.LowEntropy now.LowEntropy then
                  LowEntropy(now.LowEntropy.Count, entropy)
              match sigma with
              | ValueSome(struct (dimension, logSigma)) when isNewlyReported streaks.SigmaBound now.SigmaBound ->
                  SigmaAtBound(now.SigmaBound.Count, dimension, logSigma, entropyBonus)
              | _ -> () ]

        now, warnings
