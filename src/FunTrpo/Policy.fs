namespace FunTrpo

open System

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
    /// parameters that start at `initialLogSigma`. With `isScaled`, drawn actions are in scaled units. If the observations have a
    /// mask, an illegal action has the probability 0. Throws an `ArgumentException` if a layer has more parameters than fit into a pooled
    /// buffer, or if the mask is not one for these actions.
    let create architecture (initialLogSigma: float) isScaled observationSpace actionSpace =
        let architecture = Architecture.withParts observationSpace architecture
        let family = Distribution.forSpace actionSpace
        let struct (outputs, stateIndependent) = Distribution.sizes actionSpace

        let maskActions =
            match Mask.misfit observationSpace actionSpace with
            | Some why -> invalidArg (nameof observationSpace) why
            | None when Mask.isIn observationSpace -> Network.mapLayer MaskedLayers.head
            | None -> id

        { ObservationSpace = observationSpace
          ActionSpace = actionSpace
          Architecture = architecture
          Family = family
          Network =
            Architecture.network
                observationSpace
                outputGain
                (int outputs)
                (int stateIndependent)
                initialLogSigma
                architecture
            |> maskActions
          IsScaled = isScaled }

    /// The parameters for log σ of a Gaussian policy, which are its last parameters: all that are state-independent. Empty for other policies.
    let logSigmas policy (parameters: Vector) =
        let struct (_, logSigmas) = Distribution.sizes policy.ActionSpace
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
    /// space if the policy's actions are scaled, and clipped to the space. Both spans have the width of the action space, and may be the same
    /// memory.
    let toAction policy (drawn: ReadOnlySpan<float32>) (action: Span<float32>) =
        if policy.IsScaled then
            Space.unscale policy.ActionSpace drawn action
            Space.clip policy.ActionSpace (Span.op_Implicit action) action
        else
            Space.clip policy.ActionSpace drawn action
