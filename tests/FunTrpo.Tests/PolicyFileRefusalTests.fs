/// Damaged files, files that are none of policies, and files that mean harm are refused.
module FunTrpo.Tests.PolicyFileRefusalTests

open System
open System.IO
open System.Text
open System.Text.Json.Nodes
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.PolicyFileCases

/// Whether two texts say the same in JSON: they may differ in whitespace, or in how a character is escaped.
let private sayTheSame (a: string) (b: string) = JsonNode.DeepEquals(JsonNode.Parse a, JsonNode.Parse b)

/// What a damaged text may come to: it is refused, or it still says the same, and nothing of the policy is lost.
let private refusedUnlessHarmless fileName original damaged result =
    match result with
    | Ok found -> sayTheSame damaged (PolicyFile.print original) && sameSaved original found
    | refused -> isRefused fileName refused

/// The same of a text that was damaged in memory.
let private isSafe original damaged = PolicyFile.parse name damaged |> refusedUnlessHarmless name original damaged

let private positions = Gen.choose (0, Int32.MaxValue)

let private characters =
    Gen.frequency
        [ 6, Gen.elements (List.ofSeq "0123456789abcdefABCDEF+-./={}[],:\"\\ \n\t")
          1, Gen.choose (0, 0xFFFF) |> Gen.map char |> Gen.where (Char.IsSurrogate >> not) ]

let private damaged = Gen.zip3 policies positions characters |> Arb.fromGen

let private damage =
    testList
        "damage is refused with the name of the file"
        [ testPropertyWithConfig (few 400) "any other character in any place"
          <| Prop.forAll damaged (fun (policy, position, character) ->
              let text = PolicyFile.print policy
              let at = position % text.Length

              text[at] = character || isSafe policy (text.Remove(at, 1).Insert(at, string character)))

          testPropertyWithConfig (few 200) "any character more"
          <| Prop.forAll damaged (fun (policy, position, character) ->
              let text = PolicyFile.print policy
              isSafe policy (text.Insert(position % (text.Length + 1), string character)))

          testPropertyWithConfig (few 200) "any character less"
          <| Prop.forAll damaged (fun (policy, position, _) ->
              let text = PolicyFile.print policy
              isSafe policy (text.Remove(position % text.Length, 1)))

          testPropertyWithConfig (few 200) "two neighbours that changed places"
          <| Prop.forAll damaged (fun (policy, position, _) ->
              let text = PolicyFile.print policy
              let at = position % (text.Length - 1)
              isSafe policy (text.Remove(at, 1).Insert(at + 1, string text[at])))

          testPropertyWithConfig (few 200) "a truncation anywhere"
          <| Prop.forAll damaged (fun (policy, position, _) ->
              let text = PolicyFile.print policy
              isSafe policy (text.Substring(0, position % text.Length)))

          testPropertyWithConfig (few 100) "a flipped bit anywhere in the file"
          <| Prop.forAll
              (Gen.zip3 policies positions (Gen.choose (0, 7)) |> Arb.fromGen)
              (fun (policy, position, bit) ->
                  inFolder (fun folder ->
                      let path = Path.Combine(folder, "policy.json")
                      let bytes = Encoding.UTF8.GetBytes(PolicyFile.print policy)
                      let at = position % bytes.Length
                      bytes[at] <- bytes[at] ^^^ (1uy <<< bit)
                      File.WriteAllBytes(path, bytes)
                      PolicyFile.load path |> refusedUnlessHarmless path policy (File.ReadAllText path)))

          testPropertyWithConfig (few 100) "a line left out, or there twice"
          <| Prop.forAll damaged (fun (policy, position, _) ->
              let text = PolicyFile.print policy
              let lines = text.Split '\n' |> List.ofArray
              let at = position % lines.Length
              let without = lines |> List.removeAt at |> String.concat "\n"
              let twice = lines |> List.insertAt at lines[at] |> String.concat "\n"
              isSafe policy without && isSafe policy twice) ]

/// Values that are seldom meant.
let oddities =
    [ "null"
      "true"
      "-1"
      "0"
      "1.5"
      "1e300"
      "99999999999"
      "\"\""
      "\"x\""
      "[]"
      "[null]"
      "[[1]]"
      "{}" ]

