namespace FunTrpo

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

    /// The first of θ + step, θ + ratio · step, θ + ratio² · step … that `acceptable` accepts.
    let backtrack
        (settings: LineSearchSettings)
        (evaluate: Vector -> 'Comparison)
        (acceptable: 'Comparison -> bool)
        (parameters: Vector)
        (step: Vector)
        =
        let rec attempt tries fraction =
            let candidate = Vector.addScaled fraction step parameters
            let comparison = evaluate candidate

            if acceptable comparison then Accepted(candidate, comparison, fraction, tries)
            elif tries < settings.Tries then attempt (tries + 1) (fraction * settings.Ratio)
            else Refused(comparison, tries)

        attempt 1 1.0
