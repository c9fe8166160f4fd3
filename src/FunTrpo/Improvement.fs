namespace FunTrpo

// F is the Fisher matrix of the policy at θ_old, and H = F + damping · I is the damped one.

/// The direction x of a policy improvement.
type Direction =
    /// x = ∇L: the steepest ascent in the parameters.
    | Gradient
    /// x = H⁻¹∇L: the steepest ascent per KL, by conjugate gradient on Fisher-vector products. H = F + damping · I is the damped Fisher matrix.
    | NaturalGradient of ConjugateGradientSettings

/// The length of a policy improvement.
type StepRule =
    /// learning rate · x, without any check.
    | FixedStep of learningRate: float
    /// √(2δ / xᵀFx) · x: at this length the quadratic model of the mean KL is δ. A line search then shortens the step until the surrogate
    /// gains and the mean KL is at most δ. With `DampedLength` the length is √(2δ / xᵀHx).
    | TrustRegionStep of delta: float * LineSearchSettings

/// The settings of one policy improvement. REINFORCE, the natural policy gradient and TRPO are three pairs of a direction and
/// a step rule.
type ImprovementSettings =
    {
        Direction: Direction
        StepRule: StepRule
        /// The number that is added to the diagonal of F: H = F + damping · I. The natural gradient is H⁻¹∇L.
        Damping: float
        /// True if the length of a trust-region step uses H instead of F.
        DampedLength: bool
        /// The fraction of the rows that Fisher-vector products use, in (0, 1].
        FisherFraction: float
        /// The power of the signal's share by which a trust-region step multiplies δ (see `SignalShare`); 0 keeps δ.
        DeltaShrinkage: float
    }

/// The outcome of a policy improvement.
type Outcome =
    /// The step was taken. Holds the fraction of the full step, and the number of lengths that were tried.
    | Moved of fraction: float * tries: int
    /// The gradient was zero.
    | NoGradient
    /// xᵀHx was zero, negative or not finite, so the step has no length.
    | NoCurvature
    /// No length that was tried gained within the trust region. Also the outcome of a fixed step that is too short to change a parameter.
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
        /// The share of the signal in the gradient (see `SignalShare`). None unless `DeltaShrinkage` needs it.
        SignalShare: float option
        /// The result of conjugate gradient. None for the direction `Gradient`, and if the gradient was zero.
        Solution: Solution option
    }

/// An improvement rule: surrogate → improvement. `TrustRegion.improve` is the standard one. The settings are those of the iteration, with the
/// δ in force; a rule may use the surrogate until it returns. The error names a quantity that became NaN or infinite.
type ImprovementRule = ImprovementSettings -> Surrogate -> Result<Improvement, string>
