namespace FunTrpo.Exact

open FunTrpo

/// A lower bound of η(π̃).
[<RequireQualifiedAccess>]
type Bound =
    /// For mixtures (1 − α) π + α π′: L − 2εγ/(1−γ)² α², ε = max_s |Σ_a π′(a|s) A(s, a)| (Kakade and Langford 2002).
    | Mixture
    /// L − 4εγ/(1−γ)² D_TV^max², ε = max_{s,a} |A(s, a)| (TRPO, theorem 1).
    | TotalVariation
    /// L − C D_KL^max, C = 4εγ/(1−γ)² (TRPO, equation 9): D_TV² ≤ D_KL.
    | Kl
    /// L − ½ C D_KL^max: D_TV² ≤ D_KL/2 (Pinsker).
    | KlPinsker
    /// L − 2γε̃/(1−γ) Σ_s ρ(s) D_TV(s), ε̃ = max_s |Σ_a π̃(a|s) A(s, a)| (Achiam et al. 2017, corollary 1). It is linear in the mean
    /// total variation.
    | MeanTotalVariation
    /// L − γΔ/(1−γ)² D_TV^max, Δ = max_s f(s) − min_s f(s) with f(s) = Σ_a π̃(a|s) A(s, a), which is 0 in terminal states (safe policy
    /// iteration, Pirotta et al. 2013).
    | Safe
    /// L − γΔ/(1−γ) Σ_s ρ(s) D_TV(s): the same Δ with the mean total variation. It is never below `Safe` and `MeanTotalVariation`.
    | SafeMean

/// The exact change of η by a step of an algorithm, and a lower bound of η after the step.
type Certificate =
    {
        /// η of the old policy.
        EtaBefore: float
        /// η of the new policy.
        EtaAfter: float
        /// L_π(π̃)
        L: float
        /// The maximum total variation over the states that are not terminal.
        TvMax: float
        /// The maximum KL(old ‖ new) over the states that are not terminal, in nats.
        KlMax: float
        /// The mean KL(old ‖ new) over the states, weighted by the visits of the old policy, in nats.
        KlMean: float
        /// min_s Σ_a π̃(a|s) A(s, a) over the states that are not terminal. If it is not negative, no state is worth less by the step (the
        /// policy improvement theorem).
        AdvantageMin: float
        /// ε = max_{s,a} |A(s, a)| of the old policy, over the states that are not terminal.
        Epsilon: float
        /// C = 4εγ/(1−γ)²
        C: float
        /// The bound of the step.
        By: Bound
        /// The value of the bound.
        Lower: float
        /// A bound of the rounding error in the difference between η, before or after, and the bound.
        Rounding: float
    }

    /// True if η has certainly grown: the bound is above the old η by more than rounding.
    member this.PromisesGain = this.Lower - this.EtaBefore > this.Rounding

