namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// A stochastic policy π(a|s): a network computes the parameters of an action distribution of the family.
type Policy =
    {
        ObservationSpace: Space
        ActionSpace: Space
        Architecture: FunTrpo.Architecture
        Family: Family
        /// The network with this architecture.
        Network: Network
        /// Whether drawn actions are in scaled units, in which 0 is the middle of the action space and ±1 are its bounds. Otherwise they
        /// are in the units of the action space.
        IsScaled: bool
    }

module Policy =

    /// A small gain of the output weights, so that the initial policy is close to uniform, or a Gaussian with a mean close to 0.
    let private outputGain = 0.01

    /// A policy for these observations and actions. For a box of actions it is a diagonal Gaussian whose log σ are state-independent
    /// parameters that start at `initialLogSigma`. Its actions are not scaled.
    let create architecture (initialLogSigma: float) observationSpace actionSpace =
        let family = Distribution.forSpace actionSpace

        let createNetwork outputs stateIndependent =
            Architecture.network observationSpace outputGain outputs stateIndependent initialLogSigma architecture

        { ObservationSpace = observationSpace
          ActionSpace = actionSpace
          Architecture = architecture
          Family = family
          Network =
            match actionSpace with
            | Box(low, _) -> createNetwork low.Length low.Length
            | Discrete _
            | MultiDiscrete _
            | MultiBinary _ -> createNetwork family.ParameterWidth 0
          IsScaled = false }

    /// The parameters for log σ of a Gaussian policy, which are its last parameters. Empty for other policies.
    let logSigmas policy (parameters: Vector) =
        match policy.ActionSpace with
        | Box(low, _) -> parameters.Memory.Slice(parameters.Length - low.Length)
        | Discrete _
        | MultiDiscrete _
        | MultiBinary _ -> ReadOnlyMemory.Empty

    /// The parameters with each log σ inside its bounds. The policy stays the same, since it clamps log σ anyway; but a later step can
    /// bring σ back at once, however far a step has gone beyond a bound.
    let boundLogSigmas policy (parameters: Vector) =
        let logSigmas = logSigmas policy parameters
        let isOutside logSigma = Distribution.boundLogSigma logSigma <> logSigma

        if logSigmas.ToArray() |> Array.exists isOutside then
            let first = parameters.Length - logSigmas.Length

            Vector.init parameters.Length (fun i ->
                if i < first then parameters[i] else Distribution.boundLogSigma parameters[i])
        else
            parameters

    /// The number of parameters of a policy with this architecture and these spaces, computed without creating it.
    let parameterCount architecture observationSpace actionSpace =
        let struct (outputs, stateIndependent) = Distribution.sizes actionSpace
        let struct (weights, biases) = Architecture.sizes observationSpace outputs architecture
        weights + biases + float stateIndependent

    /// Checks that the policy can act in the environment. Otherwise returns a `Mismatch` that shows the spaces of both. `name` is the name
    /// of the policy in the message.
    let requireFit name (environment: Environment<'State>) policy =
        let describe observations actions =
            $"observations {Space.describe observations} and actions {Space.describe actions}"

        if
            Space.hasSameEncoding environment.ObservationSpace policy.ObservationSpace
            && policy.ActionSpace = environment.ActionSpace
        then
            Ok()
        else
            let policySpaces = describe policy.ObservationSpace policy.ActionSpace
            let environmentSpaces = describe environment.ObservationSpace environment.ActionSpace

            Error(
                Mismatch
                    $"{name} is for {policySpaces}, and does not fit {environment.Id}, which has {environmentSpaces}"
            )

    /// Converts a drawn action to the action that the environment receives and writes it to `action`: mapped to the units of the action
    /// space if the policy's actions are scaled, and clipped to the space.
    let toAction policy (drawn: ReadOnlySpan<float32>) (action: Span<float32>) =
        if policy.IsScaled then
            Space.unscale policy.ActionSpace drawn action
            Space.clip policy.ActionSpace (Span.op_Implicit action) action
        else
            Space.clip policy.ActionSpace drawn action

/// A policy with its parameters and the normaliser of its observations: everything that is needed to act.
type Actor = { Policy: Policy; Parameters: Vector; Normaliser: Normaliser }

module Actor =

    /// The parameters of the action distributions for raw observations, one row for each observation.
    let distributions (actor: Actor) (observations: Matrix) =
        Network.forward actor.Policy.Network actor.Parameters (Normaliser.apply actor.Normaliser observations)

    /// The fault to report if the actor's distribution or action for this raw observation is not finite. If the distribution becomes finite
    /// when the normalised observation is clipped to ±1, the observation is too large: `OversizedEnvironment`. Otherwise, and for indices,
    /// the policy is at fault: `NonFinitePolicy`.
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

/// The distribution from which a policy draws its actions for an observation, in the units of the action space.
[<RequireQualifiedAccess>]
type ActionDistribution =
    /// The probability of each alternative. If there are several choices, their probabilities follow one another.
    | Choices of probabilities: ImmutableArray<float>
    /// The means and standard deviations of independent normal distributions. Drawn actions outside the action space are clipped to it.
    | Normals of means: ImmutableArray<float> * deviations: ImmutableArray<float>

/// An actor that is prepared to act many times: its network is packed once. Its actions lie in the action space. Several threads may use it
/// at the same time, and the methods that write into spans allocate no memory. All methods throw an `ArithmeticException` if the policy's
/// distribution or action for an observation is not finite, and an `ArgumentException` if the length of a span does not fit.
[<Sealed>]
type InferencePolicy(actor: Actor) =
    let policy = actor.Policy
    let family = policy.Family
    let network = Network.at policy.Network actor.Parameters

    /// The number of rows of observations. Throws if the rows are not whole, or if the output does not have `width` numbers for each row.
    let requireRows (observations: int) (written: int) width =
        let inputs = policy.Network.Inputs

        if observations % inputs <> 0 then
            invalidArg (nameof observations) $"{observations} numbers are not whole observations: each has {inputs}"

        let rows = observations / inputs

        if written <> rows * width then
            invalidArg
                (nameof observations)
                $"{observations} numbers are {rows} observations of {inputs}, for which {rows * width} numbers are written; there is room for {written}"

        rows

    /// Writes the parameters of the distributions. Returns whether they are finite.
    let distributions (observations: ReadOnlySpan<float32>) (parameters: Span<float32>) =
        use normalised = PooledBuffer.Rent observations.Length
        Normaliser.applyTo actor.Normaliser observations normalised.Span
        network.Forward(Span.op_Implicit normalised.Span, parameters)
        Reductions.AllFinite(Span.op_Implicit parameters)

    /// Writes the action for each row: the most probable one, or one drawn with the key. Returns whether all distributions and actions are
    /// finite.
    let tryAct (observations: ReadOnlySpan<float32>) (key: Key voption) (actions: Span<float32>) =
        let rows = requireRows observations.Length actions.Length family.ActionWidth
        use parameters = PooledBuffer.Rent(rows, family.ParameterWidth)
        let isFinite = distributions observations parameters.Span

        for row in 0 .. rows - 1 do
            let action = actions.Slice(row * family.ActionWidth, family.ActionWidth)

            let rowParameters =
                Span.op_Implicit (parameters.Span.Slice(row * family.ParameterWidth, family.ParameterWidth))

            match key with
            | ValueNone -> family.Mode(rowParameters, action)
            | ValueSome key -> family.Sample(rowParameters, Key.at (int64 row) key, action)

            Policy.toAction policy (Span.op_Implicit action) action

        isFinite && Reductions.AllFinite(Span.op_Implicit actions)

    /// Throws if a distribution or action is not finite. Without this check, logits that are all NaN would yield an action that looks
    /// valid.
    let requireFinite isFinite =
        if not isFinite then
            raise (
                ArithmeticException
                    "The policy gives no finite action distribution for this observation: the numbers of one or of both are too large."
            )

    let act observations key actions = tryAct observations key actions |> requireFinite

    /// The factor from drawn actions to the units of the action space in coordinate i.
    let unitOf (low: Vector) (high: Vector) i =
        let width = float high[i] - float low[i]
        if policy.IsScaled && Double.IsFinite width then 0.5 * width else 1.0

    /// The means of drawn actions, in the units of the action space.
    let toMeans (drawn: ReadOnlySpan<float32>) =
        let means = Array.zeroCreate<float32> drawn.Length

        if policy.IsScaled then
            Space.unscale policy.ActionSpace drawn (means.AsSpan())
        else
            drawn.CopyTo(means.AsSpan())

        Array.map float means

    member _.Actor = actor

    /// Writes the parameters of the action distributions for raw observations, one row for each observation.
    member _.Distributions(observations: ReadOnlySpan<float32>, parameters: Span<float32>) =
        requireRows observations.Length parameters.Length family.ParameterWidth |> ignore
        distributions observations parameters |> requireFinite

    /// Writes the most probable action for each row of raw observations.
    member _.Act(observations: ReadOnlySpan<float32>, actions: Span<float32>) = act observations ValueNone actions

    /// Writes an action drawn with `key` for each row of raw observations. Row i uses the key `Key.at i key`.
    member _.Sample(observations: ReadOnlySpan<float32>, key: Key, actions: Span<float32>) =
        act observations (ValueSome key) actions

    /// The action for one raw observation: the most probable one, or one drawn with the key. `ValueNone` if it or its distribution is not
    /// finite.
    member internal _.TryAct(observation: Vector, key) =
        let action = Array.zeroCreate family.ActionWidth

        if tryAct observation.Span key (action.AsSpan()) then ValueSome(Vector.adopt action) else ValueNone

    /// The most probable action for one raw observation.
    member _.Act(observation: Vector) =
        Vector.Create(family.ActionWidth, Fill(fun action -> act observation.Span ValueNone action))

    /// An action drawn with `key` for one raw observation.
    member _.Sample(observation: Vector, key: Key) =
        Vector.Create(family.ActionWidth, Fill(fun action -> act observation.Span (ValueSome key) action))

    /// The distribution of the actions for one raw observation.
    member _.Distribution(observation: ReadOnlySpan<float32>) =
        requireRows observation.Length policy.Network.Inputs policy.Network.Inputs |> ignore
        let parameters = Array.zeroCreate<float32> family.ParameterWidth
        distributions observation (parameters.AsSpan()) |> requireFinite

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
