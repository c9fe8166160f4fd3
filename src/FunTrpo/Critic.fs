namespace FunTrpo

open System.Collections.Immutable

module Critic =

    /// A network from observations to one value V(s).
    let create architecture observationWidth = Network.create observationWidth (Architecture.layers 1.0 1 architecture)

    /// V of each row.
    let values (network: Network) parameters observations =
        let column = (network.At parameters observations).Forward
        ImmutableArray.CreateRange(Seq.init column.Rows (fun row -> float column[row, 0]))
