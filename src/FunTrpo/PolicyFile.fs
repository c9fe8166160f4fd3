namespace FunTrpo

open System
open System.Buffers.Binary
open System.IO
open System.Security.Cryptography
open System.Text.Json
open System.Text.Json.Nodes

/// A trained policy with what is needed to build it again and to act with it.
type SavedPolicy =
    {
        /// The id of the environment that it was trained on.
        Environment: string
        Architecture: Architecture
        Actor: Actor
    }

    member this.ObservationSpace = this.Actor.Policy.ObservationSpace
    member this.ActionSpace = this.Actor.Policy.ActionSpace

/// Policies as files: JSON, with the parameters as base64 of little-endian float32 and a checksum of the whole.
module PolicyFile =

    let private format = "funtrpo-policy"
    let private version = 3

    let private toBytes (parameters: Vector) =
        let bytes = Array.zeroCreate<byte>(4 * parameters.Length)

        for i in 0 .. parameters.Length - 1 do
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(4 * i), parameters[i])

        bytes

    let private ofBytes (bytes: byte[]) =
        Vector.init (bytes.Length / 4) (fun i -> BinaryPrimitives.ReadSingleLittleEndian(ReadOnlySpan(bytes, 4 * i, 4)))

    /// SHA-256 of the parameters as little-endian float32, in lower-case hexadecimal.
    let sha256 parameters = Convert.ToHexStringLower(SHA256.HashData(toBytes parameters))

    // JSON

    let private object (properties: (string * JsonNode) list) =
        let node = JsonObject()

        for name, value in properties do
            node.Add(name, value)

        node :> JsonNode

    let private text (value: string) : JsonNode = JsonValue.Create value
    let private integer (value: int) : JsonNode = JsonValue.Create value
    let private number (value: float) : JsonNode = JsonValue.Create value
    let private list (items: seq<JsonNode>) : JsonNode = JsonArray(Array.ofSeq items)

    /// JSON has no infinity: an infinite bound is null.
    let private boundsToJson (v: Vector) =
        list (Seq.init v.Length (fun i -> if Single.IsFinite v[i] then JsonValue.Create v[i] :> JsonNode else null))

    let private spaceToJson space =
        match space with
        | Discrete count -> object [ "kind", text "Discrete"; "count", integer count ]
        | Box(low, high) -> object [ "kind", text "Box"; "low", boundsToJson low; "high", boundsToJson high ]
        | MultiDiscrete counts -> object [ "kind", text "MultiDiscrete"; "counts", list (counts |> Seq.map integer) ]
        | MultiBinary count -> object [ "kind", text "MultiBinary"; "count", integer count ]

    let private normaliserToJson normaliser : JsonNode =
        match normaliser with
        | AsTheyAre -> null
        | Standardise moments ->
            let columns f = list (Seq.init moments.Width (f >> number))

            object
                [ "count", number moments.Count
                  "means", columns moments.Mean
                  "squaredDeviations", columns moments.SquaredDeviations ]

    let private toJson saved =
        let activation =
            Configuration.activations
            |> List.pick (fun (name, activation) ->
                if activation = saved.Architecture.Activation then Some name else None)

        object
            [ "format", text format
              "version", integer version
              "environment", text saved.Environment
              "observationSpace", spaceToJson saved.ObservationSpace
              "actionSpace", spaceToJson saved.ActionSpace
              "scaledActions", JsonValue.Create saved.Actor.Policy.IsScaled
              "hidden", list (saved.Architecture.Hidden |> Seq.map integer)
              "activation", text activation
              "normaliser", normaliserToJson saved.Actor.Normaliser
              "parameterCount", integer saved.Actor.Parameters.Length
              "parameters", text (Convert.ToBase64String(toBytes saved.Actor.Parameters)) ]

    /// SHA-256 of all that the JSON says.
    let private checksum (node: JsonNode) =
        Text.Encoding.UTF8.GetBytes(node.ToJsonString()) |> SHA256.HashData |> Convert.ToHexStringLower

    /// The text of the file.
    let print saved =
        let node = toJson saved
        node["checksum"] <- text (checksum node)

        node.ToJsonString(JsonSerializerOptions(WriteIndented = true)) + "\n"

    /// Thrown and caught within this module alone: reading JSON that is not what it should be throws anyway.
    exception private Unreadable of why: string

    let private unreadable why = raise (Unreadable why)

    let private property (name: string) (node: JsonNode) : JsonNode =
        match node[name] with
        | null -> unreadable $"it has no {name}"
        | value -> value

    let private get<'T> name (node: JsonNode) = (property name node).GetValue<'T>()

    let private atLeast smallest name value =
        if value < smallest then
            unreadable $"its {name} is {value}"

        value

    /// A list of values, none of which is null.
    let private items<'T> name (node: JsonNode) =
        [ for item in (property name node).AsArray() do
              if isNull item then
                  unreadable $"its {name} has an empty place"

              item.GetValue<'T>() ]

    /// A list of numbers, or null for the infinite one.
    let private bounds infinite name node =
        (property name node).AsArray()
        |> Seq.map (fun bound -> if isNull bound then infinite else bound.GetValue<float32>())
        |> Vector.ofSeq

    /// `what` it is a space of, for errors.
    let private spaceOfJson what (node: JsonNode) =
        let node = property $"{what}Space" node
        let count () = get<int> "count" node |> atLeast 1 "count"

        match get<string> "kind" node with
        | "Discrete" -> Discrete(count ())
        | "MultiBinary" -> MultiBinary(count ())
        | "MultiDiscrete" ->
            match items<int> "counts" node with
            | [] -> unreadable $"its {what} space has no dimension"
            | counts -> MultiDiscrete(counts |> List.map (atLeast 1 "counts"))
        | "Box" ->
            let low = bounds Single.NegativeInfinity "low" node
            let high = bounds Single.PositiveInfinity "high" node

            if
                low.Length = 0
                || low.Length <> high.Length
                || Seq.exists2 (>) (Vector.toArray low) (Vector.toArray high)
            then
                unreadable $"its {what} space has no points"

            Box(low, high)
        | kind -> unreadable $"its {what} space is of the unknown kind {kind}"

    let private normaliserOfJson space (node: JsonNode) =
        let width = Space.width space

        match node["normaliser"] with
        | null -> AsTheyAre
        | _ when Space.holdsIndices space -> unreadable "its normaliser is for indices"
        | moments ->
            let count = get<float> "count" moments |> atLeast 0.0 "count"
            let means = items<float> "means" moments
            let squares = items<float> "squaredDeviations" moments |> List.map (atLeast 0.0 "squaredDeviations")

            if means.Length <> width || squares.Length <> width then
                unreadable $"its normaliser is not for observations of width {width}"

            if not (List.forall Double.IsFinite (count :: means @ squares)) then
                unreadable "its normaliser is not finite"

            Standardise(Moments.create count means squares)

    let private activationOfJson node =
        let name = get<string> "activation" node

        match Configuration.activations |> List.tryFind (fun (known, _) -> known = name) with
        | Some(_, activation) -> activation
        | None -> unreadable $"it names the unknown activation {name}"

    let private parametersOfJson node =
        let parameters = ofBytes (Convert.FromBase64String(get<string> "parameters" node))

        if not (Vector.isFinite parameters) then
            unreadable "its parameters are not all finite"

        parameters

    /// Refuses what is not a policy, has another version, or is not what was saved.
    let private requireIntact (node: JsonNode) =
        if not (node :? JsonObject) || get<string> "format" node <> format then
            unreadable "it is not a FunTrpo policy"

        let found = get<int> "version" node

        if found <> version then
            unreadable $"it has version {found}, and only version {version} is known"

        let stored = get<string> "checksum" node
        node.AsObject().Remove "checksum" |> ignore

        if checksum node <> stored then
            unreadable "it is not what was saved (its checksum differs)"

    let private ofJson (node: JsonNode) =
        requireIntact node
        let observationSpace = spaceOfJson "observation" node
        let hidden = items<int> "hidden" node |> List.map (atLeast 1 "hidden")
        let architecture = { Hidden = hidden; Activation = activationOfJson node }
        let parameters = parametersOfJson node

        // Compared in 64 bits, before anything of that size is made.
        let inputs =
            if Space.holdsIndices observationSpace then
                Space.indices observationSpace
            else
                int64 (Space.width observationSpace)

        for inputs, outputs in List.pairwise (inputs :: List.map int64 hidden @ [ 1L ]) do
            if inputs * outputs > int64 parameters.Length then
                unreadable $"its network needs more parameters than the {parameters.Length} that it holds"

        let policy = Policy.create architecture 0.0 observationSpace (spaceOfJson "action" node)

        if policy.Network.ParameterCount <> parameters.Length then
            unreadable $"its network needs {policy.Network.ParameterCount} parameters, and it holds {parameters.Length}"

        { Environment = get<string> "environment" node
          Architecture = architecture
          Actor =
            { Policy = { policy with IsScaled = get<bool> "scaledActions" node }
              Parameters = parameters
              Normaliser = normaliserOfJson observationSpace node } }

    /// The policy that the text describes; `name` is what an error calls it.
    let parse name (text: string) =
        let damaged why = Error(Damaged(name, why))

        try
            match JsonNode.Parse(text, documentOptions = JsonDocumentOptions(AllowDuplicateProperties = false)) with
            | null -> damaged "it is empty"
            | node -> Ok(ofJson node)
        with
        | Unreadable why -> damaged why
        | :? JsonException -> damaged "it is not JSON, or not all of it"
        | :? ArgumentException -> damaged "it is not text"
        | :? FormatException
        | :? InvalidOperationException
        | :? OverflowException -> damaged "a field of it is not of the type that it should be"

    /// The policy itself where it can act in the environment, or what each of them has; `name` is what an error calls it.
    let requireFit name (environment: Environment<'State>) (saved: SavedPolicy) =
        Policy.requireFit $"{name}, made for {saved.Environment}," environment saved.Actor.Policy
        |> Result.map (fun () -> saved)

    /// Replaces the whole file at once, so that a reader never sees a part of it and a crash leaves the old one.
    let replace (path: string) (content: string) =
        let written = $"{path}.{Path.GetRandomFileName()}"
        File.WriteAllText(written, content)
        File.Move(written, path, true)

    /// Writes a policy to a file, which is replaced.
    let save path saved = replace path (print saved)

    /// Reads a policy from a file.
    let load path =
        try
            parse path (File.ReadAllText path)
        with
        | :? IOException
        | :? ArgumentException
        | :? UnauthorizedAccessException as e -> Error(Damaged(path, e.Message))
