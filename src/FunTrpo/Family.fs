namespace FunTrpo

open System

/// A family of action distributions. Each member computes a property of the distribution with the given row of parameters.
///
/// Rows are spans of float32. Sums, logarithms and exponentials are computed in float64. The KL is always KL(old ‖ new).
type Family =

    /// The number of parameters of a distribution, which is the number of outputs of the policy network.
    abstract ParameterWidth: int

    /// The number of float32 values in an action.
    abstract ActionWidth: int

    /// Draws an action from the distribution with `key`, and writes it to `action`.
    abstract Sample: parameters: ReadOnlySpan<float32> * key: Key * action: Span<float32> -> unit

    /// Writes the most probable action to `action`.
    abstract Mode: parameters: ReadOnlySpan<float32> * action: Span<float32> -> unit

    /// log p(action), or the logarithm of the density if actions are continuous.
    abstract LogProbability: parameters: ReadOnlySpan<float32> * action: ReadOnlySpan<float32> -> float

    /// Writes the score, ∂ log p(action) / ∂ parameters, to `score`.
    abstract Score: parameters: ReadOnlySpan<float32> * action: ReadOnlySpan<float32> * score: Span<float32> -> unit

    /// The entropy in nats; the differential entropy if actions are continuous.
    abstract Entropy: parameters: ReadOnlySpan<float32> -> float

    /// Writes ∂ entropy / ∂ parameters to `gradient`.
    abstract EntropyGradient: parameters: ReadOnlySpan<float32> * gradient: Span<float32> -> unit

    /// KL(old ‖ new) in nats.
    abstract Kl: oldParameters: ReadOnlySpan<float32> * newParameters: ReadOnlySpan<float32> -> float

    /// The Hessian of KL(old ‖ ·) in the parameters, at the old parameters: the Fisher information matrix.
    abstract Metric: Metric

/// A family that bounds the total variation of its distributions better than the KL does (`Family.totalVariation`).
type TotalVariationFamily =

    /// D_TV(old, new) = ½ Σ |p_old − p_new|, or an upper bound of at most 1 where that has no closed form.
    abstract TotalVariation: oldParameters: ReadOnlySpan<float32> * newParameters: ReadOnlySpan<float32> -> float

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Family =

    /// An upper bound of D_TV(old, new), from 0 to 1: that of the family if it has one (`TotalVariationFamily`), and otherwise
    /// min(1, √(KL/2)), with KL(old ‖ new) in nats (Pinsker's inequality). It is D_TV itself for one categorical choice.
    let totalVariation (family: Family) (oldParameters: ReadOnlySpan<float32>) (newParameters: ReadOnlySpan<float32>) =
        match family with
        | :? TotalVariationFamily as bounding -> bounding.TotalVariation(oldParameters, newParameters)
        | _ -> min 1.0 (sqrt (0.5 * family.Kl(oldParameters, newParameters)))
