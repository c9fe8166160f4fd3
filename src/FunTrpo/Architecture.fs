namespace FunTrpo

open System

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
        let layers = 1 + (text |> Seq.filter (fun c -> c = ';' || c = ',' || c = '{') |> Seq.length)

        if layers > maxLayers then Error $"there are {layers} layers, and at most {maxLayers} are allowed"
        elif text = "" then Ok []
        else HiddenLayer.parseAll text

    // ---- Shapes and sizes ----

    /// The architecture with a first layer for the parts of observations, if these hold indices, which no other layer can read among numbers.
    let withParts observationSpace (architecture: Architecture) : Architecture =
        match Space.observed observationSpace, architecture with
        | Parts _, HiddenLayer.Parts _ :: _ -> architecture
        | Parts _ as space, _ when not (Space.labels space).IsEmpty -> HiddenLayer.Parts [] :: architecture
        | _ -> architecture

    /// The parts of an observation, each with the layers that read it; none if the first layer does not read parts.
    let internal readers observationSpace (architecture: Architecture) : struct (string * Space * Architecture) list =
        match Space.observed observationSpace, architecture with
        | Parts parts, HiddenLayer.Parts ofParts :: _ ->
            let layersOf name part =
                ofParts
                |> List.tryFind (fst >> (=) name)
                |> Option.map snd
                |> Option.defaultValue []
                |> withParts part

            [ for name, part in parts -> struct (name, part, layersOf name part) ]
        | _ -> []

    /// The number of alternatives of each index, if rows hold indices and nothing else.
    let private (|Indices|_|) space =
        match space with
        | Discrete count -> Some [ count ]
        | MultiDiscrete counts -> Some counts
        | _ -> None

    let private describeLayer number layer = $"layer {string number}, {HiddenLayer.print layer},"

    /// The shape of this many numbers in a row, which may be too many for one.
    let private rowOf (numbers: int64) : ArrayShape = [ int (min numbers (int64 Int32.MaxValue)) ]

    let private atMost (shape: ArrayShape) what =
        if ArrayShape.size shape > int64 Space.maxCount then
            Error $"{what} has {ArrayShape.describe shape} outputs, and at most {string Space.maxCount} are allowed"
        else
            Ok shape

    /// The shapes of the outputs of layers that follow one another, from this input on. The first layer has this number.
    let rec private following number input layers =
        match layers with
        | [] -> Ok []
        | layer :: rest ->
            HiddenLayer.outputShape input layer
            |> Result.mapError (fun why -> $"{describeLayer number layer} does not fit: {why}")
            |> Result.bind (fun output -> atMost output (describeLayer number layer))
            |> Result.bind (fun output ->
                following (number + 1) output rest |> Result.map (fun later -> output :: later))

    /// The shape of the first layer's input, and those of all outputs. The observations have no mask.
    let rec private shapesFrom space (architecture: Architecture) : Result<ArrayShape list, string> =
        match space, architecture with
        | Parts parts, (HiddenLayer.Parts ofParts as first) :: _ ->
            let known = List.map fst parts

            match ofParts |> List.map fst |> List.tryFind (fun name -> not (List.contains name known)) with
            | Some name ->
                let names = String.concat ", " known
                Error $"observations have no part {name}; it must be one of {names}{Suggestion.among known name}"
            | None ->
                readers space architecture
                |> List.map (fun struct (name, part, layers) ->
                    outputOf part layers |> Result.mapError (fun why -> $"in the part {name}, {why}"))
                |> Result.all
                |> Result.bind (fun outputs ->
                    atMost (rowOf (outputs |> List.sumBy ArrayShape.size)) (describeLayer 1 first))
                |> Result.bind (fun joined ->
                    // An implied first layer does not count.
                    let number = if first = HiddenLayer.Parts [] then 1 else 2

                    following number joined (List.tail architecture)
                    |> Result.map (fun later -> [ Space.width space ] :: joined :: later))
        | Indices _, first :: _ when not first.IsDense ->
            Error
                $"{describeLayer 1 first} does not fit: observations are indices, which only a dense layer can read first"
        | _ ->
            let input = Space.shape space
            following 1 input architecture |> Result.map (fun later -> input :: later)

    /// The shape of what the layers of a part make of it. Without layers, an index becomes as many numbers as it has alternatives.
    and private outputOf part layers =
        match part, layers with
        | Indices _, [] -> atMost (rowOf (Space.indexCount part)) "an index"
        | _ -> shapesFrom part layers |> Result.map List.last

    /// The shape of the input of each hidden layer and of the output layer; or the layer that cannot read its input, and why. The first hidden
    /// layer is that of `withParts`.
    let shapes observationSpace (architecture: Architecture) : Result<ArrayShape list, string> =
        shapesFrom (Space.observed observationSpace) (withParts observationSpace architecture)

    /// The same, but throws an `ArgumentException` if a layer does not fit.
    let private requireShapes observationSpace architecture =
        match shapes observationSpace architecture with
        | Ok shapes -> shapes
        | Error why -> invalidArg (nameof architecture) why

    /// How many numbers all hidden layers of a network keep of each of these observations. Throws as `network` does.
    let rec internal activationCount observationSpace architecture : int64 =
        let architecture = withParts observationSpace architecture
        let outputs = requireShapes observationSpace architecture |> List.tail |> List.sumBy ArrayShape.size

        outputs
        + (architecture |> List.sumBy HiddenLayer.keptBesides)
        + (readers observationSpace architecture
           |> List.sumBy (fun struct (_, part, layers) -> activationCount part layers))

    /// The numbers of weights and of biases of each hidden layer. The layers fit.
    let rec private hiddenSizes observationSpace architecture =
        let sizes = List.map2 HiddenLayer.sizes

        match requireShapes observationSpace architecture, architecture with
        | _ :: later, HiddenLayer.Parts _ :: rest ->
            let ofParts =
                readers observationSpace architecture
                |> List.collect (fun struct (_, part, layers) -> hiddenSizes part layers)

            ofParts @ sizes (List.take rest.Length later) rest
        | shapes, _ ->
            match sizes (List.take (List.length architecture) shapes) architecture with
            | struct (_, units) :: rest when Space.hasIndices observationSpace ->
                struct (float (Space.indexCount observationSpace) * units, 0.0) :: rest
            | sizes -> sizes

    /// The number of weights and the number of biases of a network, computed without creating it. They are float64, so they do not
    /// overflow, and all numbers that an array could hold are exact. Throws as `network` does.
    let sizes observationSpace (outputs: int64) architecture =
        let architecture = withParts observationSpace architecture
        let last = requireShapes observationSpace architecture |> List.last |> ArrayShape.size |> float

        let ofOutput =
            match architecture with
            | [] when Space.hasIndices observationSpace ->
                struct (float (Space.indexCount observationSpace) * float outputs, 0.0)
            | _ -> struct (last * float outputs, float outputs)

        let sizes = hiddenSizes observationSpace architecture @ [ ofOutput ]

        struct (sizes |> List.sumBy (fun struct (weights, _) -> weights),
                sizes |> List.sumBy (fun struct (_, biases) -> biases))

    // ---- The network ----

    /// The layers, followed by the rest of a network. A lambda, because the native compiler of .NET fails on some partial applications.
    let private before rest layers = List.foldBack (fun layer rest -> HiddenLayer.before rest layer) layers rest

    let private embedding counts units activation = Embedding.layer counts Dense.hiddenGain units activation 0 0.0

    /// The hidden layers, followed by the rest of a network. The observations have no mask.
    let rec private hidden space (rest: LayerBuilder) (architecture: Architecture) : LayerBuilder =
        match space, architecture with
        | _, HiddenLayer.Parts _ :: later ->
            let ofPart struct (_, part, layers) = Space.shape part, reader part layers
            PartsLayer.create (readers space architecture |> List.map ofPart) >=> before rest later
        | Indices counts, HiddenLayer.Dense(units, activation) :: later ->
            embedding counts units activation >=> before rest later
        | _ -> before rest architecture

    /// The layers that read a part of an observation, as a network of their own.
    and private reader part (layers: Architecture) : LayerBuilder =
        match part, layers with
        | Indices counts, [] -> PartsLayer.oneHot counts
        | Indices counts, [ HiddenLayer.Dense(units, activation) ] -> embedding counts units activation
        | Indices _, _
        | Parts _, _ :: _ -> hidden part PartsLayer.asItIs layers
        | _ -> HiddenLayer.stack layers

    /// A network for observations of the space. The hidden layers are followed by a linear layer, whose weights are initialised with `gain`. It
    /// has an output for each of the `initial` numbers, where its biases start. Those after the first `outputs` are parameters that depend on no
    /// observation, such as the log σ of a Gaussian policy. If observations are indices, the first layer is an embedding. The layers do not
    /// read a mask. Throws an `ArgumentException` if a layer cannot read the output of the one before, or has more parameters than fit into a
    /// pooled buffer.
    let networkFrom (initial: float[]) observationSpace gain outputs (architecture: Architecture) =
        let architecture = withParts observationSpace architecture
        let observed = Space.observed observationSpace
        requireShapes observationSpace architecture |> ignore

        let layers =
            match observed, architecture with
            | Indices counts, [] -> Embedding.startingAt initial counts gain outputs Activation.Identity
            | _ -> hidden observed (Dense.startingAt initial gain outputs Activation.Identity) architecture

        let network = Network.create (Space.shape observed) layers

        match observationSpace with
        | Masked(_, counts) -> network |> Network.mapLayer (MaskedLayers.besides (List.sum counts))
        | _ -> network

    /// The same network with `outputs` outputs that start around 0, and then `stateIndependent` parameters as outputs, which start at
    /// `initial`.
    let network observationSpace gain outputs stateIndependent initial architecture =
        networkFrom (Dense.initialNumbers outputs stateIndependent initial) observationSpace gain outputs architecture
