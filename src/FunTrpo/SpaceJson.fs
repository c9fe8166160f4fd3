namespace FunTrpo

open System
open System.Buffers
open System.Text
open System.Text.Json
open FunTrpo.Json

/// Writes and reads spaces as JSON.
module internal SpaceJson =

    /// Writes the bounds of a box. JSON has no infinity, so an infinite bound is null.
    let private writeBounds (writer: Utf8JsonWriter) (name: string) (v: Vector) =
        writer.WriteStartArray name

        for i in 0 .. v.Length - 1 do
            if Single.IsFinite v[i] then writer.WriteNumberValue v[i] else writer.WriteNullValue()

        writer.WriteEndArray()

    let rec private writeObject (writer: Utf8JsonWriter) space =
        let kind (kind: string) = writer.WriteString("kind", kind)
        let count (count: int) = writer.WriteNumber("count", count)
        writer.WriteStartObject()

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
        | Box(low, high, shape) ->
            kind "Box"
            writeBounds writer "low" low
            writeBounds writer "high" high

            // A row of one axis has no shape of its own in the file, as in files from before there were shapes.
            if shape <> [ low.Length ] then
                writeIntegers writer "shape" shape
        | Masked(observed, counts) ->
            kind "Masked"
            writer.WritePropertyName "observed"
            writeObject writer observed
            writeIntegers writer "counts" counts
        | Parts parts ->
            kind "Parts"
            writer.WriteStartArray "parts"

            for name, part in parts do
                writer.WriteStartObject()
                writer.WriteString("name", name)
                writer.WritePropertyName "space"
                writeObject writer part
                writer.WriteEndObject()

            writer.WriteEndArray()

        writer.WriteEndObject()

    /// Writes a space as the property `name`.
    let write (writer: Utf8JsonWriter) (name: string) space =
        writer.WritePropertyName name
        writeObject writer space

    /// A space as a text of its own.
    let print space =
        let text = ArrayBufferWriter<byte>()
        use writer = new Utf8JsonWriter(text)
        writeObject writer space
        writer.Flush()
        Encoding.UTF8.GetString text.WrittenSpan

    /// The bounds of a box, with `infinite` in place of null.
    let private bounds infinite name node =
        let ofJson (bound: JsonElement) = if bound.ValueKind = JsonValueKind.Null then infinite else bound.GetSingle()

        (property name node).EnumerateArray() |> Seq.map ofJson |> Vector.ofSeq

    let private readBox (node: JsonElement) =
        let low = bounds Single.NegativeInfinity "low" node
        let high = bounds Single.PositiveInfinity "high" node
        let hasShape = fst (node.TryGetProperty "shape")
        Box(low, high, (if hasShape then integers "shape" node |> List.ofArray else [ low.Length ]))

    let rec private readUnmasked what node =
        match text "kind" node with
        | "Discrete" -> Discrete(integer "count" node)
        | "MultiBinary" -> MultiBinary(integer "count" node)
        | "MultiDiscrete" -> MultiDiscrete(integers "counts" node |> List.ofArray)
        | "Box" -> readBox node
        | "Parts" ->
            Parts
                [ for part in (property "parts" node).EnumerateArray() do
                      text "name" part, readUnmasked what (property "space" part) ]
        | kind -> unreadable $"its {what} space is of the unknown kind {kind}"

    /// The space in the property `what`Space; error messages use `what`.
    let read what node =
        let node = property $"{what}Space" node

        let space =
            match text "kind" node with
            | "Masked" -> Masked(readUnmasked what (property "observed" node), integers "counts" node |> List.ofArray)
            | _ -> readUnmasked what node

        match Space.invalidReason space with
        | Some why -> unreadable $"its {what} space {why}"
        | None -> space
