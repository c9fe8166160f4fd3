namespace FunTrpo.Ddpg

open FunTrpo

/// The settings of DDPG. `DdpgSettings.fields` describes them, and `DdpgSettings.standard` has their standard values.
type DdpgSettings =
    {
        /// The hidden layers of the policy.
        Actor: Architecture
        /// The hidden layers of the critic, which reads observation and action.
        Critic: Architecture
        ActorLearningRate: float
        CriticLearningRate: float
        Gamma: float
        /// τ of the targets: θ′ ← τ θ + (1 − τ) θ′.
        Tau: float
        /// The number of experiences of an update.
        BatchSize: int
        /// The number of experiences that the memory keeps.
        Capacity: int
        /// The number of environment steps before the first update.
        Warmup: int
        /// The number of environment steps between updates.
        UpdateEvery: int
        /// The number of updates after these steps.
        Updates: int
        Noise: NoiseSettings
        /// What the critic counts rewards in: each is multiplied by it.
        RewardScale: float
        NormaliseObservations: bool
        /// The number of environment steps of an iteration, after which training reports.
        IterationSteps: int
        /// log σ of the Gaussian of the saved policy, of which DDPG only learns the mode.
        LogSigma: float
    }

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module DdpgSettings =

    /// The standard values.
    let standard =
        { Actor = Architecture.uniform [ 64; 64 ] Activation.Relu
          Critic = Architecture.uniform [ 64; 64 ] Activation.Relu
          ActorLearningRate = 1e-3
          CriticLearningRate = 1e-3
          Gamma = 0.99
          Tau = 0.005
          BatchSize = 128
          Capacity = 1_000_000
          Warmup = 1000
          UpdateEvery = 1
          Updates = 1
          Noise = { Deviation = 0.2; FinalDeviation = 0.2; Steps = 0; Correlation = 0.0 }
          RewardScale = 1.0
          NormaliseObservations = false
          IterationSteps = 1000
          LogSigma = -2.0 }

    let private noise name meaning range get set =
        Field.number name meaning range (fun s -> get s.Noise) (fun v s -> { s with Noise = set v s.Noise })

    /// The highest correlation of successive noise. Beyond it, the noise of an episode hardly changes.
    let private highestCorrelation = 0.9999

    /// All fields, in the order in which they are shown.
    let fields: Field<DdpgSettings> list =
        [ Field.architecture "actor" "hidden layers of the policy" _.Actor (fun v s -> { s with Actor = v })
          Field.architecture
              "critic"
              "hidden layers of the critic, which reads observation and action"
              _.Critic
              (fun v s -> { s with Critic = v })
          Field.number
              "actorLearningRate"
              "learning rate of the policy"
              (Field.above 0.0)
              _.ActorLearningRate
              (fun v s -> { s with ActorLearningRate = v })
          Field.number
              "criticLearningRate"
              "learning rate of the critic"
              (Field.above 0.0)
              _.CriticLearningRate
              (fun v s -> { s with CriticLearningRate = v })
          Field.number "gamma" "discount of future rewards, γ" (Field.closed 0.0 1.0) _.Gamma (fun v s ->
              { s with Gamma = v })
          Field.number
              "tau"
              "part of the networks that their targets take over in an update, τ"
              (Field.closed 0.0 1.0)
              _.Tau
              (fun v s -> { s with Tau = v })
          Field.integer "batchSize" "experiences of an update" 1 65536 _.BatchSize (fun v s -> { s with BatchSize = v })
          Field.integer "capacity" "experiences that the replay memory keeps" 1 100_000_000 _.Capacity (fun v s ->
              { s with Capacity = v })
          Field.integer "warmup" "environment steps before the first update" 1 100_000_000 _.Warmup (fun v s ->
              { s with Warmup = v })
          Field.integer "updateEvery" "environment steps between updates" 1 1_000_000 _.UpdateEvery (fun v s ->
              { s with UpdateEvery = v })
          Field.integer "updates" "updates after these steps" 1 10_000 _.Updates (fun v s -> { s with Updates = v })
          noise
              "noise"
              "standard deviation of the noise of actions at the start, in half-widths of their box"
              (Field.closed 0.0 10.0)
              _.Deviation
              (fun v s -> { s with Deviation = v })
          noise
              "finalNoise"
              "standard deviation of the noise after noiseSteps"
              (Field.closed 0.0 10.0)
              _.FinalDeviation
              (fun v s -> { s with FinalDeviation = v })
          Field.integer
              "noiseSteps"
              "environment steps in which the noise moves from noise to finalNoise; 0 for finalNoise from the start"
              0
              1_000_000_000
              _.Noise.Steps
              (fun v s -> { s with Noise = { s.Noise with Steps = v } })
          noise
              "noiseCorrelation"
              "correlation of the noise of successive steps: 0 for independent Gaussian noise, e^(−θ) for an Ornstein–Uhlenbeck process"
              (Field.closed 0.0 highestCorrelation)
              _.Correlation
              (fun v s -> { s with Correlation = v })
          Field.number
              "rewardScale"
              "factor of rewards before they enter the critic"
              (Field.above 0.0)
              _.RewardScale
              (fun v s -> { s with RewardScale = v })
          Field.boolean
              "normaliseObservations"
              "standardise observations by the moments of those seen before the iteration"
              _.NormaliseObservations
              (fun v s -> { s with NormaliseObservations = v })
          Field.integer "iterationSteps" "environment steps of an iteration" 1 10_000_000 _.IterationSteps (fun v s ->
              { s with IterationSteps = v })
          Field.number
              "logSigma"
              "log σ of the Gaussian of the saved policy, whose mode alone is learned"
              (Field.closed -20.0 5.0)
              _.LogSigma
              (fun v s -> { s with LogSigma = v }) ]

    /// The settings with one field set from text. `InvalidSetting` if there is no such field, or if the text is not an allowed value.
    let set name text (settings: DdpgSettings) =
        match fields |> List.tryFind (fun field -> field.Name = name) with
        | Some field -> field.Set text settings
        | None ->
            let names = fields |> List.map _.Name |> String.concat ", "
            Error(InvalidSetting(name, text, $"DDPG has no such field; the fields are {names}"))

    /// The fault of a field, with its name, its value and the allowed values.
    let internal refuse name allowed (settings: DdpgSettings) =
        let field = fields |> List.find (fun field -> field.Name = name)
        Error(InvalidSetting(name, field.Get settings, allowed))

    /// Refuses updates within the first iteration: there are no moments to normalise by before its end, and later ones would change the inputs of
    /// networks that have already learned.
    let private requireMoments settings =
        if settings.NormaliseObservations && settings.IterationSteps > settings.Warmup then
            settings
            |> refuse
                "iterationSteps"
                $"with normaliseObservations it must be at most warmup, {settings.Warmup}: the moments are those of earlier iterations"
        else
            Ok settings

    /// The settings if every field is in its range; otherwise `InvalidSetting` for the first field that is wrong.
    let validate settings =
        (Ok settings, fields)
        ||> List.fold (fun checkedSoFar field ->
            checkedSoFar |> Result.bind (fun settings -> field.Set (field.Get settings) settings))
        |> Result.bind requireMoments
