namespace FunTrpo

open System
open FunTrpo.Kernels

/// How a backtracking line search shortens a step.
type LineSearchSettings =
    {
        /// How many lengths are tried at most, the full step first.
        Tries: int
        /// What each further try multiplies the step by.
        Ratio: float
    }

/// What a line search found.
type LineSearchResult<'Comparison> =
    /// The first point that was good enough, how it compares, the fraction of the step taken, and how many were tried.
    | Accepted of parameters: Vector * comparison: 'Comparison * fraction: float * tries: int
    /// No try was good enough; how the last one compares.
    | Refused of last: 'Comparison * tries: int

module LineSearch =

    /// As `backtrack`; but each point is written to the memory that `candidate` gives for it.
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

    /// The first of θ + s, θ + ratio · s, θ + ratio² · s … that `acceptable` accepts, where s = length · direction.
    let backtrack settings evaluate acceptable (parameters: Vector) length direction =
        let candidate () = Array.zeroCreate<float32>(parameters.Length).AsMemory()
        backtrackIn candidate settings evaluate acceptable parameters length direction
