/// Spaces with parts (Gymnasium's Dict and Tuple), through everything that plays and trains.
module FunTrpo.Tests.PartsTests

open System
open System.IO
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.TestFiles

let private ok result = result |> Result.defaultWith (Fault.message >> failwith)

let private architectureOf text = Architecture.parse text |> Result.defaultWith failwith

// ---- Spaces ----

let private hand = Parts [ "finger", Space.box 2 -1.0 1.0; "grip", Discrete 3 ]

let private robot =
    Parts [ "camera", Space.boxOfShape [ 3; 4; 2 ] 0.0 1.0; "hand", hand; "lamps", MultiBinary 2 ]

let private spaces =
    testList
        "spaces"
        [ test "a row holds the parts one after the other, and paths find them" {
              Expect.equal (Space.width robot) 29 "width"
              Expect.equal (Space.find "camera" robot) (struct (0, Space.boxOfShape [ 3; 4; 2 ] 0.0 1.0)) "camera"
              Expect.equal (Space.find "hand/grip" robot) (struct (26, Discrete 3)) "grip"
              Expect.equal (Space.find "lamps" robot) (struct (27, MultiBinary 2)) "lamps"
              Expect.equal (Space.find "hand/grip" (Masked(robot, [ 2 ]))) (struct (26, Discrete 3)) "with a mask"
              Expect.equal (Space.labels robot) [ 26 ] "labels"
              Expect.equal (Space.leaf 25 robot) (ValueSome(struct (Space.box 2 -1.0 1.0, 1))) "a column"
              Expect.equal (Space.leaf 27 (Masked(hand, [ 30 ]))) ValueNone "a column of a mask"

              Expect.equal (Space.describe hand) "Parts(finger: Box(2; [-1, 1]), grip: Discrete(3))" "text"

              for path in [ "eye"; "hand/eye"; "camera/hand" ] do
                  expectRefused path (fun () -> Space.find path robot |> ignore)
          }
          test "names and parts must be valid" {
              for space, why in
                  [ Parts [], "has no parts"
                    Parts [ "", Discrete 2 ], "has a part without a name"
                    Parts [ "a", Discrete 2; "a", Discrete 2 ], "has two parts with the same name"
                    Parts [ "a b", Discrete 2 ], "names of parts contain no white space"
                    Parts [ "a;b", Discrete 2 ], "names of parts contain no white space"
                    Parts [ "a", Discrete 0 ], "has the part a, which has no elements"
                    Parts [ "a", hand; "b", Parts [ "c", MultiBinary 0 ] ],
                    "has the part b, which has the part c, which"
                    Parts [ "a", Masked(Discrete 2, [ 2 ]) ], "has the part a, which has a mask"
                    Parts [ "a", MultiBinary(1 <<< 24); "b", Discrete 2 ], "has more than 2²⁴ numbers" ] do
                  match Space.invalidReason space with
                  | Some found -> Expect.stringContains found why (Space.describe space)
                  | None -> failtest $"{Space.describe space} is accepted"
          }
          test "an observation is valid part by part" {
              let valid (row: float32 list) = Space.isValidObservation hand (ReadOnlySpan(Array.ofList row))
              Expect.isTrue (valid [ 5f; -7f; 2f ]) "numbers may lie outside of their bounds"
              Expect.isFalse (valid [ 0f; 0f; 3f ]) "an index may not"
              Expect.isFalse (valid [ nanf; 0f; 2f ]) "nor be NaN"
          } ]

// ---- Actions ----

let private parametersOf (family: Family) key = Key.normals family.ParameterWidth key |> Array.map float32

