namespace FunTrpo

open System

/// The standard values, reading and checking of a configuration, and the settings that the stages of training take from it.
[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Configuration =

    /// The standard values.
    let standard: Configuration =
        { Environments = 8
          Horizon = 128
          Gamma = 0.99
          Lambda = 0.95
          Branches = 0
          BranchSteps = 100
          HeldOut = 0.0
          Architecture = []
          Hidden = [ 64; 64 ]
          Activation = Activation.Tanh
          Distribution = DistributionKind.Gaussian
          InitialLogSigma = 0.0
          Rule = RuleKind.SingleStep
          Direction = DirectionKind.Natural
          Step = StepKind.TrustRegion
          Delta = 0.01
          DeltaHalfLife = 0
          DeltaShrinkage = 0.0
          PreviousSteps = 0
          LearningRate = 0.01
          ClipRange = 0.2
          Epochs = 10
          MinibatchSize = 64
          PpoLearningRate = 1e-3
          TargetKl = 0.0
          LearningRateHalfLife = 0
          EntropyBonus = 0.0
          EntropyHalfLife = 0
          Damping = 0.1
          DampedLength = false
          FisherFraction = 1.0
          CgIterations = 10
          CgTolerance = 1e-5
          LineSearchTries = 10
          LineSearchRatio = 0.8
          Critic = CriticKind.GaussNewton
          CriticArchitecture = []
          CriticHidden = [ 64; 64 ]
          CriticActivation = Activation.Tanh
          CriticLearningRate = 1e-3
          CriticEpochs = 10
          CriticBatchSize = 128
          CriticDelta = 0.1
          CriticSteps = 5
          CriticDamping = 1e-2
          CriticCgIterations = 10
          LongEpisode = 100_000
          NormaliseObservations = true
          NormaliseReturns = true
          NormaliseAdvantages = true
          ScaleActions = true }

    /// All fields, in the order in which they are shown.
    let fields = ConfigurationFields.all

    /// Returns the configuration with one field set from text. `InvalidSetting` if there is no such field, or if the text is not
    /// an allowed value.
    let set name text configuration =
        match fields |> List.tryFind (fun field -> field.Name = name) with
        | Some field -> field.Set text configuration
        | None ->
            let names = fields |> List.map _.Name |> String.concat ", "
            Error(InvalidSetting(name, text, $"there is no such field; the fields are {names}"))

    /// Returns the configuration if every field is in its range, its batches and networks fit into memory, and it does not hold out its only
    /// environment; otherwise `InvalidSetting` for the first field that is wrong.
    let validate configuration =
        (Ok configuration, fields)
        ||> List.fold (fun checkedSoFar field ->
            checkedSoFar |> Result.bind (fun configuration -> field.Set (field.Get configuration) configuration))
        |> Result.bind ConfigurationLimits.requireMemory
        |> Result.bind ConfigurationLimits.requireHeldOut

    /// Returns the configuration with the settings that a policy was created with. If all its layers have the same activation, these are in
    /// `Hidden` and `Activation`, and otherwise in `Architecture`.
    let ofPolicy (policy: Policy) (configuration: Configuration) =
        let configuration =
            { configuration with ScaleActions = policy.IsScaled; Distribution = policy.Distribution }

        match Architecture.tryUniform policy.Architecture with
        | Some(hidden, activation) -> { configuration with Architecture = []; Hidden = hidden; Activation = activation }
        | None -> { configuration with Architecture = policy.Architecture }

    /// Returns the configuration with the settings that the policy and the normaliser of an actor were created with.
    let ofActor (actor: Actor) configuration =
        let configuration = ofPolicy actor.Policy configuration

        // Indices are never normalised, so their actors have no such setting.
        if Space.hasIndices actor.Policy.ObservationSpace then
            configuration
        else
            { configuration with NormaliseObservations = actor.Normaliser <> Unnormalised }

    let private conjugateGradient iterations tolerance = { Iterations = iterations; Tolerance = tolerance }

    let private lineSearch configuration =
        { Tries = configuration.LineSearchTries; Ratio = configuration.LineSearchRatio }

    /// A number after this number of environment steps: number · 2^(−steps / half-life), or the number itself if the half-life is 0. The
    /// steps of an earlier run (`PreviousSteps`) count too.
    let private halved halfLife (steps: int64) configuration number =
        if halfLife = 0 then
            number
        else
            let all = float steps + float configuration.PreviousSteps
            number * Math.Pow(0.5, all / float halfLife)

    /// Returns the radius of the trust region after this number of environment steps: δ · 2^(−steps / half-life). The steps of an
    /// earlier run (`PreviousSteps`) count too.
    let deltaAt steps configuration = halved configuration.DeltaHalfLife steps configuration configuration.Delta

    /// Returns the coefficient of the entropy after this number of environment steps: β · 2^(−steps / half-life). The steps of an earlier
    /// run (`PreviousSteps`) count too.
    let entropyBonusAt steps configuration =
        halved configuration.EntropyHalfLife steps configuration configuration.EntropyBonus

    /// A learning rate after this number of environment steps: rate · 2^(−steps / half-life).
    let private rateAt steps configuration rate = halved configuration.LearningRateHalfLife steps configuration rate

    /// Returns the settings of PPO after this number of environment steps.
    let ppo steps configuration =
        { ClipRange = configuration.ClipRange
          Adam =
            { LearningRate = rateAt steps configuration configuration.PpoLearningRate
              Epochs = configuration.Epochs
              BatchSize = configuration.MinibatchSize }
          TargetKl = if configuration.TargetKl = 0.0 then infinity else configuration.TargetKl }

    /// Returns the settings of a policy improvement after this number of environment steps.
    let improvement steps configuration =
        { Direction =
            match configuration.Direction with
            | DirectionKind.Gradient -> Gradient
            | DirectionKind.Natural ->
                NaturalGradient(conjugateGradient configuration.CgIterations configuration.CgTolerance)
          StepRule =
            match configuration.Step with
            | StepKind.Fixed -> FixedStep(rateAt steps configuration configuration.LearningRate)
            | StepKind.TrustRegion -> TrustRegionStep(deltaAt steps configuration, lineSearch configuration)
          Damping = configuration.Damping
          DampedLength = configuration.DampedLength
          FisherFraction = configuration.FisherFraction
          DeltaShrinkage = configuration.DeltaShrinkage
          Ppo =
            match configuration.Rule with
            | RuleKind.SingleStep -> None
            | RuleKind.Ppo -> Some(ppo steps configuration) }

    /// Returns the settings of a vine.
    let vine configuration : VineSettings =
        { Branches = configuration.Branches
          Steps = configuration.BranchSteps
          Gamma = configuration.Gamma }

    /// Returns the settings of the critic's fit.
    let critic configuration =
        match configuration.Critic with
        | CriticKind.Adam ->
            MinibatchAdam
                { LearningRate = configuration.CriticLearningRate
                  Epochs = configuration.CriticEpochs
                  BatchSize = configuration.CriticBatchSize }
        | CriticKind.GaussNewton ->
            GaussNewton
                { Delta = configuration.CriticDelta
                  Steps = configuration.CriticSteps
                  Damping = configuration.CriticDamping
                  ConjugateGradient = conjugateGradient configuration.CriticCgIterations configuration.CgTolerance
                  LineSearch = lineSearch configuration }
