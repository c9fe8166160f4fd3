module FunTrpo.Tests.Sha256Tests

open System
open System.IO
open System.Security.Cryptography
open System.Text.Json
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.PolicyFileCases

let tests =
    testList
        "SHA-256"
        [ testProperty "sha256 is that of the parameters as little-endian float32"
          <| Prop.forAll saved (fun policy ->
              let parameters = policy.Actor.Parameters
              let hash = SHA256.HashData(ParameterBytesTests.bytesOf parameters)
              Sha256.ofParameters parameters = Convert.ToHexStringLower hash)

          testProperty "of JSON is that of its text without whitespace, however many bytes are written at a time"
          <| Prop.forAll
              (Gen.zip (Gen.listOf JsonTests.texts) (Gen.choose (0, 20_000)) |> Arb.fromGen)
              (fun (texts, size) ->
                  let write (writer: Utf8JsonWriter) =
                      writer.WriteStartObject()

                      for i, text in List.indexed texts do
                          writer.WriteString($"{i}", text)

                      writer.WriteString("long", String('x', size))
                      writer.WriteEndObject()

                  use stream = new MemoryStream()
                  use writer = new Utf8JsonWriter(stream)
                  write writer
                  writer.Flush()
                  Sha256.ofJson write = Convert.ToHexStringLower(SHA256.HashData(stream.ToArray()))) ]
