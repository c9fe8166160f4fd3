module FunTrpo.Tests.PolicyFileTests

open System
open System.IO
open System.Security.Cryptography
open System.Text
open System.Text.Json.Nodes
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

/// Any finite float32, of all magnitudes.
let private anyFinite key =
    let struct (bits, _) = Key.bits 0UL key
    let x = BitConverter.UInt32BitsToSingle(uint32 bits)
    if Single.IsFinite x then x else 0f

let private bound =
    Gen.frequency
        [ 4, Gen.choose (-1000, 1000) |> Gen.map (fun n -> float32 n / 8f)
          1, Gen.elements [ 0.1f; -0f; 1e-40f; Single.MaxValue; 16777216f; 3.4567e-12f ] ]

let private spaces =
    let boxes =
        Gen.choose (1, 3)
        |> Gen.bind (fun count ->
            Gen.map3
                (fun (a: float32 list) (b: float32 list) infinite ->
                    // A policy could not act where every observation is beyond what its network can multiply.
                    let low = List.map2 min a b |> List.map (min 16777216f)
                    let high = List.map2 max a b

                    Box(
                        (if infinite then List.map (fun _ -> Single.NegativeInfinity) low else low) |> Vector.ofSeq,
                        Vector.ofSeq (Single.PositiveInfinity :: List.tail high)
                    ))
                (Gen.listOfLength count bound)
                (Gen.listOfLength count bound)
                (Gen.elements [ true; false ]))

    Gen.oneof
        [ Gen.choose (1, 6) |> Gen.map Discrete
          boxes
          Gen.choose (1, 3)
          |> Gen.bind (fun length -> Gen.listOfLength length (Gen.choose (1, 4)))
          |> Gen.map MultiDiscrete
          Gen.choose (1, 4) |> Gen.map MultiBinary ]

/// Layers of any activations: all alike, or each its own.
let private architectures =
    let activations = Gen.elements (List.map snd Architecture.activations)

    let layer =
        Gen.map2 (fun units activation -> HiddenLayer.Dense(units, activation)) (Gen.choose (1, 5)) activations

    Gen.oneof
        [ Gen.map2
              Architecture.uniform
              (Gen.choose (0, 2) |> Gen.bind (fun layers -> Gen.listOfLength layers (Gen.choose (1, 5))))
              activations
          Gen.choose (2, 3) |> Gen.bind (fun layers -> Gen.listOfLength layers layer) ]

let private names =
    Gen.elements [ "CartPole-v1"; "Pendulum-v1"; "x"; "a \"quoted\" \\ name\n"; "π ≤ 𝛑 <é>"; "" ]

let private normalisers width key =
    let numbers name = Key.normals width (Key.named name key) |> Array.map (fun x -> exp (20.0 * x))
    let moments = Moments.create (1.0 + floor (1e6 * Key.uniform key)) (numbers "means") (numbers "squares")
    Gen.elements [ Unnormalised; Standardise(Moments.empty width); Standardise moments ]

let private policies =
    gen {
        let! seed = seeds
        let key = Key.ofSeed seed
        let! observationSpace = spaces
        let! space = spaces
        let! architecture = architectures

        let! normaliser =
            if Space.hasIndices observationSpace then
                Gen.constant Unnormalised
            else
                normalisers (Space.width observationSpace) key

        let! name = names
        let! isScaled = Gen.elements [ true; false ]
        let policy = Policy.create architecture -0.5 isScaled observationSpace space

        let! parameters =
            Gen.frequency
                [ 1, Gen.constant (policy.Network.Initialise key)
                  // Of all magnitudes that a policy can still act with.
                  1,
                  Gen.constant (
                      Vector.init policy.Network.ParameterCount (fun i ->
                          let x = anyFinite (Key.at (int64 i) key)
                          if abs x < 20f then x else MathF.CopySign(1f + 1f / x, x))
                  ) ]

        return
            { Environment = name
              Actor = { Policy = policy; Parameters = parameters; Normaliser = normaliser } }
    }

let private saved = Arb.fromGen policies

let private sameBits (a: float) (b: float) = BitConverter.DoubleToInt64Bits a = BitConverter.DoubleToInt64Bits b

