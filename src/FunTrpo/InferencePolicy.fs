namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// The distribution from which a policy draws its actions for an observation, in the units of the action space.
[<RequireQualifiedAccess>]
type ActionDistribution =
    /// The probability of each alternative. If there are several choices, their probabilities follow one another.
    | Choices of probabilities: ImmutableArray<float>
    /// The means and standard deviations of independent normal distributions. Drawn actions outside the action space are clipped to it.
    | Normals of means: ImmutableArray<float> * deviations: ImmutableArray<float>
    /// The means and standard deviations of independent normal distributions of numbers u. The action is the middle of its bounds, plus tanh u
    /// times half their distance.
    | SquashedNormals of means: ImmutableArray<float> * deviations: ImmutableArray<float>
    /// The α and β of independent Beta distributions between the bounds, and the means and standard deviations of the actions.
    | Betas of
        alphas: ImmutableArray<float> *
        betas: ImmutableArray<float> *
        means: ImmutableArray<float> *
        deviations: ImmutableArray<float>
    /// The independent distributions of the parts of an action, with their names.
    | Parts of (string * ActionDistribution) list

/// An actor that is prepared to act many times: its network is packed once. Its actions lie in the action space. Several threads may use it
/// at the same time, and the methods that write into spans allocate no memory. All methods throw an `ArithmeticException` if the policy's
/// distribution or action for an observation is not finite, and an `ArgumentException` if the length of a span does not fit, or if the mask
/// of an observation has no legal action.
///
/// It is not `IDisposable`, although it holds pooled memory: values need no disposal, and the garbage collector frees that memory.
[<Sealed>]
type InferencePolicy(actor: Actor) =
    let policy = actor.Policy
    let family = policy.Family
    let network = Network.at policy.Network actor.Parameters

    /// The number of rows of observations. Throws an `ArgumentException` if the last row is incomplete, or if the output does not have `width`
    /// numbers for each row.
    let requireRows (observations: int) (written: int) width =
        let rows = network.RowCount observations

        if written <> rows * width then
            invalidArg
                (nameof observations)
                $"{observations} numbers are {rows} observations of {policy.Network.Inputs}, for which {rows * width} numbers are written; there is room for {written}"

        rows

    /// Throws an `ArgumentException` if the numbers are not one observation.
    let requireOne (observation: int) =
        if observation <> policy.Network.Inputs then
            invalidArg (nameof observation) $"it has {observation} numbers, and must have {policy.Network.Inputs}"

    let requireNoMemory () =
        if network.Memory > 0 then
            invalidOp
                "This policy has memory, so its observations must come in order: Begin() starts an episode of them."

    /// Writes the parameters of the distributions, from the memory of each row, which is replaced. Returns whether they are finite.
    let distributions (observations: ReadOnlySpan<float32>) (memory: Memory<float32>) (parameters: Span<float32>) =
        use normalised = PooledBuffer.Rent observations.Length
        Normaliser.applyToRows policy.Network.Inputs actor.Normaliser observations normalised.Span

        if network.Memory > 0 then
            network.Step(Span.op_Implicit normalised.Span, memory, parameters)
        else
            network.Forward(Span.op_Implicit normalised.Span, parameters)

        Reductions.AllFinite(Span.op_Implicit parameters)

    /// Writes the action for each row: the most probable one, or one drawn with the key. Returns whether all distributions and actions are
    /// finite.
    let tryAct (observations: ReadOnlySpan<float32>) memory (key: Key voption) (actions: Span<float32>) =
        let rows = requireRows observations.Length actions.Length family.ActionWidth
        use parameters = PooledBuffer.Rent(rows, family.ParameterWidth)

        if not (distributions observations memory parameters.Span) then
            false
        else
            for row in 0 .. rows - 1 do
                let action = actions.Slice(row * family.ActionWidth, family.ActionWidth)

                let rowParameters =
                    Span.op_Implicit (parameters.Span.Slice(row * family.ParameterWidth, family.ParameterWidth))

                match key with
                | ValueNone -> family.Mode(rowParameters, action)
                | ValueSome key -> family.Sample(rowParameters, Key.at (int64 row) key, action)

                Policy.toAction policy (Span.op_Implicit action) action

            Reductions.AllFinite(Span.op_Implicit actions)

    /// Throws if a distribution or action is not finite. Without this check, logits that are all NaN would yield an action that looks
    /// valid.
    let requireFinite isFinite =
        if not isFinite then
            raise (
                ArithmeticException
                    "The policy gives no finite action distribution for this observation: the numbers of one or of both are too large."
            )

    /// Throws an `ArgumentException` for the first row whose mask has no legal action.
    let requireLegal (observations: ReadOnlySpan<float32>) =
        if Mask.isIn policy.ObservationSpace then
            let width = policy.Network.Inputs

            for row in 0 .. observations.Length / width - 1 do
                if not (Mask.hasLegalAction policy.ObservationSpace (observations.Slice(row * width, width))) then
                    invalidArg (nameof observations) $"observation {row} allows no action"

    let act observations key actions =
        requireNoMemory ()
        requireLegal observations
        tryAct observations Memory.Empty key actions |> requireFinite

    /// The factor from drawn actions to the units of the action space in coordinate i.
    let scaleOf (low: Vector) (high: Vector) i =
        match Space.scaling low high i with
        | ValueSome(struct (_, half)) when policy.IsScaled -> half
        | _ -> 1.0

    let immutable (numbers: float[]) = ImmutableCollectionsMarshal.AsImmutableArray numbers

    /// The means of drawn actions, in the units of their space.
    let toMeans space (drawn: ReadOnlySpan<float32>) =
        let means = Array.zeroCreate<float32> drawn.Length

        if policy.IsScaled then Space.unscale space drawn (means.AsSpan()) else drawn.CopyTo(means.AsSpan())

        Array.map float means

    /// The standard deviations in units of this scale, from the parameters of Gaussians.
    let deviationsOf scale (parameters: float32[]) =
        let dimensions = parameters.Length / 2

        Array.init dimensions (fun i -> scale i * exp (float (Distribution.boundLogSigma parameters[dimensions + i])))

    /// The Beta distributions between these bounds.
    let betasOf (low: Vector) (high: Vector) parameters =
        let alphas, betas = Array.map Distribution.betaShape parameters |> Array.splitAt low.Length

        let moments i =
            let total = alphas[i] + betas[i]
            let share = alphas[i] / total
            let width = float high[i] - float low[i]
            float low[i] + width * share, width * sqrt (share * (1.0 - share) / (total + 1.0))

        let means, deviations = Array.init low.Length moments |> Array.unzip
        ActionDistribution.Betas(immutable alphas, immutable betas, immutable means, immutable deviations)

    let choices counts (parameters: float32[]) =
        ActionDistribution.Choices(immutable (Distribution.probabilities counts (ReadOnlySpan parameters)))

    /// The distribution of actions of the space, or of a part of it, with these parameters.
    let rec distributionOf space (parameters: float32[]) =
        match space with
        | Discrete count -> choices [ count ] parameters
        | MultiDiscrete counts -> choices counts parameters
        | MultiBinary count -> choices (List.replicate count 2) parameters
        | Masked _ -> invalidOp "actions have no mask of their own"
        | Parts parts ->
            ActionDistribution.Parts
                [ for (name, part), ofPart in List.zip parts (Distribution.ofParts policy.Distribution parts parameters) do
                      name, distributionOf part ofPart ]
        | Box(low, high, _) ->
            match policy.Distribution with
            | DistributionKind.Gaussian
            | DistributionKind.StateDependentGaussian ->
                let means = toMeans space (ReadOnlySpan(parameters, 0, low.Length))
                ActionDistribution.Normals(immutable means, immutable (deviationsOf (scaleOf low high) parameters))
            | DistributionKind.SquashedGaussian ->
                let means = Array.init low.Length (fun i -> float parameters[i])
                let deviations = deviationsOf (fun _ -> 1.0) parameters
                ActionDistribution.SquashedNormals(immutable means, immutable deviations)
            | DistributionKind.Beta -> betasOf low high parameters

    member _.Actor = actor

    /// Writes the parameters of the action distributions for raw observations, one row for each observation.
    member _.Distributions(observations: ReadOnlySpan<float32>, parameters: Span<float32>) =
        requireNoMemory ()
        requireRows observations.Length parameters.Length family.ParameterWidth |> ignore
        requireLegal observations
        distributions observations Memory.Empty parameters |> requireFinite

    /// Writes the most probable action for each row of raw observations.
    member _.Act(observations: ReadOnlySpan<float32>, actions: Span<float32>) = act observations ValueNone actions

    /// Writes an action drawn with `key` for each row of raw observations. Row i uses the key `Key.at i key`.
    member _.Sample(observations: ReadOnlySpan<float32>, key: Key, actions: Span<float32>) =
        act observations (ValueSome key) actions

    /// The length of the memory of an episode; 0 for policies without memory.
    member _.Memory = network.Memory

    /// The action for one raw observation: the most probable one, or one drawn with the key. `ValueNone` if it or its distribution is not
    /// finite. Replaces the memory of the episode.
    member internal _.TryAct(observation: Vector, memory: Memory<float32>, key) =
        let action = Array.zeroCreate family.ActionWidth

        if tryAct observation.Span memory key (action.AsSpan()) then
            ValueSome(Vector.adopt action)
        else
            ValueNone

    /// Starts an episode: an object that acts on its observations in order, and remembers what the policy does.
    member this.Begin() = InferenceEpisode this

    /// Writes the action for the next observation of an episode, and replaces the memory.
    member internal _.ActIn(memory: Memory<float32>, observation: ReadOnlySpan<float32>, key, action: Span<float32>) =
        requireOne observation.Length
        requireLegal observation
        tryAct observation memory key action |> requireFinite

    /// The distribution for the next observation of an episode.
    member internal this.DistributionIn(memory: Memory<float32>, observation: ReadOnlySpan<float32>) =
        requireOne observation.Length
        requireLegal observation
        let parameters = Array.zeroCreate<float32> family.ParameterWidth
        distributions observation memory (parameters.AsSpan()) |> requireFinite
        this.DistributionOf parameters

    /// The most probable action for one raw observation.
    member _.Act(observation: Vector) =
        Vector.Create(family.ActionWidth, Fill(fun action -> act observation.Span ValueNone action))

    /// An action drawn for one raw observation. As for the first of several rows, the key is `Key.at 0L key`.
    member _.Sample(observation: Vector, key: Key) =
        Vector.Create(family.ActionWidth, Fill(fun action -> act observation.Span (ValueSome key) action))

    /// The distribution of the actions for one raw observation.
    member this.Distribution(observation: ReadOnlySpan<float32>) =
        requireNoMemory ()
        this.DistributionIn(Memory.Empty, observation)

    /// The distribution with these parameters.
    member private _.DistributionOf(parameters: float32[]) = distributionOf policy.ActionSpace parameters

