namespace FunTrpo.Ddpg

open System
open FunTrpo
open FunTrpo.Kernels

/// The deterministic policy μ(s) = tanh u(s), in half-widths of the box of actions, where u is what the network of a policy computes.
///
/// It is the mode of a squashed Gaussian with a fixed σ, so files, evaluations and other programs take it as a policy like any other.
module DeterministicActor =

    /// The policy with these hidden layers. log σ of its Gaussian is a parameter that DDPG does not change.
    let create architecture logSigma observationSpace actionSpace =
        Policy.createWith DistributionKind.SquashedGaussian architecture logSigma true observationSpace actionSpace

    /// Writes μ of each row of the network's outputs, whose first numbers are the u of the actions.
    let internal actionsTo (actions: Memory<float32>) width (outputs: Matrix) =
        let target = actions.Span.Slice(0, outputs.Rows * width)
        PaddedRows.Copy(outputs.Rows, width, outputs.Span, outputs.Columns, target, width)
        Activations.Apply(Activation.Tanh, target, Span.Empty)
        Matrix(outputs.Rows, width, Memory.op_Implicit (actions.Slice(0, outputs.Rows * width)))

    /// μ(s) of each row of normalised observations.
    let actions (policy: Policy) parameters (observations: Matrix) =
        let width = Space.width policy.ActionSpace
        let actions = Array.zeroCreate<float32>(observations.Rows * width)
        Network.forward policy.Network parameters observations |> actionsTo (actions.AsMemory()) width

    /// Writes ∂/∂outputs from ∂/∂a, with da/du = 1 − a². `ofJoined` has ∂/∂(s, a) of each row. The log σ have no effect on μ.
    let private ofOutputsTo (ofOutputs: Span<float32>) outputs (actions: Matrix) (ofJoined: Matrix) =
        let width, first = actions.Columns, ofJoined.Columns - actions.Columns
        ofOutputs.Clear()

        for row in 0 .. actions.Rows - 1 do
            let ofAction = ofJoined.Row(row).Slice first
            let action = actions.Row row

            for i in 0 .. width - 1 do
                ofOutputs[row * outputs + i] <- ofAction[i] * (1f - action[i] * action[i])

    /// The mean of Q(s, μ(s)) over the rows of normalised observations that the actor is at. Writes the derivative of `weight` Σ Q(s, μ(s))
    /// in the actor's outputs: through the critic's pullback to its input, ∇_a Q(s, a) at a = μ(s), and then through the tanh.
    ///
    /// `critic` is the network at its parameters on joined rows.
    let internal derivativeTo
        (ofOutputs: Memory<float32>)
        (weight: float)
        (actor: Linearization)
        (critic: Matrix -> Linearization)
        (observations: Matrix)
        actionWidth
        =
        let rows, width = observations.Rows, observations.Columns + actionWidth
        use actionBuffer = PooledBuffer.Rent(rows, actionWidth)
        use joinedBuffer = PooledBuffer.Rent(rows, width)
        use ofValues = PooledBuffer.Rent(rows)
        use ofJoined = PooledBuffer.Rent(rows, width)
        let actions = actionsTo actionBuffer.Memory actionWidth actor.Outputs
        use at = critic (QCritic.joinTo joinedBuffer.Memory observations actions)
        ofValues.Span.Fill(float32 weight)
        at.PullbackInputsTo(Matrix(rows, 1, Memory.op_Implicit ofValues.Memory), ofJoined.Memory)

        ofOutputsTo
            ofOutputs.Span
            actor.Outputs.Columns
            actions
            (Matrix(rows, width, Memory.op_Implicit ofJoined.Memory))

        Reductions.Sum at.Outputs.Span / float rows

    /// J = (1/N) Σ Q(s, μ(s)) and the deterministic policy gradient (Silver et al. 2014; Lillicrap et al. 2015, equation 6)
    ///
    ///     ∇_θ J = (1/N) Σ ∇_a Q(s, a)|a=μ(s) ∇_θ μ(s)
    ///
    /// for normalised observations. Throws an `ArgumentException` if the sizes do not fit the networks.
    let gradient (policy: Policy) parameters critic criticParameters (observations: Matrix) =
        use actor = Network.linearize policy.Network parameters observations
        let ofOutputs = Array.zeroCreate<float32>(observations.Rows * policy.Network.Outputs)

        let mean =
            derivativeTo
                (ofOutputs.AsMemory())
                (1.0 / float observations.Rows)
                actor
                (Network.linearize critic criticParameters)
                observations
                (Space.width policy.ActionSpace)

        struct (mean, actor.Pullback(Matrix.adopt observations.Rows policy.Network.Outputs ofOutputs))