let private actions =
    testList
        "actions"
        [ property
              "parts of choices are a MultiDiscrete, bit for bit"
              (Gen.zip (Gen.choose (2, 4) |> Gen.bind (fun count -> Gen.listOfLength count (Gen.choose (1, 5)))) key)
              (fun (counts, key) ->
                  let together = Distribution.forSpace DistributionKind.Gaussian (MultiDiscrete counts)
                  let parts = Distribution.forSpace DistributionKind.Gaussian (partsOf (List.map Discrete counts))
                  let p, q = parametersOf together (Key.named "p" key), parametersOf together (Key.named "q" key)
                  let drawn, ofParts = Array.zeroCreate<float32> counts.Length, Array.zeroCreate<float32> counts.Length
                  together.Sample(ReadOnlySpan p, key, drawn.AsSpan())
                  parts.Sample(ReadOnlySpan p, key, ofParts.AsSpan())
                  Expect.equal ofParts drawn "sample"

                  Expect.equal
                      (parts.LogProbability(ReadOnlySpan p, ReadOnlySpan drawn))
                      (together.LogProbability(ReadOnlySpan p, ReadOnlySpan drawn))
                      "log-probability"

                  Expect.equal (parts.Entropy(ReadOnlySpan p)) (together.Entropy(ReadOnlySpan p)) "entropy"

                  expectClose
                      1e-12
                      (parts.Kl(ReadOnlySpan p, ReadOnlySpan q))
                      (together.Kl(ReadOnlySpan p, ReadOnlySpan q))
                      "KL")
          test "the distribution for an observation has a part for each part of the action, in its unit" {
              let actionSpace = Parts [ "steer", Space.box 1 -30.0 10.0; "gear", Discrete 3 ]
              let policy = Policy.create [] 0.5 true (Space.box 2 -1.0 1.0) actionSpace
              let parameters = policy.Network.Initialise(Key.ofSeed 1L)
              let actor = { Policy = policy; Parameters = parameters; Normaliser = Unnormalised }
              let player = InferencePolicy actor

              match player.Distribution(ReadOnlySpan [| 0f; 0f |]) with
              | ActionDistribution.Parts [ "steer", ActionDistribution.Normals(means, deviations)
                                           "gear", ActionDistribution.Choices probabilities ] ->
                  expectClose 1e-6 means[0] -10.0 "the middle of the box"
                  expectClose 1e-5 deviations[0] (20.0 * exp 0.5) "σ in its unit"
                  Expect.hasLength probabilities 3 "gears"
              | other -> failtest $"%A{other}"

              let action = player.Sample(Vector.ofArray [| 1f; 0f |], Key.ofSeed 4L)
              Expect.isTrue (Space.contains actionSpace action.Span) "an element of the space"
              Expect.equal (Policy.logSigmas policy parameters).Length 1 "log σ"
          } ]

// ---- Observations ----

let private outputsOf (network: Network) observations =
    Network.forward network (network.Initialise(Key.ofSeed 2L)) observations

