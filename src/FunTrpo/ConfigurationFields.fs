namespace FunTrpo

open System
open FunTrpo.Field

/// The table of all settings: their names, meanings and ranges.
module internal ConfigurationFields =

    /// How a batch is collected, and its advantages.
    let private rollout =
        [ integer "environments" "environments stepped side by side" 1 65536 _.Environments (fun v c ->
              { c with Environments = v })
          integer "horizon" "steps of each environment in one iteration" 1 10_000_000 _.Horizon (fun v c ->
              { c with Horizon = v })
          number "gamma" "discount of future rewards, γ" (closed 0.0 1.0) _.Gamma (fun v c -> { c with Gamma = v })
          number "lambda" "bias against variance of the advantages, λ of GAE" (closed 0.0 1.0) _.Lambda (fun v c ->
              { c with Lambda = v })
          branchCount
              "branches"
              "number of actions tried from the state of each environment after the horizon (a vine); the policy is then improved on these branches alone; 0 tries none"
              1000
              _.Branches
              (fun v c -> { c with Branches = v })
          integer
              "branchSteps"
              "maximum number of steps of a branch, used if branches is not 0; the critic estimates the return of the steps after it"
              1
              10_000_000
              _.BranchSteps
              (fun v c -> { c with BranchSteps = v })
          number
              "heldOut"
              "share of the environments whose rows the policy's improvement does not see, so that they can certify it; 0 holds out none, and more needs at least 2 environments"
              { closed 0.0 1.0 with HighIncluded = false }
              _.HeldOut
              (fun v c -> { c with HeldOut = v }) ]

    /// The policy.
    let private policy =
        [ architecture
              "architecture"
              "hidden layers of the policy, for example \"dense 64 tanh; dense 32 relu\"; if it is empty, hidden and activation say which layers there are"
              _.Architecture
              (fun v c -> { c with Architecture = v })
          unitsOfLayers
              "hidden"
              "units of each hidden layer of the policy, used if architecture is empty"
              _.Hidden
              (fun v c -> { c with Hidden = v })
          choice
              "activation"
              "non-linearity of the policy's hidden layers, used if architecture is empty"
              HiddenLayer.activations
              _.Activation
              (fun v c -> { c with Activation = v })
          choice
              "distribution"
              "distribution of actions in a box: gaussian has a log σ for all observations, state-dependent-gaussian computes it from them, squashed-gaussian takes the tanh of the numbers that gaussian draws, and beta lies between the bounds; the last two need finite bounds"
              Distribution.kinds
              _.Distribution
              (fun v c -> { c with Distribution = v })
          number
              "initialLogSigma"
              "initial log σ of a Gaussian policy, in the unit of the action, or of half its range (scaleActions)"
              (closed -20.0 5.0)
              _.InitialLogSigma
              (fun v c -> { c with InitialLogSigma = v }) ]

    /// The improvement of the policy.
    let private improvement =
        [ choice
              "rule"
              "how the policy is improved on a batch: a single step, which direction and step describe (TRPO as they stand), or ppo: epochs of minibatch steps of Adam on the clipped surrogate"
              [ "single-step", RuleKind.SingleStep; "ppo", RuleKind.Ppo ]
              _.Rule
              (fun v c -> { c with Rule = v })
          choice
              "direction"
              "direction of a step: the gradient, or the natural gradient F⁻¹g"
              [ "gradient", DirectionKind.Gradient; "natural", DirectionKind.Natural ]
              _.Direction
              (fun v c -> { c with Direction = v })
          choice
              "step"
              "length of a step: learningRate times the direction, or to the edge of the trust region"
              [ "fixed", StepKind.Fixed; "trust-region", StepKind.TrustRegion ]
              _.Step
              (fun v c -> { c with Step = v })
          number
              "delta"
              "radius of the trust region: the mean KL(old ‖ new) of a step, δ, in nats"
              (above 0.0)
              _.Delta
              (fun v c -> { c with Delta = v })
          integer
              "deltaHalfLife"
              "environment steps in which delta shrinks to a half, so that late steps are smaller and less noisy; 0 keeps it"
              0
              Int32.MaxValue
              _.DeltaHalfLife
              (fun v c -> { c with DeltaHalfLife = v })
          number
              "deltaShrinkage"
              "power of the gradient's signal share by which delta is multiplied, where the share says how far two halves of the batch agree: 2 shortens a step by the share; 0 keeps delta"
              (closed 0.0 4.0)
              _.DeltaShrinkage
              (fun v c -> { c with DeltaShrinkage = v })
          integer
              "previousSteps"
              "environment steps that an earlier run made with the policy to start from: deltaHalfLife, learningRateHalfLife and entropyHalfLife count them"
              0
              Int32.MaxValue
              _.PreviousSteps
              (fun v c -> { c with PreviousSteps = v })
          number
              "learningRate"
              "length of a fixed step, as a multiple of the direction, used where step is fixed; the standard value is cautious: try 1 along the gradient, 0.3 along the natural gradient"
              (above 0.0)
              _.LearningRate
              (fun v c -> { c with LearningRate = v }) ]

    /// The improvement by PPO.
    let private ppo =
        [ number
              "clipRange"
              "how far the ratio of new and old probability may leave 1 before a row stops to gain, ε of the clipped surrogate, used where rule is ppo"
              (above 0.0)
              _.ClipRange
              (fun v c -> { c with ClipRange = v })
          integer
              "epochs"
              "passes over the batch in one improvement, used where rule is ppo"
              1
              10_000
              _.Epochs
              (fun v c -> { c with Epochs = v })
          integer
              "minibatchSize"
              "rows of one minibatch, or whole sequences of about so many rows for policies with memory, used where rule is ppo"
              1
              10_000_000
              _.MinibatchSize
              (fun v c -> { c with MinibatchSize = v })
          number
              "ppoLearningRate"
              "learning rate of Adam, used where rule is ppo"
              (above 0.0)
              _.PpoLearningRate
              (fun v c -> { c with PpoLearningRate = v })
          number
              "targetKl"
              "mean KL(old ‖ new) of a minibatch, in nats, above which an improvement ends before its last epoch, used where rule is ppo; 0 never ends it"
              (closed 0.0 1e3)
              _.TargetKl
              (fun v c -> { c with TargetKl = v })
          integer
              "learningRateHalfLife"
              "environment steps in which learningRate and ppoLearningRate shrink to a half; 0 keeps them"
              0
              Int32.MaxValue
              _.LearningRateHalfLife
              (fun v c -> { c with LearningRateHalfLife = v }) ]

    /// The entropy in the objective, and the damping of a single step.
    let private entropyAndDamping =
        [ number
              "entropyBonus"
              "coefficient of the policy's mean entropy, in nats, in the surrogate objective; a positive value keeps the policy exploring"
              (closed 0.0 1e3)
              _.EntropyBonus
              (fun v c -> { c with EntropyBonus = v })
          integer
              "entropyHalfLife"
              "environment steps in which entropyBonus shrinks to a half, so that the policy explores early and settles later; 0 keeps it"
              0
              Int32.MaxValue
              _.EntropyHalfLife
              (fun v c -> { c with EntropyHalfLife = v })
          number
              "damping"
              "added to the diagonal of the Fisher matrix, for the direction of a step"
              (closed 0.0 1e6)
              _.Damping
              (fun v c -> { c with Damping = v })
          boolean
              "dampedLength"
              "whether the damping also shortens the step; if false, the length is chosen so that the mean KL, to second order, is delta"
              _.DampedLength
              (fun v c -> { c with DampedLength = v }) ]

    /// How the step is computed.
    let private solver =
        [ number
              "fisherFraction"
              "fraction of the batch that Fisher-vector products use"
              { closed 0.0 1.0 with LowIncluded = false }
              _.FisherFraction
              (fun v c -> { c with FisherFraction = v })
          integer "cgIterations" "maximum number of conjugate-gradient iterations" 1 10_000 _.CgIterations (fun v c ->
              { c with CgIterations = v })
          number
              "cgTolerance"
              "relative residual at which conjugate gradient stops, the critic's too"
              (closed 0.0 1.0)
              _.CgTolerance
              (fun v c -> { c with CgTolerance = v })
          integer
              "lineSearchTries"
              "maximum number of step lengths that the line search tries, the critic's too"
              1
              1000
              _.LineSearchTries
              (fun v c -> { c with LineSearchTries = v })
          number
              "lineSearchRatio"
              "factor by which each further try of the line search shortens the step, the critic's too"
              { closed 0.0 1.0 with LowIncluded = false; HighIncluded = false }
              _.LineSearchRatio
              (fun v c -> { c with LineSearchRatio = v }) ]

    /// The critic.
    let private critic =
        [ choice
              "critic"
              "how the critic is fitted: Adam on minibatches, or Gauss-Newton steps in a trust region"
              [ "adam", CriticKind.Adam; "gauss-newton", CriticKind.GaussNewton ]
              _.Critic
              (fun v c -> { c with Critic = v })
          architecture
              "criticArchitecture"
              "hidden layers of the critic, in the same form; if it is empty, criticHidden and criticActivation say which layers there are"
              _.CriticArchitecture
              (fun v c -> { c with CriticArchitecture = v })
          unitsOfLayers
              "criticHidden"
              "units of each hidden layer of the critic, used if criticArchitecture is empty"
              _.CriticHidden
              (fun v c -> { c with CriticHidden = v })
          choice
              "criticActivation"
              "non-linearity of the critic's hidden layers, used if criticArchitecture is empty"
              HiddenLayer.activations
              _.CriticActivation
              (fun v c -> { c with CriticActivation = v }) ]

    /// The fit of the critic.
    let private criticFit =
        [ number
              "criticLearningRate"
              "learning rate of Adam, used where critic is adam"
              (above 0.0)
              _.CriticLearningRate
              (fun v c -> { c with CriticLearningRate = v })
          integer
              "criticEpochs"
              "passes of Adam over the batch, used where critic is adam"
              1
              10_000
              _.CriticEpochs
              (fun v c -> { c with CriticEpochs = v })
          integer
              "criticBatchSize"
              "rows of one minibatch of Adam, used where critic is adam"
              1
              10_000_000
              _.CriticBatchSize
              (fun v c -> { c with CriticBatchSize = v })
          number
              "criticDelta"
              "radius of the critic's trust region: mean squared change of V over twice the mean squared error"
              (above 0.0)
              _.CriticDelta
              (fun v c -> { c with CriticDelta = v })
          integer "criticSteps" "maximum number of Gauss-Newton steps in one iteration" 1 1000 _.CriticSteps (fun v c ->
              { c with CriticSteps = v })
          number
              "criticDamping"
              "added to the diagonal of the Gauss-Newton matrix"
              (closed 0.0 1e6)
              _.CriticDamping
              (fun v c -> { c with CriticDamping = v })
          integer
              "criticCgIterations"
              "maximum number of conjugate-gradient iterations of a Gauss-Newton step"
              1
              10_000
              _.CriticCgIterations
              (fun v c -> { c with CriticCgIterations = v }) ]

    /// The limits beyond which training warns.
    let private warnings =
        [ integer
              "longEpisode"
              "steps of an episode after which training warns that it may never end"
              1
              Int32.MaxValue
              _.LongEpisode
              (fun v c -> { c with LongEpisode = v }) ]

    /// The scales of observations, returns, advantages and actions.
    let private scaling =
        [ boolean
              "normaliseObservations"
              "whether observations are standardised by their running moments"
              _.NormaliseObservations
              (fun v c -> { c with NormaliseObservations = v })
          boolean
              "normaliseReturns"
              "whether the critic's network predicts standardised returns, so that the unit of the reward does not matter; without normaliseAdvantages, advantages are then divided by the deviation of the returns"
              _.NormaliseReturns
              (fun v c -> { c with NormaliseReturns = v })
          boolean
              "normaliseAdvantages"
              "whether advantages are standardised over each batch; if false, they are divided by the standard deviation of the returns (normaliseReturns), or stay in the unit of the reward"
              _.NormaliseAdvantages
              (fun v c -> { c with NormaliseAdvantages = v })
          boolean
              "scaleActions"
              "whether a Gaussian policy outputs bounded actions in scaled units: 0 is the middle of the range, and ±1 are the bounds"
              _.ScaleActions
              (fun v c -> { c with ScaleActions = v }) ]

    /// All fields, in the order in which they are shown.
    let all =
        List.concat
            [ rollout
              policy
              improvement
              ppo
              entropyAndDamping
              solver
              critic
              criticFit
              warnings
              scaling ]
