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

/// The settings of PPO: epochs of minibatches on the clipped surrogate.
type PpoSettings =
    {
        /// ε: how far the ratio π_θ/π_old of a row may leave 1 before the row stops to gain; ∞ clips nothing.
        ClipRange: float
        /// The epochs, the minibatches and the learning rate.
        Adam: MinibatchAdamSettings
        /// The mean KL(π_old ‖ π_θ) of a minibatch, in nats, above which the improvement ends; ∞ for no such end.
        TargetKl: float
    }

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
        /// PPO instead of a single step; it uses none of the settings above.
        Ppo: PpoSettings option
    }

/// The outcome of a policy improvement.
type Outcome =
    /// The step was taken. Holds the fraction of the full step, and the number of lengths that were tried. Of PPO, it holds the fraction of
    /// its minibatch steps that were made, and 0: it tries no lengths.
    | Moved of fraction: float * tries: int
    /// The gradient was zero.
    | NoGradient
    /// xᵀHx was zero, negative or not finite, so the step has no length.
    | NoCurvature
    /// No length that was tried gained within the trust region. Also the outcome of a fixed step, or of PPO, if the steps are too short to
    /// change a parameter.
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

/// An improvement rule: settings, key, optimiser and surrogate → improvement and optimiser. `ImprovementRule.standard` is the standard one, and
/// `ImprovementRule.ofStep` makes one of a function that needs no key and no optimiser.
///
/// The settings are those of the iteration, with the δ in force. All randomness of the rule comes from the key. The optimiser is the one
/// that the rule returned in the last iteration, or `Adam.none`; training keeps it, and checkpoints hold it. A rule may use the surrogate until
/// it returns. The error names a quantity that became NaN or infinite.
type ImprovementRule = ImprovementSettings -> Key -> AdamState -> Surrogate -> Result<Improvement * AdamState, string>
