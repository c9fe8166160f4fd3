namespace FunTrpo

open System
open System.Globalization

/// One hidden layer of a network. A new kind of layer is a case here, and a row in `Architecture`'s table of text forms.
[<RequireQualifiedAccess>]
type HiddenLayer =
    /// y = f(W x + b) with this many outputs y, and the activation f. On indices, W is an embedding and there is no b.
    | Dense of units: int * activation: Activation

/// The hidden layers of a network, from first to last.
type Architecture = HiddenLayer list

/// Architectures as text, and the networks that they make.
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

    /// The activation with this name, if there is one.
    let tryActivation name = activations |> List.tryFind (fst >> (=) name) |> Option.map snd

    /// The name of an activation. A value of the enumeration without a name is printed as its number, which `parse` refuses.
    let internal nameOf activation =
        activations
        |> List.tryPick (fun (name, known) -> if known = activation then Some name else None)
        |> Option.defaultWith (fun () -> string activation)

    /// The number of layers that a network may have. Layers are nested, so many more would overflow the stack.
    let internal maxLayers = 1000

    /// The architecture of dense layers with these units and a common activation.
    let uniform hidden activation : Architecture =
        hidden |> List.map (fun units -> HiddenLayer.Dense(units, activation))

    /// The number of outputs of each layer.
    let units (architecture: Architecture) = architecture |> List.map (fun (HiddenLayer.Dense(units, _)) -> units)

    /// The units and the common activation of an architecture that `uniform` makes; none for others. Without layers the activation is tanh.
    let tryUniform (architecture: Architecture) =
        match architecture |> List.map (fun (HiddenLayer.Dense(_, activation)) -> activation) |> List.distinct with
        | [] -> Some([], Activation.Tanh)
        | [ activation ] -> Some(units architecture, activation)
        | _ -> None

    /// A kind of layer in the text form: its name, what follows it in words, and the reader of what follows.
    type private Kind = { Name: string; Arguments: string; Read: string list -> HiddenLayer option }

    let private readDense arguments =
        match arguments with
        | [ (units: string); name ] ->
            match Int32.TryParse(units, NumberStyles.None, CultureInfo.InvariantCulture), tryActivation name with
            | (true, units), Some activation when units > 0 -> Some(HiddenLayer.Dense(units, activation))
            | _ -> None
        | _ -> None

    let private kinds = [ { Name = "dense"; Arguments = "UNITS ACTIVATION"; Read = readDense } ]

    /// The text forms of all layers.
    let forms =
        let names = activations |> List.map fst |> String.concat " | "
        let forms = kinds |> List.map (fun kind -> $"{kind.Name} {kind.Arguments}") |> String.concat " | "
        $"{forms}, where UNITS is a positive integer and ACTIVATION is {names}"

    let private printLayer layer =
        match layer with
        | HiddenLayer.Dense(units, activation) -> $"dense {string units} {nameOf activation}"

    let private parseLayer (text: string) =
        match text.Split(' ', StringSplitOptions.RemoveEmptyEntries) |> List.ofArray with
        | [] -> Error "a layer is empty"
        | name :: arguments ->
            match kinds |> List.tryFind (fun kind -> kind.Name = name) with
            | None -> Error $"there is no layer {name}{Suggestion.among (kinds |> List.map _.Name) name}"
            | Some kind ->
                match kind.Read arguments with
                | Some layer -> Ok layer
                | None -> Error $"{text.Trim()} is not {kind.Name} {kind.Arguments}"

    /// The text form: the layers with commas between, such as `dense 64 tanh, dense 32 relu`. Empty if there are none.
    let print (architecture: Architecture) = architecture |> List.map printLayer |> String.concat ", "

    /// The architecture of a text that `print` writes, with any number of spaces between words; or what is wrong with the text.
    let parse (text: string) : Result<Architecture, string> =
        let layers = if text = "" then [||] else text.Split ','

        if layers.Length > maxLayers then
            Error $"there are {layers.Length} layers, and at most {maxLayers} are allowed"
        else
            (layers, Ok [])
            ||> Array.foldBack (fun text later ->
                parseLayer text |> Result.bind (fun layer -> later |> Result.map (fun later -> layer :: later)))

    /// A network for observations of the space. The hidden layers are followed by a linear layer with `outputs` outputs, whose weights are
    /// initialised with `gain`. After these come `stateIndependent` parameters as outputs, such as the log σ of a Gaussian policy.
    /// They start at `initial`. If observations are indices, the first layer is an embedding. Throws an `ArgumentException` if a layer has
    /// more parameters than fit into a pooled buffer.
    let network observationSpace gain outputs stateIndependent initial (architecture: Architecture) =
        let first =
            match observationSpace with
            | Discrete count -> Embedding.layer [ count ]
            | MultiDiscrete counts -> Embedding.layer counts
            | Box _
            | MultiBinary _ -> Dense.withStateIndependent

        let hidden (HiddenLayer.Dense(units, activation)) construct : LayerBuilder =
            construct Dense.hiddenGain units activation 0 0.0

        let output construct : LayerBuilder = construct gain outputs Activation.Identity stateIndependent initial

        let layers =
            match architecture with
            | [] -> output first
            | head :: tail ->
                // A lambda, because the native compiler of .NET fails on a partial application of `hidden`.
                let hiddenLayers =
                    hidden head first :: List.map (fun layer -> hidden layer Dense.withStateIndependent) tail

                List.foldBack (>=>) hiddenLayers (output Dense.withStateIndependent)

        Network.create (Space.width observationSpace) layers

    /// The number of weights and the number of biases of such a network, computed without creating it. They are float64, so they do not
    /// overflow, and all numbers that an array could hold are exact.
    let sizes observationSpace (outputs: int64) architecture =
        let layers = List.map float (units architecture) @ [ float outputs ]

        let weights =
            float (Space.inputCount observationSpace) :: layers
            |> List.pairwise
            |> List.sumBy (fun (a, b) -> a * b)

        let withBiases = if Space.hasIndices observationSpace then List.tail layers else layers
        struct (weights, List.sum withBiases)
