/// The package FunTrpo.Inference reads the files that the library reads, and refuses those that it refuses.
module FunTrpo.Tests.InferenceFileTests

open System
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.Encodings.Web
open System.Text.Json
open System.Text.Json.Nodes
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.PolicyFileCases
open FunTrpo.Tests.TestFiles

type private Small = FunTrpo.Inference.Policy

let private loadedBy (saved: SavedPolicy) = Small.FromJson(PolicyFile.print saved)

let rec private spaceOf (space: FunTrpo.Inference.Space) =
    match space.Kind with
    | FunTrpo.Inference.SpaceKind.Discrete -> Discrete space.Counts[0]
    | FunTrpo.Inference.SpaceKind.MultiDiscrete -> MultiDiscrete(List.ofSeq space.Counts)
    | FunTrpo.Inference.SpaceKind.MultiBinary -> MultiBinary space.Width
    | FunTrpo.Inference.SpaceKind.Parts -> Parts [ for part in space.PartsInOrder -> part.Name, spaceOf part.Space ]
    | _ -> Box(Vector.ofSeq space.Low, Vector.ofSeq space.High, List.ofSeq space.Shape)

let private anyPolicy =
    propertyOf 200 "any policy is read, with its name and its spaces" policies (fun saved ->
        let small = loadedBy saved
        Expect.equal small.EnvironmentName saved.Environment "environment"
        Expect.equal (spaceOf small.ObservationSpace) (Space.observed saved.ObservationSpace) "observations"

        Expect.equal
            small.MaskWidth
            (Space.width saved.ObservationSpace - Space.width (Space.observed saved.ObservationSpace))
            "the width of the mask"

        Expect.equal (spaceOf small.ActionSpace) saved.ActionSpace "actions"
        let file = Encoding.UTF8.GetBytes(PolicyFile.print saved)

        inFolder (fun folder ->
            let path = Path.Combine(folder, "policy.json")
            File.WriteAllBytes(path, Array.append (Encoding.UTF8.GetPreamble()) file)
            Expect.equal (Small.Load path).EnvironmentName saved.Environment "with the mark of its encoding"))

let private anyName =
    test "the name of an environment may have any characters" {
        let isHalf code = code >= 0xD800 && code <= 0xDFFF
        let characters = [ for code in 0..0x2FF -> code ] @ [ for code in 0xA00..0x101..0x10FFFF -> code ]

        for some in characters |> List.filter (isHalf >> not) |> List.chunkBySize 100 do
            let name = some |> List.map Char.ConvertFromUtf32 |> String.concat ""
            Expect.equal (loadedBy { example with Environment = name }).EnvironmentName name "the name"
    }

/// The library and the package accept the same texts. Only the library tries whether a policy can act.
let private expectAgreement what (text: string) =
    let library = PolicyFile.parse "it" text

    let package =
        try
            Small.FromJson text |> ignore
            "accepted"
        with :? InvalidDataException as refused ->
            refused.Message

    match library with
    | Ok _ -> Expect.equal package "accepted" what
    | Error(Damaged(_, why)) when why.Contains "no finite action" -> ()
    | Error fault -> Expect.notEqual package "accepted" $"{what}: {Fault.message fault}"

let private damaged =
    propertyOf
        500
        "a text with any other, missing or further character is refused as the library refuses it"
        (Gen.zip3 policies (Gen.choose (0, Int32.MaxValue)) (Gen.choose (0, 127)))
        (fun (policy, position, character) ->
            let text = PolicyFile.print policy
            let at = position % text.Length
            let character = string (char character)
            expectAgreement "another" (text.Remove(at, 1).Insert(at, character))
            expectAgreement "missing" (text.Remove(at, 1))
            expectAgreement "further" (text.Insert(at, character))
            expectAgreement "truncated" (text.Substring(0, at)))

/// JSON that says the same in other bytes: with all characters escaped, without whitespace, and with members in another order.
let private rewritten =
    propertyOf 100 "a text that says the same in other bytes is the same policy" policies (fun saved ->
        let text = PolicyFile.print saved
        let node = JsonNode.Parse text :?> JsonObject
        let small = Small.FromJson(node.ToJsonString())
        Expect.equal small.EnvironmentName saved.Environment "without whitespace"
        let relaxed = JsonSerializerOptions(Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping)
        Expect.equal (Small.FromJson(node.ToJsonString relaxed)).EnvironmentName saved.Environment "with fewer escapes"
        let backwards = JsonObject()

        for field in Seq.rev (List.ofSeq node) do
            backwards.Add(field.Key, (if isNull field.Value then null else field.Value.DeepClone()))

        expectAgreement "with another order" (backwards.ToJsonString()))

/// Every path to a part of a space.
let rec private paths space =
    [ for struct (name, _, part) in Space.placed space do
          if name <> "" then
              yield name

              for inner in paths part do
                  yield $"{name}/{inner}" ]

