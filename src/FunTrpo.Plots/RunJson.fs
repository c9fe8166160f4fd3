/// JSON objects in the files of a run. The functions that read a value throw `Unreadable`, or the exceptions of System.Text.Json; `read` returns
/// them as a fault.
module internal FunTrpo.Plots.RunJson

open System
open System.IO
open System.Text.Json
open System.Text.Json.Nodes
open FunTrpo

/// The text of a file with this object.
let print (node: JsonObject) = node.ToJsonString(JsonSerializerOptions(WriteIndented = true)) + "\n"

/// The number as JSON, or null for none.
let numberOrNull (value: float option) = value |> Option.map (fun x -> JsonValue.Create x :> JsonNode) |> Option.toObj

/// The value of a property that is there and not null.
let required (node: JsonNode) (name: string) =
    match node[name] with
    | null -> Json.unreadable $"it has no {name}"
    | value -> value

let numberOrNone (node: JsonNode) (name: string) = node[name] |> Option.ofObj |> Option.map _.GetValue<float>()

/// The text of a setting: that of a string, or a number or Boolean as it is written.
let textOf name (node: JsonNode) =
    match node with
    | :? JsonValue as value when value.GetValueKind() = JsonValueKind.String -> value.GetValue<string>()
    | :? JsonValue as value -> value.ToJsonString()
    | _ -> Json.unreadable $"its {name} is no value"

/// An object has no other properties than these.
let requireKnown known (node: JsonNode) =
    for KeyValue(name, _) in node.AsObject() do
        if not (List.contains name known) then
            Json.unreadable $"it has the unknown {name}{Suggestion.among known name}"

/// A value that has been checked as that of the command's option.
let orUnreadable (value: Result<'T, Fault>) =
    match value with
    | Ok value -> value
    | Error fault -> Json.unreadable (Fault.message fault)

/// The checked value of a property that is a number, or none if it is not there.
let checkedOrNone check (name: string) (node: JsonNode) =
    match node[name] with
    | null -> None
    | value -> Some(check name (value.ToJsonString()) |> orUnreadable)

/// The maximum size of such a file in bytes.
let private largest = 1_000_000L

/// What `parse` makes of the object in a JSON file of a run, or `Damaged`.
let read (name: string) (parse: JsonNode -> 'T) path =
    let damaged why = Error(Damaged(path, why))

    let parseBytes (bytes: ReadOnlyMemory<byte>) =
        match JsonNode.Parse(bytes.Span, documentOptions = Json.strict) with
        | :? JsonObject as node -> Ok(parse node)
        | _ -> damaged $"it is not the {name} of a run"

    try
        match RegularFile.read largest path with
        | Ok bytes -> parseBytes bytes
        | Error why -> damaged why
    with
    | Unreadable why -> damaged why
    | :? JsonException as error -> damaged (Json.notJson error)
    | :? FormatException
    | :? InvalidOperationException -> damaged "a field of it is not of the type that it should be"
    | :? IOException
    | :? ArgumentException
    | :? UnauthorizedAccessException as e -> damaged e.Message
