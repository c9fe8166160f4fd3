namespace FunTrpo

open System

/// A stochastic policy π(a|s): a network computes the parameters of an action distribution of the family.
type Policy =
    {
        ObservationSpace: Space
        ActionSpace: Space
        Architecture: FunTrpo.Architecture
        /// The distribution of actions in a box. It has no effect on other spaces.
        Distribution: DistributionKind
        Family: Family
        /// The network with this architecture.
        Network: Network
        /// Whether drawn actions are in scaled units, in which 0 is the middle of the action space and ±1 are its bounds. Otherwise they
        /// are in the units of the action space. It has no effect on squashed Gaussians and Beta distributions, which need the bounds anyway.
        IsScaled: bool
    }

module Policy =

    /// A small gain of the output weights, so that the initial policy is close to uniform, or a Gaussian with a mean close to 0.
    let private outputGain = 0.01

    /// A policy for these observations and actions. For a box of actions it has this distribution, and each log σ of a Gaussian starts at
    /// `initialLogSigma`: as a state-independent parameter, or as the bias of its output. With `isScaled`, drawn actions are in scaled units.
    /// If the observations have a mask, an illegal action has the probability 0. Throws an `ArgumentException` if a layer has more
    /// parameters than fit into a pooled buffer, if the mask is not one for these actions, or if the distribution is not
    /// (`Distribution.misfit`).
    let createWith distribution architecture (initialLogSigma: float) isScaled observationSpace actionSpace =
        match Distribution.misfit distribution actionSpace with
        | Some why -> invalidArg (nameof distribution) why
        | None -> ()

        let struct (outputs, _) = Distribution.sizes distribution actionSpace
        let architecture = Architecture.withParts observationSpace architecture

        let maskActions =
            match Mask.misfit observationSpace actionSpace with
            | Some why -> invalidArg (nameof observationSpace) why
            | None when Mask.isIn observationSpace -> Network.mapLayer MaskedLayers.head
            | None -> id

        { ObservationSpace = observationSpace
          ActionSpace = actionSpace
          Architecture = architecture
          Distribution = distribution
          Family = Distribution.forSpace distribution actionSpace
          Network =
            architecture
            |> Architecture.networkFrom
                (Distribution.initial distribution initialLogSigma actionSpace)
                observationSpace
                outputGain
                (int outputs)
            |> maskActions
          IsScaled = isScaled }

    /// The same with a diagonal Gaussian for a box, whose log σ are state-independent.
    let create architecture initialLogSigma isScaled observationSpace actionSpace =
        createWith DistributionKind.Gaussian architecture initialLogSigma isScaled observationSpace actionSpace

    /// The state-independent log σ of a Gaussian policy, which are its last parameters. Empty for other policies.
    let logSigmas policy (parameters: Vector) =
        let struct (_, logSigmas) = Distribution.sizes policy.Distribution policy.ActionSpace
        parameters.Memory.Slice(parameters.Length - int logSigmas)

    /// The parameters with each log σ clipped to its bounds. The policy does not change, because log σ is clipped anyway. Without this, a log
    /// σ far beyond its bound would need many steps to come back.
    let boundLogSigmas policy (parameters: Vector) =
        let logSigmas = logSigmas policy parameters
        let isOutside logSigma = Distribution.boundLogSigma logSigma <> logSigma

        if logSigmas.ToArray() |> Array.exists isOutside then
            let first = parameters.Length - logSigmas.Length

            Vector.init parameters.Length (fun i ->
                if i < first then parameters[i] else Distribution.boundLogSigma parameters[i])
        else
            parameters

    /// The number of parameters of a policy with this distribution, this architecture and these spaces, computed without creating it.
    let parameterCount distribution architecture observationSpace actionSpace =
        let struct (outputs, stateIndependent) = Distribution.sizes distribution actionSpace
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

    /// Converts a drawn action to the action that the environment receives and writes it to `action`. Its tanh is taken if the distribution
    /// squashes. It is mapped to the units of the action space if it is in scaled units, and clipped to the space. Both spans have the width
    /// of the action space, and may be the same memory.
    let toAction policy (drawn: ReadOnlySpan<float32>) (action: Span<float32>) =
        if Distribution.isSquashed policy.Distribution then
            Space.squash policy.ActionSpace drawn action
            Space.unscale policy.ActionSpace (Span.op_Implicit action) action
            Space.clip policy.ActionSpace (Span.op_Implicit action) action
        elif policy.IsScaled then
            Space.unscale policy.ActionSpace drawn action
            Space.clip policy.ActionSpace (Span.op_Implicit action) action
        else
            Space.clip policy.ActionSpace drawn action