module Bounds =

    /// Returns ε = max_{s,a} |A(s, a)| over the states that are not terminal.
    let epsilon (mdp: FiniteMdp) (values: Values) =
        PerState.init mdp.States (fun state -> Seq.max (Seq.map abs (Table.rowArray values.Advantages state)))
        |> Divergence.maximum mdp

    /// Returns Σ_a π̃(a|s) A(s, a) of each state; 0 in terminal states.
    let advantages (values: Values) (other: TabularPolicy) =
        PerState.init other.Rows (fun state -> Table.rowDot other.Table values.Advantages state)

    /// Returns max_s |Σ_a π̃(a|s) A(s, a)| over the states that are not terminal.
    let epsilonOf (mdp: FiniteMdp) (values: Values) (other: TabularPolicy) =
        let advantages = advantages values other
        PerState.init mdp.States (fun state -> abs advantages[state]) |> Divergence.maximum mdp

    /// Returns min_s Σ_a π̃(a|s) A(s, a) over the states that are not terminal; 0 if there is none.
    let leastAdvantage (mdp: FiniteMdp) values other =
        let advantages = advantages values other
        let going = Seq.init mdp.States id |> Seq.filter (mdp.IsTerminal >> not)
        if Seq.isEmpty going then 0.0 else going |> Seq.map (fun state -> advantages[state]) |> Seq.min

    /// Returns Δ = max_s f(s) − min_s f(s) with f(s) = Σ_a π̃(a|s) A(s, a), over all states.
    let advantageRange values other =
        let advantages = advantages values other
        Seq.max advantages - Seq.min advantages

    /// Returns the penalty C = 4εγ/(1−γ)². It is infinite at γ = 1, and 0 if ε = 0.
    let penalty (mdp: FiniteMdp) epsilon =
        if epsilon = 0.0 then 0.0 else 4.0 * epsilon * mdp.Gamma / ((1.0 - mdp.Gamma) * (1.0 - mdp.Gamma))

    /// The number s with s · 4εγ/(1−γ)² = 2εγ/(1−γ). At γ = 1 any number will do, because the penalty is 0 or infinite.
    let private perVisit (mdp: FiniteMdp) = if mdp.Gamma < 1.0 then 0.5 * (1.0 - mdp.Gamma) else 1.0

    /// Returns 2εγ/(1−γ), the penalty for the mean total variation. It is infinite at γ = 1, and 0 if ε = 0.
    let meanPenalty mdp epsilon = perVisit mdp * penalty mdp epsilon

    /// L − coefficient × divergence. An infinite divergence gives −∞ even if the coefficient is 0, and a zero divergence gives L even
    /// if it is infinite.
    let private less l coefficient divergence =
        if divergence = infinity then -infinity
        elif divergence = 0.0 then l
        else l - coefficient * divergence

    /// Returns the mixture bound of the step (1 − α) π + α π′.
    let ofMixture mdp values alpha other =
        let l = Values.localApproximation values (TabularPolicy.mix alpha values.Policy other)
        less l (0.5 * penalty mdp (epsilonOf mdp values other)) (alpha * alpha)

    /// Returns a lower bound of η of another policy, computed from the values of this policy.
    let value (mdp: FiniteMdp) (values: Values) (other: TabularPolicy) bound =
        let l = Values.localApproximation values other
        let c = penalty mdp (epsilon mdp values)
        let tv () = Divergence.tv values.Policy other
        let klMax () = Divergence.maximum mdp (Divergence.kl values.Policy other)

        match bound with
        | Bound.Mixture -> ofMixture mdp values 1.0 other // any policy is a mixture with α = 1
        | Bound.TotalVariation ->
            let tvMax = Divergence.maximum mdp (tv ())
            less l c (tvMax * tvMax)
        | Bound.Kl -> less l c (klMax ())
        | Bound.KlPinsker -> less l (0.5 * c) (klMax ())
        | Bound.MeanTotalVariation ->
            less l (meanPenalty mdp (epsilonOf mdp values other)) (PerState.dot values.Visitation (tv ()))
        | Bound.Safe -> less l (0.25 * penalty mdp (advantageRange values other)) (Divergence.maximum mdp (tv ()))
        | Bound.SafeMean ->
            less l (0.5 * meanPenalty mdp (advantageRange values other)) (PerState.dot values.Visitation (tv ()))

    /// Returns an upper bound of η(π*) − η(π) from the values of both policies: 𝔸 · max_s ρ*(s) / ρ(s), with the largest policy advantage
    /// 𝔸 = Σ_s ρ(s) max_a A(s, a) and the maximum over the states in which an action has a positive advantage (Kakade and Langford 2002:
    /// this is why conservative policy iteration may stop at a small 𝔸). It is infinite if π never visits such a state and π* does.
    let shortfall (values: Values) (best: Values) =
        let rounding = Values.rounding values.Q
        let mutable advantage, ratio = 0.0, 0.0

        for state in 0 .. values.Policy.Rows - 1 do
            let largest = Seq.max (Table.rowArray values.Advantages state)
            advantage <- advantage + values.Visitation[state] * largest

            if largest > rounding && best.Visitation[state] > 0.0 then
                ratio <- max ratio (best.Visitation[state] / values.Visitation[state])

        if ratio = 0.0 || ratio = infinity then ratio else advantage * ratio

    /// Returns a bound of the rounding error in the difference between η of the next policy and its lower bound. The lower bound
    /// contains the rounding of the old values twice: through η and through the advantages.
    let rounding (values: Values) (next: Values) = 2.0 * values.EtaError + next.EtaError

    /// Returns the certificate of a step with the bound `by`, whose value is `lower`. A bound that is violated by more than rounding is
    /// a `BrokenGuarantee`.
    let certify (mdp: FiniteMdp) (values: Values) (next: Values) by lower =
        let kl = Divergence.kl values.Policy next.Policy
        let epsilon = epsilon mdp values

        let certificate =
            { EtaBefore = values.Eta
              EtaAfter = next.Eta
              L = Values.localApproximation values next.Policy
              TvMax = Divergence.maximum mdp (Divergence.tv values.Policy next.Policy)
              KlMax = Divergence.maximum mdp kl
              KlMean = Divergence.mean mdp values kl
              AdvantageMin = leastAdvantage mdp values next.Policy
              Epsilon = epsilon
              C = penalty mdp epsilon
              By = by
              Lower = lower
              Rounding = rounding values next }

        if next.Eta >= lower - certificate.Rounding then
            Ok certificate
        else
            Error(BrokenGuarantee(mdp.Name, $"η = {next.Eta} is below its {by} bound {lower}"))
