namespace FunTrpo

open System
open System.Runtime.InteropServices
open FunTrpo.Kernels

module Critic =

    /// A network from observations to one value V(s).
    let create architecture observationWidth =
        Network.create observationWidth (Architecture.thenOutput (Layer.linear 1) architecture)

    /// V of each row.
    let values (network: Network) parameters (observations: Matrix) =
        use column = Scratch.Rent observations.Rows
        use network = Network.at network parameters
        network.Forward(observations.Memory, column.Memory)
        let values = Array.zeroCreate<float> observations.Rows
        Reductions.Widen(Span.op_Implicit column.Span, values.AsSpan())
        ImmutableCollectionsMarshal.AsImmutableArray values
