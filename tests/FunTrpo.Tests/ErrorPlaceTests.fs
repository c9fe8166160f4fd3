/// Messages about damaged files name the place of what is wrong.
module FunTrpo.Tests.ErrorPlaceTests

open System
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.Json
open System.Text.Json.Nodes
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Tests.Generators
open FunTrpo.Tests.FileChanges
open FunTrpo.Tests.PolicyFileCases
open FunTrpo.Tests.Tasks
open FunTrpo.Tests.TestFiles

// ---- Policies ----

/// The example's file with another value for a property, a checksum that fits, and one property in a line.
let private withValue name (value: string) =
    let node = JsonNode.Parse(resealed (put value [ name ]) example)
    node.ToJsonString(JsonSerializerOptions(WriteIndented = true))

/// The line and the byte of a property's value, both counted from 1.
let private placeIn (text: string) (name: string) =
    let lines = text.Split '\n'
    let i = lines |> Array.findIndex _.Contains($"\"{name}\":")
    $"{name} (line {i + 1}, byte {lines[i].IndexOf ':' + 3}): "

let private policies =
    [ for name, value, part in
          [ "version", "\"x\"", "is not of the type that it should be"
            "environment", "5", "is not of the type that it should be"
            "observationSpace", "{\"kind\": \"Sphere\"}", "is of the unknown kind Sphere"
            "actionSpace", "{\"kind\": \"Discrete\", \"count\": 0}", "its action space"
            "hidden", "[2, 0]", "its hidden has the value 0"
            "activation", "\"softmax\"", "it names the unknown activation softmax"
            "scaledActions", "1", "is not of the type that it should be"
            "normaliser", "{\"count\": 1, \"means\": [1], \"squaredDeviations\": [1]}", "observations of width 2"
            "parameters", "\"?\"", "not float32 in base64"
            "parameters", "[1]", "is not of the type that it should be" ] do
          test $"{name} = {value}" {
              let text = withValue name value
              let reason = PolicyFile.parse "policy" text |> why
              Expect.stringContains reason (placeIn text name) "the place"
              Expect.stringContains reason part "what is wrong"
          }

      test "a parameter that is not finite, and its offset" {
          let bytes = Array.zeroCreate<byte>(4 * example.Actor.Parameters.Length)
          BitConverter.TryWriteBytes(bytes.AsSpan 20, Single.NaN) |> ignore
          let text = withValue "parameters" $"\"{Convert.ToBase64String bytes}\""
          let reason = PolicyFile.parse "policy" text |> why
          Expect.stringContains reason (placeIn text "parameters") "the place"
          Expect.stringContains reason "number 5, at byte 20 of them, is NaN" "what is wrong"
      }

      property "what is no JSON, at its line and byte" (Gen.choose (0, 1_000_000)) (fun place ->
          let text = PolicyFile.print example

          let starts =
              [ for i in 0 .. text.Length - 1 do
                    if text[i] = '"' && text[i - 1] = ' ' then
                        i ]

          let start = starts[place % starts.Length]
          let reason = PolicyFile.parse "policy" (text.Insert(start, "?")) |> why
          let before = text.Substring(0, start)
          let line, first = before.Split('\n').Length, start - before.LastIndexOf '\n'
          Expect.stringContains reason $"it is not JSON, or not all of it (line {line}, byte {first})" "the place") ]

// ---- Checkpoints ----

/// A checkpoint of CartPole-v1, and its setup.
let private whole =
    lazy
        (inFolder (fun folder ->
            let setup = setupOf 1 small CartPole.environment
            let path = Path.Combine(folder, "checkpoint")

            Checkpoint.save path setup "" (iterations 1 setup (TrainingState.start setup 1L) |> last)
            |> expectOk

            setup, File.ReadAllBytes path))

/// Where the content of a section begins in a file.
let private contentAt (bytes: byte[]) (name: string) =
    let sections = sectionsOf bytes
    let before = sections |> List.takeWhile (fun (section, _) -> Encoding.ASCII.GetString section <> name)

    16
    + (before |> List.sumBy (fun (section, content) -> 9 + section.Length + content.Length + 32))
    + 9
    + name.Length

/// Loads the checkpoint with other bytes at an offset of a section, and a hash that fits.
let private reasonWith (name: string) offset (changed: byte[]) =
    let setup, bytes = whole.Value
    let bytes = Array.copy bytes
    let first = contentAt bytes name
    Array.blit changed 0 bytes (first + offset) changed.Length
    let length = int (BitConverter.ToInt64(bytes, first - 8))
    let content = bytes[first .. first + length - 1]
    let hash = SHA256.HashData(Array.append (Encoding.ASCII.GetBytes name) content)
    Array.blit hash 0 bytes (first + length) hash.Length

    inFolder (fun folder ->
        let path = Path.Combine(folder, "checkpoint")
        File.WriteAllBytes(path, bytes)
        Checkpoint.load path setup |> why)

let private expectPlace name offset changed part =
    let _, bytes = whole.Value
    let reason = reasonWith name offset changed
    Expect.stringContains reason $"section {name}, byte {contentAt bytes name + offset}: " "the place"
    Expect.stringContains reason part "what is wrong"

let private float64Bytes (number: float) = BitConverter.GetBytes number

let private checkpoints =
    [ property
          "a number that is not finite, at its offset in the file"
          (Gen.zip
              (Gen.elements [ "policy"; "critic"; "first moment"; "second moment" ])
              (Gen.zip (Gen.choose (0, 30)) (Gen.elements [ nanf; infinityf; -infinityf ])))
          (fun (name, (i, number)) -> expectPlace name (4 * i) (BitConverter.GetBytes number) $"number {i} is {number}")

      test "what else is wrong, at its offset in the file" {
          // The key has 16 bytes, and a return is preceded by the number of returns.
          expectPlace "counters" 16 (BitConverter.GetBytes -1) "-1 is less than 0"
          expectPlace "returns" 4 (float64Bytes nan) "not finite"
          expectPlace "returns" 0 (BitConverter.GetBytes 100_000) "100000 items"
          expectPlace "normaliser" 0 [| 7uy |] "7 is neither 0 nor 1"
          expectPlace "normaliser" 1 (BitConverter.GetBytes 9) "it has 9 columns, and 4 are expected"
          expectPlace "normaliser" 5 (float64Bytes -1.0) "is -1"
          expectPlace "normaliser" (5 + 8 + 4 * 8) (float64Bytes -2.0) "is -2"
          expectPlace "configuration" 0 (BitConverter.GetBytes Int32.MaxValue) "2147483647 items"
          expectPlace "instances" 0 (BitConverter.GetBytes 2) "it has 2 instances, and 3 are expected"
          // A field that the environment's state does not have: the length of the state is 4 bytes before it.
          expectPlace "instances" (4 + 8 + 4 + 8) (BitConverter.GetBytes 1_000_000) "1000000 items"
      }

      test "a hash that does not fit, at the section's first byte" {
          let setup, bytes = whole.Value
          let first = contentAt bytes "critic"
          let bytes = Array.copy bytes
          bytes[first + 3] <- bytes[first + 3] ^^^ 1uy

          inFolder (fun folder ->
              let path = Path.Combine(folder, "checkpoint")
              File.WriteAllBytes(path, bytes)
              Expect.stringContains (Checkpoint.load path setup |> why) $"section critic, byte {first}: " "the place")
      } ]

let tests =
    testList "the place of what is wrong" [ testList "in policies" policies; testList "in checkpoints" checkpoints ]
