namespace FunTrpo

open System
open FunTrpo.Kernels

/// The direction in which a policy is improved.
type Direction =
    /// ∇L: the steepest ascent in the parameters.
    | Gradient
    /// F⁻¹∇L: the steepest ascent in the distributions, by conjugate gradient on Fisher-vector products.
    | NaturalGradient of ConjugateGradientSettings

/// How far a policy is moved in that direction.
type StepRule =
    /// learning rate × direction, unchecked.
    | FixedStep of learningRate: float
    /// √(2δ / xᵀFx) × direction, where the quadratic model of the mean KL reaches δ, then shortened by a line search
    /// until the surrogate has gained and the mean KL is at most δ. F may be damped.
    | TrustRegionStep of delta: float * LineSearchSettings

/// One policy improvement. REINFORCE, the natural policy gradient and TRPO are three pairs of a direction and a step rule.
type ImprovementSettings =
    {
        Direction: Direction
        StepRule: StepRule
        /// Added to the diagonal of the Fisher matrix, for the direction.
        Damping: float
        /// Whether the damping counts in the length of a trust-region step, too.
        DampedLength: bool
        /// The fraction of the rows that Fisher-vector products use.
        FisherFraction: float
    }

/// Why the parameters are what they are after an update.
type Outcome =
    /// The step was taken: which fraction of the full one, and how many lengths were tried.
    | Moved of fraction: float * tries: int
    /// There was no gradient, so there was nowhere to go.
    | NoGradient
    /// The gradient was NaN or infinite, as with advantages that are.
    | NonFiniteGradient
    /// xᵀHx was zero, negative or not a number, so the length of the step is not defined.
    | NoCurvature
    /// No length of the step gained within the trust region.
    | LineSearchFailed of tries: int

/// What an improvement did. Unless the outcome is `Moved`, the parameters are the old ones, bit for bit.
type Improvement =
    {
        Parameters: Vector
        Outcome: Outcome
        /// The new parameters compared with the old ones.
        Comparison: Comparison
        GradientNorm: float
        /// What conjugate gradient did, where it was used: with the natural gradient, if there was a finite gradient.
        Solution: Solution option
    }

module TrustRegion =

    /// The one predicate that decides whether a step is taken: it gains, and stays within the trust region.
    /// A comparison that is not a number is never acceptable.
    let acceptable delta (comparison: Comparison) =
        comparison.Gain > 0.0
        && comparison.MeanKl <= delta
        && Double.IsFinite comparison.Gain
        && Double.IsFinite comparison.Entropy

    /// Curvature below this fraction of the damped one cannot be told from zero when products are float32.
    let private resolution = 1e-6

    /// TRPO, the natural policy gradient (Kakade 2001): the trust region or a fixed step along F⁻¹∇L; REINFORCE
    /// (Williams 1992): a fixed step along ∇L.
    ///
    /// gradient → direction (as it is, or H⁻¹g) → step (fixed, or √(2δ/xᵀFx)) → line search → parameters, or the old ones
    ///
    /// H = F + damping · 1. As xᵀFx = xᵀHx − damping · ‖x‖², the step reaches δ also where the damping is most of H; with
    /// `DampedLength`, H takes the place of F in the length.
    let improve (settings: ImprovementSettings) (surrogate: Surrogate) =
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
            use product = PooledBuffer.Rent old.Length
            hessian.Product direction product.Memory
            let damped = Vector.dot direction (Vector(Memory.op_Implicit product.Memory))

            let curvature =
                if settings.DampedLength then
                    damped
                else
                    max (damped - settings.Damping * Vector.dot direction direction) (resolution * damped)

            if not (curvature > 0.0 && Double.IsFinite curvature) then
                unchanged NoCurvature
            else
                let length = sqrt (2.0 * delta / curvature)

                match
                    LineSearch.backtrack lineSearch (Surrogate.at surrogate) (acceptable delta) old length direction
                with
                | Accepted(parameters, comparison, fraction, tries) ->
                    ended (Moved(fraction, tries)) parameters comparison
                | Refused(_, tries) -> unchanged (LineSearchFailed tries)

        if gradientNorm = 0.0 then
            unchanged NoGradient None
        elif not (Double.IsFinite gradientNorm) then
            unchanged NonFiniteGradient None
        else
            let direction, solution =
                match settings.Direction with
                | Gradient -> gradient, None
                | NaturalGradient conjugateGradient ->
                    let solution = ConjugateGradient.solve conjugateGradient hessian.Product gradient
                    solution.X, Some solution

            match settings.StepRule with
            | FixedStep learningRate -> stepFixed learningRate direction solution
            | TrustRegionStep(delta, lineSearch) -> stepWithin delta lineSearch direction solution