let private observations =
    testList
        "observations"
        [ test "numbers in parts are numbers in a box, bit for bit" {
              let apart = Parts [ "a", Space.box 2 -1.0 1.0; "b", Parts [ "c", MultiBinary 3 ] ]
              let rows = Matrix.init 20 5 (fun row column -> float32 (sin (float (7 * row + column))))

              for text in [ ""; "dense 8 tanh"; "gru 5; dense 3 relu" ] do
                  let layers = architectureOf text

                  if layers |> List.forall (fun layer -> HiddenLayer.memory layer = 0) then
                      let networkOf space = Architecture.network space 1.0 2 1 0.5 layers
                      Expect.equal (outputsOf (networkOf apart) rows) (outputsOf (networkOf (numbersOf 5)) rows) text

                  Expect.equal (Architecture.withParts apart layers) layers "no layer for the parts"
          }
          test "an index among numbers is a row of 0 and a 1" {
              let space = Parts [ "a", Space.box 1 -1.0 1.0; "b", MultiDiscrete [ 2; 3 ]; "c", Discrete 2 ]
              let rows = Matrix.ofRows [| [| 0.3f; 1f; 0f; 1f |]; [| -2f; 0f; 2f; 0f |] |]

              let expanded =
                  Matrix.ofRows [| [| 0.3f; 0f; 1f; 1f; 0f; 0f; 0f; 1f |]; [| -2f; 1f; 0f; 0f; 0f; 1f; 1f; 0f |] |]

              let layers = architectureOf "dense 6 tanh"

              Expect.equal
                  (Architecture.withParts space layers |> Architecture.print)
                  "parts { }; dense 6 tanh"
                  "explicit"

              let network = Architecture.network space 1.0 3 0 0.0 layers
              let flat = Architecture.network (numbersOf 8) 1.0 3 0 0.0 layers
              Expect.equal network.ParameterCount flat.ParameterCount "parameters"
              let parameters = flat.Initialise(Key.ofSeed 3L)

              Expect.equal
                  (Network.forward network parameters rows)
                  (Network.forward flat parameters expanded)
                  "outputs"

              for wrong in [ 3f; -1f; 0.5f; nanf ] do
                  expectRefused $"{wrong}" (fun () ->
                      Network.forward network parameters (Matrix.ofRows [| [| 0f; 1f; wrong; 0f |] |]) |> ignore)
          }
          test "each part has layers of its own, and their outputs follow one another" {
              let layers =
                  architectureOf
                      "parts { camera: conv 2 2x2 stride 1 relu, flatten; hand: parts { grip: dense 2 identity }, dense 3 tanh }; dense 4 relu"

              Expect.equal
                  (Architecture.print layers)
                  "parts { camera: conv 2 2x2 stride 1 relu; flatten; hand: parts { grip: dense 2 identity }; dense 3 tanh }; dense 4 relu"
                  "text"

              Expect.equal
                  (Architecture.shapes robot layers)
                  (Ok [ [ 29 ]; [ 2 * 3 * 2 + 3 + 2 ]; [ 4 ] ])
                  "camera, hand, and lamps as they are"

              let network = Architecture.network robot 1.0 1 0 0.0 layers
              let struct (weights, biases) = Architecture.sizes robot 1L layers
              // The convolution, the embedding of three grips, the dense layer of the hand, the last two.
              let expected = (2 * 2 * 2 * 2 + 2) + 3 * 2 + (4 * 3 + 3) + (17 * 4 + 4) + 5
              Expect.equal network.ParameterCount expected "parameters"
              Expect.equal (weights + biases) (float expected) "sizes"
              let rows = [| for i in 0L .. 4L -> Vector.toArray (Space.sample robot (Key.at i (Key.ofSeed 1L))) |]
              let parameters = network.Initialise(Key.ofSeed 5L)

              // Only the camera changes.
              let changed = rows |> Array.map (fun row -> row |> Array.mapi (fun i x -> if i < 24 then 1f - x else x))

              let handAlone =
                  Architecture.network hand 1.0 3 0 0.0 (architectureOf "parts { grip: dense 2 identity }")

              Expect.equal handAlone.Outputs 3 "a network for a part"

              Expect.notEqual
                  (Network.forward network parameters (Matrix.ofRows rows))
                  (Network.forward network parameters (Matrix.ofRows changed))
                  "the camera is seen"
          }
          test "parts that do not fit are refused, with their place" {
              for text, why in
                  [ "parts { camara: dense 2 tanh }; dense 3 tanh",
                    "observations have no part camara; it must be one of camera, hand, lamps; did you mean camera?"
                    "parts { hand: conv 2 2x2 stride 1 relu }",
                    "in the part hand, layer 1, conv 2 2x2 stride 1 relu, does not fit"
                    "parts { hand: parts { grip: layernorm } }",
                    "in the part grip, layer 1, layernorm, does not fit: observations are indices"
                    "dense 3 tanh; parts { }", "only the first layer can read parts" ] do
                  match Architecture.shapes robot (architectureOf text) with
                  | Error found -> Expect.stringContains found why text
                  | Ok shapes -> failtest $"%A{shapes}"

              for text, why in
                  [ "parts { dense 2 tanh }", "is not parts { NAME: LAYER"
                    "parts { a: dense 2 tanh; a: }", "has a part twice"
                    "parts { a: dense }", "dense is not dense UNITS ACTIVATION"
                    "partsy { a: flatten }", "is not parts {"
                    "parts", "parts is not parts {"
                    String.replicate 2000 "parts { a: ", "at most 1000 are allowed" ] do
                  match Architecture.parse text with
                  | Error found -> Expect.stringContains found why text
                  | Ok layers -> failtest $"%A{layers}"
          }
          test "labels are not normalised" {
              let moments = Moments.ofMatrix (Matrix.ofRows [| [| 3f; 0f; 2f |]; [| 5f; 2f; 0f |] |])
              let normaliser = Standardise(Moments.withLabels [ 2 ] moments)
              let rows = Matrix.ofRows [| [| 5f; 1f; 2f |]; [| 3f; 2f; 1f |] |]

              Expect.equal
                  (Normaliser.apply normaliser rows)
                  (Matrix.ofRows [| [| 1f; 0f; 2f |]; [| -1f; 1f; 1f |] |])
                  "only the first two columns"

              match Normaliser.observe rows normaliser with
              | Standardise seen ->
                  Expect.equal seen.Count 4.0 "observations"
                  Expect.equal (seen.Mean 2, seen.Variance 2) (0.0, 0.0) "labels count as 0"
                  Expect.equal seen.Labels [ 2 ] "labels"
              | Unnormalised -> failtest "it is standardised"
          } ]

