namespace FunTrpo

[<RequireQualifiedAccess>]
type DirectionKind =
    | Gradient
    | Natural

[<RequireQualifiedAccess>]
type StepKind =
    | Fixed
    | TrustRegion

[<RequireQualifiedAccess>]
type CriticKind =
    | Adam
    | GaussNewton

/// All settings of a training run, except the environment and the seed.
/// `Configuration.fields` documents each field and its range.
type Configuration =
    { Environments: int
      Horizon: int
      Gamma: float
      Lambda: float
      Branches: int
      BranchSteps: int
      Architecture: Architecture
      Hidden: int list
      Activation: Activation
      InitialLogSigma: float
      Direction: DirectionKind
      Step: StepKind
      Delta: float
      DeltaHalfLife: int
      PreviousSteps: int
      LearningRate: float
      EntropyBonus: float
      Damping: float
      DampedLength: bool
      FisherFraction: float
      CgIterations: int
      CgTolerance: float
      LineSearchTries: int
      LineSearchRatio: float
      Critic: CriticKind
      CriticArchitecture: Architecture
      CriticHidden: int list
      CriticActivation: Activation
      CriticLearningRate: float
      CriticEpochs: int
      CriticBatchSize: int
      CriticDelta: float
      CriticSteps: int
      CriticDamping: float
      CriticCgIterations: int
      LongEpisode: int
      NormaliseObservations: bool
      NormaliseReturns: bool
      NormaliseAdvantages: bool
      ScaleActions: bool }

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