let private placedParts =
    propertyOf 200 "parts have the places and bounds that they have in the library" policies (fun saved ->
        let small = loadedBy saved
        let facade = FunTrpo.CSharp.Policy.FromJson(PolicyFile.print saved)

        for space, found, ofFacade in
            [ Space.observed saved.ObservationSpace, small.ObservationSpace, facade.ObservationSpace
              saved.ActionSpace, small.ActionSpace, facade.ActionSpace ] do
            Expect.equal (List.ofSeq found.Low) (List.ofSeq ofFacade.Low) "low"
            Expect.equal (List.ofSeq found.High) (List.ofSeq ofFacade.High) "high"

            for path in paths space do
                let struct (first, part) = Space.find path space
                Expect.equal (spaceOf (found.Part path)) part path
                Expect.equal (found.RangeOf path) (Range(Index first, Index(first + Space.width part))) path
                Expect.throwsT<ArgumentException> (fun () -> found.Part $"{path}x" |> ignore) "another name")

/// A policy with parts of every kind, whose file is changed value by value.
let private apart =
    PlayingCases.all 1
    |> List.find (fun case -> case.Name.StartsWith "parts → parts" && case.Name.EndsWith "Beta parts")
    |> _.Saved

/// A space with so many levels of parts.
let private nestedSpace depth =
    let opening = String.replicate depth "{\"kind\":\"Parts\",\"parts\":[{\"name\":\"a\",\"space\":"

    opening + "{\"kind\":\"Discrete\",\"count\":2}" + String.replicate depth "}]}"

let private nested =
    test "parts of parts are accepted to the same depth as in the library, and refused beyond it" {
        let sealedWith space architecture =
            example
            |> resealed (fun node ->
                node["normaliser"] <- null
                node["observationSpace"] <- JsonNode.Parse(space: string)
                node.Remove "hidden" |> ignore
                node.Remove "activation" |> ignore
                node["architecture"] <- JsonValue.Create(architecture: string))

        let layersOf depth = String.replicate depth "parts { a: " + String.replicate depth "}"

        for depth in [ 1; 16; 17; 20 ] do
            for architecture in [ ""; $"{layersOf depth}; dense 3 tanh" ] do
                let text = sealedWith (nestedSpace depth) architecture
                expectAgreement $"{depth} levels" text
                let hasForm = (why (PolicyFile.parse "it" text)).Contains "its network needs"
                Expect.equal hasForm (depth <= 16) $"{depth} levels have a right form"

        for depth in [ 17; 400; 100_000 ] do
            Expect.isError (HiddenLayer.parse (layersOf depth)) "layers"
            expectAgreement $"{depth} layers" (sealedWith (nestedSpace 3) (layersOf depth))
    }

/// Pieces of texts of architectures.
let private pieces =
    Gen.elements
        [ "parts"
          " {"
          "}"
          ";"
          ","
          "camera"
          "tool"
          ":"
          " "
          "dense 2 tanh"
          "flatten"
          "parts { tool: }"
          "hand: dense 3 relu" ]

let private architectures =
    propertyOf
        1000
        "texts of architectures are accepted, or refused, as in the library"
        (Gen.listOf pieces |> Gen.map (String.concat ""))
        (fun text ->
            for written in [ text; $"parts {{ {text} }}"; $"parts {{ hand: {text} }}; dense 2 tanh" ] do
                let changed = apart |> resealed (fun node -> node["architecture"] <- JsonValue.Create written)
                let shapes = Architecture.parse written |> Result.bind (Architecture.shapes apart.ObservationSpace)

                let small =
                    try
                        Small.FromJson changed |> ignore
                        ""
                    with :? InvalidDataException as refused ->
                        refused.Message

                // What has a right form may have another number of parameters.
                Expect.equal (small = "" || small.Contains "network needs") shapes.IsOk $"{written}: {small}")

let private odd =
    test "a policy with any one value replaced by an odd one, and sealed again, is refused as the library refuses it" {
        for example in
            [ example
              apart
              PlayingCases.all 1 |> List.find (fun case -> case.Name.StartsWith "indices") |> _.Saved ] do
            for place in places (JsonNode.Parse(PolicyFile.print example)) do
                for oddity in "1e39" :: "{\"kind\":\"Box\",\"low\":[1],\"high\":[0]}" :: PolicyFileRefusalTests.oddities do
                    if place <> [ "checksum" ] then
                        let described = $"""{String.concat "/" place} = {oddity}"""
                        example |> resealed (put oddity place) |> expectAgreement described
    }

let private twice =
    test "a name that occurs twice in an object is refused, also where nothing reads it and the checksum fits" {
        let node = JsonNode.Parse(PolicyFile.print example) :?> JsonObject
        node.Remove "checksum" |> ignore
        let members = node.ToJsonString().Substring 1

        for addition, isAccepted in [ """ "x":{"a":1,"b":2}, """, true; """ "x":{"a":1,"a":2}, """, false ] do
            let text = "{" + addition.Trim() + members
            let hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes text))
            let sealedText = $"""{text.Substring(0, text.Length - 1)},"checksum":"{hash}"}}"""
            Expect.equal (PolicyFile.parse "it" sealedText).IsOk isAccepted addition
            expectAgreement addition sealedText
    }

