module FunTrpo.Tests.JsonTests

open System
open System.IO
open System.Text
open System.Text.Json
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// A text of JSON as an element.
let parsed (text: string) =
    use document = JsonDocument.Parse text
    document.RootElement.Clone()

/// An object with the properties that `write` writes.
let written (write: Utf8JsonWriter -> unit) =
    use stream = new MemoryStream()
    use writer = new Utf8JsonWriter(stream)
    writer.WriteStartObject()
    write writer
    writer.WriteEndObject()
    writer.Flush()
    parsed (Encoding.UTF8.GetString(stream.ToArray()))

/// The reason that is given where JSON does not have the expected form.
let why read =
    try
        read () |> ignore
        failtest "it was read"
    with Unreadable why ->
        why

/// Any text without a half of a surrogate pair, which would become the replacement character when it is written.
let texts =
    ArbMap.defaults
    |> ArbMap.generate<NonNull<string>>
    |> Gen.map (fun text -> Encoding.UTF8.GetString(Encoding.UTF8.GetBytes text.Get))

let tests =
    testList
        "Json"
        [ property
              "integers that are written are read again"
              (Gen.listOf (Gen.choose (Int32.MinValue, Int32.MaxValue)))
              (fun integers ->
                  let node = written (fun writer -> Json.writeIntegers writer "integers" integers)
                  Expect.equal (Json.integers "integers" node |> List.ofArray) integers "integers"

                  match integers with
                  | first :: _ ->
                      let node = written (fun writer -> writer.WriteNumber("integer", first))
                      Expect.equal (Json.integer "integer" node) first "one of them"
                  | [] -> ())
          property "a text is read as it was written, as UTF-16 and as UTF-8, whatever is escaped" texts (fun text ->
              let node = written (fun writer -> writer.WriteString("text", text))
              Expect.equal (Json.text "text" node) text "text"
              let utf8 = (Json.utf8 (Json.property "text" node)).ToArray()
              Expect.equal utf8 (Encoding.UTF8.GetBytes text) "UTF-8")
          test "what is not there, or null, is named" {
              for name in [ "missing"; "nothing" ] do
                  let node = parsed """{ "nothing": null, "other": 1 }"""
                  Expect.equal (why (fun () -> Json.property name node)) $"it has no {name}" name
                  Expect.equal (why (fun () -> Json.text name node)) $"it has no {name}" name
                  Expect.equal (why (fun () -> Json.integers name node |> Array.length)) $"it has no {name}" name

              Expect.equal ((Json.property "other" (parsed """{ "other": 1 }""")).GetInt32()) 1 "what is there"
          }
          test "an empty place in an array is named" {
              let node = parsed """{ "numbers": [1, null, 3] }"""
              Expect.equal (why (fun () -> Json.integers "numbers" node)) "its numbers has an empty place" "why"
          }
          property
              "a number below the least that is allowed is named, with its value"
              (Gen.two (Gen.choose (-100, 100)))
              (fun (least, value) ->
                  if value >= least then
                      Expect.equal (Json.requireAtLeast least "count" value) value "the value"
                  else
                      Expect.equal
                          (why (fun () -> Json.requireAtLeast least "count" value))
                          $"its count has the value {value}"
                          "why") ]
