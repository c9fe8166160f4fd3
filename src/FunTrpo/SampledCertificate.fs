namespace FunTrpo

open System
open System.Collections.Immutable

/// A lower confidence bound of what an improvement gains, from rows that the improvement has not seen. Its unit is that of the advantages, for
/// a step of the environment. It is a diagnostic, and not a proof (`SampledCertificate.estimate`).
type SampledCertificate =
    {
        /// The mean over the held-out rows of (π_new(a|s)/π_old(a|s) − 1) A(s, a): the gain of the surrogate, without entropy bonus.
        Gain: float
        /// The standard error of the gain, with episodes as the independent units; ∞ for a single one.
        GainError: float
        /// Gain − t · GainError, with the 95 % quantile t of Student's distribution: a one-sided 95 % lower confidence bound of the gain; −∞ for
        /// a single episode.
        GainLow: float
        /// The mean over the held-out rows of D_TV(π_old, π_new), or of its upper bound (`Family.totalVariation`).
        MeanTv: float
        /// ε′, the largest |(π_new(a|s)/π_old(a|s) − 1) A(s, a)| of the held-out rows.
        Epsilon: float
        /// 2γε′/(1−γ) · mean D_TV; ∞ at γ = 1 if neither is 0.
        Penalty: float
    }

    /// GainLow − Penalty: the certificate.
    member this.Lower = this.GainLow - this.Penalty

module SampledCertificate =

    /// The confidence of the bound of the gain.
    let level = 0.95

    /// The standard error of the mean of numbers that come in independent clusters of these lengths, by the deviations of the sums of the
    /// clusters from what the mean would give them (the ratio estimator of cluster sampling); ∞ for a single cluster.
    let private clusteredError (lengths: ImmutableArray<int>) mean (numbers: float[]) =
        let mutable first = 0
        let mutable squares = 0.0

        for length in lengths do
            let mutable deviation = 0.0

            for i in first .. first + length - 1 do
                deviation <- deviation + (numbers[i] - mean)

            squares <- squares + deviation * deviation
            first <- first + length

        let clusters = float lengths.Length

        if lengths.Length < 2 then
            infinity
        else
            sqrt (clusters / (clusters - 1.0) * squares) / float numbers.Length

    /// 2γε/(1−γ) · D_TV, where nothing costs nothing, also at γ = 1.
    let private penalty gamma epsilon tv =
        let product = epsilon * tv
        if product = 0.0 then 0.0 else 2.0 * gamma * product / (1.0 - gamma)

    /// Returns the certificate of a policy at new parameters against the policy of the surrogate, whose rows are held out. `clusters` has the
    /// lengths of the independent parts of these rows, in their order: episodes, or states of a vine.
    ///
    /// Of any two policies, η_new − η_old ≥ 1/(1−γ) · E[Σ_a π_new(a|s) A(s, a) − 2γε/(1−γ) D_TV(s)] with ε = max_s |Σ_a π_new(a|s) A(s, a)| and the
    /// mean over the discounted visits of the old policy (Achiam et al. 2017, "Constrained policy optimization", corollary 1; the exact
    /// form is `Bound.MeanTotalVariation` of FunTrpo.Exact). What is estimated is this lower bound times 1 − γ, in the unit of the
    /// advantages: with standardised ones, in their standard deviation. The gain of the bound is that of the surrogate, because the mean of
    /// π_new/π_old − 1 is 0 in each state.
    ///
    /// It would be a 95 % lower confidence bound if the rows were drawn from the discounted visitation, the advantages were unbiased, the gains
    /// of the episodes nearly normal, and ε known. In training, rows count without γᵗ, advantages are those of GAE with a critic that is
    /// not exact, and episodes are cut off at the horizon. ε is taken from one action of each row: the mean of its |(π_new/π_old − 1) A|
    /// over the actions is at least |Σ_a π_new A|, but states that the rows do not show may have more.
    ///
    /// Throws an `ArgumentException` unless the lengths of the clusters add up to the rows of the surrogate.
    let estimate gamma (surrogate: Surrogate) (clusters: ImmutableArray<int>) parameters =
        let rows = surrogate.Observations.Rows

        if Seq.sum clusters <> rows then
            invalidArg (nameof clusters) $"clusters of {Seq.sum clusters} rows in all do not fit {rows} rows"

        let family = surrogate.Policy.Family
        let before = surrogate.Linearization.Outputs

        let after =
            Network.forwardSequences surrogate.Policy.Network parameters surrogate.Sequences surrogate.Observations

        let gains =
            Array.init rows (fun row ->
                (Surrogate.ratio surrogate row (after.Row row) - 1.0) * surrogate.Advantages[row])

        let tv row = Family.totalVariation family (before.Row row) (after.Row row)
        let meanTv = Seq.init rows tv |> Seq.average
        // Math.Max keeps a NaN.
        let epsilon = gains |> Array.fold (fun largest gain -> Math.Max(largest, abs gain)) 0.0
        let gain = Array.average gains
        let error = clusteredError clusters gain gains

        let low =
            if clusters.Length < 2 then
                -infinity
            else
                gain - SpecialFunctions.studentQuantile (clusters.Length - 1) level * error

        { Gain = gain
          GainError = error
          GainLow = low
          MeanTv = meanTv
          Epsilon = epsilon
          Penalty = penalty gamma epsilon meanTv }
