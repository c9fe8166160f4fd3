namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// A critic V: the parameters of its network, its return unit, and the state of the optimiser between fits.
type CriticState = { Parameters: Vector; Unit: ReturnUnit; Optimiser: AdamState }

module Critic =

    /// A network that maps each observation, without its mask, to one value.
    let create architecture observationSpace =
        let outputGain =
            match Space.observed observationSpace, (architecture: FunTrpo.Architecture) with
            | (Discrete _ | MultiDiscrete _), [] -> 0.0 // a table: states not yet visited have the output 0
            | _ -> 1.0

        Architecture.network observationSpace outputGain 1 0 0.0 architecture

    /// A critic with the given parameters and unit, and with the optimiser in its initial state.
    let start unit parameters = { Parameters = parameters; Unit = unit; Optimiser = Adam.init parameters }

    /// Whether all parameters, and the moments of the optimiser, are finite.
    let isFinite critic =
        let optimiser = critic.Optimiser
        [ critic.Parameters; optimiser.FirstMoment; optimiser.SecondMoment ] |> List.forall Vector.isFinite

    /// Writes V of each row of normalised observations to `values`.
    let private valuesTo (values: Span<float>) (network: Network) (critic: CriticState) (observations: Matrix) =
        use column = PooledBuffer.Rent observations.Rows
        use network = Network.at network critic.Parameters
        network.Forward(observations.Memory, column.Memory)
        Reductions.Widen(Span.op_Implicit column.Span, values)

        if critic.Unit <> Plain then
            let toReturn = ReturnUnit.toReturn critic.Unit

            for row in 0 .. values.Length - 1 do
                values[row] <- toReturn values[row]

    /// The value V of each row of normalised observations.
    let values network critic (observations: Matrix) =
        let values = Array.zeroCreate<float> observations.Rows
        valuesTo (values.AsSpan()) network critic observations
        ImmutableCollectionsMarshal.AsImmutableArray values

    /// The root mean squared error √((1/N) Σ (V(s) − G)²) of values against returns.
    let errorOf (values: ReadOnlySpan<float>) (returns: ReadOnlySpan<float>) =
        let mutable sum = 0.0

        for row in 0 .. values.Length - 1 do
            let difference = values[row] - returns[row]
            sum <- sum + difference * difference

        sqrt (sum / float values.Length)

    /// The root mean squared error of the critic's values of normalised observations against returns.
    let error network critic (observations: Matrix) (returns: ImmutableArray<float>) =
        use values = PooledBuffer.RentDoubles observations.Rows
        valuesTo values.Doubles network critic observations
        errorOf (Span.op_Implicit values.Doubles) (returns.AsSpan())