// ---- Training ----

/// A task of one to four steps that shows a color and a number. Its reward is highest where the action names the color, and points to the number.
let private task =
    let observationSpace = Parts [ "color", Discrete 3; "target", Space.box 1 -1.0 1.0 ]
    let actionSpace = Parts [ "name", Discrete 3; "point", Space.box 1 -1.0 1.0 ]

    let start key =
        struct (int (3.0 * Key.uniform (Key.named "color" key)), Key.uniformIn -1.0 1.0 (Key.named "target" key))

    { new Environment<struct (int * float)> with
        member _.Id = "Parts-v0"
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace
        member _.Reset key = start key

        member _.Step(key, action, struct (color, target)) =
            let named = if int action[0] = color then 1.0 else 0.0
            let distance = abs (float action[1] - target)

            { State = start key
              Reward = named - distance
              Terminated = Key.uniform (Key.named "end" key) < 0.25
              Truncated = false }

        member _.Observe(struct (color, target), observation) =
            observation[0] <- float32 color
            observation[1] <- float32 target }

let private setupOf threads text =
    let configuration =
        { Configuration.standard with
            Environments = 8
            Horizon = 64
            Architecture = architectureOf text
            CriticArchitecture = architectureOf text }

    Setup.create threads configuration task |> ok

let private goOn steps setup state = Training.runFor steps setup state |> Seq.last |> ok |> fst

let private trained threads text steps =
    let setup = setupOf threads text
    setup, goOn steps setup (TrainingState.start setup 3L)

let private training =
    testList
        "training"
        [ for text in
              [ "dense 32 tanh"
                "parts { color: dense 4 tanh; target: dense 8 tanh }; dense 16 tanh"
                "parts { target: gru 6 }; dense 16 tanh" ] do
              test $"{text} learns, and its files give it back" {
                  let setup, state = trained 1 text 30_000L
                  let actor = TrainingState.actor setup state
                  let scores = Evaluation.run 1 task actor 200 (Key.ofSeed 1L) |> ok
                  let perStep = Seq.sum scores.Returns / float (Seq.sum scores.Lengths)
                  // At random: 1/3 − 2/3.
                  Expect.isGreaterThan perStep 0.6 "the mean reward"
                  let saved = { Environment = "Parts-v0"; Actor = actor }
                  let loaded = PolicyFile.parse "policy.json" (PolicyFile.print saved) |> ok
                  Expect.equal loaded.Actor.Parameters actor.Parameters "parameters"
                  Expect.equal loaded.Actor.Normaliser actor.Normaliser "normaliser"
                  Expect.equal loaded.Actor.Policy.ObservationSpace task.ObservationSpace "observations"
                  Expect.equal loaded.Actor.Policy.ActionSpace task.ActionSpace "actions"
              }

              test $"{text}: threads and checkpoints do not change the bits" {
                  let folder = Directory.CreateTempSubdirectory().FullName
                  let path = Path.Combine(folder, "state")

                  try
                      let setup, first = trained 1 text 1024L
                      let _, other = trained 2 text 1024L
                      Expect.equal other.PolicyParameters first.PolicyParameters "two threads"
                      Checkpoint.save path setup "" first |> ok
                      let loaded = (Checkpoint.load path setup |> ok).State
                      Expect.equal loaded.Normaliser first.Normaliser "normaliser"
                      let continued = goOn 2048L setup loaded
                      let atOnce = goOn 2048L setup first
                      Expect.equal continued.PolicyParameters atOnce.PolicyParameters "continued"
                  finally
                      Directory.Delete(folder, true)
              } ]

let tests = testList "parts" [ spaces; actions; observations; training ]
