namespace FunTrpo

/// The hidden layers of a network, from first to last.
type Architecture = HiddenLayer list

/// Architectures as text, and the networks that they make.
module Architecture =

    /// The number of layers that a network may have. Layers are nested, so many more would overflow the stack.
    let internal maxLayers = 1000

    /// The architecture of dense layers with these units and a common activation.
    let uniform hidden activation : Architecture =
        hidden |> List.map (fun units -> HiddenLayer.Dense(units, activation))

    /// The units and the common activation of an architecture that `uniform` makes; none for others. Without layers the activation is tanh.
    let tryUniform (architecture: Architecture) =
        let dense =
            architecture
            |> List.choose (fun layer ->
                match layer with
                | HiddenLayer.Dense(units, activation) -> Some(units, activation)
                | _ -> None)

        match List.distinct (List.map snd dense) with
        | [] when architecture.IsEmpty -> Some([], Activation.Tanh)
        | [ activation ] when dense.Length = architecture.Length -> Some(List.map fst dense, activation)
        | _ -> None

    // ---- The text form ----

    /// The text form: the layers with semicolons between, such as `conv 16 3x3 stride 1 relu; flatten; dense 128 relu`. Empty if there are
    /// none.
    let print (architecture: Architecture) = architecture |> List.map HiddenLayer.print |> String.concat "; "

    /// The architecture of a text that `print` writes, with any number of spaces between words; or what is wrong with the text. The layers may
    /// also have commas between.
    let parse (text: string) : Result<Architecture, string> =
        let layers = if text = "" then [||] else text.Split [| ';'; ',' |]

        if layers.Length > maxLayers then
            Error $"there are {layers.Length} layers, and at most {maxLayers} are allowed"
        else
            (layers, Ok [])
            ||> Array.foldBack (fun text later ->
                HiddenLayer.parse text
                |> Result.bind (fun layer -> later |> Result.map (fun later -> layer :: later)))

    // ---- Shapes and sizes ----

    /// The shape of the input of each hidden layer and of the output layer; or the layer that cannot read its input, and why.
    let shapes observationSpace (architecture: Architecture) : Result<ArrayShape list, string> =
        let describe number layer = $"layer {string (number + 1)}, {HiddenLayer.print layer},"

        let rec following number input layers =
            match layers with
            | [] -> Ok [ input ]
            | layer :: rest ->
                match HiddenLayer.outputShape input layer with
                | Error why -> Error $"{describe number layer} does not fit: {why}"
                | Ok output when ArrayShape.size output > int64 Space.maxCount ->
                    Error
                        $"{describe number layer} has {ArrayShape.describe output} outputs, and at most {string Space.maxCount} are allowed"
                | Ok output -> following (number + 1) output rest |> Result.map (fun later -> input :: later)

        let observationSpace = Space.observed observationSpace

        match architecture with
        | HiddenLayer.Dense _ :: _
        | [] -> following 0 (Space.shape observationSpace) architecture
        | first :: _ when Space.hasIndices observationSpace ->
            Error $"{describe 0 first} does not fit: observations are indices, which only a dense layer can read first"
        | _ -> following 0 (Space.shape observationSpace) architecture

    /// The same, but throws an `ArgumentException` if a layer does not fit.
    let private requireShapes observationSpace architecture =
        match shapes observationSpace architecture with
        | Ok shapes -> shapes
        | Error why -> invalidArg (nameof architecture) why

    /// How many numbers all hidden layers of a network keep of each of these observations. Throws as `network` does.
    let internal activationCount observationSpace architecture =
        let outputs = requireShapes observationSpace architecture |> List.tail |> List.sumBy ArrayShape.size
        outputs + (architecture |> List.sumBy HiddenLayer.keptBesides)

    /// The number of weights and the number of biases of a network, computed without creating it. They are float64, so they do not
    /// overflow, and all numbers that an array could hold are exact. Throws as `network` does.
    let sizes observationSpace (outputs: int64) architecture =
        let shapes = requireShapes observationSpace architecture
        let sizes = List.map2 HiddenLayer.sizes (List.take (List.length architecture) shapes) architecture

        let ofOutput = struct (float (ArrayShape.size (List.last shapes)) * float outputs, float outputs)

        let sizes =
            match sizes @ [ ofOutput ] with
            | struct (_, units) :: rest when Space.hasIndices observationSpace ->
                struct (float (Space.indexCount observationSpace) * units, 0.0) :: rest
            | sizes -> sizes

        struct (sizes |> List.sumBy (fun struct (weights, _) -> weights),
                sizes |> List.sumBy (fun struct (_, biases) -> biases))

    // ---- The network ----

    /// A network for observations of the space. The hidden layers are followed by a linear layer with `outputs` outputs, whose weights are
    /// initialised with `gain`. After these come `stateIndependent` parameters as outputs, such as the log σ of a Gaussian policy.
    /// They start at `initial`. If observations are indices, the first layer is an embedding. The layers do not read a mask. Throws an
    /// `ArgumentException` if a layer cannot read the output of the one before, or has more parameters than fit into a pooled buffer.
    let network observationSpace gain outputs stateIndependent initial (architecture: Architecture) =
        let output: LayerBuilder =
            Dense.withStateIndependent gain outputs Activation.Identity stateIndependent initial

        // A lambda, because the native compiler of .NET fails on some partial applications.
        let stack layers = List.foldBack (fun layer rest -> HiddenLayer.before rest layer) layers output

        let onIndices counts =
            match architecture with
            | HiddenLayer.Dense(units, activation) :: rest ->
                Embedding.layer counts Dense.hiddenGain units activation 0 0.0 >=> stack rest
            | _ -> Embedding.layer counts gain outputs Activation.Identity stateIndependent initial

        requireShapes observationSpace architecture |> ignore

        let observed = Space.observed observationSpace

        let layers =
            match observed with
            | Discrete count -> onIndices [ count ]
            | MultiDiscrete counts -> onIndices counts
            | Box _
            | MultiBinary _
            | Masked _ -> stack architecture

        let network = Network.create (Space.shape observed) layers

        match observationSpace with
        | Masked(_, counts) -> network |> Network.mapLayer (MaskedLayers.besides (List.sum counts))
        | _ -> network