/// An episode of a policy: it acts on observations in order, and holds what a policy with memory remembers of them. `Restart` begins another
/// one. An object for each episode that is played at the same time; not thread-safe. The methods throw as those of the policy, and then the
/// observation counts as not seen.
and [<Sealed>] InferenceEpisode internal (policy: InferencePolicy) =
    let mutable memory = Array.zeroCreate<float32> policy.Memory

    /// The memory after the observation at hand, which replaces that before it if there is an action.
    let mutable next = Array.zeroCreate<float32> policy.Memory

    let actOn (observation: ReadOnlySpan<float32>) key (action: Span<float32>) =
        memory.CopyTo(next, 0)
        policy.ActIn(next.AsMemory(), observation, key, action)
        let before = memory
        memory <- next
        next <- before

    member _.Policy = policy

    /// Forgets all observations.
    member _.Restart() = Array.Clear memory

    /// Writes the most probable action for the next raw observation.
    member _.Act(observation: ReadOnlySpan<float32>, action: Span<float32>) = actOn observation ValueNone action

    /// Writes an action drawn with `key` for the next raw observation. As for the first of several rows, its key is `Key.at 0L key`.
    member _.Sample(observation: ReadOnlySpan<float32>, key: Key, action: Span<float32>) =
        actOn observation (ValueSome key) action

    /// The distribution of the actions for the next raw observation, which still counts as not seen: an action remembers it.
    member _.Distribution(observation: ReadOnlySpan<float32>) =
        memory.CopyTo(next, 0)
        policy.DistributionIn(next.AsMemory(), observation)
