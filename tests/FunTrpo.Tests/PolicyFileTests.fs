module FunTrpo.Tests.PolicyFileTests

open System
open System.IO
open System.Text.Json.Nodes
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles
open FunTrpo.Tests.PolicyFileCases

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

              let activations =
                  [ for layer in policy.Architecture ->
                        match layer with
                        | HiddenLayer.Dense(_, activation) -> Some activation
                        | _ -> None ]

              match List.distinct activations with
              | []
              | [ Some _ ] ->
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
                  | Error _ -> false)) ]

let private policyFixture name = fixture [ "policies"; name ]

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
                      (Space.between (Vector.ofArray [| -1f; -1f; -8f |]) (Vector.ofArray [| 1f; 1f; 8f |]))
                      (Key.ofSeed seed)

              let seen i =
                  let scale = 1.0 / sqrt (moment "squaredDeviations" i / count + 1e-12)
                  Math.Clamp((float observation[i] - moment "means" i) * scale, -10.0, 10.0)

              // 3 × 3 weights, 3 biases, 3 weights, a bias, and log σ.
              let hidden j = tanh (List.sumBy (fun i -> seen i * parameter (3 * i + j)) [ 0; 1; 2 ] + parameter (9 + j))
              let mean = List.sumBy (fun j -> hidden j * parameter (12 + j)) [ 0; 1; 2 ] + parameter 15
              let saved = PolicyFile.load path |> Result.defaultWith (Fault.message >> failtest)
              abs (float ((InferencePolicy(saved.Actor).Act observation)[0]) - Math.Clamp(mean, -2.0, 2.0)) < 1e-5 ]

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
                      Vector.Create(
                          zero.Length,
                          Fill(fun row ->
                              Space.clip found.ObservationSpace zero.Span row
                              Mask.allowAll found.ObservationSpace row)
                      )

                  Space.contains found.ActionSpace (InferencePolicy(found.Actor).Act nearest).Span
                  && sameSaved wild found
              | refused -> isRefused name refused)

          test "but not one whose space is as wide as float32, and who acts where anybody is" {
              for bound in [ Single.MaxValue; Single.PositiveInfinity ] do
                  let space =
                      Space.between (Vector.ofArray [| -bound; 1e30f |]) (Vector.ofArray [| bound; Single.MaxValue |])

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
              let space =
                  Space.between (Vector.ofArray [| Single.MinValue; 5f |]) (Vector.ofArray [| Single.MaxValue; 5f |])

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
          } ]

let private saving =
    testProperty "saving writes what `print` gives"
    <| Prop.forAll saved (fun policy ->
        inFolder (fun folder ->
            let path = Path.Combine(folder, "policy.json")
            PolicyFile.save path policy
            Expect.equal (File.ReadAllText path) (PolicyFile.print policy) "the text"))

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

let tests = testList "Policy file" [ roundtrip; golden; able; reading; saving; controls ]
