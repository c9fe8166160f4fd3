namespace FunTrpo.MuJoCo

open System
open System.Runtime.InteropServices
open FunTrpo
open FunTrpo.MuJoCo.Engine

/// A state of a simulation as a value: what the engine needs to continue with the same bits (time, positions, velocities, activations, warm
/// start), the observation, and the measure that the reward of the next step may need. The last two are kept because the engine computes them
/// during a step, with intermediate results that the first ones do not determine.
///
/// Two states are equal if all their bits are.
[<Sealed>]
type PhysicsState internal (numbers: float[], observation: float32[]) =

    static let bytes (numbers: 'T[]) = MemoryMarshal.AsBytes(ReadOnlySpan numbers)

    /// The state of the engine (time, positions, velocities, activations, warm start), and the measure.
    member internal _.Numbers = numbers
    member internal _.Observation = observation
    member internal _.Measure = numbers[numbers.Length - 1]

    override _.Equals other =
        match other with
        | :? PhysicsState as other ->
            bytes(numbers).SequenceEqual(bytes other.Numbers)
            && bytes(observation).SequenceEqual(bytes other.Observation)
        | _ -> false

    override _.GetHashCode() =
        let mutable hash = HashCode()
        hash.AddBytes(bytes numbers)
        hash.ToHashCode()

    interface IEquatable<PhysicsState> with
        member this.Equals other = this.Equals(box other)

module internal PhysicsState =

    /// The state in which a simulation is.
    let ofSimulation (simulation: Simulation) measure observation =
        let width = simulation.Model.StateWidth
        let numbers = Array.zeroCreate (width + 1)
        simulation.CopyStateTo(numbers.AsSpan(0, width))
        numbers[width] <- measure
        PhysicsState(numbers, observation)

    /// Brings a simulation into a state. What the engine computes from the state is not computed.
    let restore (simulation: Simulation) (state: PhysicsState) =
        simulation.SetState(state.Numbers.AsSpan(0, simulation.Model.StateWidth))

    /// States of a model with an observation of this width as bytes: the numbers and then the observation, little-endian.
    let codec (model: Model) observationWidth =
        let numberCount = model.StateWidth + 1

        { new StateCodec<PhysicsState> with
            member _.Encode state =
                Array.append
                    (MemoryMarshal.AsBytes(ReadOnlySpan state.Numbers).ToArray())
                    (MemoryMarshal.AsBytes(ReadOnlySpan state.Observation).ToArray())

            member _.Decode bytes =
                let expected = sizeof<float> * numberCount + sizeof<float32> * observationWidth

                if bytes.Length <> expected then
                    invalidArg (nameof bytes) $"a state of this task has {expected} bytes, and these are {bytes.Length}"

                let split = sizeof<float> * numberCount
                let numbers = MemoryMarshal.Cast<byte, float>(bytes.Span.Slice(0, split)).ToArray()
                let observation = MemoryMarshal.Cast<byte, float32>(bytes.Span.Slice split).ToArray()
                PhysicsState(numbers, observation) }
