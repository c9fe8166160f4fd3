/// The list of runs as JSON, which index.js shows.
module internal FunTrpo.Watch.RunsJson

open System
open System.IO
open System.Text
open System.Text.Json

let private stateText state =
    match state with
    | RunState.Running -> "running"
    | RunState.Finished -> "finished"
    | RunState.Stopped -> "stopped"
    | RunState.Damaged _ -> "damaged"

let private writeNumber (writer: Utf8JsonWriter) (number: float) =
    if Double.IsFinite number then writer.WriteNumberValue number else writer.WriteNullValue()

let private writeRun (writer: Utf8JsonWriter) run =
    writer.WriteStartObject()
    writer.WriteString("name", run.Name)
    writer.WriteString("environment", run.Environment)
    run.Seed |> Option.iter (fun seed -> writer.WriteString("seed", string seed)) // JavaScript's numbers have 53 bits
    writer.WriteNumber("steps", run.Steps)
    writer.WriteNumber("budget", run.Budget)
    writer.WritePropertyName "return"
    writeNumber writer (defaultArg run.Return nan)
    writer.WriteStartArray "returns"
    run.Returns |> Array.iter (writeNumber writer)
    writer.WriteEndArray()
    writer.WriteString("state", stateText run.State)

    match run.State with
    | RunState.Damaged why -> writer.WriteString("why", why)
    | _ -> ()

    writer.WriteEndObject()

/// An object with the folder and its runs.
let ofRuns (folder: string) (runs: RunEntry list) =
    use stream = new MemoryStream()

    let write () =
        use writer = new Utf8JsonWriter(stream)
        writer.WriteStartObject()
        writer.WriteString("folder", folder)
        writer.WriteStartArray "runs"
        runs |> List.iter (writeRun writer)
        writer.WriteEndArray()
        writer.WriteEndObject()

    write ()
    Encoding.UTF8.GetString(stream.GetBuffer(), 0, int stream.Length)

/// A text as JSON.
let ofText (text: string) = JsonSerializer.Serialize text
