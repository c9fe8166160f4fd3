namespace FunTrpo

open System

/// For how long a condition has held.
[<Struct>]
type Streak =
    {
        /// The number of consecutive iterations, up to the last one, in which the condition has held.
        Count: int
        /// The longest such number that a warning has reported.
        LongestReported: int
    }

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

module Streaks =

    /// The streaks before the first iteration.
    let none =
        let empty = { Count = 0; LongestReported = 0 }
        { Unmoved = empty; LowEntropy = empty; SigmaBound = empty }

    /// The length at which a streak is first reported. It is reported again each time its length has doubled, so even a very long
    /// run has few warnings.
    let private firstReported = 10

    /// The mean entropy in nats below which a policy is almost deterministic.
    let private littleEntropy = 1e-3

    /// The streak after one more iteration.
    let private extend holds streak =
        let count = if holds then streak.Count + 1 else 0
        let isReported = count >= max firstReported (2 * streak.LongestReported)
        { Count = count; LongestReported = if isReported then count else streak.LongestReported }

    let private isNewlyReported before now = now.LongestReported > before.LongestReported

    let private hasMoved delta (improvement: Improvement) =
        improvement.Outcome.IsMoved
        && (Double.IsInfinity delta || improvement.Comparison.MeanKl >= 1e-3 * delta)

    /// The dimension and value of the first log σ that is at a bound.
    let private boundSigma policy parameters =
        let logSigmas = (Policy.logSigmas policy parameters).Span
        let mutable found = -1

        for i in logSigmas.Length - 1 .. -1 .. 0 do
            if logSigmas[i] <= Distribution.lowestLogSigma || logSigmas[i] >= Distribution.highestLogSigma then
                found <- i

        if found < 0 then ValueNone else ValueSome(struct (found, float logSigmas[found]))

    /// Whether a small entropy means that the policy no longer explores. With a single action the entropy is always 0, and the entropy of a
    /// density has no such meaning.
    let rec private canExplore actionSpace =
        match actionSpace with
        | Parts parts -> not (Distribution.hasDensity actionSpace) && parts |> List.exists (snd >> canExplore)
        | Discrete count -> count > 1
        | MultiDiscrete counts -> counts |> List.exists (fun count -> count > 1)
        | MultiBinary _ -> true
        | Box _
        | Masked _ -> false

    /// Why the gradient of the surrogate was 0.
    let private reasonOfNoGradient (policy: Policy) (improvement: Improvement) =
        match boundSigma policy improvement.Parameters with
        | ValueSome(struct (_, logSigma)) when logSigma < 0.0 ->
            "float32 cannot distinguish the actions of so small a sigma"
        | _ when Distribution.hasDensity policy.ActionSpace -> "all rows of a batch have the same advantage"
        | _ when not (canExplore policy.ActionSpace) -> "there is only one action"
        | _ when improvement.Comparison.Entropy < littleEntropy -> "the policy is certain of its actions"
        | _ -> "all rows of a batch have the same advantage"

    /// Why the policy did not move, or hardly. `delta` is ∞ for fixed steps and PPO.
    let private reason policy delta (improvement: Improvement) =
        match improvement.Outcome, improvement.Solution with
        | NoGradient, _ -> $"there is no gradient, because {reasonOfNoGradient policy improvement}"
        | NoCurvature, _ -> "there is no curvature along the step"
        | LineSearchFailed _, _ when Double.IsInfinity delta ->
            "a step of this learning rate is too short to change a parameter"
        | LineSearchFailed tries, _ ->
            $"none of {tries} step lengths gains within the trust region; the remaining gain may be noise: try larger batches"
        | Moved _, Some { Stop = VanishingCurvature _ } ->
            "steps are tiny, because curvatures differ by more than float32 can represent: sigma or the entropy is very small"
        | Moved _, _ -> "steps are less than a thousandth of delta"

    /// Returns the streaks after one more iteration and the warnings to report. `delta` is the radius of the trust region (∞ for
    /// fixed steps and PPO).
    let next (policy: Policy) delta entropyBonus (improvement: Improvement) streaks =
        let entropy = improvement.Comparison.Entropy
        let sigma = boundSigma policy improvement.Parameters

        let now =
            { Unmoved = extend (not (hasMoved delta improvement)) streaks.Unmoved
              LowEntropy = extend (canExplore policy.ActionSpace && entropy < littleEntropy) streaks.LowEntropy
              SigmaBound = extend sigma.IsSome streaks.SigmaBound }

        let warnings =
            [ if isNewlyReported streaks.Unmoved now.Unmoved then
                  NotMoving(now.Unmoved.Count, reason policy delta improvement)
              if isNewlyReported streaks.LowEntropy now.LowEntropy then
                  LowEntropy(now.LowEntropy.Count, entropy)
              match sigma with
              | ValueSome(struct (dimension, logSigma)) when isNewlyReported streaks.SigmaBound now.SigmaBound ->
                  SigmaAtBound(now.SigmaBound.Count, dimension, logSigma, entropyBonus)
              | _ -> () ]

        now, warnings
