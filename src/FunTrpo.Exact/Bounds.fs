namespace FunTrpo.Exact

open FunTrpo

/// A lower bound of η(π̃), by the inequality of the name.
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
    /// L − 2γε̃/(1−γ) Σ_s ρ(s) D_TV(s), ε̃ = max_s |Σ_a π̃(a|s) A(s, a)| (Achiam and others 2017, corollary 1): linear in the mean
    /// total variation.
    | MeanTotalVariation

/// What a step of the theory's algorithms is worth, exactly, and what was guaranteed of it.
type Certificate =
    {
        EtaBefore: float
        EtaAfter: float
        /// L_π(π̃)
        L: float
        TvMax: float
        KlMax: float
        /// Weighted as the old policy visits the states.
        KlMean: float
        /// ε = max_{s,a} |A(s, a)| of the old policy, over the states that are not terminal.
        Epsilon: float
        /// C = 4εγ/(1−γ)²
        C: float
        /// The bound that the step was made by, and its value.
        By: Bound
        Lower: float
        /// By how much rounding may have put η, before or after, and the bound off one another.
        Rounding: float
    }

    /// Whether η has grown for certain: the bound is above the old η by more than rounding.
    member this.PromisesGain = this.Lower - this.EtaBefore > this.Rounding

module Bounds =

    /// max_{s,a} |A(s, a)| over the states that are not terminal.
    let epsilon (mdp: FiniteMdp) (values: Values) =
        PerState.init mdp.States (fun state -> Seq.max (Seq.map abs (Table.rowArray values.Advantages state)))
        |> Divergence.maximum mdp

    /// max_s |Σ_a π̃(a|s) A(s, a)| over the states that are not terminal.
    let epsilonOf (mdp: FiniteMdp) (values: Values) (other: TabularPolicy) =
        PerState.init mdp.States (fun state -> abs (Table.rowDot other.Table values.Advantages state))
        |> Divergence.maximum mdp

    /// 4εγ/(1−γ)², infinite at γ = 1; 0 where nothing can be gained anywhere.
    let penalty (mdp: FiniteMdp) epsilon =
        if epsilon = 0.0 then 0.0 else 4.0 * epsilon * mdp.Gamma / ((1.0 - mdp.Gamma) * (1.0 - mdp.Gamma))

    /// coefficient × divergence to be taken from L, where an infinite divergence takes everything, also by a coefficient of 0.
    let private less l coefficient divergence =
        if divergence = infinity then -infinity
        elif divergence = 0.0 then l
        else l - coefficient * divergence

    /// The mixture bound of the step (1 − α) π + α π′.
    let ofMixture mdp values alpha other =
        let l = Values.localApproximation values (TabularPolicy.mix alpha values.Policy other)
        less l (0.5 * penalty mdp (epsilonOf mdp values other)) (alpha * alpha)

    /// A bound of η of another policy, from the values of this one.
    let value (mdp: FiniteMdp) (values: Values) (other: TabularPolicy) bound =
        let l = Values.localApproximation values other
        let c = penalty mdp (epsilon mdp values)
        let tv () = Divergence.tv values.Policy other
        let klMax () = Divergence.maximum mdp (Divergence.kl values.Policy other)

        match bound with
        | Bound.Mixture -> ofMixture mdp values 1.0 other // any policy is a mixture that goes the whole way
        | Bound.TotalVariation ->
            let tvMax = Divergence.maximum mdp (tv ())
            less l c (tvMax * tvMax)
        | Bound.Kl -> less l c (klMax ())
        | Bound.KlPinsker -> less l (0.5 * c) (klMax ())
        | Bound.MeanTotalVariation ->
            // 2γε̃/(1−γ) = ½ (1−γ) · 4γε̃/(1−γ)², and at γ = 1 the penalty is already 0 or infinite
            let scale = if mdp.Gamma < 1.0 then 0.5 * (1.0 - mdp.Gamma) else 1.0
            less l (scale * penalty mdp (epsilonOf mdp values other)) (PerState.dot values.Visitation (tv ()))

    /// By how much rounding may put the values of two policies, and a bound of the second from those of the first, off one another. The bound takes the
    /// rounding of the first twice: with its η, and with its advantages.
    let rounding (values: Values) (next: Values) = 2.0 * values.EtaError + next.EtaError

    /// The certificate of a step to another policy, made by a bound of the given value; one that is violated by more than rounding is an error.
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
              Epsilon = epsilon
              C = penalty mdp epsilon
              By = by
              Lower = lower
              Rounding = rounding values next }

        if next.Eta >= lower - certificate.Rounding then
            Ok certificate
        else
            Error(BrokenGuarantee(mdp.Name, $"η = {next.Eta} is below its {by} bound {lower}"))
