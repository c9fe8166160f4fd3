namespace FunTrpo

open System
open System.Runtime.InteropServices
open System.Text.Json

/// Reads the properties of JSON objects. The functions throw `Unreadable`, or the exceptions of `JsonElement`: an exception is simplest here,
/// because reading wrong JSON throws anyway.
module internal Json =

    let unreadable why = raise (Unreadable why)

    /// An object has each property once. Otherwise one of two would be read, or looking one up would throw an `ArgumentException`.
    let strict = JsonDocumentOptions(AllowDuplicateProperties = false)

    /// What is wrong with a text that is not JSON. Lines and bytes are counted from 1.
    let notJson (error: JsonException) =
        if error.LineNumber.HasValue && error.BytePositionInLine.HasValue then
            $"it is not JSON, or not all of it (line {error.LineNumber.Value + 1L}, byte {error.BytePositionInLine.Value + 1L})"
        else
            // The parser gives no place for a name that an object has twice.
            "it has a property twice"

    /// The line of a value in the text that it is from, and its first byte in this line. Both are counted from 1.
    let placeOf (text: ReadOnlyMemory<byte>) (value: JsonElement) =
        let mutable offset = 0
        text.Span.Overlaps(JsonMarshal.GetRawUtf8Value value, &offset) |> ignore
        let before = text.Span.Slice(0, offset)
        struct (1 + before.Count(byte '\n'), offset - before.LastIndexOf(byte '\n'))

    /// The value of a property that is there and not null.
    let property (name: string) (node: JsonElement) =
        match node.TryGetProperty name with
        | true, value when value.ValueKind <> JsonValueKind.Null -> value
        | _ -> unreadable $"it has no {name}"

    let text name node = (property name node).GetString()
    let integer name node = (property name node).GetInt32()

    let requireAtLeast smallest name value =
        if value < smallest then
            unreadable $"its {name} has the value {string value}"

        value

    /// An array of values, none of which is null.
    let items (get: JsonElement -> 'T) name node =
        [| for item in (property name node).EnumerateArray() do
               if item.ValueKind = JsonValueKind.Null then
                   unreadable $"its {name} has an empty place"

               get item |]

    let integers = items _.GetInt32()

    /// Writes an array of integers.
    let writeIntegers (writer: Utf8JsonWriter) (name: string) (integers: int list) =
        writer.WriteStartArray name

        for integer in integers do
            writer.WriteNumberValue integer

        writer.WriteEndArray()

    /// The unescaped text of a JSON string in UTF-8.
    let utf8 (node: JsonElement) =
        let raw = JsonMarshal.GetRawUtf8Value node
        let text = Array.zeroCreate<byte> raw.Length
        let mutable reader = Utf8JsonReader(raw, JsonReaderOptions())
        reader.Read() |> ignore
        text.AsMemory(0, reader.CopyString(text.AsSpan()))
