namespace FunTrpo

open System
open System.Runtime.InteropServices
open FunTrpo.Kernels

module Critic =

    /// A network from observations to one value V(s).
    let create architecture observationSpace =
        let outputGain =
            match observationSpace, architecture.Hidden with
            | (Discrete _ | MultiDiscrete _), [] -> 0.0 // a table: what has not been seen is worth nothing yet
            | _ -> 1.0

        Architecture.network observationSpace outputGain 1 0 0.0 architecture

    /// V of each row.
    let values (network: Network) parameters (observations: Matrix) =
        use column = Scratch.Rent observations.Rows
        use network = Network.at network parameters
        network.Forward(observations.Memory, column.Memory)
        let values = Array.zeroCreate<float> observations.Rows
        Reductions.Widen(Span.op_Implicit column.Span, values.AsSpan())
        ImmutableCollectionsMarshal.AsImmutableArray values
