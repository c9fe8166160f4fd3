namespace FunTrpo

open System

/// A symmetric matrix M for each row of network outputs: the M of appendix C of the TRPO paper (Schulman et al. 2015). For a policy it is the
/// Fisher information matrix of the distribution with the row's parameters, and for a critic the identity.
///
/// Each M is multiplied by many vectors u, so the factors of the products are computed once. Rows are `stride` numbers apart, and what lies
/// between them is padding.
type Metric =

    /// Writes the factors that `Apply` needs, computed from each row of parameters. A row has as many factors as parameters. `factors` holds
    /// zeros before, and its padding must hold zeros afterwards, because `Apply` may multiply the padding of u by it.
    abstract Factors: rows: int * stride: int * parameters: ReadOnlySpan<float32> * factors: Span<float32> -> unit

    /// Replaces each row u by the product M u.
    abstract Apply: rows: int * stride: int * factors: ReadOnlySpan<float32> * u: Span<float32> -> unit

module Metric =

    /// The identity, M = 1. It is the metric of a critic's values, whose distance is the squared difference.
    let identity =
        { new Metric with
            member _.Factors(_, _, _, _) = ()
            member _.Apply(_, _, _, _) = () }
