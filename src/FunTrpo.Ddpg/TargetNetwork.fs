namespace FunTrpo.Ddpg

open System
open FunTrpo
open FunTrpo.Kernels

/// A network that learns, with the target network that follows it slowly.
type Learned =
    {
        /// θ
        Parameters: Vector
        /// θ′, the parameters of the target network.
        Target: Vector
        /// Adam's state between two updates.
        Optimiser: AdamState
    }

/// Target networks (Lillicrap et al. 2015, section 3): θ′ ← τ θ + (1 − τ) θ′ after each update.
module TargetNetwork =

    /// A network before its first update: the target is a copy, and Adam has not begun.
    let start parameters = { Parameters = parameters; Target = parameters; Optimiser = Adam.init parameters }

    /// Whether all numbers are finite.
    let isFinite learned =
        Vector.isFinite learned.Parameters
        && Vector.isFinite learned.Target
        && Adam.isFinite learned.Optimiser

    /// Writes τ θ + (1 − τ) θ′ over θ′, with τ and 1 − τ rounded to float32.
    let internal followInPlace (tau: float) (parameters: ReadOnlySpan<float32>) (target: Span<float32>) =
        Reductions.Combine(float32 tau, parameters, float32 (1.0 - tau), Span.op_Implicit target, target)

    /// τ θ + (1 − τ) θ′. Throws an `ArgumentException` if the lengths differ.
    let follow tau (parameters: Vector) (target: Vector) =
        Vector.Create(
            target.Length,
            Fill(fun next ->
                target.Span.CopyTo next
                followInPlace tau parameters.Span next)
        )