let private sameNormaliser a b =
    match a, b with
    | Unnormalised, Unnormalised -> true
    | Standardise a, Standardise b ->
        a.Width = b.Width
        && sameBits a.Count b.Count
        && List.forall
            (fun c -> sameBits (a.Mean c) (b.Mean c) && sameBits (a.SquaredDeviations c) (b.SquaredDeviations c))
            [ 0 .. a.Width - 1 ]
    | _ -> false

let private sameSaved (a: SavedPolicy) (b: SavedPolicy) =
    a.Environment = b.Environment
    && a.ObservationSpace = b.ObservationSpace
    && a.ActionSpace = b.ActionSpace
    && a.Architecture = b.Architecture
    && a.Actor.Policy.IsScaled = b.Actor.Policy.IsScaled
    && a.Actor.Parameters = b.Actor.Parameters
    && sameNormaliser a.Actor.Normaliser b.Actor.Normaliser
    && a.Actor.Policy.Network.ParameterCount = b.Actor.Policy.Network.ParameterCount

let private name = "somewhere/policy.json"

let private isRefused fileName result =
    match result with
    | Error(Damaged(file, why) as fault) ->
        file = fileName && why <> "" && (Fault.message fault).Contains(Fault.printable fileName)
    | _ -> false

/// Whether two texts say the same in JSON: they may differ in whitespace, or in how a character is escaped.
let private sayTheSame (a: string) (b: string) = JsonNode.DeepEquals(JsonNode.Parse a, JsonNode.Parse b)

/// What a damaged text may come to: it is refused, or it still says the same, and nothing of the policy is lost.
let private refusedUnlessHarmless fileName original damaged result =
    match result with
    | Ok found -> sayTheSame damaged (PolicyFile.print original) && sameSaved original found
    | refused -> isRefused fileName refused

/// The same of a text that was damaged in memory.
let private isSafe original damaged = PolicyFile.parse name damaged |> refusedUnlessHarmless name original damaged

let private roundtrip =
    testList
        "parse ∘ print"
        [ testProperty "is the identity, to the last bit of every number"
          <| Prop.forAll saved (fun policy ->
              match PolicyFile.parse name (PolicyFile.print policy) with
              | Ok found -> sameSaved policy found && PolicyFile.print found = PolicyFile.print policy
              | Error _ -> false)

          testProperty "gives a policy that takes the same actions"
          <| Prop.forAll (Gen.zip policies seeds |> Arb.fromGen) (fun (policy, seed) ->
              match PolicyFile.parse name (PolicyFile.print policy) with
              | Ok found ->
                  let key = Key.ofSeed seed

                  // Of those that a policy can act on, however wide the space is.
                  let observation =
                      Space.sample policy.ObservationSpace key |> Vector.map (fun x -> Math.Clamp(x, -1e6f, 16777216f))

                  InferencePolicy(policy.Actor).Act observation = InferencePolicy(found.Actor).Act observation
                  && InferencePolicy(policy.Actor).Sample(observation, key) =
                      InferencePolicy(found.Actor).Sample(observation, key)
              | Error _ -> false)

          testProperty "writes layers with one activation as hidden and activation, and others as text"
          <| Prop.forAll saved (fun policy ->
              let node = JsonNode.Parse(PolicyFile.print policy) :?> JsonObject

              match policy.Architecture |> List.map (fun (HiddenLayer.Dense(_, f)) -> f) |> List.distinct with
              | []
              | [ _ ] ->
                  not (node.ContainsKey "architecture") && node.ContainsKey "hidden" && node.ContainsKey "activation"
              | _ ->
                  node["architecture"].GetValue<string>() = Architecture.print policy.Architecture
                  && not (node.ContainsKey "hidden" || node.ContainsKey "activation"))

          testPropertyWithConfig (few 20) "works through a file, too"
          <| Prop.forAll saved (fun policy ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "policy.json")
                  File.WriteAllText(path, PolicyFile.print policy)

                  match PolicyFile.load path with
                  | Ok found -> sameSaved policy found
                  | Error _ -> false))

          testProperty "sha256 is that of the parameters as little-endian float32"
          <| Prop.forAll saved (fun policy ->
              let parameters = policy.Actor.Parameters
              use stream = new MemoryStream()
              // A writer of .NET is little-endian on every machine.
              use writer = new BinaryWriter(stream)

              for i in 0 .. parameters.Length - 1 do
                  writer.Write parameters[i]

              writer.Flush()

              Sha256.ofParameters parameters =
                  Convert.ToHexString(SHA256.HashData(stream.ToArray())).ToLowerInvariant()) ]

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

