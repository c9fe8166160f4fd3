namespace FunTrpo

open System
open FunTrpo.Kernels

/// The direction of a policy improvement.
type Direction =
    /// ∇L: the steepest ascent in the parameters.
    | Gradient
    /// F⁻¹∇L: the steepest ascent per KL, by conjugate gradient on Fisher-vector products. F is damped.
    | NaturalGradient of ConjugateGradientSettings

/// The length of a policy improvement.
type StepRule =
    /// learning rate × direction, without any check.
    | FixedStep of learningRate: float
    /// √(2δ / xᵀFx) × direction x: at this length the quadratic model of the mean KL is δ. A line search then shortens the
    /// step until the surrogate gains and the mean KL is at most δ. With `DampedLength`, F is damped.
    | TrustRegionStep of delta: float * LineSearchSettings

/// The settings of one policy improvement. REINFORCE, the natural policy gradient and TRPO are three pairs of a direction and
/// a step rule.
type ImprovementSettings =
    {
        Direction: Direction
        StepRule: StepRule
        /// The number that is added to the diagonal of the Fisher matrix when the direction is solved for.
        Damping: float
        /// True if the damping also counts in the length of a trust-region step.
        DampedLength: bool
        /// The fraction of the rows that Fisher-vector products use, in (0, 1].
        FisherFraction: float
    }

/// The outcome of a policy improvement.
type Outcome =
    /// The step was taken. Holds the fraction of the full step, and the number of lengths that were tried.
    | Moved of fraction: float * tries: int
    /// The gradient was zero.
    | NoGradient
    /// xᵀHx was zero, negative or not finite, so the length of the step is not defined.
    | NoCurvature
    /// No length that was tried gained within the trust region.
    | LineSearchFailed of tries: int

    /// The number of step lengths that were tried.
    member this.Tries =
        match this with
        | Moved(_, tries)
        | LineSearchFailed tries -> tries
        | NoGradient
        | NoCurvature -> 0

    /// The fraction of the full step that was taken; 0 if none was.
    member this.Fraction =
        match this with
        | Moved(fraction, _) -> fraction
        | LineSearchFailed _
        | NoGradient
        | NoCurvature -> 0.0

/// The result of a policy improvement. Unless the outcome is `Moved`, the parameters are exactly the old ones.
type Improvement =
    {
        Parameters: Vector
        Outcome: Outcome
        /// The new parameters compared with the old ones.
        Comparison: Comparison
        /// ‖∇L‖
        GradientNorm: float
        /// The result of conjugate gradient. None for the direction `Gradient`, and if the gradient was zero.
        Solution: Solution option
    }

/// An improvement rule: surrogate → improvement. `TrustRegion.improve` is the standard one. The settings are those of the iteration, with the
/// δ in force; a rule may use the surrogate until it returns. The error names a quantity that became NaN or infinite.
type Rule = ImprovementSettings -> Surrogate -> Result<Improvement, string>

module TrustRegion =

    /// Returns true if a trust-region step may be taken: the surrogate gains, and the mean KL is at most `delta`.
    /// A comparison with a NaN is never acceptable.
    let acceptable delta (comparison: Comparison) =
        comparison.Gain > 0.0
        && comparison.MeanKl <= delta
        && Double.IsFinite comparison.Gain
        && Double.IsFinite comparison.Entropy

    /// A curvature below this fraction of the damped one cannot be distinguished from zero, because products are float32.
    let private resolution = 1e-6

    /// xᵀHx or, without `DampedLength`, xᵀFx of the direction x.
    let private curvatureOf settings (hessian: Fisher) (direction: Vector) =
        use product = PooledBuffer.Rent direction.Length
        hessian.Product direction product.Memory
        let damped = Vector.dot direction (Vector(Memory.op_Implicit product.Memory))

        if settings.DampedLength then
            damped
        else
            max (damped - settings.Damping * Vector.dot direction direction) (resolution * damped)

    /// Improves the policy by one step. A trust-region step along F⁻¹∇L is TRPO, a fixed step along F⁻¹∇L the natural policy
    /// gradient (Kakade 2001), and a fixed step along ∇L REINFORCE (Williams 1992).
    ///
    /// gradient → direction (g, or H⁻¹g) → step (fixed, or √(2δ/xᵀFx)) → line search → new or old parameters
    ///
    /// H = F + damping · 1. The length uses xᵀFx = xᵀHx − damping · ‖x‖², so the quadratic model of the KL reaches δ even if the
    /// damping dominates H. With `DampedLength`, the length uses xᵀHx instead.
    ///
    /// Errors: "policy gradient" and "Fisher-vector product", if one of these is NaN or infinite.
    let improve (settings: ImprovementSettings) (surrogate: Surrogate) : Result<Improvement, string> =
        let old = surrogate.Parameters
        use scratch = PooledBuffer.Rent old.Length
        Surrogate.gradientTo scratch.Memory surrogate
        let gradient = Vector(Memory.op_Implicit scratch.Memory)
        let gradientNorm = Vector.norm gradient
        use hessian = Fisher.matrix settings.Damping settings.FisherFraction surrogate

        let ended outcome parameters comparison solution =
            { Parameters = parameters
              Outcome = outcome
              Comparison = comparison
              GradientNorm = gradientNorm
              Solution = solution }

        let unchanged outcome = ended outcome old (Surrogate.at surrogate old)

        let stepFixed learningRate direction =
            let parameters = Vector.addScaled learningRate direction old
            ended (Moved(1.0, 1)) parameters (Surrogate.at surrogate parameters)

        let stepWithin delta lineSearch direction =
            // A comparison holds no parameters, so each try may overwrite the memory of the last.
            let candidate = Array.zeroCreate<float32>(old.Length).AsMemory()

            match
                LineSearch.withinTrustRegionIn
                    (fun () -> candidate)
                    lineSearch
                    (Surrogate.at surrogate)
                    (acceptable delta)
                    old
                    delta
                    infinity
                    (curvatureOf settings hessian direction)
                    direction
            with
            | Accepted(parameters, comparison, fraction, tries) -> ended (Moved(fraction, tries)) parameters comparison
            | Refused(_, tries) -> unchanged (LineSearchFailed tries)
            | NoLength -> unchanged NoCurvature

        let stepAlong direction solution =
            match settings.StepRule with
            | FixedStep learningRate -> stepFixed learningRate direction solution
            | TrustRegionStep(delta, lineSearch) -> stepWithin delta lineSearch direction solution

        if gradientNorm = 0.0 then
            Ok(unchanged NoGradient None)
        elif not (Double.IsFinite gradientNorm) then
            Error "policy gradient"
        else
            match settings.Direction with
            | Gradient -> Ok(stepAlong gradient None)
            | NaturalGradient conjugateGradient ->
                match ConjugateGradient.solve conjugateGradient hessian.Product gradient with
                | Some solution -> Ok(stepAlong solution.X (Some solution))
                | None -> Error "Fisher-vector product"
