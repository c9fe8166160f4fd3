namespace FunTrpo

open System
open FunTrpo.Kernels

/// The settings of a backtracking line search.
type LineSearchSettings =
    {
        /// The maximum number of step lengths that are tried, including the full step.
        Tries: int
        /// The factor, below 1, by which each further try shortens the step.
        Ratio: float
    }

/// The full step of a line search in a trust region: the longest step along x = `Direction` for which the quadratic model of the distance is at
/// most δ and whose length is at most `Longest`.
[<Struct; RequireQualifiedAccess>]
type FullStep =
    {
        /// δ: the value of the quadratic model ½ s² xᵀHx of the distance at a step of length s.
        Delta: float
        /// The maximum length s in units of x; ∞ for no maximum.
        Longest: float
        /// xᵀHx
        Curvature: float
        /// x
        Direction: Vector
    }

/// The result of a line search.
type LineSearchResult<'Comparison> =
    /// The first acceptable point, its comparison, the fraction of the full step, and the number of tries.
    | Accepted of parameters: Vector * comparison: 'Comparison * fraction: float * tries: int
    /// No try was acceptable. Holds the comparison of the last point, and the number of tries.
    | Refused of last: 'Comparison * tries: int
    /// The curvature along the direction was zero, negative or not finite, so the full step has no length.
    | InvalidCurvature

module LineSearch =

    /// Does the same as `backtrack`, but writes each point to the memory that `candidate` returns.
    let internal backtrackIn
        (candidate: unit -> Memory<float32>)
        (settings: LineSearchSettings)
        (evaluate: Vector -> 'Comparison)
        (acceptable: 'Comparison -> bool)
        (parameters: Vector)
        (length: float)
        (direction: Vector)
        =
        let rec attempt tries fraction =
            let memory = candidate ()
            Reductions.AddScaled(float32 (fraction * length), direction.Span, parameters.Span, memory.Span)
            let point = Vector(Memory.op_Implicit memory)
            let comparison = evaluate point

            if acceptable comparison then Accepted(point, comparison, fraction, tries)
            elif tries < settings.Tries then attempt (tries + 1) (fraction * settings.Ratio)
            else Refused(comparison, tries)

        attempt 1 1.0

    /// Returns the first of the points θ + s, θ + ratio · s, θ + ratio² · s … that is acceptable, where s = length · direction.
    /// `evaluate` compares a point with θ, and `acceptable` decides on that comparison. This is for scripts and rules of your own that find
    /// the length of the step themselves; the library's own steps use `withinTrustRegion`.
    let backtrack settings evaluate acceptable (parameters: Vector) length direction =
        let candidate () = Array.zeroCreate<float32>(parameters.Length).AsMemory()
        backtrackIn candidate settings evaluate acceptable parameters length direction

    /// Does the same as `withinTrustRegion`, but writes each point to the memory that `candidate` returns.
    let internal withinTrustRegionIn candidate settings evaluate acceptable parameters (step: FullStep) =
        if step.Curvature > 0.0 && Double.IsFinite step.Curvature then
            let length = min step.Longest (sqrt (2.0 * step.Delta / step.Curvature))
            backtrackIn candidate settings evaluate acceptable parameters length step.Direction
        else
            InvalidCurvature

    /// The line search of a trust-region step along x: length from curvature, then backtracking.
    ///
    /// The full step s x has the length s = √(2δ / xᵀHx), at which the quadratic model ½ s² xᵀHx of the distance is δ (Schulman et al. 2015,
    /// "Trust region policy optimization", appendix C), but at most `step.Longest`.
    let withinTrustRegion settings evaluate acceptable (parameters: Vector) step =
        let candidate () = Array.zeroCreate<float32>(parameters.Length).AsMemory()
        withinTrustRegionIn candidate settings evaluate acceptable parameters step
