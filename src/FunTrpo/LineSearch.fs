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

/// The result of a line search.
type LineSearchResult<'Comparison> =
    /// The first acceptable point, its comparison, the fraction of the full step, and the number of tries.
    | Accepted of parameters: Vector * comparison: 'Comparison * fraction: float * tries: int
    /// No try was acceptable. Holds the comparison of the last point, and the number of tries.
    | Refused of last: 'Comparison * tries: int

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
    /// `evaluate` compares a point with θ, and `acceptable` decides on that comparison.
    let backtrack settings evaluate acceptable (parameters: Vector) length direction =
        let candidate () = Array.zeroCreate<float32>(parameters.Length).AsMemory()
        backtrackIn candidate settings evaluate acceptable parameters length direction
