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
