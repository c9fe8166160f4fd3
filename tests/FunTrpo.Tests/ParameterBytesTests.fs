module FunTrpo.Tests.ParameterBytesTests

open System
open System.IO
open System.Text
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// Parameters of any number, many of them about one of whole pieces.
let private parameters =
    let pieces =
        gen {
            let! pieces = Gen.choose (0, 3)
            let! more = Gen.choose (-2, 2)
            return max 0 (pieces * ParameterBytes.pieceLength + more)
        }

    gen {
        let! length = Gen.oneof [ Gen.choose (0, 50); pieces ]
        let! key = key
        let numbers = Key.normals length key
        return Vector.init length (fun i -> float32 (numbers[i] * exp (10.0 * numbers[i])))
    }

/// Little-endian float32, as a writer of .NET writes them on every machine.
let bytesOf (parameters: Vector) =
    use stream = new MemoryStream()
    use writer = new BinaryWriter(stream)

    for i in 0 .. parameters.Length - 1 do
        writer.Write parameters[i]

    writer.Flush()
    stream.ToArray()

let private textOf (parameters: Vector) =
    let node = JsonTests.written (fun writer -> ParameterBytes.writeBase64 writer parameters)
    Json.text "parameters" node

let private ofText (text: string) = ParameterBytes.ofBase64 (Memory(Encoding.UTF8.GetBytes text))

let private why (text: string) = JsonTests.why (fun () -> ofText text)

let tests =
    testList
        "parameters as bytes"
        [ property "pieces are the bytes in their order, full but for the last one" parameters (fun parameters ->
              let pieces = ResizeArray<byte[] * bool>()

              ParameterBytes.forEachPiece parameters (fun piece ->
                  pieces.Add(Array.sub piece.Bytes 0 piece.Count, piece.IsLast))

              Expect.equal (pieces |> Seq.collect fst |> Array.ofSeq) (bytesOf parameters) "bytes"

              Expect.equal
                  (pieces |> Seq.map snd |> List.ofSeq)
                  (List.replicate (pieces.Count - 1) false @ [ true ])
                  "the last one"

              for bytes, _ in Seq.take (pieces.Count - 1) pieces do
                  Expect.equal bytes.Length (4 * ParameterBytes.pieceLength) "a full piece")
          property "the text is base64 of the bytes, and is read again, bit for bit" parameters (fun parameters ->
              let text = textOf parameters
              Expect.equal text (Convert.ToBase64String(bytesOf parameters)) "text"
              Expect.equal (ofText text) parameters "parameters")
          property
              "a text that is no base64 of whole float32 is refused"
              (Gen.zip parameters (Gen.choose (1, 3)))
              (fun (parameters, extra) ->
                  let bytes = Array.append (bytesOf parameters) (Array.zeroCreate extra)

                  Expect.stringContains
                      (why (Convert.ToBase64String bytes))
                      "not float32 in base64"
                      "parts of a number"

                  Expect.stringContains (why (textOf parameters + "?")) "not float32 in base64" "another character")
          property
              "numbers that are not finite are refused"
              (Gen.zip parameters (Gen.elements [ nanf; infinityf; -infinityf ]))
              (fun (parameters, bad) ->
                  let spoiled = Vector.concat [ parameters; Vector.ofArray [| bad |] ]
                  Expect.stringContains (why (textOf spoiled)) "not all finite" "why") ]
