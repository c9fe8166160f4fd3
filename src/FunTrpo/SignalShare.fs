namespace FunTrpo

open System
open System.Runtime.InteropServices

/// How much of a policy gradient is signal, and how much the noise of its batch.
///
/// The gradient g of a batch is the mean of the gradients g₁ and g₂ of its halves. Their noise is independent, so g₁ᵀH⁻¹g₂ estimates
/// ∇ηᵀH⁻¹∇η without bias, while gᵀH⁻¹g contains the noise, too. The share of the signal is their ratio: near 1 if the halves agree, near 0 if
/// all that the batch says is noise. A step along H⁻¹g that is shortened by this factor is the one that gains most in expectation when the KL
/// of the step is charged for, as in the penalised objective of the TRPO paper. Then KL ∝ share².
module SignalShare =

    /// The least share: the noise of the estimate can make it negative.
    let least = 0.03

    /// The gradient of a half of the rows: the first ones, or the last ones. Rows lie instance after instance, so the halves are different
    /// instances if there are several.
    let private halfGradient isFirst (surrogate: Surrogate) =
        let rows = surrogate.Advantages.Length
        let boundary = rows / 2
        let weight = float rows / float (if isFirst then boundary else rows - boundary)

        let advantages =
            Array.init rows (fun row -> if (row < boundary) = isFirst then weight * surrogate.Advantages[row] else 0.0)

        Surrogate.gradient { surrogate with Advantages = ImmutableCollectionsMarshal.AsImmutableArray advantages }

    /// The share of the signal in a gradient, from `least` to 1, where `direction` is that of the gradient: H⁻¹g. `directionOf` computes the
    /// direction of another gradient, or none if that fails. 1 for fewer than two rows, and where the gradient has no direction.
    let estimate (directionOf: Vector -> Vector option) (surrogate: Surrogate) gradient direction =
        let total = Vector.dot gradient direction
        let canBeShared = surrogate.Advantages.Length > 1 && total > 0.0

        if not canBeShared then
            1.0
        else
            let second = halfGradient false surrogate

            match directionOf (halfGradient true surrogate) with
            | Some firstDirection -> Math.Clamp(Vector.dot second firstDirection / total, least, 1.0)
            | None -> 1.0

    /// The factor of δ: the share to the given power; 1 without a share.
    let factor (power: float) share =
        match share with
        | Some share -> Math.Pow(share, power)
        | None -> 1.0
