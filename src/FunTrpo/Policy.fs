namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// The hidden layers of a network.
type Architecture = { Hidden: int list; Activation: Activation }

module Architecture =

    /// A network for observations of the space: the hidden layers; then `outputs` linear ones, whose weights start with this gain; then
    /// `free` more, which depend on no input and are parameters themselves (the log σ of a Gaussian policy, for instance): they start
    /// at `initial`. Where observations are indices, the first layer looks them up.
    let network observationSpace gain outputs free initial architecture =
        let first =
            match observationSpace with
            | Discrete count -> Embedding.layer [ count ]
            | MultiDiscrete counts -> Embedding.layer counts
            | Box _
            | MultiBinary _ -> Dense.withStateIndependent

        let hidden units layer : LayerBuilder = layer Dense.hiddenGain units architecture.Activation 0 0.0
        let output layer : LayerBuilder = layer gain outputs Activation.Identity free initial

        let layers =
            match architecture.Hidden with
            | [] -> output first
            | units :: others ->
                let deeper =
                    List.foldBack (fun units rest -> (>=>) (hidden units Dense.withStateIndependent) rest) others

                (>=>) (hidden units first) (deeper (output Dense.withStateIndependent))

        Network.create (Space.width observationSpace) layers

    /// The weights and the biases of such a network, known without making it. They are counted in float64, where they do not wrap around,
    /// however many they are; numbers that an array could hold are exact there.
    let sizes observationSpace (outputs: int64) architecture =
        let layers = List.map float architecture.Hidden @ [ float outputs ]

        let weights =
            float (Space.inputs observationSpace) :: layers |> List.pairwise |> List.sumBy (fun (a, b) -> a * b)

        let withBiases = if Space.hasIndices observationSpace then List.tail layers else layers
        struct (weights, List.sum withBiases)

/// A stochastic policy π(a|s): a network gives the parameters of an action distribution of the family.
type Policy =
    {
        ObservationSpace: Space
        ActionSpace: Space
        Architecture: Architecture
        Family: Family
        /// The network of that architecture.
        Network: Network
        /// Whether drawn actions count in half-widths of the action space around its middle, and not in its own unit.
        IsScaled: bool
    }

