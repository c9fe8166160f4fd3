/// The package FunTrpo.Inference reads the same files as the library, refuses what it refuses, and acts as it does.
module FunTrpo.Tests.InferenceTests

open System
open System.IO
open System.Runtime.Intrinsics.Arm
open System.Runtime.Intrinsics.X86
open System.Runtime.Loader
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

// ---- The same actions ----

/// 1e-6, where the library computes with fused multiply-adds, as the package always does.
let private tolerance = if Fma.IsSupported || AdvSimd.IsSupported then 1e-6 else 1e-5

/// Equal within the tolerance: relative to numbers beyond 1, to the unit that they count in, and to the largest number that is summed.
let private expectClose (units: float[]) what scale (expected: seq<float>) (found: seq<float>) =
    let expected, found = Array.ofSeq expected, Array.ofSeq found
    Expect.hasLength found expected.Length what

    for i in 0 .. found.Length - 1 do
        let unit = units[i % units.Length] * max 1.0 scale

        let isClose =
            expected[i] = found[i] || abs (expected[i] - found[i]) <= tolerance * max unit (abs expected[i])

        if not isClose then
            failtest $"{what}: {expected[i]} and {found[i]} at {i}"

let private actionsOf (act: Fill) count = Vector.Create(count, act) |> Vector.toArray

/// The two largest probabilities of a choice are the same, up to rounding.
let private isTie (space: Space) (probabilities: seq<float>) =
    let counts =
        match space with
        | Discrete count -> [ count ]
        | MultiDiscrete counts -> counts
        | MultiBinary count -> List.replicate count 2
        | Box _ -> []

    let probabilities = Array.ofSeq probabilities

    List.zip (List.scan (+) 0 counts |> List.take counts.Length) counts
    |> List.exists (fun (first, count) ->
        match Array.sub probabilities first count |> Array.sortDescending with
        | [| _ |] -> false
        | sorted -> sorted[0] - sorted[1] < 1e-6)

let private expectSame (case: PlayingCases.Case) =
    let saved, observations = case.Saved, case.Observations
    let scales = PlayingCases.scales case
    let large, small = InferencePolicy saved.Actor, loadedBy saved
    let width = Space.width saved.ActionSpace
    let units = PlayingCases.unitsOf saved

    for row in 0 .. observations.Rows - 1 do
        let observation = observations.SliceRows(row, 1)
        let expected = actionsOf (Fill(fun action -> large.Act(observation.Span, action))) width
        let found = actionsOf (Fill(fun action -> small.Act(observation.Span, action))) width
        let distribution = small.Distribution observation.Span

        match large.Distribution observation.Span with
        | ActionDistribution.Normals(means, deviations) ->
            expectClose units "mean" scales[row] means distribution.Mean
            expectClose units "standard deviation" scales[row] deviations distribution.StandardDeviation
            expectClose units "action" scales[row] (Array.map float expected) (Array.map float found)
            Expect.isTrue (Space.contains saved.ActionSpace (ReadOnlySpan found)) "an action of the space"
        | ActionDistribution.Choices probabilities ->
            expectClose [| 1.0 |] "probabilities" scales[row] probabilities distribution.Probabilities

            if expected <> found then
                Expect.isTrue (isTie saved.ActionSpace probabilities) $"the actions of row {row} differ without a tie"

let private acting =
    [ for case in PlayingCases.all 2000 do
          test case.Name { expectSame case } ]

let private rows =
    test "rows are acted on as single observations, and indices are the numbers" {
        for case in PlayingCases.all 20 do
            let small = loadedBy case.Saved
            let width = Space.width case.Saved.ActionSpace
            let all = case.Observations
            let together = actionsOf (Fill(fun action -> small.Act(all.Span, action))) (20 * width)

            let single =
                [| for row in 0..19 do
                       yield! actionsOf (Fill(fun action -> small.Act(all.Row row, action))) width |]

            Expect.equal single together "row by row"

            if not case.Saved.ActionSpace.IsBox then
                let indices = Array.zeroCreate<int>(20 * width)
                small.Act(all.Span, indices.AsSpan())
                Expect.equal (Array.map float32 indices) together "as indices"
    }

// ---- The assembly for netstandard2.1 ----

/// `Policy.Act` with numbers.
type ActInto = delegate of ReadOnlySpan<float32> * Span<float32> -> unit

