namespace FunTrpo

module Critic =

    /// A network from observations to one value V(s).
    let create architecture observationWidth = Network.create observationWidth (Architecture.layers 1.0 1 architecture)

    /// V of each row.
    let values (network: Network) parameters observations = (network.At parameters observations).Forward
