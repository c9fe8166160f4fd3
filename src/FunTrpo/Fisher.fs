namespace FunTrpo

open System
open System.Collections.Immutable
open FunTrpo.Kernels

/// The Fisher information matrix of a policy at θ_old, averaged over rows of observations, plus `damping` times the identity: so
/// the damped Hessian of the mean KL(π_old ‖ π_θ) at θ_old. Its memory is lent until it is disposed of.
/// What the products need is computed with the first of them.
type Fisher internal (damping: float, policy: Policy, linearize: unit -> Linearization, isOwn: bool) =
    let linearization = lazy (linearize ())
    let curvature = lazy (linearization.Value.Curvature policy.Family.Metric)

    /// v ↦ F v + damping · v, where
    ///
    ///     F v = (1/N) Σ_n J_nᵀ M_n J_n v
    ///
    /// J_n is the Jacobian of the distribution's parameters at row n, M_n the metric of the family there. One product is a
    /// pushforward, the metric row by row, and a pullback (Schulman et al. 2015, appendix C.1).
    member _.Product: LinearMap =
        fun v product ->
            curvature.Value v product
            let weight = 1f / float32 linearization.Value.Forward.Rows
            Reductions.Combine(weight, Span.op_Implicit product.Span, float32 damping, v.Span, product.Span)

    interface IDisposable with
        member _.Dispose() =
            if isOwn && linearization.IsValueCreated then
                (linearization.Value :> IDisposable).Dispose()

module Fisher =

    /// Every k-th row, so that about `fraction` of them are left.
    let private sampleOf fraction (observations: Matrix) =
        let count = max 1 (int (round (fraction * float observations.Rows)))
        let rowOf i = int (int64 i * int64 observations.Rows / int64 count)

        Matrix.gather (ImmutableArray.CreateRange(Seq.init count rowOf)) observations

    /// The damped Fisher matrix of the surrogate's policy, averaged over `fraction` of its rows.
    let matrix damping fraction (surrogate: Surrogate) =
        let isAll = fraction >= 1.0

        let linearize () =
            if isAll then
                surrogate.Linearization
            else
                Network.linearize
                    surrogate.Policy.Network
                    surrogate.Parameters
                    (sampleOf fraction surrogate.Observations)

        new Fisher(damping, surrogate.Policy, linearize, not isAll)

    /// F v + damping · v, as a new vector.
    let product (fisher: Fisher) (v: Vector) =
        let product = Array.zeroCreate v.Length
        fisher.Product v (product.AsMemory())
        Vector.adopt product
