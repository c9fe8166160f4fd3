namespace FunTrpo

open System
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// The unit in which a critic's network f counts returns.
type ReturnUnit =
    /// V(s) = f(s)
    | Plain
    /// V(s) = mean + deviation · f(s), with the moments of the returns that were seen. Before the first of them V is 0.
    | Standardised of Moments

module ReturnUnit =

    /// A deviation below this fraction of the mean is rounding: the returns were all the same.
    let private rounding = 1e-12

    /// Before any return was seen.
    let unknown = Standardised(Moments.empty 1)

    let mean unit =
        match unit with
        | Plain -> 0.0
        | Standardised moments -> moments.Mean 0

    /// 0 where no two returns differed.
    let deviation unit =
        match unit with
        | Plain -> 1.0
        | Standardised moments ->
            let deviation = sqrt (moments.Variance 0)
            if deviation > rounding * abs (moments.Mean 0) then deviation else 0.0

    /// f ↦ V
    let toReturn unit =
        let mean, deviation = mean unit, deviation unit
        fun output -> mean + deviation * output

    /// V ↦ f, where the deviation is not 0.
    let ofReturn unit =
        let mean, deviation = mean unit, deviation unit
        fun value -> (value - mean) / deviation

/// A critic V: the parameters of its network, the unit that the network counts in, and the moments that Adam goes on with.
type CriticState =
    { Parameters: Vector
      Unit: ReturnUnit
      FirstMoment: Vector
      SecondMoment: Vector
      AdamSteps: int64 }

module Critic =

    /// A network from observations to one value.
    let create architecture observationSpace =
        let outputGain =
            match observationSpace, architecture.Hidden with
            | (Discrete _ | MultiDiscrete _), [] -> 0.0 // a table: what has not been seen is worth nothing yet
            | _ -> 1.0

        Architecture.network observationSpace outputGain 1 0 0.0 architecture

    /// Untrained parameters, or others to go on from.
    let start unit parameters =
        let zero = Vector.zero (parameters: Vector).Length

        { Parameters = parameters; Unit = unit; FirstMoment = zero; SecondMoment = zero; AdamSteps = 0L }

    /// V of each row.
    let values (network: Network) (critic: CriticState) (observations: Matrix) =
        use column = PooledBuffer.Rent observations.Rows
        use network = Network.at network critic.Parameters
        network.Forward(observations.Memory, column.Memory)
        let values = Array.zeroCreate<float> observations.Rows
        Reductions.Widen(Span.op_Implicit column.Span, values.AsSpan())

        if critic.Unit <> Plain then
            let toReturn = ReturnUnit.toReturn critic.Unit

            for row in 0 .. values.Length - 1 do
                values[row] <- toReturn values[row]

        ImmutableCollectionsMarshal.AsImmutableArray values
