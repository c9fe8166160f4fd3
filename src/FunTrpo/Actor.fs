namespace FunTrpo

open System
open FunTrpo.Kernels

/// A policy with its parameters and the normaliser of its observations: everything that is needed to act.
type Actor = { Policy: Policy; Parameters: Vector; Normaliser: Normaliser }

module Actor =

    /// The parameters of the action distributions for raw observations, one row for each observation, of a policy that remembers the row of
    /// `memory` before it. Throws an `ArgumentException` if the observations or the memory do not have the width that the policy is for.
    let distributionsAfter memory (actor: Actor) (observations: Matrix) =
        Normaliser.apply actor.Normaliser observations
        |> Network.forwardSequences actor.Policy.Network actor.Parameters (Sequences.ofSingleRows memory)

    /// The same, of a policy without memory.
    let distributions (actor: Actor) (observations: Matrix) =
        Network.forward actor.Policy.Network actor.Parameters (Normaliser.apply actor.Normaliser observations)

    /// The fault to report if the actor's distribution or action for this raw observation is not finite. The fault names the instance of the
    /// environment and the steps that it has made. If the distribution becomes finite
    /// when the normalised observation is clipped to ±1, the observation is too large: `OversizedEnvironment`. Otherwise, and for indices,
    /// the policy is at fault: `NonFinitePolicy`. The memory is taken to be 0: what a policy remembers reaches other layers as numbers between
    /// −1 and 1, so it makes nothing infinite unless weights do.
    let nonFiniteAction
        (environment: Environment<'State>)
        (actor: Actor)
        (observation: ReadOnlySpan<float32>)
        instance
        steps
        =
        let clipped = Array.zeroCreate<float32> observation.Length
        Normaliser.applyToRows observation.Length actor.Normaliser observation (clipped.AsSpan())

        let labels = Space.labels environment.ObservationSpace

        for j in 0 .. clipped.Length - 1 do
            if not (List.contains j labels) then
                clipped[j] <- Math.Clamp(clipped[j], -1f, 1f)

        let parameters = Array.zeroCreate<float32> actor.Policy.Family.ParameterWidth
        use network = Network.at actor.Policy.Network actor.Parameters
        network.Step(ReadOnlySpan clipped, Memory(Array.zeroCreate network.Memory), parameters.AsSpan())

        if not (Reductions.AllFinite(ReadOnlySpan parameters)) || Space.hasIndices environment.ObservationSpace then
            NonFinitePolicy(environment.Id, instance, steps)
        else
            let largest = observation.ToArray() |> Array.maxBy abs
            OversizedEnvironment("observation", float largest, environment.Id, instance, steps)