let private olderNet =
    test "the assembly for netstandard2.1 computes the same bits, and needs nothing but netstandard" {
        let path = Path.Combine(AppContext.BaseDirectory, "netstandard2.1", "FunTrpo.Inference.dll")
        let context = AssemblyLoadContext("netstandard2.1", true)
        let assembly = context.LoadFromAssemblyPath path
        let references = [ for reference in assembly.GetReferencedAssemblies() -> reference.Name ]
        Expect.equal references [ "netstandard" ] "what it references"
        let policy = assembly.GetType "FunTrpo.Inference.Policy"

        for case in PlayingCases.all 50 do
            let older = policy.GetMethod("FromJson").Invoke(null, [| PolicyFile.print case.Saved |])

            let types =
                [| for parameter in typeof<ActInto>.GetMethod("Invoke").GetParameters() -> parameter.ParameterType |]

            let act = policy.GetMethod("Act", types).CreateDelegate(typeof<ActInto>, older) :?> ActInto
            let count = 50 * Space.width case.Saved.ActionSpace
            let small = loadedBy case.Saved

            Expect.equal
                (actionsOf (Fill(fun action -> act.Invoke(case.Observations.Span, action))) count)
                (actionsOf (Fill(fun action -> small.Act(case.Observations.Span, action))) count)
                case.Name

        context.Unload()
    }

// ---- The same files ----

let private spaceOf (space: FunTrpo.Inference.Space) =
    match space.Kind with
    | FunTrpo.Inference.SpaceKind.Discrete -> Discrete space.Counts[0]
    | FunTrpo.Inference.SpaceKind.MultiDiscrete -> MultiDiscrete(List.ofSeq space.Counts)
    | FunTrpo.Inference.SpaceKind.MultiBinary -> MultiBinary space.Width
    | _ -> Box(Vector.ofSeq space.Low, Vector.ofSeq space.High)

let private anyPolicy =
    propertyOf 200 "any policy is read, with its name and its spaces" policies (fun saved ->
        let small = loadedBy saved
        Expect.equal small.EnvironmentName saved.Environment "environment"
        Expect.equal (spaceOf small.ObservationSpace) saved.ObservationSpace "observations"
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

let private odd =
    test "a policy with any one value replaced by an odd one, and sealed again, is refused as the library refuses it" {
        for example in
            [ example; PlayingCases.all 1 |> List.find (fun case -> case.Name.StartsWith "indices") |> _.Saved ] do
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

// ---- Drawing ----

let private drawing =
    test "drawn actions have the frequencies, means and deviations of the distribution" {
        for case in PlayingCases.all 1 do
            if case.Name.Contains "64, 64 tanh" && not (case.Name.EndsWith "scaled box") then
                let small = loadedBy case.Saved
                let random = Random 1
                let draws = 4000
                let width = Space.width case.Saved.ActionSpace
                let action = Array.zeroCreate<float32> width

                let drawn =
                    Array.init draws (fun _ ->
                        small.Sample(case.Observations.Span, random, action.AsSpan())
                        Array.copy action)

                let distribution = small.Distribution case.Observations.Span

                for row in drawn do
                    Expect.isTrue (Space.contains case.Saved.ActionSpace (ReadOnlySpan row)) "inside"

                match case.Saved.ActionSpace with
                | Box(low, high) ->
                    for i in 0 .. width - 1 do
                        let mean, deviation = distribution.Mean[i], distribution.StandardDeviation[i]

                        let below x =
                            Array.averageBy (fun (row: float32[]) -> if float row[i] <= x then 1.0 else 0.0) drawn

                        for z, probability in [ -1.0, 0.158655; 0.0, 0.5; 0.5, 0.691462 ] do
                            let x = mean + z * deviation

                            if float low[i] < x && x < float high[i] then
                                Expect.isLessThan
                                    (abs (below x - probability))
                                    0.03
                                    $"{case.Name}, coordinate {i}, below {z} σ"
                | Discrete _
                | MultiDiscrete _
                | MultiBinary _ ->
                    let counts = List.ofSeq small.ActionSpace.Counts

                    for choice, first in List.indexed (List.scan (+) 0 counts |> List.take counts.Length) do
                        for index in 0 .. counts[choice] - 1 do
                            let share =
                                drawn |> Array.averageBy (fun row -> if int row[choice] = index then 1.0 else 0.0)

                            let probability = distribution.Probabilities[first + index]

                            Expect.isLessThan
                                (abs (share - probability))
                                0.04
                                $"{case.Name}, choice {choice}, index {index}"
    }

let private allocations =
    testSequenced (
        test "acting and drawing allocate no memory" {
            for case in PlayingCases.all 10 do
                let small = loadedBy case.Saved
                let random = Random 1
                let action = Array.zeroCreate<float32>(10 * Space.width case.Saved.ActionSpace)

                let play () =
                    small.Act(case.Observations.Span, action.AsSpan())
                    small.Sample(case.Observations.Span, random, action.AsSpan())

                for _ in 1..100 do
                    play ()

                let before = GC.GetAllocatedBytesForCurrentThread()
                play ()
                let after = GC.GetAllocatedBytesForCurrentThread()
                Expect.equal (after - before) 0L case.Name
        }
    )

let tests =
    testList
        "Inference"
        [ testList "acts as the library does:" acting
          rows
          olderNet
          anyPolicy
          anyName
          damaged
          rewritten
          odd
          twice
          foreign
          hostile
          drawing
          allocations ]
