namespace FunTrpo

/// For how many iterations in a row something has been so, and the longest such streak that was told.
[<Struct>]
type Streak = { Count: int; Told: int }

/// What has been so for some iterations in a row.
type Streaks =
    {
        /// The policy has not moved, or by less than a thousandth of the trust region.
        Unmoved: Streak
        /// A policy of discrete actions has had next to no entropy.
        Decided: Streak
        /// Some log σ of a Gaussian policy has been at a bound.
        SigmaBound: Streak
    }

/// What a user should know of a run that goes on.
type Warning =
    /// The policy has not moved for so many iterations, and why the last step did not.
    | NotMoving of iterations: int * reason: string
    /// A policy of discrete actions has had next to no entropy for so many iterations.
    | Decided of iterations: int * entropy: float
    /// The σ of an action dimension has been the smallest or largest that is allowed for so many iterations.
    | SigmaAtBound of iterations: int * dimension: int * logSigma: float * entropyBonus: float
    /// An episode has gone on for so many steps.
    | LongEpisode of environment: string * instance: int * steps: int

module Warning =

    /// One or two sentences for a person.
    let message warning =
        match warning with
        | NotMoving(iterations, reason) -> $"the policy has not moved for {iterations} iterations: {reason}"
        | Decided(iterations, entropy) ->
            $"the policy has hardly any entropy ({entropy:``0.0e+0``} nats) for {iterations} iterations: it tries nothing else, so it learns nothing else; an entropyBonus keeps it exploring"
        | SigmaAtBound(iterations, dimension, logSigma, entropyBonus) ->
            let remedy =
                if logSigma > 0.0 && entropyBonus > 0.0 then
                    $"entropyBonus = {entropyBonus} is worth more than what this dimension does to the return: lower it"
                else
                    "float32 cannot tell its actions apart"

            $"the sigma of action dimension {dimension} is at its bound (log sigma = {logSigma}) for {iterations} iterations: {remedy}"
        | LongEpisode(environment, instance, steps) ->
            $"an episode of {environment} has gone on for {steps} steps (environment {instance}): if it may never end, give it a time limit"

module Streaks =

    let none =
        let none = { Count = 0; Told = 0 }
        { Unmoved = none; Decided = none; SigmaBound = none }

    /// How long a streak is when it is first told. After that, only streaks of twice the length are told: few warnings in the longest run.
    let private first = 10

    /// A mean entropy in nats below which a choice is as good as made.
    let private littleEntropy = 1e-3

    /// The streak after one more iteration.
    let private goOn isSo streak =
        let count = if isSo then streak.Count + 1 else 0
        let isNews = count >= max first (2 * streak.Told)
        { Count = count; Told = if isNews then count else streak.Told }

    let private isTold before now = now.Told > before.Told

    let private hasMoved delta (improvement: Improvement) =
        improvement.Outcome.IsMoved
        && (System.Double.IsInfinity delta || improvement.Comparison.MeanKl >= 1e-3 * delta)

    let private reason (improvement: Improvement) =
        match improvement.Outcome, improvement.Solution with
        | NoGradient, _ -> "there is no gradient, because all rows of a batch have the same advantage"
        | NonFiniteGradient, _ -> "the gradient is not finite"
        | NoCurvature, _ -> "there is no curvature along the step"
        | LineSearchFailed tries, _ ->
            $"none of {tries} step lengths gains within the trust region; what is left of the gain may be noise: try larger batches"
        | Moved _, Some { Stop = VanishingCurvature _ } ->
            "steps are tiny, because curvatures differ by more than float32 can tell: sigma or the entropy is very small"
        | Moved _, _ -> "steps are less than a thousandth of delta"

    /// The first log σ that is at a bound, and its dimension.
    let private boundSigma policy parameters =
        let logSigmas = (Policy.logSigmas policy parameters).Span
        let mutable found = -1

        for i in logSigmas.Length - 1 .. -1 .. 0 do
            if logSigmas[i] <= Distribution.lowestLogSigma || logSigmas[i] >= Distribution.highestLogSigma then
                found <- i

        if found < 0 then ValueNone else ValueSome(struct (found, float logSigmas[found]))

    /// The streaks after one more iteration, within a trust region of radius δ (∞ for fixed steps), and what is to be told of them.
    let next (policy: Policy) delta entropyBonus (improvement: Improvement) streaks =
        let entropy = improvement.Comparison.Entropy
        let sigma = boundSigma policy improvement.Parameters

        let now =
            { Unmoved = goOn (not (hasMoved delta improvement)) streaks.Unmoved
              Decided = goOn (not policy.ActionSpace.IsBox && entropy < littleEntropy) streaks.Decided
              SigmaBound = goOn sigma.IsSome streaks.SigmaBound }

        let warnings =
            [ if isTold streaks.Unmoved now.Unmoved then
                  NotMoving(now.Unmoved.Count, reason improvement)
              if isTold streaks.Decided now.Decided then
                  Decided(now.Decided.Count, entropy)
              match sigma with
              | ValueSome(struct (dimension, logSigma)) when isTold streaks.SigmaBound now.SigmaBound ->
                  SigmaAtBound(now.SigmaBound.Count, dimension, logSigma, entropyBonus)
              | _ -> () ]

        now, warnings