let private foreign =
    testList
        "what is no policy is refused:"
        [ for text in
              [ ""
                " "
                "null"
                "5"
                "[]"
                "{}"
                "{]"
                "{\"a\" 1}"
                "{,}"
                "[1,]"
                "tru"
                "-"
                "01"
                "1."
                "1e"
                "\"" ]
              @ [ "{\"format\": \"funtrpo-policy\"}"; "{\"a\": {\"b\": 1, \"b\": 2}}"; "{\"format\": \"\\uD800\"}" ]
              @ [ "\u0000"; "\uFEFF"; "\"\\x\""; "\"\\u12G4\""; "\"\t\""; "{} {}"; String.replicate 100_000 "[" ] do
              test $"the text {text.Substring(0, min 40 text.Length)}" {
                  expectAgreement "text" text

                  Expect.throwsT<InvalidDataException> (fun () -> Small.FromJson text |> ignore) "refused"
              }

          inNewFolder "paths" (fun folder ->
              Expect.throwsT<InvalidDataException> (fun () -> Small.Load folder |> ignore) "a folder"
              let empty = Path.Combine(folder, "empty.json")
              File.WriteAllText(empty, "")
              Expect.throwsT<InvalidDataException> (fun () -> Small.Load empty |> ignore) "an empty file"
              let missing = Path.Combine(folder, "missing.json")
              Expect.throwsT<FileNotFoundException> (fun () -> Small.Load missing |> ignore) "no file"
              Expect.throwsT<ArgumentException> (fun () -> Small.Load "" |> ignore) "no name"
              Expect.throwsT<ArgumentNullException> (fun () -> Small.Load null |> ignore) "null"
              Expect.throwsT<ArgumentNullException> (fun () -> Small.FromJson null |> ignore) "null"

              if File.Exists "/dev/zero" then
                  Expect.throwsT<InvalidDataException> (fun () -> Small.Load "/dev/zero" |> ignore) "a device"

              File.WriteAllBytes(empty, [| 0x22uy; 0xC3uy; 0x28uy; 0x22uy |])
              Expect.throwsT<InvalidDataException> (fun () -> Small.Load empty |> ignore) "bytes that are no text") ]

let private hostile =
    testList
        "a file that means harm takes no memory:"
        [ for name in [ "wrapped-count.policy.json"; "huge-space.policy.json" ] do
              test name {
                  let path = fixture [ "policies"; name ]

                  let allocated, _ =
                      allocating (fun () ->
                          Expect.throwsT<InvalidDataException> (fun () -> Small.Load path |> ignore) "refused")

                  Expect.isLessThan allocated 1_000_000L "bytes"
              }

          propertyOf
              300
              "any counts, however large"
              (Gen.zip (Gen.listOfLength 5 PolicyFileRefusalTests.hugeCounts) (Gen.choose (0, 15)))
              (fun (counts, kinds) ->
                  let space kind =
                      match kind with
                      | 0 -> $"{{\"kind\":\"Discrete\",\"count\":{counts[0]}}}"
                      | 1 -> $"{{\"kind\":\"MultiBinary\",\"count\":{counts[1]}}}"
                      | 2 -> $"{{\"kind\":\"MultiDiscrete\",\"counts\":[{counts[0]},{counts[1]},{counts[0]}]}}"
                      | _ -> "{\"kind\":\"Box\",\"low\":[0,0],\"high\":[1,null]}"

                  let text =
                      example
                      |> resealed (fun node ->
                          node["observationSpace"] <- JsonNode.Parse(space (kinds % 4))
                          node["actionSpace"] <- JsonNode.Parse(space (kinds / 4))
                          node["hidden"] <- JsonNode.Parse $"[{counts[2]},{counts[3]},{counts[4]}]"
                          node["normaliser"] <- null)

                  let allocated, _ =
                      allocating (fun () ->
                          Expect.throwsT<InvalidDataException> (fun () -> Small.FromJson text |> ignore) "refused")

                  Expect.isLessThan allocated 1_000_000L "bytes")

          test "many members, and long names, numbers and texts" {
              let many = String.Join(",", seq { for i in 1..2000 -> $"\"{i}\":1" })
              let long = String('1', 2_000_000)

              for text in [ $"{{{many}}}"; $"{{\"{long}\":1}}"; long; $"{{\"format\":\"{long}\"}}" ] do
                  let allocated, _ =
                      allocating (fun () ->
                          Expect.throwsT<InvalidDataException> (fun () -> Small.FromJson text |> ignore) "refused")

                  Expect.isLessThan allocated (10L * int64 text.Length + 1_000_000L) "bytes"
          } ]

let tests =
    testList
        "Inference files"
        [ anyPolicy
          placedParts
          anyName
          damaged
          rewritten
          odd
          nested
          architectures
          twice
          foreign
          hostile ]
