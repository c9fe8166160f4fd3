namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// The unit of the outputs of a critic's network f.
type ReturnUnit =
    /// V(s) = f(s)
    | Plain
    /// V(s) = mean + deviation · f(s), with the moments of the returns seen so far. V is 0 before the first return.
    | Standardised of Moments

module ReturnUnit =

    /// A deviation below this fraction of the mean is rounding error, and the returns were all equal.
    let private rounding = 1e-12

    /// The return unit before any return was seen.
    let unknown = Standardised(Moments.empty 1)

    /// The mean of the returns seen; 0 for `Plain`.
    let mean unit =
        match unit with
        | Plain -> 0.0
        | Standardised moments -> moments.Mean 0

    /// The standard deviation of the returns seen, or 0 if they were all equal; 1 for `Plain`.
    let deviation unit =
        match unit with
        | Plain -> 1.0
        | Standardised moments ->
            let deviation = sqrt (moments.Variance 0)
            if deviation > rounding * abs (moments.Mean 0) then deviation else 0.0

    /// Converts an output f of the network to a value V.
    let toReturn unit =
        let mean, deviation = mean unit, deviation unit
        fun output -> mean + deviation * output

    /// Converts a value V to an output f of the network. The deviation must not be 0.
    let ofReturn unit =
        let mean, deviation = mean unit, deviation unit
        fun value -> (value - mean) / deviation

/// A critic V: the parameters of its network, its return unit, and the state of the optimiser between fits.
type CriticState = { Parameters: Vector; Unit: ReturnUnit; Optimiser: AdamState }

module Critic =

    /// A network that maps each observation to one value.
    let create architecture observationSpace =
        let outputGain =
            match observationSpace, (architecture: FunTrpo.Architecture) with
            | (Discrete _ | MultiDiscrete _), [] -> 0.0 // a table: states not yet visited have the output 0
            | _ -> 1.0

        Architecture.network observationSpace outputGain 1 0 0.0 architecture

    /// A critic with the given parameters and unit, and with the optimiser in its initial state.
    let start unit parameters = { Parameters = parameters; Unit = unit; Optimiser = Adam.init parameters }

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
