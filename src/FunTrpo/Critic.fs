namespace FunTrpo

open System.Collections.Immutable

module Critic =

    /// A network from observations to one value V(s).
    let create architecture observationWidth =
        Network.create observationWidth (Architecture.thenOutput (Layer.linear 1) architecture)

    /// V of each row.
    let values (network: Network) parameters observations =
        let column = Network.forward network parameters observations
        ImmutableArray.CreateRange(Seq.init column.Rows (fun row -> float column[row, 0]))