let private foreign =
    testList
        "what is no policy is refused, and nothing is thrown"
        [ testProperty "any text"
          <| Prop.forAll (ArbMap.defaults |> ArbMap.arbitrary<NonNull<string>>) (fun text ->
              isRefused name (PolicyFile.parse name text.Get))

          for text in
              [ ""
                " \n"
                "null"
                "true"
                "5"
                "\"text\""
                "[]"
                "[{}]"
                "{}"
                "{\"format\": null}"
                "{\"format\": 5}"
                "{\"format\": \"other\"}"
                "{\"format\": \"funtrpo-policy\"}"
                "{\"format\": \"funtrpo-policy\", \"version\": \"2\"}"
                "{\"format\": \"funtrpo-policy\", \"version\": 3}"
                "{\"format\": \"funtrpo-policy\", \"version\": 3, \"checksum\": 7}"
                "{\"format\": \"funtrpo-policy\", \"format\": \"funtrpo-policy\", \"version\": 3}"
                "{\"a\": {\"b\": 1, \"b\": 2}, \"format\": \"funtrpo-policy\", \"version\": 3, \"checksum\": \"\"}"
                String.replicate 2000 "["
                "\u0000"
                "\uFEFF"
                "{\"format\": \"\\uD800\"}" ] do
              test $"the text {text.Substring(0, min 70 text.Length)}" {
                  Expect.isTrue (isRefused name (PolicyFile.parse name text)) "refused"
              }

          test "text with half a surrogate pair, which no file can hold" {
              for half in [ '\uD800'; '\uDC00' ] do
                  for text in [ string half; PolicyFile.print(example).Replace("Example", $"Ex{half}ample") ] do
                      Expect.isTrue (isRefused name (PolicyFile.parse name text)) "refused"
          }

          test "another version, naming it" {
              for version in [ 0; 1; 2; 5; -1 ] do
                  let text = example |> resealed (put (string version) [ "version" ])
                  let result = PolicyFile.parse name text
                  Expect.isTrue (isRefused name result) "refused"

                  Expect.stringContains
                      (match result with
                       | Error fault -> Fault.message fault
                       | Ok _ -> "")
                      (string version)
                      "message"
          }

          test "a policy whose parameters are not finite" {
              for bad in [ Single.NaN; Single.PositiveInfinity ] do
                  let actor =
                      { example.Actor with
                          Parameters = Vector.init example.Actor.Parameters.Length (fun i -> if i = 3 then bad else 0f) }

                  let text = PolicyFile.print { example with Actor = actor }
                  Expect.isTrue (isRefused name (PolicyFile.parse name text)) "refused"
          }

          test "a policy with any one value replaced by an odd one and sealed again" {
              let text = PolicyFile.print example

              for place in places (JsonNode.Parse text) |> List.filter (fun place -> place <> [ "checksum" ]) do
                  for oddity in oddities do
                      let described = $"""{String.concat "/" place} = {oddity}"""

                      let result =
                          try
                              example |> resealed (put oddity place) |> PolicyFile.parse name
                          with e ->
                              failtest $"{described}: {e.GetType().Name} was thrown"

                      match result with
                      | Ok found ->
                          // Some values may well be others. What is accepted must be a policy that can act.
                          let action =
                              InferencePolicy(found.Actor).Act(Vector.zero (Space.width found.ObservationSpace))

                          Expect.equal action.Length (Space.width found.ActionSpace) described
                          Expect.isTrue (Vector.isFinite action) described
                      | refused -> Expect.isTrue (isRefused name refused) described
          }

          test "a file that is not there, a folder, and names that no file can have" {
              inFolder (fun folder ->
                  let missing = Path.Combine(folder, "missing.json")

                  for path in
                      [ missing
                        Path.Combine(missing, "below")
                        folder
                        "/dev/zero"
                        "/dev/null"
                        ""
                        " "
                        "a\u0000b"
                        String('x', 5000) ] do
                      Expect.isTrue (isRefused path (PolicyFile.load path)) $"“{path}” is refused")
          } ]

let private policyFixture name = fixture [ "policies"; name ]

/// Counts of which some products and sums wrap around in 32 bits.
let hugeCounts =
    Gen.frequency
        [ 3, Gen.choose (1 <<< 20, Int32.MaxValue)
          2, Gen.elements [ 16777216; 16777217; 16777223; 65536; 1 <<< 30; Int32.MaxValue; 1_000_000_000 ]
          1, Gen.choose (1, 100) ]

