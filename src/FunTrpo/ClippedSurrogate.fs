namespace FunTrpo

open System

/// The clipped surrogate of PPO (Schulman et al. 2017, "Proximal policy optimization algorithms", equation 7), on the same batch as the
/// surrogate of TRPO:
///
///     L^CLIP(θ) = (1/N) Σ (min(r A, clip(r, 1 − ε, 1 + ε) A) + β H(π_θ(·|s))),    r = π_θ(a|s) / π_old(a|s)
///
/// ε is the clip range and β the entropy bonus of the surrogate. It equals L at θ_old, in value and gradient. The minimum takes away what a
/// row would gain by leaving [1 − ε, 1 + ε], so it is never above L.
module ClippedSurrogate =

    /// min(r A, clip(r, 1 − ε, 1 + ε) A), for a ratio r and an advantage A. ε = ∞ clips nothing.
    let ofRow clipRange (ratio: float) (advantage: float) =
        let clipped = ratio |> max (1.0 - clipRange) |> min (1.0 + clipRange)
        min (ratio * advantage) (clipped * advantage)

    /// The derivative of `ofRow` in log r: r A, or 0 where the ratio has left the range in the direction in which the row gains. At the two
    /// corners, where it has none, this is r A.
    let slopeOfRow clipRange (ratio: float) (advantage: float) =
        let gainsNothing =
            (advantage > 0.0 && ratio > 1.0 + clipRange) || (advantage < 0.0 && ratio < 1.0 - clipRange)

        if gainsNothing then 0.0 else ratio * advantage

    /// Returns L^CLIP(θ), a float64 sum over the rows in their order.
    let value clipRange (surrogate: Surrogate) parameters =
        let family = surrogate.Policy.Family

        let distributions =
            Network.forwardSequences surrogate.Policy.Network parameters surrogate.Sequences surrogate.Observations

        let ofRow row =
            let ratio = Surrogate.ratio surrogate row (distributions.Row row)
            let objective = ofRow clipRange ratio surrogate.Advantages[row]

            if surrogate.EntropyBonus = 0.0 then
                objective
            else
                objective + surrogate.EntropyBonus * family.Entropy(distributions.Row row)

        Seq.init distributions.Rows ofRow |> Seq.average

    /// Writes the N rows of ∂L^CLIP/∂outputs of a minibatch to `result`. `rowOf` says which row of the batch each of its rows is, and
    /// `distributions` has π_θ there.
    let internal cotangentsTo (result: Memory<float32>) clipRange (surrogate: Surrogate) rowOf (distributions: Matrix) =
        Surrogate.cotangentsTo result surrogate rowOf distributions (fun row ->
            let ofBatch = rowOf row
            let ratio = Surrogate.ratio surrogate ofBatch (distributions.Row row)
            slopeOfRow clipRange ratio surrogate.Advantages[ofBatch])

    /// Returns ∇L^CLIP at any θ. With ε = ∞ it is `Surrogate.gradientAt`, and at θ_old `Surrogate.gradient`, bit for bit.
    let gradientAt clipRange (surrogate: Surrogate) parameters =
        Surrogate.gradientOf surrogate parameters (fun result distributions ->
            cotangentsTo result clipRange surrogate id distributions)
