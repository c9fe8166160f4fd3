namespace FunTrpo

open System
open System.Globalization

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
      Hidden: int list
      Activation: Activation
      InitialLogSigma: float
      Direction: DirectionKind
      Step: StepKind
      Delta: float
      DeltaHalfLife: int
      StepsMade: int
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

/// One field of the configuration with its value as text, for command lines, files and tables.
type Field =
    {
        Name: string
        Meaning: string
        /// A description of the values that the field may have.
        Allowed: string
        /// True if the value is a JSON string; false if it is a JSON number or Boolean.
        IsText: bool
        Get: Configuration -> string
        Set: string -> Configuration -> Result<Configuration, Fault>
    }

module Configuration =

    let standard =
        { Environments = 8
          Horizon = 128
          Gamma = 0.99
          Lambda = 0.95
          Branches = 0
          BranchSteps = 100
          Hidden = [ 64; 64 ]
          Activation = Activation.Tanh
          InitialLogSigma = 0.0
          Direction = DirectionKind.Natural
          Step = StepKind.TrustRegion
          Delta = 0.01
          DeltaHalfLife = 0
          StepsMade = 0
          LearningRate = 0.01
          EntropyBonus = 0.0
          Damping = 0.1
          DampedLength = false
          FisherFraction = 1.0
          CgIterations = 10
          CgTolerance = 1e-5
          LineSearchTries = 10
          LineSearchRatio = 0.8
          Critic = CriticKind.GaussNewton
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

    /// Numbers between two bounds, either of which may be excluded.
    [<NoComparison>]
    type private Range = { Low: float; LowIncluded: bool; High: float; HighIncluded: bool }

    let private closed low high = { Low = low; LowIncluded = true; High = high; HighIncluded = true }

    let private above low = { Low = low; LowIncluded = false; High = infinity; HighIncluded = false }

    let private within range x =
        (x > range.Low || range.LowIncluded && x = range.Low)
        && (x < range.High || range.HighIncluded && x = range.High)

    let private describe (kind: string) range =
        let text (x: float) =
            if Double.IsPositiveInfinity x then "∞"
            elif Double.IsNegativeInfinity x then "−∞"
            else x.ToString CultureInfo.InvariantCulture

        let opening = if range.LowIncluded then "[" else "("
        let closing = if range.HighIncluded then "]" else ")"
        $"{kind} in {opening}{text range.Low}, {text range.High}{closing}"

    let private field name meaning allowed isText print parse get set =
        { Name = name
          Meaning = meaning
          Allowed = allowed
          IsText = isText
          Get = get >> print
          Set =
            fun text configuration ->
                match parse text with
                | Some value -> Ok(set value configuration)
                | None -> Error(InvalidSetting(name, text, $"it must be {allowed}")) }

    let private number name meaning range get set =
        let parse (text: string) =
            match Double.TryParse(text, NumberStyles.Float, CultureInfo.InvariantCulture) with
            | true, value when within range value -> Some value
            | _ -> None

        let print (value: float) = value.ToString("R", CultureInfo.InvariantCulture)

        field name meaning (describe "a number" range) false print parse get set

    let private parseInteger low high (text: string) =
        match Int32.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture) with
        | true, value when low <= value && value <= high -> Some value
        | _ -> None

    let private integer name meaning low high get set =
        field
            name
            meaning
            (describe "an integer" (closed (float low) (float high)))
            false
            (string: int -> string)
            (parseInteger low high)
            get
            set

    /// 0, or at least 2: a single branch has no other branch as its baseline.
    let private countOrNone name meaning high get set =
        let parse = parseInteger 0 high >> Option.filter ((<>) 1)
        field name meaning $"0, or an integer in [2, {string high}]" false (string: int -> string) parse get set

    let private choice name meaning (options: (string * 'T) list) get set =
        let print value =
            options
            |> List.tryPick (fun (text, option) -> if option = value then Some text else None)
            |> Option.defaultWith (fun () -> string value) // an enumeration can hold values without a name

        let parse text = options |> List.tryPick (fun (name, option) -> if name = text then Some option else None)

        field name meaning (options |> List.map fst |> String.concat " | ") true print parse get set

    let private truth name meaning get set =
        let print value = if value then "true" else "false"

        let parse text =
            match text with
            | "true" -> Some true
            | "false" -> Some false
            | _ -> None

        field name meaning "true | false" false print parse get set

    let private maximumUnits = 65536
    let private maximumBranches = 1000

    let private layers name meaning get set =
        let print (units: int list) = units |> List.map string |> String.concat ","

        let parse (text: string) =
            if text = "" then
                Some []
            else
                let units = text.Split ',' |> List.ofArray |> List.map (parseInteger 1 maximumUnits)
                if List.forall Option.isSome units then Some(List.choose id units) else None

        field
            name
            meaning
            $"the units of each layer, integers in [1, {string maximumUnits}] with commas between, or nothing"
            true
            print
            parse
            get
            set

    /// The activations with their names in configurations and files.
    let activations =
        [ "tanh", Activation.Tanh
          "relu", Activation.Relu
          "sigmoid", Activation.Sigmoid
          "elu", Activation.Elu
          "softplus", Activation.Softplus
          "swish", Activation.Swish
          "identity", Activation.Identity ]

    /// All fields, in the order in which they are shown.
    let fields =
        [ integer "environments" "environments stepped side by side" 1 65536 _.Environments (fun v c ->
              { c with Environments = v })
          integer "horizon" "steps of each environment in one iteration" 1 10_000_000 _.Horizon (fun v c ->
              { c with Horizon = v })
          number "gamma" "discount of future rewards, γ" (closed 0.0 1.0) _.Gamma (fun v c -> { c with Gamma = v })
          number "lambda" "bias against variance of the advantages, λ of GAE" (closed 0.0 1.0) _.Lambda (fun v c ->
              { c with Lambda = v })
          countOrNone
              "branches"
              "actions tried from where each environment stands after the horizon (vine), which the policy is improved on; 0 is none"
              maximumBranches
              _.Branches
              (fun v c -> { c with Branches = v })
          integer
              "branchSteps"
              "steps of a branch at most, used where branches is not 0; the critic says what would follow"
              1
              10_000_000
              _.BranchSteps
              (fun v c -> { c with BranchSteps = v })
          layers "hidden" "hidden layers of the policy" _.Hidden (fun v c -> { c with Hidden = v })
          choice "activation" "non-linearity of the policy's hidden layers" activations _.Activation (fun v c ->
              { c with Activation = v })
          number
              "initialLogSigma"
              "initial log σ of a Gaussian policy, in the unit of the action, or of half its range (scaleActions)"
              (closed -20.0 5.0)
              _.InitialLogSigma
              (fun v c -> { c with InitialLogSigma = v })
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
              "environment steps in which delta shrinks to a half, so that late steps follow the noise of a batch less; 0 keeps it"
              0
              Int32.MaxValue
              _.DeltaHalfLife
              (fun v c -> { c with DeltaHalfLife = v })
          integer
              "stepsMade"
              "environment steps that an earlier run made with the policy to start from: deltaHalfLife counts them"
              0
              Int32.MaxValue
              _.StepsMade
              (fun v c -> { c with StepsMade = v })
          number
              "learningRate"
              "length of a fixed step, used where step is fixed: about 1 along the gradient, 0.3 along the natural gradient"
              (above 0.0)
              _.LearningRate
              (fun v c -> { c with LearningRate = v })
          number
              "entropyBonus"
              "what a nat of entropy is worth beside the advantages, also in the gain: keeps a policy exploring"
              (closed 0.0 1e3)
              _.EntropyBonus
              (fun v c -> { c with EntropyBonus = v })
          number
              "damping"
              "added to the diagonal of the Fisher matrix, for the direction of a step"
              (closed 0.0 1e6)
              _.Damping
              (fun v c -> { c with Damping = v })
          truth
              "dampedLength"
              "let the damping shorten a step, too: else its length is that at which the mean KL should be delta"
              _.DampedLength
              (fun v c -> { c with DampedLength = v })
          number
              "fisherFraction"
              "fraction of the batch that Fisher-vector products use"
              { closed 0.0 1.0 with LowIncluded = false }
              _.FisherFraction
              (fun v c -> { c with FisherFraction = v })
          integer "cgIterations" "conjugate-gradient iterations at most" 1 10_000 _.CgIterations (fun v c ->
              { c with CgIterations = v })
          number
              "cgTolerance"
              "relative residual at which conjugate gradient stops, the critic's too"
              (closed 0.0 1.0)
              _.CgTolerance
              (fun v c -> { c with CgTolerance = v })
          integer
              "lineSearchTries"
              "step lengths that the line search tries at most, the critic's too"
              1
              1000
              _.LineSearchTries
              (fun v c -> { c with LineSearchTries = v })
          number
              "lineSearchRatio"
              "what each further try multiplies the step by, the critic's too"
              { closed 0.0 1.0 with LowIncluded = false; HighIncluded = false }
              _.LineSearchRatio
              (fun v c -> { c with LineSearchRatio = v })
          choice
              "critic"
              "how the critic is fitted: Adam on minibatches, or Gauss-Newton steps in a trust region"
              [ "adam", CriticKind.Adam; "gauss-newton", CriticKind.GaussNewton ]
              _.Critic
              (fun v c -> { c with Critic = v })
          layers "criticHidden" "hidden layers of the critic" _.CriticHidden (fun v c -> { c with CriticHidden = v })
          choice
              "criticActivation"
              "non-linearity of the critic's hidden layers"
              activations
              _.CriticActivation
              (fun v c -> { c with CriticActivation = v })
          number
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
          integer "criticSteps" "Gauss-Newton steps in one iteration at most" 1 1000 _.CriticSteps (fun v c ->
              { c with CriticSteps = v })
          number
              "criticDamping"
              "added to the diagonal of the Gauss-Newton matrix"
              (closed 0.0 1e6)
              _.CriticDamping
              (fun v c -> { c with CriticDamping = v })
          integer
              "criticCgIterations"
              "conjugate-gradient iterations of a Gauss-Newton step at most"
              1
              10_000
              _.CriticCgIterations
              (fun v c -> { c with CriticCgIterations = v })
          integer
              "longEpisode"
              "steps of an episode after which training warns that it may never end"
              1
              Int32.MaxValue
              _.LongEpisode
              (fun v c -> { c with LongEpisode = v })
          truth
              "normaliseObservations"
              "standardise observations by their running moments"
              _.NormaliseObservations
              (fun v c -> { c with NormaliseObservations = v })
          truth
              "normaliseReturns"
              "let the critic count returns from their mean and in their standard deviation, whatever the unit of the reward"
              _.NormaliseReturns
              (fun v c -> { c with NormaliseReturns = v })
          truth "normaliseAdvantages" "standardise advantages over each batch" _.NormaliseAdvantages (fun v c ->
              { c with NormaliseAdvantages = v })
          truth
              "scaleActions"
              "a Gaussian policy counts in half of the range of each bounded action, from the middle: 0 is there, ±1 are the bounds"
              _.ScaleActions
              (fun v c -> { c with ScaleActions = v }) ]

    /// Returns the configuration with one field set from text. `InvalidSetting` if there is no such field, or if the text is not
    /// an allowed value.
    let set name text configuration =
        match fields |> List.tryFind (fun field -> field.Name = name) with
        | Some field -> field.Set text configuration
        | None ->
            let names = fields |> List.map _.Name |> String.concat ", "
            Error(InvalidSetting(name, text, $"there is no such field; the fields are {names}"))

    /// Limits for the activations of one batch and the weights between the layers of one network. A larger number is almost
    /// certainly a typing error: such a batch would take about 30 GiB.
    let private mostActivations = 4_000_000_000L
    let internal mostWeights = 100_000_000L

    /// The largest number of elements in the rows of one batch. The last iteration may have up to half as many rows more; they
    /// still fit into one array.
    let private mostNumbers = 1L <<< 29

    /// The fault of a setting, with its name, its value and the allowed values.
    let internal refuse name limit configuration =
        let field = fields |> List.find (fun field -> field.Name = name)
        Error(InvalidSetting(name, field.Get configuration, limit))

    /// Refuses batches of more than `most` rows. The message gives the reason `why` for this limit.
    let private limitRows most why configuration =
        let isTooMuch each = int64 configuration.Environments * int64 each > most

        let refuseProduct name = configuration |> refuse name $"environments × {name} must be in [1, {most}], {why}"

        if isTooMuch configuration.Horizon then
            refuseProduct "horizon"
        elif isTooMuch configuration.Branches then
            refuseProduct "branches"
        elif configuration.Branches > 0 && isTooMuch configuration.BranchSteps then
            refuseProduct "branchSteps"
        else
            Ok configuration

    /// Refuses batches that are too large for memory if each row has `width` numbers.
    let internal limitBatch (width: int64) configuration =
        configuration |> limitRows (mostNumbers / width) $"for rows of {width} numbers"

    let private fitsIntoMemory configuration =
        let weights (units: int list) = units |> List.pairwise |> List.sumBy (fun (a, b) -> int64 a * int64 b)
        let units = 1L + List.sumBy int64 (configuration.Hidden @ configuration.CriticHidden)

        configuration
        |> limitRows (mostActivations / units) $"for {units - 1L} hidden units in all"
        |> Result.bind (fun configuration ->
            if weights configuration.Hidden > mostWeights then
                configuration |> refuse "hidden" $"there must be at most {mostWeights} weights between its layers"
            elif weights configuration.CriticHidden > mostWeights then
                configuration
                |> refuse "criticHidden" $"there must be at most {mostWeights} weights between its layers"
            else
                Ok configuration)

    /// Returns the configuration if every field is in its range and its batches and networks fit into memory; otherwise
    /// `InvalidSetting` for the first field that is wrong.
    let validate configuration =
        (Ok configuration, fields)
        ||> List.fold (fun checkedSoFar field ->
            checkedSoFar |> Result.bind (fun configuration -> field.Set (field.Get configuration) configuration))
        |> Result.bind fitsIntoMemory

    /// Returns the architecture of the policy.
    let policyArchitecture configuration = { Hidden = configuration.Hidden; Activation = configuration.Activation }

    /// Returns the architecture of the critic.
    let criticArchitecture configuration =
        { Hidden = configuration.CriticHidden; Activation = configuration.CriticActivation }

    let private conjugateGradient iterations tolerance = { Iterations = iterations; Tolerance = tolerance }

    let private lineSearch configuration =
        { Tries = configuration.LineSearchTries; Ratio = configuration.LineSearchRatio }

    /// Returns the radius of the trust region after this number of environment steps: δ · 2^(−steps / half-life). The steps of an
    /// earlier run (`StepsMade`) count too.
    let deltaAt (steps: int64) configuration =
        if configuration.DeltaHalfLife = 0 then
            configuration.Delta
        else
            let all = float steps + float configuration.StepsMade
            configuration.Delta * Math.Pow(0.5, all / float configuration.DeltaHalfLife)

    /// Returns the settings of a policy improvement after this number of environment steps.
    let improvement steps configuration =
        { Direction =
            match configuration.Direction with
            | DirectionKind.Gradient -> Gradient
            | DirectionKind.Natural ->
                NaturalGradient(conjugateGradient configuration.CgIterations configuration.CgTolerance)
          StepRule =
            match configuration.Step with
            | StepKind.Fixed -> FixedStep configuration.LearningRate
            | StepKind.TrustRegion -> TrustRegionStep(deltaAt steps configuration, lineSearch configuration)
          Damping = configuration.Damping
          DampedLength = configuration.DampedLength
          FisherFraction = configuration.FisherFraction }

    /// Returns the settings of a vine.
    let vine configuration : VineSettings =
        { Branches = configuration.Branches
          Steps = configuration.BranchSteps
          Gamma = configuration.Gamma }

    /// Returns the settings of the critic's fit.
    let critic configuration =
        match configuration.Critic with
        | CriticKind.Adam ->
            Adam(configuration.CriticLearningRate, configuration.CriticEpochs, configuration.CriticBatchSize)
        | CriticKind.GaussNewton ->
            GaussNewton(
                configuration.CriticDelta,
                configuration.CriticSteps,
                configuration.CriticDamping,
                conjugateGradient configuration.CriticCgIterations configuration.CgTolerance,
                lineSearch configuration
            )