let private hostile =
    testList
        "a file that means harm is refused, and takes no memory:"
        [ for name, part in
              [ "wrapped-count.policy.json", "2²⁴ alternatives"
                "huge-space.policy.json", "2²⁴ alternatives, or numbers" ] do
              test name {
                  let allocated, result = allocating (fun () -> PolicyFile.load (policyFixture name))
                  Expect.stringContains (why result) part "why"
                  Expect.isLessThan allocated 1_000_000L "bytes"
              }

          test "one whose number of parameters, in 32 bits, is right" {
              // (4 + 1) · 1023 + (1023 + 1) · 4194304 = 2³² + 5115
              let result =
                  PolicyFile.parse
                      name
                      (example
                       |> resealed (fun node ->
                           node["observationSpace"] <- JsonNode.Parse """{"kind":"MultiBinary","count":4}"""
                           node["actionSpace"] <- JsonNode.Parse """{"kind":"Discrete","count":4194304}"""
                           node["hidden"] <- JsonNode.Parse "[1023]"
                           node["normaliser"] <- null

                           node["parameters"] <-
                               JsonValue.Create(Convert.ToBase64String(Array.zeroCreate<byte>(4 * 5115)))))

              Expect.stringContains (why result) "4294972411" "why"
          }

          for architecture, part in
              [ "dens 2 tanh, dense 2 relu", "there is no layer dens; did you mean dense?"
                "dense 2 tanh, conv 2 relu", "conv 2 relu is not conv FILTERS"
                "dense 2 tanh; convolve 2 relu", "there is no layer convolve"
                "conv 2 1x1 stride 1 relu", "layer 1, conv 2 1x1 stride 1 relu, does not fit: it needs a picture"
                "dense 2147483647 relu", "layer 1, dense 2147483647 relu, has 2147483647 outputs"
                "dense 2 tanh, dense 2", "dense 2 is not dense UNITS ACTIVATION"
                "dense 2 tanh, dense 0 relu", "dense 0 relu is not dense UNITS ACTIVATION"
                "dense 2 tanh, dense -2 relu", "dense -2 relu is not"
                "dense 2 tanh, dense 99999999999 relu", "dense 99999999999 relu is not"
                "dense 2 tanh, dense 2 softmax", "dense 2 softmax is not"
                "dense 2 tanh, ", "a layer is empty"
                "dense 16777216 tanh, dense 16777216 relu", "its network needs 28147"
                String.Join(", ", Seq.replicate 100_000 "dense 1 tanh"), "at most 1000" ] do
              test $"the architecture {architecture.Substring(0, min 50 architecture.Length)}" {
                  let text =
                      example
                      |> resealed (fun node ->
                          node.Remove "hidden" |> ignore
                          node.Remove "activation" |> ignore
                          node["architecture"] <- JsonValue.Create architecture)

                  let allocated, result = allocating (fun () -> PolicyFile.parse name text)
                  Expect.stringContains (why result) part "why"
                  Expect.isLessThan allocated 20_000_000L "bytes"
              }

          test "two architectures, or none" {
              let twice = example |> resealed (fun node -> node["architecture"] <- JsonValue.Create "dense 2 tanh")
              Expect.stringContains (PolicyFile.parse name twice |> why) "architecture twice" "two"
              let none = example |> resealed (fun node -> node.Remove "hidden" |> ignore)
              Expect.stringContains (PolicyFile.parse name none |> why) "it has no hidden" "none"
          }

          test "a hundred thousand hidden layers" {
              let text =
                  example
                  |> resealed (fun node ->
                      node["hidden"] <- JsonNode.Parse("[" + String.Join(",", Seq.replicate 100_000 "1") + "]"))

              Expect.stringContains (PolicyFile.parse name text |> why) "at most 1000" "why"
          }

          testPropertyWithConfig (few 300) "any counts, however large"
          <| Prop.forAll
              (Gen.zip3 (Gen.listOfLength 5 hugeCounts) (Gen.choose (0, 3)) (Gen.choose (0, 3)) |> Arb.fromGen)
              (fun (counts, observations, actions) ->
                  let space kind : JsonNode =
                      let several = $"[{counts[0]},{counts[1]},{counts[0]}]"

                      JsonNode.Parse(
                          match kind with
                          | 0 -> $"{{\"kind\":\"Discrete\",\"count\":{counts[0]}}}"
                          | 1 -> $"{{\"kind\":\"MultiBinary\",\"count\":{counts[1]}}}"
                          | 2 -> $"{{\"kind\":\"MultiDiscrete\",\"counts\":{several}}}"
                          | _ -> "{\"kind\":\"Box\",\"low\":[0,0],\"high\":[1,null]}"
                      )

                  let text =
                      example
                      |> resealed (fun node ->
                          node["observationSpace"] <- space observations
                          node["actionSpace"] <- space actions
                          node["hidden"] <- JsonNode.Parse $"[{counts[2]},{counts[3]},{counts[4]}]"
                          node["normaliser"] <- null)

                  let allocated, result = allocating (fun () -> PolicyFile.parse name text)
                  isRefused name result && allocated < 1_000_000L) ]

let tests = testList "Policy file" [ damage; foreign; hostile ]