// ---- Files that no damage made ----

/// The text after `change` with a checksum that is right again: what only a program could have written.
let private resealed (change: JsonObject -> unit) (policy: SavedPolicy) =
    let node = JsonNode.Parse(PolicyFile.print policy) :?> JsonObject
    node.Remove "checksum" |> ignore
    change node
    let hash = SHA256.HashData(Encoding.UTF8.GetBytes(node.ToJsonString()))
    node["checksum"] <- JsonValue.Create(Convert.ToHexStringLower hash)
    node.ToJsonString()

/// Every place in a tree of JSON, as the names and indices that lead there.
let rec private places (node: JsonNode) : string list list =
    match node with
    | :? JsonObject as fields ->
        [ for field in fields do
              yield [ field.Key ]

              for rest in places field.Value do
                  yield field.Key :: rest ]
    | :? JsonArray as items ->
        [ for i in 0 .. items.Count - 1 do
              yield [ string i ]

              for rest in places items[i] do
                  yield string i :: rest ]
    | _ -> []

let rec private put (value: string) (place: string list) (node: JsonNode) =
    match node, place with
    | (:? JsonObject as fields), [ name ] -> fields[name] <- JsonNode.Parse value
    | (:? JsonArray as items), [ index ] -> items[Int32.Parse index] <- JsonNode.Parse value
    | (:? JsonObject as fields), name :: rest -> put value rest fields[name]
    | (:? JsonArray as items), index :: rest -> put value rest items[Int32.Parse index]
    | _ -> ()

let private oddities =
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

let private example =
    let space = Box(Vector.ofArray [| -1f |], Vector.ofArray [| 1f |])
    let architecture = (Architecture.uniform [ 2 ] Activation.Tanh)
    let policy = Policy.create architecture 0.0 false (numbersOf 2) space

    { Environment = "Example-v0"
      Actor =
        { Policy = policy
          Parameters = policy.Network.Initialise(Key.ofSeed 1L)
          Normaliser = Standardise(Moments.create 5.0 [ 1.0; 2.0 ] [ 3.0; 4.0 ]) } }

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
              for version in [ 0; 1; 2; 4; -1 ] do
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

// ---- Files of an earlier version of the library, and of somebody who means harm ----

let private policyFixture name = fixture [ "policies"; name ]

let private why result =
    match result with
    | Error fault -> Fault.message fault
    | Ok _ -> "it was accepted"

