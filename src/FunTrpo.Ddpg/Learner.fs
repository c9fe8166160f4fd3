namespace FunTrpo.Ddpg

open System
open FunTrpo
open FunTrpo.Kernels

/// What updates measured, summed over them.
[<Struct>]
type internal UpdateSums = { Count: int; Loss: float; Value: float; GradientNorm: float }

module internal UpdateSums =
    let zero = { Count = 0; Loss = 0.0; Value = 0.0; GradientNorm = 0.0 }

/// The networks of an iteration, which updates change in place: packed once, and unpacked at the end. `Dispose` returns their memory.
[<Sealed>]
type internal Learner<'State when 'State: equality>(setup: DdpgSetup<'State>, state: DdpgState<'State>) =
    let settings, normaliser = setup.Settings, state.Normaliser
    let observationWidth = Space.width setup.Environment.ObservationSpace
    let actionWidth = Space.width setup.Environment.ActionSpace
    let rows, joinedWidth = settings.BatchSize, observationWidth + actionWidth

    let pack (network: Network) (learned: Learned) =
        new Network.Packed(
            network,
            learned.Parameters,
            [ learned.Optimiser.FirstMoment; learned.Optimiser.SecondMoment ]
        )

    let actor = pack setup.Policy.Network state.Actor
    let critic = pack setup.Critic state.Critic
    let actorTarget = new Network.Packed(setup.Policy.Network, state.Actor.Target, [])
    let criticTarget = new Network.Packed(setup.Critic, state.Critic.Target, [])
    let mutable actorSteps = state.Actor.Optimiser.Steps
    let mutable criticSteps = state.Critic.Optimiser.Steps

    // The experiences of an update, and what is computed of them.
    let places = Array.zeroCreate<int> rows
    let observations = Array.zeroCreate<float32>(rows * observationWidth)
    let joined = Array.zeroCreate<float32>(rows * joinedWidth)
    let following = Array.zeroCreate<float32>(rows * observationWidth)
    let followingActions = Array.zeroCreate<float32>(rows * actionWidth)
    let followingJoined = Array.zeroCreate<float32>(rows * joinedWidth)
    let rewards = Array.zeroCreate<float32> rows
    let continues = Array.zeroCreate<float32> rows
    let targets = Array.zeroCreate<float32> rows
    let ofValues = Array.zeroCreate<float32> rows
    let ofOutputs = Array.zeroCreate<float32>(rows * setup.Policy.Network.Outputs)
    let actorGradient = PooledBuffer.Rent actor.Count
    let criticGradient = PooledBuffer.Rent critic.Count

    // One observation that is acted on.
    let observation = Array.zeroCreate<float32> observationWidth

    let matrix columns (numbers: float32[]) = Matrix.adopt (numbers.Length / columns) columns numbers

    let normalise width (numbers: float32[]) =
        Normaliser.applyToRows width normaliser (ReadOnlySpan numbers) (numbers.AsSpan())

    /// Reads the drawn experiences from the memory, with normalised observations.
    let gather (memory: ReplayMemory.Writer) =
        for i in 0 .. rows - 1 do
            let row = memory.Row places[i]
            row.Slice(0, observationWidth).CopyTo(observations.AsSpan(i * observationWidth))
            row.Slice(0, joinedWidth).CopyTo(joined.AsSpan(i * joinedWidth))
            row.Slice(joinedWidth, observationWidth).CopyTo(following.AsSpan(i * observationWidth))
            rewards[i] <- row[row.Length - 2]
            continues[i] <- row[row.Length - 1]

        normalise observationWidth observations
        normalise joinedWidth joined
        normalise observationWidth following

    /// Writes y of each experience, by the target networks.
    let computeTargets () =
        let following = matrix observationWidth following
        use atFollowing = actorTarget.Linearize(None, following)
        let actions = DeterministicActor.actionsTo (followingActions.AsMemory()) actionWidth atFollowing.Outputs

        use atJoined =
            criticTarget.Linearize(None, QCritic.joinTo (followingJoined.AsMemory()) following actions)

        let values = atJoined.Outputs.Span

        for i in 0 .. rows - 1 do
            let reward = settings.RewardScale * float rewards[i]
            targets[i] <- float32 (QCritic.target settings.Gamma reward (continues[i] = 0f) (float values[i]))

    /// One step of Adam on the critic's loss. Returns the loss.
    let improveCritic () =
        use at = critic.Linearize(None, matrix joinedWidth joined)
        let loss = QCritic.lossTo (ofValues.AsSpan()) at.Outputs.Span (ReadOnlySpan targets)
        at.PullbackPacked(matrix 1 ofValues, criticGradient.Memory)
        criticSteps <- criticSteps + 1L
        Adam.updatePacked criticSteps settings.CriticLearningRate criticGradient.Memory critic
        loss

    /// One step of Adam along the deterministic policy gradient. Returns the mean of Q(s, μ(s)) before it, and the norm of the gradient.
    let improveActor () =
        let observations = matrix observationWidth observations
        use at = actor.Linearize(None, observations)
        let onCritic rows = critic.Linearize(None, rows)

        // Adam descends.
        let weight = -1.0 / float settings.BatchSize

        let value =
            DeterministicActor.derivativeTo (ofOutputs.AsMemory()) weight at onCritic observations actionWidth

        at.PullbackPacked(matrix setup.Policy.Network.Outputs ofOutputs, actorGradient.Memory)
        actorSteps <- actorSteps + 1L
        Adam.updatePacked actorSteps settings.ActorLearningRate actorGradient.Memory actor
        let gradient = Span.op_Implicit actorGradient.Span
        struct (value, sqrt (Reductions.Dot((gradient: ReadOnlySpan<float32>), gradient)))

    let follow (network: Network.Packed) (target: Network.Packed) =
        let parameters, target = network.Parameters, target.Parameters

        network.ForEachPart(fun first count ->
            let ofPart = Span.op_Implicit (parameters.Span.Slice(first, count))
            TargetNetwork.followInPlace settings.Tau ofPart (target.Span.Slice(first, count)))

    let unpack (network: Network.Packed) (target: Network.Packed) steps =
        { Parameters = network.UnpackParameters()
          Target = target.UnpackParameters()
          Optimiser = { FirstMoment = network.UnpackMoment 0; SecondMoment = network.UnpackMoment 1; Steps = steps } }

    /// Writes μ(s) of a raw observation, in half-widths of the box.
    member _.Act(raw: ReadOnlySpan<float32>, action: Memory<float32>) =
        raw.CopyTo(observation.AsSpan())
        normalise observationWidth observation
        use at = actor.Linearize(None, matrix observationWidth observation)
        DeterministicActor.actionsTo action actionWidth at.Outputs |> ignore

    /// One update on experiences of the memory that the key draws (algorithm 1): critic, actor, targets. Returns the sums with it.
    member _.Update(memory: ReplayMemory.Writer, key, sums: UpdateSums) =
        ReplayMemory.drawTo (places.AsSpan()) memory.Count key
        gather memory
        computeTargets ()
        let loss = improveCritic ()
        let struct (value, gradientNorm) = improveActor ()
        follow critic criticTarget
        follow actor actorTarget

        { Count = sums.Count + 1
          Loss = sums.Loss + loss
          Value = sums.Value + value
          GradientNorm = sums.GradientNorm + gradientNorm }

    /// The actor as it is now.
    member _.Actor = unpack actor actorTarget actorSteps

    /// The critic as it is now.
    member _.Critic = unpack critic criticTarget criticSteps

    interface IDisposable with
        member _.Dispose() =
            for packed in [ actor; critic; actorTarget; criticTarget ] do
                (packed :> IDisposable).Dispose()

            actorGradient.Dispose()
            criticGradient.Dispose()
