namespace FunTrpo

/// The text form of `Direction`; `Configuration.improvement` converts it.
[<RequireQualifiedAccess>]
type DirectionKind =
    /// ∇L, the gradient of the surrogate.
    | Gradient
    /// F⁻¹∇L, the natural gradient.
    | Natural

/// The text form of `StepRule`; `Configuration.improvement` converts it.
[<RequireQualifiedAccess>]
type StepKind =
    /// `LearningRate` times the direction.
    | Fixed
    /// To the edge of the trust region, followed by a line search.
    | TrustRegion

/// How the policy is improved on a batch; `Configuration.improvement` converts it.
[<RequireQualifiedAccess>]
type RuleKind =
    /// One step: `Direction` and `Step` say which. With their standard values it is TRPO.
    | SingleStep
    /// Proximal policy optimization: epochs of minibatch steps of Adam on the clipped surrogate.
    | Ppo

/// The text form of `CriticSettings`; `Configuration.critic` converts it.
[<RequireQualifiedAccess>]
type CriticKind =
    /// Adam on minibatches.
    | Adam
    /// Gauss–Newton steps in a trust region.
    | GaussNewton

/// All settings of a training run, except the environment and the seed. `Configuration.fields` has the names, meanings and ranges for command
/// lines and files, and `Configuration.validate` checks the ranges.
type Configuration =
    {
        /// The number of environments that are stepped side by side; 1 … 65,536.
        Environments: int
        /// T: the steps of each environment in one iteration; 1 … 10⁷.
        Horizon: int
        /// γ: the discount of a reward for each step that it lies ahead; 0 … 1.
        Gamma: float
        /// λ of GAE: 0 gives advantages with the least variance, 1 those with the least bias; 0 … 1.
        Lambda: float
        /// The number of actions tried from the state of each environment after the horizon (a vine); 0 for none, or 2 … 1000.
        Branches: int
        /// The maximum number of steps of a branch, if `Branches` is not 0; 1 … 10⁷.
        BranchSteps: int
        /// The share of the environments whose rows are held out of the policy's improvement, to certify it; ≥ 0 and < 1. 0 holds out none.
        HeldOut: float
        /// The hidden layers of the policy, from first to last. If empty, `Hidden` and `Activation` describe them.
        Architecture: Architecture
        /// The units of each hidden layer of the policy, if `Architecture` is empty; 1 … 65,536 each, at most 1000 layers.
        Hidden: int list
        /// The non-linearity of the policy's hidden layers, if `Architecture` is empty.
        Activation: Activation
        /// The distribution of actions in a box. Other action spaces have `Gaussian`, which has no effect there.
        Distribution: DistributionKind
        /// The initial log σ of a Gaussian policy. σ is in the unit of the action, or of half its range with `ScaleActions`; −20 … 5.
        InitialLogSigma: float
        /// How the policy is improved on a batch: by a single step, or by PPO.
        Rule: RuleKind
        /// The direction of a step of the policy.
        Direction: DirectionKind
        /// The rule for the length of a step of the policy.
        Step: StepKind
        /// δ: radius of the trust region, the mean KL(π_old ‖ π) in nats; > 0.
        Delta: float
        /// The environment steps in which δ shrinks to a half; 0 keeps δ constant.
        DeltaHalfLife: int
        /// The power of the signal's share in the gradient by which δ is multiplied; in [0, 4]. 0 keeps δ.
        DeltaShrinkage: float
        /// The environment steps of an earlier run with this policy, which `DeltaHalfLife`, `LearningRateHalfLife` and `EntropyHalfLife`
        /// count too; ≥ 0.
        PreviousSteps: int
        /// The length of a fixed step, as a multiple of the direction; > 0.
        LearningRate: float
        /// ε of PPO: how far π/π_old may leave 1 before a row stops to gain; > 0.
        ClipRange: float
        /// The passes of PPO over the batch in one iteration; 1 … 10,000.
        Epochs: int
        /// The rows of one minibatch of PPO; whole sequences if the policy has memory; 1 … 10⁷.
        MinibatchSize: int
        /// The learning rate of Adam for PPO; > 0.
        PpoLearningRate: float
        /// The mean KL(π_old ‖ π) of a minibatch, in nats, above which PPO ends the iteration's improvement; 0 for no such end.
        TargetKl: float
        /// The environment steps in which `LearningRate` and `PpoLearningRate` shrink to a half; 0 keeps them constant.
        LearningRateHalfLife: int
        /// β: coefficient of the policy's mean entropy, in nats, in the surrogate; 0 … 1000.
        EntropyBonus: float
        /// The environment steps in which β shrinks to a half; 0 keeps β constant.
        EntropyHalfLife: int
        /// The number added to the diagonal of the Fisher matrix when the direction is solved for; 0 … 10⁶.
        Damping: float
        /// True if the damping also shortens a trust-region step. If false, the quadratic model of the mean KL of the full step is δ.
        DampedLength: bool
        /// The fraction of the batch's rows that Fisher-vector products use; > 0 and ≤ 1.
        FisherFraction: float
        /// The maximum number of conjugate-gradient iterations of a step of the policy; 1 … 10,000.
        CgIterations: int
        /// The residual, relative to the right-hand side, at which conjugate gradient stops, for policy and critic; 0 … 1.
        CgTolerance: float
        /// The maximum number of step lengths that a line search tries, for policy and critic; 1 … 1000.
        LineSearchTries: int
        /// The factor by which each further try of a line search shortens the step, for policy and critic; > 0 and < 1.
        LineSearchRatio: float
        /// How the critic is fitted.
        Critic: CriticKind
        /// The hidden layers of the critic, from first to last. If empty, `CriticHidden` and `CriticActivation` describe them.
        CriticArchitecture: Architecture
        /// The units of each hidden layer of the critic, if `CriticArchitecture` is empty; 1 … 65,536 each, at most 1000 layers.
        CriticHidden: int list
        /// The non-linearity of the critic's hidden layers, if `CriticArchitecture` is empty.
        CriticActivation: Activation
        /// The learning rate of Adam for the critic; > 0.
        CriticLearningRate: float
        /// The passes of Adam over the batch in one iteration; 1 … 10,000.
        CriticEpochs: int
        /// The rows of one minibatch of Adam; 1 … 10⁷.
        CriticBatchSize: int
        /// Radius of the critic's trust region: the mean squared change of V over twice the mean squared error; > 0.
        CriticDelta: float
        /// The maximum number of Gauss–Newton steps in one iteration; 1 … 1000.
        CriticSteps: int
        /// The number added to the diagonal of the Gauss–Newton matrix; 0 … 10⁶.
        CriticDamping: float
        /// The maximum number of conjugate-gradient iterations of a Gauss–Newton step; 1 … 10,000.
        CriticCgIterations: int
        /// The steps of an episode after which training warns that it may never end; ≥ 1.
        LongEpisode: int
        /// Whether observations are standardised by their running moments. Indices never are.
        NormaliseObservations: bool
        /// Whether the critic's network predicts standardised returns, so that the unit of the reward does not matter.
        NormaliseReturns: bool
        /// Whether advantages are standardised over each batch. If not, they are divided by the standard deviation of the returns with
        /// `NormaliseReturns`, and otherwise stay in the unit of the reward.
        NormaliseAdvantages: bool
        /// Whether a Gaussian policy outputs bounded actions in scaled units: 0 is the middle of the range, and ±1 are the bounds.
        ScaleActions: bool
    }

    /// The hidden layers of the policy: `Architecture` or, if that is empty, `Hidden` with `Activation`.
    member this.PolicyLayers =
        if this.Architecture.IsEmpty then
            Architecture.uniform this.Hidden this.Activation
        else
            this.Architecture

    /// The hidden layers of the critic: `CriticArchitecture` or, if that is empty, `CriticHidden` with `CriticActivation`.
    member this.CriticLayers =
        if this.CriticArchitecture.IsEmpty then
            Architecture.uniform this.CriticHidden this.CriticActivation
        else
            this.CriticArchitecture
