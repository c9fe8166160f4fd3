namespace FunTrpo

/// The hidden layers of a network: the units of each layer from first to last, and their common activation.
type Architecture = { Hidden: int list; Activation: Activation }

module Architecture =

    /// The activations with their names in configurations and files.
    let activations =
        [ "tanh", Activation.Tanh
          "relu", Activation.Relu
          "sigmoid", Activation.Sigmoid
          "elu", Activation.Elu
          "softplus", Activation.Softplus
          "swish", Activation.Swish
          "identity", Activation.Identity ]

    /// A network for observations of the space. The hidden layers are followed by a linear layer with `outputs` outputs, whose weights are
    /// initialised with `gain`. After these come `free` state-independent parameters as outputs, such as the log σ of a Gaussian policy.
    /// They start at `initial`. If observations are indices, the first layer is an embedding.
    let network observationSpace gain outputs free initial architecture =
        let first =
            match observationSpace with
            | Discrete count -> Embedding.layer [ count ]
            | MultiDiscrete counts -> Embedding.layer counts
            | Box _
            | MultiBinary _ -> Dense.withStateIndependent

        let hidden units layer : LayerBuilder = layer Dense.hiddenGain units architecture.Activation 0 0.0
        let output layer : LayerBuilder = layer gain outputs Activation.Identity free initial

        let layers =
            match architecture.Hidden with
            | [] -> output first
            | units :: others ->
                let deeper =
                    List.foldBack (fun units rest -> (>=>) (hidden units Dense.withStateIndependent) rest) others

                (>=>) (hidden units first) (deeper (output Dense.withStateIndependent))

        Network.create (Space.width observationSpace) layers

    /// The number of weights and the number of biases of such a network, computed without creating it. They are float64, so they do not
    /// overflow, and all numbers that an array could hold are exact.
    let sizes observationSpace (outputs: int64) architecture =
        let layers = List.map float architecture.Hidden @ [ float outputs ]

        let weights =
            float (Space.inputs observationSpace) :: layers |> List.pairwise |> List.sumBy (fun (a, b) -> a * b)

        let withBiases = if Space.hasIndices observationSpace then List.tail layers else layers
        struct (weights, List.sum withBiases)