module Policy =

    /// The initial output weights are small, so that the first policy is close to uniform (or centred).
    let private outputGain = 0.01

    /// A policy for these observations and actions. On a box of actions it is a diagonal Gaussian whose log σ is a free parameter that
    /// starts at `initialLogSigma` and does not depend on the state.
    let create architecture (initialLogSigma: float) observationSpace actionSpace =
        let family = Distribution.forSpace actionSpace

        let ofOutputs outputs free =
            Architecture.network observationSpace outputGain outputs free initialLogSigma architecture

        { ObservationSpace = observationSpace
          ActionSpace = actionSpace
          Architecture = architecture
          Family = family
          Network =
            match actionSpace with
            | Box(low, _) -> ofOutputs low.Length low.Length
            | Discrete _
            | MultiDiscrete _
            | MultiBinary _ -> ofOutputs family.ParameterWidth 0
          IsScaled = false }

    /// The log σ of a Gaussian policy, which are the last of its parameters; empty for others.
    let logSigmas policy (parameters: Vector) =
        match policy.ActionSpace with
        | Box(low, _) -> parameters.Memory.Slice(parameters.Length - low.Length)
        | Discrete _
        | MultiDiscrete _
        | MultiBinary _ -> ReadOnlyMemory.Empty

    /// How many parameters the policy of such spaces and layers has, known without making it.
    let parameterCount architecture observationSpace actionSpace =
        let struct (outputs, free) = Distribution.sizes actionSpace
        let struct (weights, biases) = Architecture.sizes observationSpace outputs architecture
        weights + biases + float free

    /// Refuses a policy that cannot act in the environment, with what each of them has; `name` is what an error calls it.
    let requireFit name (environment: Environment<'State>) policy =
        let describe observations actions =
            $"observations {Space.describe observations} and actions {Space.describe actions}"

        if
            Space.hasSameEncoding environment.ObservationSpace policy.ObservationSpace
            && policy.ActionSpace = environment.ActionSpace
        then
            Ok()
        else
            let theirs = describe policy.ObservationSpace policy.ActionSpace
            let ours = describe environment.ObservationSpace environment.ActionSpace
            Error(Mismatch $"{name} is for {theirs}, and does not fit {environment.Id}, which has {ours}")

    /// Writes the action that the environment is given for one that was drawn: scaled, where the policy is, and clipped to the space.
    let toAction policy (drawn: ReadOnlySpan<float32>) (action: Span<float32>) =
        if policy.IsScaled then
            Space.unscale policy.ActionSpace drawn action
            Space.clip policy.ActionSpace (Span.op_Implicit action) action
        else
            Space.clip policy.ActionSpace drawn action

/// A policy at its parameters, with the normaliser of its observations: all that is needed to act.
type Actor = { Policy: Policy; Parameters: Vector; Normaliser: Normaliser }

module Actor =

    /// The parameters of the action distributions for raw observations, one row each.
    let distributions (actor: Actor) (observations: Matrix) =
        Network.forward actor.Policy.Network actor.Parameters (Normaliser.apply actor.Normaliser observations)

    /// The fault of an actor that gives no finite action for this raw observation of an instance. The observation is at fault if the
    /// policy's distribution is finite once the normalised observation is clipped to ±1; otherwise the policy is.
    let nonFiniteAction
        (environment: Environment<'State>)
        (actor: Actor)
        (observation: ReadOnlySpan<float32>)
        instance
        steps
        =
        let clipped = Array.zeroCreate<float32> observation.Length
        Normaliser.applyTo actor.Normaliser observation (clipped.AsSpan())

        for j in 0 .. clipped.Length - 1 do
            clipped[j] <- Math.Clamp(clipped[j], -1f, 1f)

        let parameters = Array.zeroCreate<float32> actor.Policy.Family.ParameterWidth
        (Network.at actor.Policy.Network actor.Parameters).Forward(ReadOnlySpan clipped, parameters.AsSpan())

        if not (Reductions.AllFinite(ReadOnlySpan parameters)) || Space.hasIndices environment.ObservationSpace then
            NonFinitePolicy(environment.Id, instance, steps)
        else
            let largest = observation.ToArray() |> Array.maxBy abs
            OversizedEnvironment("observation", float largest, environment.Id, instance, steps)

/// What a policy does where it sees something: the distribution from which its actions are drawn, in the unit of the actions.
[<RequireQualifiedAccess>]
type ActionDistribution =
    /// The probability of each alternative; of several choices, those of each one after another.
    | Choices of probabilities: ImmutableArray<float>
    /// Independent normal distributions. What is drawn beyond the action space is clipped to it afterwards.
    | Normals of means: ImmutableArray<float> * deviations: ImmutableArray<float>

/// An actor ready to play: its network is packed once, and what it does lies in the action space. Several threads may use it at a
/// time; no call allocates. An observation for which the policy gives no finite distribution or action ends in an
/// `ArithmeticException`.
[<Sealed>]
type InferencePolicy(actor: Actor) =
    let policy = actor.Policy
    let family = policy.Family
    let network = Network.at policy.Network actor.Parameters

    /// The number of rows of observations, where there is room for the `width` numbers of each.
    let requireRows (observations: int) (written: int) width =
        let inputs = policy.Network.Inputs

        if observations % inputs <> 0 then
            invalidArg (nameof observations) $"{observations} numbers are not observations of {inputs}"

        let rows = observations / inputs

        if written <> rows * width then
            invalidArg
                (nameof observations)
                $"{observations} numbers are {rows} observations of {inputs}, for which {rows * width} numbers are written; there is room for {written}"

        rows

    /// Writes the parameters, and gives whether they are finite.
    let distributions (observations: ReadOnlySpan<float32>) (parameters: Span<float32>) =
        use normalised = PooledBuffer.Rent observations.Length
        Normaliser.applyTo actor.Normaliser observations normalised.Span
        network.Forward(Span.op_Implicit normalised.Span, parameters)
        Reductions.AllFinite(Span.op_Implicit parameters)

    /// Writes the action for each row: the most probable one, or one drawn by the key. Gives whether the policy can act there.
    let tryAct (observations: ReadOnlySpan<float32>) (key: Key voption) (actions: Span<float32>) =
        let rows = requireRows observations.Length actions.Length family.ActionWidth
        use parameters = PooledBuffer.Rent(rows, family.ParameterWidth)
        let isFinite = distributions observations parameters.Span

        for row in 0 .. rows - 1 do
            let action = actions.Slice(row * family.ActionWidth, family.ActionWidth)
            let ofRow = Span.op_Implicit (parameters.Span.Slice(row * family.ParameterWidth, family.ParameterWidth))

            match key with
            | ValueNone -> family.Mode(ofRow, action)
            | ValueSome key -> family.Sample(ofRow, Key.at (int64 row) key, action)

            Policy.toAction policy (Span.op_Implicit action) action

        isFinite && Reductions.AllFinite(Span.op_Implicit actions)

    /// Of logits that are all NaN, one action looks as probable as any, so what is not finite may not go unnoticed.
    let require isFinite =
        if not isFinite then
            raise (
                ArithmeticException
                    "The policy gives no finite action distribution for this observation: the numbers of one or of both are too large."
            )

    let act observations key actions = tryAct observations key actions |> require

    /// What a number of the family's is worth in the unit of the actions, coordinate by coordinate.
    let unitOf (low: Vector) (high: Vector) i =
        let width = float high[i] - float low[i]
        if policy.IsScaled && Double.IsFinite width then 0.5 * width else 1.0

    let toMeans (drawn: ReadOnlySpan<float32>) =
        let means = Array.zeroCreate<float32> drawn.Length

        if policy.IsScaled then
            Space.unscale policy.ActionSpace drawn (means.AsSpan())
        else
            drawn.CopyTo(means.AsSpan())

        Array.map float means

    member _.Actor = actor

    /// Writes the parameters of the action distributions for raw observations, row after row.
    member _.Distributions(observations: ReadOnlySpan<float32>, parameters: Span<float32>) =
        requireRows observations.Length parameters.Length family.ParameterWidth |> ignore
        distributions observations parameters |> require

    /// Writes the most probable action for each row of raw observations.
    member _.Act(observations: ReadOnlySpan<float32>, actions: Span<float32>) = act observations ValueNone actions

    /// Writes an action drawn by `key` for each row of raw observations; row i draws by the key number i below it.
    member _.Sample(observations: ReadOnlySpan<float32>, key: Key, actions: Span<float32>) =
        act observations (ValueSome key) actions

    /// The action for one raw observation, where the policy can act there: the most probable one, or one drawn by the key.
    member internal _.TryAct(observation: Vector, key) =
        let action = Array.zeroCreate family.ActionWidth

        if tryAct observation.Span key (action.AsSpan()) then ValueSome(Vector.adopt action) else ValueNone

    /// The most probable action for one raw observation.
    member _.Act(observation: Vector) =
        Vector.Create(family.ActionWidth, Fill(fun action -> act observation.Span ValueNone action))

    /// An action drawn by `key` for one raw observation.
    member _.Sample(observation: Vector, key: Key) =
        Vector.Create(family.ActionWidth, Fill(fun action -> act observation.Span (ValueSome key) action))

    /// The distribution of the actions for one raw observation.
    member _.Distribution(observation: ReadOnlySpan<float32>) =
        requireRows observation.Length policy.Network.Inputs policy.Network.Inputs |> ignore
        let parameters = Array.zeroCreate<float32> family.ParameterWidth
        distributions observation (parameters.AsSpan()) |> require

        let choices counts =
            ActionDistribution.Choices(
                Distribution.probabilities counts (ReadOnlySpan parameters)
                |> ImmutableCollectionsMarshal.AsImmutableArray
            )

        match policy.ActionSpace with
        | Discrete count -> choices [ count ]
        | MultiDiscrete counts -> choices counts
        | MultiBinary count -> choices (List.replicate count 2)
        | Box(low, high) ->
            let means = toMeans (ReadOnlySpan(parameters, 0, low.Length))

            let deviations =
                Array.init low.Length (fun i ->
                    unitOf low high i * exp (float (Distribution.boundLogSigma parameters[low.Length + i])))

            ActionDistribution.Normals(
                ImmutableCollectionsMarshal.AsImmutableArray means,
                ImmutableCollectionsMarshal.AsImmutableArray deviations
            )