/// Bytes that the call allocates, and what it gives.
let private allocating (call: unit -> 'T) =
    let before = GC.GetAllocatedBytesForCurrentThread()
    let result = call ()
    GC.GetAllocatedBytesForCurrentThread() - before, result

let private golden =
    let path = policyFixture "version-3.policy.json"

    testList
        "a file of version 3, which an earlier build wrote,"
        [ test "is read, and written again as it was" {
              let saved = PolicyFile.load path |> Result.defaultWith (Fault.message >> failtest)
              Expect.equal saved.Environment "Pendulum-v1" "environment"
              Expect.equal saved.Architecture (Architecture.uniform [ 3 ] Activation.Tanh) "architecture"
              Expect.equal (PolicyFile.print saved) (File.ReadAllText(path).ReplaceLineEndings "\n") "the text"
          }

          testProperty "acts as its numbers say"
          <| fun (seed: int64) ->
              let json = JsonNode.Parse(File.ReadAllText path)
              let bytes = Convert.FromBase64String(json["parameters"].GetValue<string>())
              let parameter i = float (BitConverter.ToSingle(bytes, 4 * i))
              let moments = json["normaliser"]
              let moment (name: string) (i: int) : float = (moments[name].AsArray()[i]).GetValue<float>()
              let count = moments["count"].GetValue<float>()

              let observation =
                  Space.sample
                      (Box(Vector.ofArray [| -1f; -1f; -8f |], Vector.ofArray [| 1f; 1f; 8f |]))
                      (Key.ofSeed seed)

              let seen i =
                  let scale = 1.0 / sqrt (moment "squaredDeviations" i / count + 1e-12)
                  Math.Clamp((float observation[i] - moment "means" i) * scale, -10.0, 10.0)

              // 3 × 3 weights, 3 biases, 3 weights, a bias, and log σ.
              let hidden j = tanh (List.sumBy (fun i -> seen i * parameter (3 * i + j)) [ 0; 1; 2 ] + parameter (9 + j))
              let mean = List.sumBy (fun j -> hidden j * parameter (12 + j)) [ 0; 1; 2 ] + parameter 15
              let saved = PolicyFile.load path |> Result.defaultWith (Fault.message >> failtest)
              abs (float ((InferencePolicy(saved.Actor).Act observation)[0]) - Math.Clamp(mean, -2.0, 2.0)) < 1e-5 ]

/// Counts of which some products and sums wrap around in 32 bits.
let private hugeCounts =
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
                "dense 2 tanh, conv 2 relu", "there is no layer conv"
                "dense 2 tanh, dense 2", "dense 2 is not dense UNITS ACTIVATION"
                "dense 2 tanh, dense 0 relu", "dense 0 relu is not dense UNITS ACTIVATION"
                "dense 2 tanh, dense -2 relu", "dense -2 relu is not"
                "dense 2 tanh, dense 99999999999 relu", "dense 99999999999 relu is not"
                "dense 2 tanh, dense 2 softmax", "dense 2 softmax is not"
                "dense 2 tanh, ", "a layer is empty"
                "dense 2147483647 tanh, dense 2147483647 relu", "its network needs 46116860"
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

let private able =
    testList
        "a policy that cannot act is refused:"
        [ test "one whose parameters are near the largest float32" {
              for sign in [ 1f; -1f ] do
                  let parameters =
                      Vector.init example.Actor.Parameters.Length (fun i -> (if i % 2 = 0 then sign else 1f) * 3e38f)

                  let text = PolicyFile.print { example with Actor = { example.Actor with Parameters = parameters } }
                  Expect.stringContains (PolicyFile.parse name text |> why) "no finite action" "why"
          }

          testProperty "any parameters either act on what is near 0, or are refused"
          <| Prop.forAll (Gen.zip policies seeds |> Arb.fromGen) (fun (policy, seed) ->
              let key = Key.ofSeed seed

              let wild =
                  Vector.init policy.Actor.Parameters.Length (fun i ->
                      anyFinite (Key.at (int64 i) (Key.named "wild" key)))

              let wild = { policy with Actor = { policy.Actor with Parameters = wild } }

              match PolicyFile.parse name (PolicyFile.print wild) with
              | Ok found ->
                  let zero = Vector.zero (Space.width found.ObservationSpace)

                  let nearest =
                      Vector.Create(zero.Length, Fill(fun row -> Space.clip found.ObservationSpace zero.Span row))

                  Space.contains found.ActionSpace (InferencePolicy(found.Actor).Act nearest).Span
                  && sameSaved wild found
              | refused -> isRefused name refused)

          test "but not one whose space is as wide as float32, and who acts where anybody is" {
              for bound in [ Single.MaxValue; Single.PositiveInfinity ] do
                  let space = Box(Vector.ofArray [| -bound; 1e30f |], Vector.ofArray [| bound; Single.MaxValue |])
                  let policy = Policy.create example.Architecture 0.0 false space (Space.box 1 -1.0 1.0)

                  let saved =
                      { example with
                          Actor =
                              { Policy = policy
                                Parameters = policy.Network.Initialise(Key.ofSeed 1L)
                                Normaliser = Unnormalised } }

                  Expect.isOk (PolicyFile.parse name (PolicyFile.print saved)) "accepted"
          }

          test "and one with as many layers as are allowed is kept" {
              let architecture = Architecture.uniform (List.replicate 1000 1) Activation.Tanh
              let policy = Policy.create architecture 0.0 false (numbersOf 2) (Discrete 2)

              let saved =
                  { example with
                      Actor =
                          { Policy = policy
                            Parameters = policy.Network.Initialise(Key.ofSeed 1L)
                            Normaliser = Unnormalised } }

              Expect.isTrue (PolicyFile.parse name (PolicyFile.print saved) |> expectOk |> sameSaved saved) "the same"
          }

          test "and the actions of any box lie inside of it, however wide" {
              let space = Box(Vector.ofArray [| Single.MinValue; 5f |], Vector.ofArray [| Single.MaxValue; 5f |])

              let policy = Policy.create example.Architecture 0.0 true (numbersOf 2) space

              let player =
                  InferencePolicy
                      { Policy = policy
                        Parameters = policy.Network.Initialise(Key.ofSeed 1L)
                        Normaliser = Unnormalised }

              for seed in 1L .. 100L do
                  let action = player.Sample(Vector.zero 2, Key.ofSeed seed)
                  Expect.isTrue (Vector.isFinite action && Space.contains space action.Span) "inside"
          } ]

let private reading =
    testList
        "reading a file"
        [ test "that is large takes a few times its size" {
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "policy.json")
                  let architecture = (Architecture.uniform [ 500; 500 ] Activation.Tanh)
                  let policy = Policy.create architecture 0.0 false (numbersOf 500) (Discrete 5)
                  let parameters = Vector.init policy.Network.ParameterCount (fun i -> float32 (i % 101) / 1000f)

                  let saved =
                      { Environment = "Large-v0"
                        Actor = { Policy = policy; Parameters = parameters; Normaliser = Unnormalised } }

                  let written, () = allocating (fun () -> PolicyFile.save path saved)
                  let size = FileInfo(path).Length
                  let read, result = allocating (fun () -> PolicyFile.load path)
                  Expect.isTrue (Result.isOk result) "it is read"
                  Expect.isLessThan (float written / float size) 0.2 "writing"
                  // The file, the text of its parameters, these, and the network's own form of them.
                  Expect.isLessThan (float read / float size) 6.0 "reading")
          }

          test "that is too large, or has no end, ends at once" {
              inFolder (fun folder ->
                  let large, pipe = Path.Combine(folder, "large"), Path.Combine(folder, "pipe")

                  do
                      use file = File.Create large
                      file.SetLength 1_000_000_001L

                  let pipes =
                      if OperatingSystem.IsWindows() then
                          []
                      else
                          (use made = Diagnostics.Process.Start("mkfifo", pipe)
                           made.WaitForExit())

                          File.CreateSymbolicLink(Path.Combine(folder, "link"), pipe) |> ignore
                          [ pipe; Path.Combine(folder, "link"); "/dev/zero" ]

                  for path, part in (large, "1000000001 bytes") :: [ for pipe in pipes -> pipe, "no regular file" ] do
                      let allocated, result = allocating (fun () -> PolicyFile.load path)
                      Expect.stringContains (why result) part path
                      Expect.isLessThan allocated 1_000_000L "bytes")
          }

          test "that is a folder says so" {
              inFolder (fun folder -> Expect.stringContains (PolicyFile.load folder |> why) "it is a folder" "why")
          }

          test "that begins with a mark of its encoding" {
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "policy.json")
                  File.WriteAllText(path, PolicyFile.print example, UTF8Encoding true)
                  Expect.isOk (PolicyFile.load path) "it is read")
          } ]

