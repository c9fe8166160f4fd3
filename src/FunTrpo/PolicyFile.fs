namespace FunTrpo

open System
open System.Buffers
open System.Buffers.Binary
open System.Buffers.Text
open System.Globalization
open System.IO
open System.Runtime.InteropServices
open System.Security.Cryptography
open System.Text
open System.Text.Json

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

/// Computes SHA-256 of all bytes that are written to it. It holds only the bytes of one write at a time.
[<Sealed>]
type private Hashing() =
    let hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
    let mutable buffer = Array.zeroCreate<byte> 4096

    let atLeast size =
        if size > buffer.Length then
            buffer <- Array.zeroCreate size

        buffer

    /// The hash in lower-case hexadecimal.
    member _.Result = Convert.ToHexStringLower(hash.GetCurrentHash())

    interface IBufferWriter<byte> with
        member _.GetMemory size = (atLeast size).AsMemory()
        member _.GetSpan size = (atLeast size).AsSpan()
        member _.Advance count = hash.AppendData(buffer, 0, count)

    interface IDisposable with
        member _.Dispose() = hash.Dispose()

/// Saves and loads policies as JSON files. The parameters are base64 of little-endian float32, and a checksum covers the whole
/// file.
///
/// Writing converts the parameters piece by piece. Reading holds the bytes of the file and decodes the parameters from them.
module PolicyFile =

    let private format = "funtrpo-policy"
    let private version = 3

    /// The maximum size of a file in bytes. It allows more parameters than training does, and fits into one array.
    let private largest = 1_000_000_000L

    /// The number of parameters in a piece: a multiple of 3, so that the bytes of a piece are whole groups of base64.
    let private pieceLength = 3072

    /// Calls `work` for each piece of the parameters: with the bytes (little-endian float32), their count, and true for the last
    /// piece.
    let private forEachPiece (parameters: Vector) (work: byte[] -> int -> bool -> unit) =
        let bytes = Array.zeroCreate<byte>(4 * pieceLength)
        let mutable first = 0
        let mutable isLast = false

        while not isLast do
            let count = min pieceLength (parameters.Length - first)

            for i in 0 .. count - 1 do
                BitConverter.TryWriteBytes(bytes.AsSpan(4 * i), parameters[first + i]) |> ignore

                if not BitConverter.IsLittleEndian then
                    Array.Reverse(bytes, 4 * i, 4)

            first <- first + count
            isLast <- first >= parameters.Length
            work bytes (4 * count) isLast

    /// Returns SHA-256 of the parameters as little-endian float32, in lower-case hexadecimal.
    let sha256 parameters =
        use hash = IncrementalHash.CreateHash HashAlgorithmName.SHA256
        forEachPiece parameters (fun bytes count _ -> hash.AppendData(bytes, 0, count))
        Convert.ToHexStringLower(hash.GetCurrentHash())

    // JSON

    /// Writes the bounds of a box. JSON has no infinity, so an infinite bound is null.
    let private writeBounds (writer: Utf8JsonWriter) (name: string) (v: Vector) =
        writer.WriteStartArray name

        for i in 0 .. v.Length - 1 do
            if Single.IsFinite v[i] then writer.WriteNumberValue v[i] else writer.WriteNullValue()

        writer.WriteEndArray()

    let private writeIntegers (writer: Utf8JsonWriter) (name: string) (integers: int list) =
        writer.WriteStartArray name

        for integer in integers do
            writer.WriteNumberValue integer

        writer.WriteEndArray()

    let private writeSpace (writer: Utf8JsonWriter) (name: string) space =
        let kind (kind: string) = writer.WriteString("kind", kind)
        let count (count: int) = writer.WriteNumber("count", count)
        writer.WriteStartObject name

        match space with
        | Discrete alternatives ->
            kind "Discrete"
            count alternatives
        | MultiBinary switches ->
            kind "MultiBinary"
            count switches
        | MultiDiscrete counts ->
            kind "MultiDiscrete"
            writeIntegers writer "counts" counts
        | Box(low, high) ->
            kind "Box"
            writeBounds writer "low" low
            writeBounds writer "high" high

        writer.WriteEndObject()

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

    /// Writes the parameters as base64. `Utf8JsonWriter` escapes the `+` of base64, as in every JSON string.
    let private writeParameters (writer: Utf8JsonWriter) (parameters: Vector) =
        let text = Array.zeroCreate<byte>(Base64.GetMaxEncodedToUtf8Length(4 * pieceLength))
        writer.WritePropertyName "parameters"

        forEachPiece parameters (fun bytes count isLast ->
            let _, _, written = Base64.EncodeToUtf8(ReadOnlySpan(bytes, 0, count), text.AsSpan())
            writer.WriteStringValueSegment(ReadOnlySpan(text, 0, written), isLast)
            writer.Flush())

    /// Writes the policy, and its checksum if there is one.
    let private writeJson (writer: Utf8JsonWriter) (saved: SavedPolicy) checksum =
        let activation =
            Configuration.activations
            |> List.pick (fun (name, activation) ->
                if activation = saved.Architecture.Activation then Some name else None)

        writer.WriteStartObject()
        writer.WriteString("format", format)
        writer.WriteNumber("version", version)
        writer.WriteString("environment", saved.Environment)
        writeSpace writer "observationSpace" saved.ObservationSpace
        writeSpace writer "actionSpace" saved.ActionSpace
        writer.WriteBoolean("scaledActions", saved.Actor.Policy.IsScaled)
        writeIntegers writer "hidden" saved.Architecture.Hidden
        writer.WriteString("activation", activation)
        writeNormaliser writer saved.Actor.Normaliser
        writer.WriteNumber("parameterCount", saved.Actor.Parameters.Length)
        writeParameters writer saved.Actor.Parameters
        checksum |> Option.iter (fun (checksum: string) -> writer.WriteString("checksum", checksum))
        writer.WriteEndObject()
        writer.Flush()

    /// SHA-256 of the JSON that `write` writes, without whitespace.
    let private hashOf (write: Utf8JsonWriter -> unit) =
        use hashing = new Hashing()
        use writer = new Utf8JsonWriter(hashing :> IBufferWriter<byte>)
        write writer
        writer.Flush()
        hashing.Result

    /// Writes the text of the file in UTF-8.
    let private write (stream: Stream) saved =
        let checksum = hashOf (fun writer -> writeJson writer saved None)
        use writer = new Utf8JsonWriter(stream, JsonWriterOptions(Indented = true))
        writeJson writer saved (Some checksum)
        stream.WriteByte(byte '\n')

    /// Returns the text of the policy's file.
    let print saved =
        use stream = new MemoryStream()
        write stream saved
        Encoding.UTF8.GetString(stream.GetBuffer(), 0, int stream.Length)

    /// Thrown and caught only within this module. An exception is simplest here, because reading wrong JSON throws anyway.
    exception private Unreadable of why: string

    let private unreadable why = raise (Unreadable why)

    let private property (name: string) (node: JsonElement) =
        match node.TryGetProperty name with
        | true, value when value.ValueKind <> JsonValueKind.Null -> value
        | _ -> unreadable $"it has no {name}"

    let private text name node = (property name node).GetString()
    let private integer name node = (property name node).GetInt32()

    let private requireAtLeast smallest name value =
        if value < smallest then
            unreadable $"its {name} has the value {string value}"

        value

    /// An array of values, none of which is null.
    let private items (get: JsonElement -> 'T) name node =
        [| for item in (property name node).EnumerateArray() do
               if item.ValueKind = JsonValueKind.Null then
                   unreadable $"its {name} has an empty place"

               get item |]

    let private integers = items _.GetInt32()

    /// The bounds of a box, with `infinite` in place of null.
    let private bounds infinite name node =
        let ofJson (bound: JsonElement) = if bound.ValueKind = JsonValueKind.Null then infinite else bound.GetSingle()

        (property name node).EnumerateArray() |> Seq.map ofJson |> Vector.ofSeq

    /// The space in the property `what`Space; error messages use `what`.
    let private spaceOfJson what node =
        let node = property $"{what}Space" node

        let space =
            match text "kind" node with
            | "Discrete" -> Discrete(integer "count" node)
            | "MultiBinary" -> MultiBinary(integer "count" node)
            | "MultiDiscrete" -> MultiDiscrete(integers "counts" node |> List.ofArray)
            | "Box" -> Box(bounds Single.NegativeInfinity "low" node, bounds Single.PositiveInfinity "high" node)
            | kind -> unreadable $"its {what} space is of the unknown kind {kind}"

        match Space.invalidReason space with
        | Some why -> unreadable $"its {what} space {why}"
        | None -> space

    let private normaliserOfJson space (node: JsonElement) =
        let width = Space.width space

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

            Standardise(Moments.create count means squares)
        | _ -> Unnormalised

    let private activationOfJson node =
        let name = text "activation" node

        match Configuration.activations |> List.tryFind (fun (known, _) -> known = name) with
        | Some(_, activation) -> activation
        | None -> unreadable $"it names the unknown activation {name}"

    /// The unescaped text of a JSON string in UTF-8.
    let private utf8 (node: JsonElement) =
        let raw = JsonMarshal.GetRawUtf8Value node
        let text = Array.zeroCreate<byte> raw.Length
        let mutable reader = Utf8JsonReader(raw, JsonReaderOptions())
        reader.Read() |> ignore
        text.AsMemory(0, reader.CopyString(text.AsSpan()))

    /// Decodes the parameters in place: the base64 text is overwritten.
    let private parametersOf (base64: Memory<byte>) =
        let mutable count = 0

        let status = Base64.DecodeFromUtf8InPlace(base64.Span, &count)

        if status <> OperationStatus.Done || count % 4 <> 0 then
            unreadable "its parameters are not float32 in base64"

        let bytes = base64.Slice(0, count)
        let read i = BinaryPrimitives.ReadSingleLittleEndian(Span.op_Implicit (bytes.Span.Slice(4 * i, 4)))
        let parameters = Vector.init (count / 4) read

        if not (Vector.isFinite parameters) then
            unreadable "its parameters are not all finite"

        parameters

    /// SHA-256 of the JSON without its checksum and whitespace. `parameters` is the unescaped text of that property.
    let private checksumOf (node: JsonElement) (parameters: ReadOnlyMemory<byte>) =
        hashOf (fun writer ->
            writer.WriteStartObject()

            for property in node.EnumerateObject() do
                if property.NameEquals "parameters" then
                    writer.WritePropertyName "parameters"

                    for first in 0..pieceLength .. max 0 (parameters.Length - 1) do
                        let count = min pieceLength (parameters.Length - first)

                        writer.WriteStringValueSegment(
                            parameters.Span.Slice(first, count),
                            first + count = parameters.Length
                        )
                elif not (property.NameEquals "checksum") then
                    property.WriteTo writer

            writer.WriteEndObject())

    /// The parameters, after the format, the version and the checksum are verified.
    let private intactParameters (node: JsonElement) =
        if node.ValueKind <> JsonValueKind.Object || text "format" node <> format then
            unreadable "it is not a FunTrpo policy"

        let found = integer "version" node

        if found <> version then
            unreadable $"it has version {found}, and only version {version} is known"

        let stored = text "checksum" node
        let parameters = utf8 (property "parameters" node)

        if checksumOf node (Memory.op_Implicit parameters) <> stored then
            unreadable "it is not what was saved (its checksum differs)"

        parametersOf parameters

    /// The number of observations at which a loaded policy is tried.
    let private tries = 20

    /// Larger bounds count as infinite: many environments use the largest float32 if they know no bound.
    let private farthest = 1e6f

    /// Refuses a policy that has no finite action for the observation nearest to 0, or for some random observations of its space.
    /// This does not cover all observations: in an unbounded space some are too large for any policy.
    let private requireValid (actor: Actor) =
        let space =
            match actor.Policy.ObservationSpace with
            | Box(low, high) ->
                Box(
                    low |> Vector.map (fun bound -> if bound < -farthest then Single.NegativeInfinity else bound),
                    high |> Vector.map (fun bound -> if bound > farthest then Single.PositiveInfinity else bound)
                )
            | space -> space

        let nearest =
            let zero = Vector.zero (Space.width space)
            Vector.Create(zero.Length, Fill(fun row -> Space.clip space zero.Span row))

        let player = InferencePolicy actor
        let key = Key.ofSeed 0L

        let canAct key observation =
            player.TryAct(observation, ValueNone).IsSome && player.TryAct(observation, ValueSome key).IsSome


        for i in 0 .. tries - 1 do
            let tryKey = Key.at (int64 i) key
            let observation = if i = 0 then nearest else Space.sample space (Key.named "observation" tryKey)

            if not (canAct (Key.named "action" tryKey) observation) then
                unreadable "it gives no finite action for an observation of its space: its parameters are too large"

    let private ofJson (node: JsonElement) =
        let parameters = intactParameters node
        let observationSpace = spaceOfJson "observation" node
        let actionSpace = spaceOfJson "action" node

        let architecture =
            { Hidden = integers "hidden" node |> Array.map (requireAtLeast 1 "hidden") |> List.ofArray
              Activation = activationOfJson node }

        // Checked before arrays of that size are allocated.
        let count = Policy.parameterCount architecture observationSpace actionSpace

        if count <> float parameters.Length then
            let needed = count.ToString("F0", CultureInfo.InvariantCulture)
            unreadable $"its network needs {needed} parameters, and it holds {parameters.Length}"

        let policy = Policy.create architecture 0.0 observationSpace actionSpace

        let actor =
            { Policy = { policy with IsScaled = (property "scaledActions" node).GetBoolean() }
              Parameters = parameters
              Normaliser = normaliserOfJson observationSpace node }

        requireValid actor
        { Environment = text "environment" node; Actor = actor }

    let private parseBytes name (bytes: ReadOnlyMemory<byte>) =
        let damaged why = Error(Damaged(name, why))

        try
            use document = JsonDocument.Parse(bytes, JsonDocumentOptions(AllowDuplicateProperties = false))
            Ok(ofJson document.RootElement)
        with
        | Unreadable why -> damaged why
        | :? JsonException -> damaged "it is not JSON, or not all of it"
        | :? ArgumentException -> damaged "it is not text"
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

    /// Replaces a file atomically with the text: a reader never sees a part of the new file, and a crash leaves the old one. The
    /// new file keeps the mode of the old one. A symbolic link is kept, and its target is replaced. Throws the exceptions of the
    /// file system, and an `IOException` for a path that exists and is no ordinary file, such as a device or a pipe.
    let replace (path: string) (content: string) =
        OrdinaryFile.replace path (fun stream -> stream.Write(ReadOnlySpan(Encoding.UTF8.GetBytes content)))

    /// Writes a policy to a file, atomically as `replace` does, with the same exceptions.
    let save path saved = OrdinaryFile.replace path (fun stream -> write stream saved)

    /// Does the same as `load`, but throws the exceptions of the file system: `IOException`, `UnauthorizedAccessException` and
    /// `ArgumentException`.
    let read path =
        OrdinaryFile.read largest path
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
