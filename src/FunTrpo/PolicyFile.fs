namespace FunTrpo

open System
open System.Globalization
open System.IO
open System.Text
open System.Text.Json
open System.Text.Unicode
open FunTrpo.Json

/// A trained policy with all that is needed to act with it.
type SavedPolicy =
    {
        /// The id of the environment that the policy was trained on.
        Environment: string
        /// The policy with its parameters and its normaliser.
        Actor: Actor
    }

    member this.Architecture = this.Actor.Policy.Architecture
    member this.ObservationSpace = this.Actor.Policy.ObservationSpace
    member this.ActionSpace = this.Actor.Policy.ActionSpace

/// Saves and loads policies as JSON files. The parameters are base64 of little-endian float32, and a checksum covers the whole
/// file.
///
/// Writing converts the parameters piece by piece. Reading holds the bytes of the file and decodes the parameters from them. Properties that
/// this version does not know are ignored, so that a later one can add some (forward compatibility); the checksum covers them too.
module PolicyFile =

    let private format = "funtrpo-policy"

    /// The version of files of policies that have a distribution of their own. A reader that knows only version 3 refuses them, which it could
    /// not otherwise: to it, the distribution would be a property that it does not know.
    let private versionWithDistribution = 4

    /// The version of all other files.
    let private version = 3

    /// The maximum size of a file in bytes. It allows more parameters than training does, and fits into one array.
    let private maxFileSize = 1_000_000_000L

    let private writeNormaliser (writer: Utf8JsonWriter) normaliser =
        match normaliser with
        | Unnormalised -> writer.WriteNull "normaliser"
        | Standardise moments ->
            let writeColumns (name: string) (column: int -> float) =
                writer.WriteStartArray name

                for i in 0 .. moments.Width - 1 do
                    writer.WriteNumberValue(column i)

                writer.WriteEndArray()

            writer.WriteStartObject "normaliser"
            writer.WriteNumber("count", moments.Count)
            writeColumns "means" moments.Mean
            writeColumns "squaredDeviations" moments.SquaredDeviations
            writer.WriteEndObject()

    /// The name of an activation. Throws an `ArgumentException` if it has none, because such a file could not be read.
    let private requireName activation =
        let name = HiddenLayer.nameOf activation

        if not (List.exists (fst >> (=) name) HiddenLayer.activations) then
            invalidArg (nameof activation) $"there is no activation {name}"

        name

    /// Writes layers with a common activation as their units and that activation, and other layers in their text form.
    let private writeArchitecture (writer: Utf8JsonWriter) architecture =
        match Architecture.tryUniform architecture with
        | Some(hidden, activation) ->
            writeIntegers writer "hidden" hidden
            writer.WriteString("activation", requireName activation)
        | None ->
            architecture |> List.collect HiddenLayer.activationsOf |> List.iter (requireName >> ignore)

            writer.WriteString("architecture", Architecture.print architecture)

    /// Writes the policy, and its checksum if there is one.
    let private writeJson (writer: Utf8JsonWriter) (saved: SavedPolicy) checksum =
        writer.WriteStartObject()
        writer.WriteString("format", format)
        let distribution = saved.Actor.Policy.Distribution
        let isStandard = (distribution = DistributionKind.Gaussian)
        writer.WriteNumber("version", (if isStandard then version else versionWithDistribution))
        writer.WriteString("environment", saved.Environment)
        SpaceJson.write writer "observationSpace" saved.ObservationSpace
        SpaceJson.write writer "actionSpace" saved.ActionSpace

        if not isStandard then
            writer.WriteString("distribution", Distribution.nameOf distribution)

        writer.WriteBoolean("scaledActions", saved.Actor.Policy.IsScaled)
        writeArchitecture writer saved.Architecture
        writeNormaliser writer saved.Actor.Normaliser
        writer.WriteNumber("parameterCount", saved.Actor.Parameters.Length)
        ParameterBytes.writeBase64 writer saved.Actor.Parameters
        checksum |> Option.iter (fun (checksum: string) -> writer.WriteString("checksum", checksum))
        writer.WriteEndObject()
        writer.Flush()

    /// Writes the text of the file in UTF-8.
    let private write (stream: Stream) saved =
        let checksum = Sha256.ofJson (fun writer -> writeJson writer saved None)
        use writer = new Utf8JsonWriter(stream, JsonWriterOptions(Indented = true))
        writeJson writer saved (Some checksum)
        stream.WriteByte(byte '\n')

    /// Returns the text of the policy's file.
    let print saved =
        use stream = new MemoryStream()
        write stream saved
        Encoding.UTF8.GetString(stream.GetBuffer(), 0, int stream.Length)

    /// Reads a property of the object in a file's text. What is wrong gets the place of the property, if it is there.
    let private reading text (node: JsonElement) (name: string) (read: JsonElement -> 'T) =
        let fail why =
            match node.TryGetProperty name with
            | true, value ->
                let struct (line, first) = placeOf text value
                unreadable $"{name} (line {line}, byte {first}): {why}"
            | _ -> unreadable why

        try
            read node
        with
        | Unreadable why -> fail why
        | :? FormatException
        | :? InvalidOperationException
        | :? OverflowException -> fail "it, or a part of it, is not of the type that it should be"

    let private normaliserOfJson space (node: JsonElement) =
        let width = Space.width (Space.observed space)

        match node.TryGetProperty "normaliser" with
        | true, moments when moments.ValueKind <> JsonValueKind.Null ->
            if Space.hasIndices space then
                unreadable "its normaliser is for indices"

            let count = (property "count" moments).GetDouble() |> requireAtLeast 0.0 "count"
            let means = items _.GetDouble() "means" moments
            let squares = items _.GetDouble() "squaredDeviations" moments

            if means.Length <> width || squares.Length <> width then
                unreadable $"its normaliser is not for observations of width {width}"

            for square in squares do
                requireAtLeast 0.0 "squaredDeviations" square |> ignore

            if
                not (
                    Double.IsFinite count && Array.forall Double.IsFinite means && Array.forall Double.IsFinite squares
                )
            then
                unreadable "its normaliser is not finite"

            Standardise(Moments.create count means squares |> Moments.withLabels (Space.labels space))
        | _ -> Unnormalised

    let private activationOfJson node =
        let name = text "activation" node

        match HiddenLayer.tryActivation name with
        | Some activation -> activation
        | None -> unreadable $"it names the unknown activation {name}"

    /// The architecture in either of the forms that `writeArchitecture` writes.
    let private architectureOfJson file (node: JsonElement) =
        let reading name read = reading file node name read
        let has (name: string) = fst (node.TryGetProperty name)

        if has "architecture" then
            if has "hidden" || has "activation" then
                unreadable "it has an architecture twice: as architecture, and as hidden or activation"

            reading "architecture" (fun node ->
                match Architecture.parse (text "architecture" node) with
                | Ok architecture -> architecture
                | Error why ->
                    unreadable $"its architecture must be layers with semicolons between: {HiddenLayer.forms}; {why}")
        else
            let hidden =
                reading "hidden" (integers "hidden" >> Array.map (requireAtLeast 1 "hidden") >> List.ofArray)

            if hidden.Length > Architecture.maxLayers then
                unreadable $"it has {hidden.Length} hidden layers, and at most {Architecture.maxLayers} are allowed"

            Architecture.uniform hidden (reading "activation" activationOfJson)

    /// The same, if its layers fit the observations and each other.
    let private fittingArchitecture file (node: JsonElement) observationSpace =
        let architecture = architectureOfJson file node
        let name = if fst (node.TryGetProperty "architecture") then "architecture" else "hidden"

        reading file node name (fun _ ->
            match Architecture.shapes observationSpace architecture with
            | Ok _ -> architecture
            | Error why -> unreadable why)

    /// The distribution of actions, if it is one for them. Files without one are those of a Gaussian.
    let private distributionOfJson file (node: JsonElement) actionSpace =
        if fst (node.TryGetProperty "distribution") then
            reading file node "distribution" (fun node ->
                let name = text "distribution" node

                match Distribution.tryKind name with
                | None -> unreadable $"it names the unknown distribution {name}"
                | Some kind ->
                    match Distribution.misfit kind actionSpace with
                    | Some why -> unreadable $"{name} does not fit: {why}"
                    | None -> kind)
        else
            DistributionKind.Gaussian

    /// The number of bytes of text that are hashed at a time.
    let private textPieceLength = 4096

    /// SHA-256 of the JSON without its checksum and whitespace. `parameters` is the unescaped text of that property.
    let private checksumOf (node: JsonElement) (parameters: ReadOnlyMemory<byte>) =
        Sha256.ofJson (fun writer ->
            writer.WriteStartObject()

            for property in node.EnumerateObject() do
                if property.NameEquals "parameters" then
                    writer.WritePropertyName "parameters"

                    for first in 0..textPieceLength .. max 0 (parameters.Length - 1) do
                        let count = min textPieceLength (parameters.Length - first)

                        writer.WriteStringValueSegment(
                            parameters.Span.Slice(first, count),
                            first + count = parameters.Length
                        )
                elif not (property.NameEquals "checksum") then
                    property.WriteTo writer

            writer.WriteEndObject())

    /// The parameters, after the format, the version and the checksum are verified.
    let private intactParameters file (node: JsonElement) =
        if node.ValueKind <> JsonValueKind.Object || reading file node "format" (text "format") <> format then
            unreadable "it is not a FunTrpo policy"

        let found = reading file node "version" (integer "version")

        if found <> version && found <> versionWithDistribution then
            unreadable
                $"it has version {found}, and only the versions {version} and {versionWithDistribution} are known"

        let stored = reading file node "checksum" (text "checksum")
        let parameters = reading file node "parameters" (property "parameters" >> Json.utf8)

        if checksumOf node (Memory.op_Implicit parameters) <> stored then
            unreadable "it is not what was saved (its checksum differs)"

        reading file node "parameters" (fun _ -> ParameterBytes.ofBase64 parameters)

    /// The number of observations at which a loaded policy is tried.
    let private tries = 20

    /// Larger bounds count as infinite: many environments use the largest float32 if they know no bound.
    let private maxBound = 1e6f

    /// Refuses a policy that has no finite action for the observation nearest to 0, or for some random observations of its space.
    /// This does not cover all observations: in an unbounded space some are too large for any policy.
    let private requireValid (actor: Actor) =
        let rec within space =
            match space with
            | Box(low, high, shape) ->
                Box(
                    low |> Vector.map (fun bound -> if bound < -maxBound then Single.NegativeInfinity else bound),
                    high |> Vector.map (fun bound -> if bound > maxBound then Single.PositiveInfinity else bound),
                    shape
                )
            | Masked(observed, counts) -> Masked(within observed, counts)
            | Parts parts -> Parts(parts |> List.map (fun (name, part) -> name, within part))
            | Discrete _
            | MultiDiscrete _
            | MultiBinary _ -> space

        let space = within actor.Policy.ObservationSpace

        let nearest =
            let zero = Vector.zero (Space.width space)

            Vector.Create(
                zero.Length,
                Fill(fun row ->
                    Space.clip space zero.Span row
                    Mask.allowAll space row)
            )

        let policy = InferencePolicy actor
        let key = Key.ofSeed 0L

        let canAct key observation =
            let memory () = Memory(Array.zeroCreate<float32> policy.Memory)

            policy.TryAct(observation, memory (), ValueNone).IsSome
            && policy.TryAct(observation, memory (), ValueSome key).IsSome

        for i in 0 .. tries - 1 do
            let tryKey = Key.at (int64 i) key
            let observation = if i = 0 then nearest else Space.sample space (Key.named "observation" tryKey)

            if not (canAct (Key.named "action" tryKey) observation) then
                unreadable "it gives no finite action for an observation of its space: its parameters are too large"

    let private ofJson file (node: JsonElement) =
        let parameters = intactParameters file node
        let reading name read = reading file node name read
        let observationSpace = reading "observationSpace" (SpaceJson.read "observation")
        let actionSpace = reading "actionSpace" (SpaceJson.read "action")
        let architecture = fittingArchitecture file node observationSpace

        match Mask.misfit observationSpace actionSpace with
        | Some why -> unreadable why
        | None -> ()

        let distribution = distributionOfJson file node actionSpace
        // Checked before arrays of that size are allocated.
        let count = Policy.parameterCount distribution architecture observationSpace actionSpace

        if count <> float parameters.Length then
            let needed = count.ToString("F0", CultureInfo.InvariantCulture)
            unreadable $"its network needs {needed} parameters, and it holds {parameters.Length}"

        let isScaled = reading "scaledActions" (fun node -> (property "scaledActions" node).GetBoolean())

        let actor =
            { Policy = Policy.createWith distribution architecture 0.0 isScaled observationSpace actionSpace
              Parameters = parameters
              Normaliser = reading "normaliser" (normaliserOfJson observationSpace) }

        requireValid actor
        { Environment = reading "environment" (text "environment"); Actor = actor }

    let private parseBytes name (bytes: ReadOnlyMemory<byte>) =
        let damaged why = Error(Damaged(name, why))

        try
            // The parser accepts other bytes in strings, and throws where they are read or written.
            if not (Utf8.IsValid bytes.Span) then
                unreadable "it is not text"

            use document = JsonDocument.Parse(bytes, strict)
            Ok(ofJson bytes document.RootElement)
        with
        | Unreadable why -> damaged why
        | :? JsonException as error -> damaged (notJson error)
        // A layer or a network refuses its sizes.
        | :? ArgumentException as e -> damaged e.Message
        | :? FormatException
        | :? InvalidOperationException
        | :? OverflowException -> damaged "a field of it is not of the type that it should be"

    /// Returns the policy in the text of a file, or `Damaged`. Error messages call the policy `name`.
    let parse name (text: string) =
        try
            Ok(UTF8Encoding(false, true).GetBytes text)
        with :? EncoderFallbackException ->
            Error(Damaged(name, "it is not text"))
        |> Result.bind (fun bytes -> parseBytes name (ReadOnlyMemory bytes))

    /// Returns the policy if its spaces are those of the environment; otherwise a fault that describes the difference. Error
    /// messages call the policy `name`.
    let requireFit name (environment: Environment<'State>) (saved: SavedPolicy) =
        Policy.requireFit $"{name}, made for {saved.Environment}," environment saved.Actor.Policy
        |> Result.map (fun () -> saved)

    /// Writes a policy to a file, atomically. Throws the exceptions of the file system, and an `IOException` for a path that exists
    /// and is no regular file, such as a device or a pipe.
    let save path saved = AtomicFile.replace path (fun stream -> write stream saved)

    /// Does the same as `load`, but throws the exceptions of the file system: `IOException`, `UnauthorizedAccessException` and
    /// `ArgumentException`.
    let read path =
        RegularFile.read maxFileSize path
        |> Result.mapError (fun why -> Damaged(path, why))
        |> Result.bind (parseBytes path)

    /// Returns the policy of a file, or `Damaged` if the file cannot be read or is not a policy.
    let load path =
        try
            read path
        with
        | :? IOException
        | :? ArgumentException
        | :? UnauthorizedAccessException as e -> Error(Damaged(path, e.Message))