/// The names in a folder.
let private namesIn folder =
    Directory.EnumerateFileSystemEntries folder |> Seq.map Path.GetFileName |> Seq.sort |> List.ofSeq

let private saving =
    testList
        "saving"
        [ test "where it cannot be done leaves nothing behind" {
              inFolder (fun folder ->
                  let below = Path.Combine(folder, "folder")
                  Directory.CreateDirectory below |> ignore
                  File.WriteAllText(Path.Combine(folder, "file"), "old")

                  for path in
                      [ below; Path.Combine(folder, "missing", "policy.json"); Path.Combine(folder, "file", "below") ] do
                      try
                          PolicyFile.save path example
                          failtest $"{path} was written"
                      with :? IOException ->
                          ()

                  // What fails while it is written: this activation has no name.
                  for nameless in
                      [ Architecture.uniform [ 2 ] (enum<Activation> 99)
                        [ HiddenLayer.Dense(2, Activation.Tanh); HiddenLayer.Dense(2, enum<Activation> 99) ] ] do
                      let unwritable =
                          { example with
                              Actor =
                                  { example.Actor with Policy = { example.Actor.Policy with Architecture = nameless } } }

                      Expect.throws (fun () -> PolicyFile.save (Path.Combine(folder, "file")) unwritable) "no text"

                  Expect.equal (namesIn folder) [ "file"; "folder" ] "what is there"
                  Expect.equal (File.ReadAllText(Path.Combine(folder, "file"))) "old" "the old file")
          }

          if not (OperatingSystem.IsWindows()) then
              test "over a pipe, a socket or a device is refused, and leaves it as it is" {
                  inFolder (fun folder ->
                      withStrangeFiles folder (fun names ->
                          let before = namesIn folder

                          for name in names do
                              let path = Path.Combine(folder, name)

                              let saves =
                                  [ (fun () -> PolicyFile.save path example)
                                    (fun () -> AtomicFile.replaceText path "") ]

                              for save in saves do
                                  Expect.throwsC save (fun error ->
                                      Expect.isTrue (error :? IOException) name
                                      Expect.equal error.Message $"{path} is no regular file" name)

                              Expect.isTrue (isStrange path) name
                              Expect.stringContains (PolicyFile.load path |> why) "it is no regular file" name

                          Expect.equal (namesIn folder) before "what is there"))
              }

          test "over an empty file replaces it, even if it is locked or may not be read" {
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "policy.json")

                  let save () =
                      PolicyFile.save path example
                      Expect.isGreaterThan (FileInfo(path).Length) 0L "the new file"

                  File.WriteAllText(path, "")
                  save ()

                  if not (OperatingSystem.IsWindows()) then
                      File.WriteAllText(path, "")
                      File.SetUnixFileMode(path, UnixFileMode.None)
                      save ()
                      File.SetUnixFileMode(path, UnixFileMode.UserRead ||| UnixFileMode.UserWrite)
                      File.WriteAllText(path, "")
                      use _ = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None)
                      save ())
          }

          test "over a symbolic link replaces what it leads to, and not the link" {
              inFolder (fun folder ->
                  let path name = Path.Combine(folder, name)
                  Directory.CreateDirectory(path "there") |> ignore
                  File.WriteAllText(path "there/policy.json", "old")
                  File.CreateSymbolicLink(path "there/second", "policy.json") |> ignore
                  File.CreateSymbolicLink(path "first", "there/second") |> ignore
                  File.CreateSymbolicLink(path "dangling", "there/new.json") |> ignore

                  for link, target in [ "first", "there/policy.json"; "dangling", "there/new.json" ] do
                      PolicyFile.save (path link) example
                      Expect.isNotNull (FileInfo(path link).LinkTarget) $"{link} is a link"
                      Expect.isNull (FileInfo(path target).LinkTarget) $"{target} is none"
                      Expect.equal (File.ReadAllText(path target)) (PolicyFile.print example) target

                  Expect.equal (namesIn (path "there")) [ "new.json"; "policy.json"; "second" ] "what is there")
          }

          testPropertyWithConfig (few 20) "keeps the mode of the file"
          <| Prop.forAll (Gen.choose (0, 0o777) |> Arb.fromGen) (fun mode ->
              inFolder (fun folder ->
                  if not (OperatingSystem.IsWindows()) then
                      let path = Path.Combine(folder, "policy.json")
                      File.WriteAllText(path, "old")
                      let mode: UnixFileMode = enum mode
                      File.SetUnixFileMode(path, mode)
                      PolicyFile.save path example
                      Expect.equal (File.GetUnixFileMode path) mode "mode"
                      AtomicFile.replaceText path "text"
                      Expect.equal (File.GetUnixFileMode path) mode "mode, after a text"))

          testProperty "writes what `print` gives"
          <| Prop.forAll saved (fun policy ->
              inFolder (fun folder ->
                  let path = Path.Combine(folder, "policy.json")
                  PolicyFile.save path policy
                  Expect.equal (File.ReadAllText path) (PolicyFile.print policy) "the text")) ]

let private controls =
    testProperty "no message has a character that a terminal obeys, whatever a file names"
    <| Prop.forAll
        (Gen.listOf (Gen.choose (1, 0x9F) |> Gen.map char) |> Gen.map (Array.ofList >> String) |> Arb.fromGen)
        (fun text ->
            let obeyed (message: string) = Seq.exists Char.IsControl message
            let saved = PolicyFile.parse name (PolicyFile.print { example with Environment = text })
            let saved = Result.defaultWith (Fault.message >> failtest) saved

            let messages =
                [ why (PolicyFile.requireFit "the policy" Environments.CartPole.environment saved)
                  why (PolicyFile.load text)
                  Fault.message (InvalidSetting("--env", text, "it must be another")) ]

            saved.Environment = text && messages |> List.forall (obeyed >> not))

let tests =
    testList "Policy file" [ roundtrip; damage; foreign; golden; hostile; able; reading; saving; controls ]
