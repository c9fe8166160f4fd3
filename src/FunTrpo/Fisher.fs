namespace FunTrpo

open System
open System.Collections.Immutable
open FunTrpo.Kernels

/// The Fisher information matrix of a policy at θ_old, averaged over rows of observations, plus `damping` times the identity.
/// This is the damped Hessian of the mean KL(π_old ‖ π_θ) at θ_old. The first product computes the linearization that all
/// products use. Disposing of the matrix returns its pooled memory.
type Fisher internal (damping: float, policy: Policy, linearize: unit -> Linearization, ownsLinearization: bool) =
    let linearization = lazy (linearize ())
    let curvature = lazy (linearization.Value.Curvature policy.Family.Metric)

    /// The Fisher-vector product v ↦ F v + damping · v, where
    ///
    ///     F v = (1/N) Σ_n J_nᵀ M_n J_n v
    ///
    /// J_n is the Jacobian of the distribution's parameters at row n, and M_n the metric of the family there. One product is a
    /// pushforward, the metric of each row, and a pullback (Schulman et al. 2015, "Trust region policy optimization",
    /// appendix C.1).
    member _.Product: LinearMap =
        fun v product ->
            curvature.Value v product
            let weight = 1f / float32 linearization.Value.Outputs.Rows
            Reductions.Combine(weight, Span.op_Implicit product.Span, float32 damping, v.Span, product.Span)

    interface IDisposable with
        member _.Dispose() =
            if ownsLinearization && linearization.IsValueCreated then
                (linearization.Value :> IDisposable).Dispose()

module Fisher =

    /// About `fraction` of so many indices, evenly spaced, and at least one.
    let private sampleOf fraction total =
        let count = max 1 (int (round (fraction * float total)))
        Array.init count (fun i -> int (int64 i * int64 total / int64 count))

    /// About `fraction` of the surrogate's rows, or of its sequences if the policy has memory.
    let private sampleRows fraction (surrogate: Surrogate) =
        let gather (rows: int[]) = Matrix.gather (ImmutableArray.CreateRange rows) surrogate.Observations

        match surrogate.Sequences with
        | Some sequences ->
            let chosen = sampleOf fraction sequences.Count
            Some(Sequences.gather chosen sequences), gather (Sequences.rows chosen sequences)
        | None -> None, gather (sampleOf fraction surrogate.Observations.Rows)

    /// Returns the damped Fisher matrix of the surrogate's policy, averaged over `fraction` of its rows, or of its sequences if the policy has
    /// memory. If `fraction` is 1, the
    /// matrix uses the surrogate's linearization, which must outlive it.
    let matrix damping fraction (surrogate: Surrogate) =
        let isAll = fraction >= 1.0

        let linearize () =
            if isAll then
                surrogate.Linearization
            else
                let sequences, observations = sampleRows fraction surrogate
                Network.linearizeSequences surrogate.Policy.Network surrogate.Parameters sequences observations

        new Fisher(damping, surrogate.Policy, linearize, not isAll)

    /// Returns F v + damping · v as a new vector.
    let product (fisher: Fisher) (v: Vector) =
        let product = Array.zeroCreate v.Length
        fisher.Product v (product.AsMemory())
        Vector.adopt product
