namespace FunTrpo

open System

/// The hidden layers of a network.
type Architecture = { Hidden: int list; Activation: Activation }

module Architecture =

    /// The hidden layers, followed by an output layer.
    let thenOutput (output: LayerBuilder) architecture : LayerBuilder =
        List.foldBack
            (fun units rest -> Layer.(>=>) (Layer.dense units architecture.Activation) rest)
            architecture.Hidden
            output

/// A stochastic policy π(a|s): a network gives the parameters of an action distribution of the family.
type Policy = { ActionSpace: Space; Family: Family; Network: Network }

module Policy =

    /// The initial output weights are small, so that the first policy is close to uniform (or centred).
    let private outputGain = 0.01

    /// A policy for observations of this width and actions of this space. On a box it is a diagonal Gaussian whose log σ is a
    /// free parameter that starts at `initialLogSigma` and does not depend on the state.
    let create architecture (initialLogSigma: float) observationWidth actionSpace =
        let family = Distribution.forSpace actionSpace

        let output =
            match actionSpace with
            | Box(low, _) -> Layer.linearThenFree outputGain low.Length low.Length initialLogSigma
            | Discrete _
            | MultiDiscrete _
            | MultiBinary _ -> Layer.linearThenFree outputGain family.ParameterWidth 0 0.0

        let layers = Architecture.thenOutput output architecture

        { ActionSpace = actionSpace; Family = family; Network = Network.create observationWidth layers }

/// A policy at its parameters, with the normaliser of its observations: all that is needed to act.
type Actor = { Policy: Policy; Parameters: Vector; Normaliser: Normaliser }

module Actor =

    /// The parameters of the action distributions for raw observations, one row each.
    let distributions (actor: Actor) (observations: Matrix) =
        Network.forward actor.Policy.Network actor.Parameters (Normaliser.apply actor.Normaliser observations)

    /// The action that `choose` writes, given the parameters of the distribution for one raw observation.
    let private act (actor: Actor) (observation: Vector) (choose: ReadOnlyMemory<float32> -> Fill) =
        let parameters = distributions actor (Matrix(1, observation.Length, observation.Memory))
        Vector.Create(actor.Policy.Family.ActionWidth, choose parameters.Memory)

    /// The most probable action for one raw observation.
    let mode actor observation =
        act actor observation (fun parameters -> Fill(fun action -> actor.Policy.Family.Mode(parameters.Span, action)))

    /// An action drawn by `key` for one raw observation.
    let sample actor key observation =
        act actor observation (fun parameters ->
            Fill(fun action -> actor.Policy.Family.Sample(parameters.Span, key, action)))
