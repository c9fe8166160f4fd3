namespace FunTrpo.Bench

/// A measured network that an architecture describes.
type ArchitectureShape =
    {
        Name: string
        /// The sizes of the axes of an observation, such as height, width and channels.
        Observation: int list
        /// The hidden layers of the policy and of the critic, as text.
        Architecture: string
        /// The number of actions.
        Actions: int
        /// The number of samples.
        Batch: int
        /// The number of sequences of equal length that the samples are, for networks with memory.
        Sequences: int
        /// The share of the FMA peak that products should reach, in percent.
        Goal: float
        /// How many times as fast as the peer's a whole update should be, if there is a goal.
        PeerGoal: float option
    }

module ArchitectureShape =

    /// A network for the small pictures of MinAtar (Young and Tian, 2019).
    let minAtar =
        { Name = "MinAtar"
          Observation = [ 10; 10; 4 ]
          Architecture = "conv 16 3x3 stride 1 relu; flatten; dense 128 relu"
          Actions = 6
          Batch = 2048
          Sequences = 2048
          Goal = 60.0
          PeerGoal = Some 3.0 }

    /// The network for Atari's pictures in the paper of TRPO (Schulman et al. 2015): two convolutions and a layer of 20.
    let atari =
        { minAtar with
            Name = "Atari"
            Observation = [ 84; 84; 4 ]
            Architecture = "conv 16 4x4 stride 2 relu; conv 16 4x4 stride 2 relu; flatten; dense 20 relu" }

    /// Gated recurrent units on 16 sequences of 128 steps.
    let gru =
        { minAtar with
            Name = "GRU 64"
            Observation = [ 17 ]
            Architecture = "gru 64"
            Sequences = 16
            Goal = 50.0
            PeerGoal = Some 4.0 }

    /// Long short-term memory on 16 sequences of 128 steps.
    let lstm = { gru with Name = "LSTM 128"; Architecture = "lstm 128"; PeerGoal = None }

    /// Networks of equal numbers of parameters, to less than a percent, for the same rows: dense layers, a convolution, and a layer with
    /// memory. A tenth of the 20 sequences of the last one is two.
    let ofEqualSize =
        let picture = { minAtar with Batch = 2000; Sequences = 2000; PeerGoal = None }

        [ { picture with Name = "MLP"; Architecture = "dense 213 relu; dense 213 relu" }
          { picture with Name = "CNN" }
          { picture with Name = "GRU"; Architecture = "gru 90"; Sequences = 20 } ]

    /// The networks for which there are goals.
    let all = [ minAtar; atari; gru; lstm ]

    /// Whether the rows of the network are sequences.
    let hasMemory shape = shape.Sequences < shape.Batch
