namespace FunTrpo

open System
open System.Globalization

/// One hidden layer of a network. A new kind of layer is a case here; the functions of the module `HiddenLayer` say what it is.
[<RequireQualifiedAccess>]
type HiddenLayer =
    /// y = f(W x + b) with this many outputs y, and the activation f. A row of any shape is read as a vector x. On indices, W is an
    /// embedding and there is no b.
    | Dense of units: int * activation: Activation
    /// y = f(W P + b) with this many filters y, for each patch P of a picture under the window (`Convolution`).
    | Convolution of filters: int * window: Window * activation: Activation
    /// The maximum or average under the window (`Pool`).
    | Pool of pooling: Pooling * window: Window
    /// Rows of mean 0 and variance 1, scaled and shifted (`LayerNormalisation`).
    | LayerNorm
    /// Gated recurrent units with this many outputs (`Recurrent.gru`). A row of any shape is read as a vector.
    | Gru of units: int
    /// Long short-term memory with this many outputs (`Recurrent.lstm`). A row of any shape is read as a vector.
    | Lstm of units: int
    /// The same row as a vector.
    | Flatten
    /// For observations of parts, and only as the first layer: the layers that read each of these parts. Their outputs follow one another.
    /// Numbers of other parts, and of parts without layers, are passed on as they are. An index is passed on as a row of 0 and a single 1.
    | Parts of (string * HiddenLayer list) list

