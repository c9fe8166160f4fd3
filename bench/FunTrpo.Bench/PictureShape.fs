namespace FunTrpo.Bench

/// A measured network for pictures.
type PictureShape =
    {
        Name: string
        /// Height, width and channels of an observation.
        Picture: int list
        /// The hidden layers of the policy and of the critic, as text.
        Architecture: string
        /// The number of actions.
        Actions: int
        /// The number of samples.
        Batch: int
    }

module PictureShape =

    /// A network for the small pictures of MinAtar (Young and Tian, 2019).
    let minAtar =
        { Name = "MinAtar"
          Picture = [ 10; 10; 4 ]
          Architecture = "conv 16 3x3 stride 1 relu; flatten; dense 128 relu"
          Actions = 6
          Batch = 2048 }

    /// The network for Atari's pictures in the paper of TRPO (Schulman et al. 2015): two convolutions and a layer of 20.
    let atari =
        { Name = "Atari"
          Picture = [ 84; 84; 4 ]
          Architecture = "conv 16 4x4 stride 2 relu; conv 16 4x4 stride 2 relu; flatten; dense 20 relu"
          Actions = 6
          Batch = 2048 }

    /// The networks for which there are goals.
    let all = [ minAtar; atari ]