/// What each kind of layer is: its text form, the shape of its output, its size and its builder.
module HiddenLayer =

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

    // ---- The text form ----

    /// The layer as text, such as `conv 16 3x3 stride 1 relu`.
    let rec print layer =
        match layer with
        | HiddenLayer.Dense(units, activation) -> $"dense {string units} {nameOf activation}"
        | HiddenLayer.Convolution(filters, window, activation) ->
            $"conv {string filters} {Window.print window} {nameOf activation}"
        | HiddenLayer.Pool(Pooling.Max, window) -> $"pool max {Window.print window}"
        | HiddenLayer.Pool(Pooling.Average, window) -> $"pool average {Window.print window}"
        | HiddenLayer.LayerNorm -> "layernorm"
        | HiddenLayer.Gru units -> $"gru {string units}"
        | HiddenLayer.Lstm units -> $"lstm {string units}"
        | HiddenLayer.Flatten -> "flatten"
        | HiddenLayer.Parts parts ->
            let printed = parts |> List.map (fun (name, layers) -> $"{name}: {printAll layers}".TrimEnd())
            if parts.IsEmpty then "parts { }" else "parts { " + String.concat "; " printed + " }"

    /// Layers as text, with semicolons between.
    and internal printAll layers = layers |> List.map print |> String.concat "; "

    let private (|Positive|_|) (text: string) =
        match Int32.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture) with
        | true, number when number > 0 -> Some number
        | _ -> None

    let private (|Activation|_|) name = tryActivation name

    /// A window in three words, and the words after it.
    let private (|Window|_|) words =
        match words with
        | (size: string) :: "stride" :: Positive stride :: rest ->
            match List.ofArray (size.Split 'x') with
            | [ Positive height; Positive width ] -> Some({ Height = height; Width = width; Stride = stride }, rest)
            | _ -> None
        | _ -> None

    /// The names of layers, with what follows them in words.
    let private grammar =
        [ "dense", [ "UNITS ACTIVATION" ]
          "conv", [ "FILTERS HEIGHTxWIDTH stride STRIDE ACTIVATION" ]
          "pool", [ "max HEIGHTxWIDTH stride STRIDE"; "average HEIGHTxWIDTH stride STRIDE" ]
          "layernorm", [ "" ]
          "gru", [ "UNITS" ]
          "lstm", [ "UNITS" ]
          "flatten", [ "" ]
          "parts", [ "{ NAME: LAYER; …; NAME: LAYER; … }" ] ]

    let private formsOf (name: string, followers) =
        followers
        |> List.map (fun (follower: string) -> $"{name} {follower}".TrimEnd())
        |> String.concat " | "

    /// The text forms of all layers.
    let forms =
        let forms = grammar |> List.map formsOf |> String.concat " | "
        let names = activations |> List.map fst |> String.concat " | "
        $"{forms}, where words in capitals are positive integers and ACTIVATION is {names}"

    /// The pieces of a text between semicolons or commas that are not in braces.
    let private pieces (text: string) =
        let found = ResizeArray<string>()
        let mutable first = 0
        let mutable depth = 0

        for i in 0 .. text.Length - 1 do
            match text[i] with
            | '{' -> depth <- depth + 1
            | '}' -> depth <- depth - 1
            | ';'
            | ',' when depth = 0 ->
                found.Add(text.Substring(first, i - first))
                first <- i + 1
            | _ -> ()

        found.Add(text.Substring first)
        List.ofSeq found

    /// A name and what follows it, if the text begins with a name and a colon.
    let private (|Named|_|) (text: string) =
        match text.IndexOf ':' with
        | -1 -> None
        | i when text.Substring(0, i).Contains '{' -> None
        | i -> Some(text.Substring(0, i).Trim(), text.Substring(i + 1))

    /// The layer of a text that is inside of this many layers for parts.
    let rec private parseIn nesting (text: string) =
        let trimmed = text.Trim()

        if
            trimmed.StartsWith("parts", StringComparison.Ordinal)
            && trimmed.EndsWith '}'
            && trimmed.Contains '{'
        then
            parseParts nesting trimmed
        else
            parseWords text

    and private parseAllIn nesting (text: string) = pieces text |> List.map (parseIn nesting) |> Result.all

    and private parseParts nesting (text: string) =
        let opening = text.IndexOf '{'
        let inside = text.Substring(opening + 1, text.Length - opening - 2)

        // Each name begins a part, and what follows until the next name are its layers.
        let folder found piece =
            match piece, found with
            | Named(name, first), _ -> (name, first) :: found
            | piece, (name, layers) :: earlier -> (name, $"{layers};{piece}") :: earlier
            | piece, [] -> [ "", piece ]

        let parts =
            if String.IsNullOrWhiteSpace inside then [] else pieces inside |> List.fold folder [] |> List.rev

        let names = List.map fst parts

        if nesting >= Space.maxNesting then
            Error $"parts are nested more than {Space.maxNesting} times"
        elif text.Substring(0, opening).Trim() <> "parts" || List.exists String.IsNullOrEmpty names then
            Error $"{text} is not parts {{ NAME: LAYER; …; NAME: LAYER; … }}"
        elif (List.distinct names).Length < names.Length then
            Error $"{text} has a part twice"
        else
            parts
            |> List.map (fun (name, layers) ->
                let layers = if String.IsNullOrWhiteSpace layers then Ok [] else parseAllIn (nesting + 1) layers
                layers |> Result.map (fun layers -> name, layers))
            |> Result.all
            |> Result.map HiddenLayer.Parts

    and private parseWords (text: string) =
        match text.Split(Array.empty<char>, StringSplitOptions.RemoveEmptyEntries) |> List.ofArray with
        | [] -> Error "a layer is empty"
        | [ "dense"; Positive units; Activation activation ] -> Ok(HiddenLayer.Dense(units, activation))
        | "conv" :: Positive filters :: Window(window, [ Activation activation ]) ->
            Ok(HiddenLayer.Convolution(filters, window, activation))
        | "pool" :: "max" :: Window(window, []) -> Ok(HiddenLayer.Pool(Pooling.Max, window))
        | "pool" :: "average" :: Window(window, []) -> Ok(HiddenLayer.Pool(Pooling.Average, window))
        | [ "layernorm" ] -> Ok HiddenLayer.LayerNorm
        | [ "gru"; Positive units ] -> Ok(HiddenLayer.Gru units)
        | [ "lstm"; Positive units ] -> Ok(HiddenLayer.Lstm units)
        | [ "flatten" ] -> Ok HiddenLayer.Flatten
        | name :: _ ->
            match grammar |> List.tryFind (fst >> (=) name) with
            | Some kind -> Error $"{text.Trim()} is not {formsOf kind}"
            | None -> Error $"there is no layer {name}{Suggestion.among (List.map fst grammar) name}"

    /// The layer of a text, or what is wrong with it. There may be any white space between the words.
    let parse text = parseIn 0 text

    /// Layers with semicolons or commas between.
    let internal parseAll text = parseAllIn 0 text

    /// The numbers in the layer's text.
    let rec internal numbers layer =
        let ofWindow window = [ window.Height; window.Width; window.Stride ]

        match layer with
        | HiddenLayer.Dense(units, _)
        | HiddenLayer.Gru units
        | HiddenLayer.Lstm units -> [ units ]
        | HiddenLayer.Convolution(filters, window, _) -> filters :: ofWindow window
        | HiddenLayer.Pool(_, window) -> ofWindow window
        | HiddenLayer.Parts parts -> parts |> List.collect (snd >> List.collect numbers)
        | HiddenLayer.LayerNorm
        | HiddenLayer.Flatten -> []

    /// The activations of the layer.
    let rec internal activationsOf layer =
        match layer with
        | HiddenLayer.Dense(_, activation)
        | HiddenLayer.Convolution(_, _, activation) -> [ activation ]
        | HiddenLayer.Parts parts -> parts |> List.collect (snd >> List.collect activationsOf)
        | HiddenLayer.Pool _
        | HiddenLayer.LayerNorm
        | HiddenLayer.Gru _
        | HiddenLayer.Lstm _
        | HiddenLayer.Flatten -> []

    /// The length of the memory of the layer.
    let rec memory layer =
        match layer with
        | HiddenLayer.Parts parts -> parts |> List.sumBy (snd >> List.sumBy memory)
        | HiddenLayer.Gru units -> units
        | HiddenLayer.Lstm units -> 2 * units
        | _ -> 0

    /// How many numbers the layer keeps of a row besides its output: those of its gates, and its memory before the row.
    let internal keptBesides layer =
        match layer with
        | HiddenLayer.Gru units -> 5L * int64 units
        | HiddenLayer.Lstm units -> 7L * int64 units
        | _ -> 0L

    // ---- Shapes and sizes: of layers that read one part of an observation. For `Parts` see `Architecture`. ----

    let private ofParts () : 'Result = invalidOp "parts of observations have shapes of their own"

    /// The shape of the output for an input of this shape; or why the layer cannot read such inputs.
    let outputShape (input: ArrayShape) layer : Result<ArrayShape, string> =
        match layer with
        | HiddenLayer.Dense(units, _)
        | HiddenLayer.Gru units
        | HiddenLayer.Lstm units -> Ok [ units ]
        | HiddenLayer.Convolution(filters, window, _) -> Window.outputShape filters window input
        | HiddenLayer.Pool(_, window) -> Window.outputShape (List.last input) window input
        | HiddenLayer.LayerNorm -> Ok input
        | HiddenLayer.Flatten -> Ok [ ArrayShape.length input ]
        | HiddenLayer.Parts _ -> Error "only the first layer can read parts, and only of observations that have parts"

    /// The number of weights and of biases for an input of this shape. They are float64, so they do not overflow.
    let internal sizes (input: ArrayShape) layer =
        let inputs = float (ArrayShape.size input)

        match layer with
        | HiddenLayer.Dense(units, _) -> struct (inputs * float units, float units)
        | HiddenLayer.Convolution(filters, window, _) ->
            let patch = float window.Height * float window.Width * float (List.last input)
            struct (patch * float filters, float filters)
        | HiddenLayer.LayerNorm -> struct (inputs, inputs)
        | HiddenLayer.Gru units ->
            let units = float units
            struct (3.0 * units * (inputs + units), 4.0 * units)
        | HiddenLayer.Lstm units ->
            let units = float units
            struct (4.0 * units * (inputs + units), 4.0 * units)
        | HiddenLayer.Pool _
        | HiddenLayer.Flatten -> struct (0.0, 0.0)
        | HiddenLayer.Parts _ -> ofParts ()

    // ---- The network ----

    let private builder layer : LayerBuilder =
        match layer with
        | HiddenLayer.Dense(units, activation) -> Dense.hidden units activation
        | HiddenLayer.Convolution(filters, window, activation) -> Convolution.hidden filters window activation
        | HiddenLayer.Pool(pooling, window) -> Pool.layer pooling window
        | HiddenLayer.LayerNorm -> LayerNormalisation.layer
        | HiddenLayer.Gru units -> Recurrent.gru units
        | HiddenLayer.Lstm units -> Recurrent.lstm units
        | HiddenLayer.Flatten -> PartsLayer.asItIs
        | HiddenLayer.Parts _ -> ofParts ()

    /// The layer, followed by the rest of a network.
    let internal before (rest: LayerBuilder) layer : LayerBuilder =
        match layer with
        | HiddenLayer.Flatten -> fun input -> rest [ ArrayShape.length input ]
        | _ -> builder layer >=> rest

    /// The layers as a network of their own; without layers, rows as they are.
    let internal stack layers : LayerBuilder =
        match layers |> List.rev |> List.skipWhile ((=) HiddenLayer.Flatten) with
        | [] -> PartsLayer.asItIs
        | last :: earlier -> List.fold before (builder last) earlier
