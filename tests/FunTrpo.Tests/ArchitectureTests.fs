/// Architectures as text, and what they are made of.
module FunTrpo.Tests.ArchitectureTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

let private activations = Gen.elements (List.map snd HiddenLayer.activations)

let private positive = Gen.frequency [ 3, Gen.choose (1, 9); 1, Gen.choose (1, Int32.MaxValue) ]

let private windows =
    Gen.map3 (fun height width stride -> { Height = height; Width = width; Stride = stride }) positive positive positive

let private dense =
    Gen.map2 (fun units activation -> HiddenLayer.Dense(units, activation)) positive activations

let private layers =
    Gen.oneof
        [ dense
          Gen.map3
              (fun filters window activation -> HiddenLayer.Convolution(filters, window, activation))
              positive
              windows
              activations
          Gen.map2 (fun pooling window -> HiddenLayer.Pool(pooling, window)) (Gen.elements [ Max; Average ]) windows
          Gen.elements [ HiddenLayer.LayerNorm; HiddenLayer.Flatten ] ]

/// Words of the grammar in any order, and a few that are none.
let private texts =
    Gen.elements
        [ "dense 64 tanh"
          "dense 8 relu"
          "conv 16 3x3 stride 1 relu"
          "pool max 2x2 stride 2"
          "pool"
          "average"
          "3x3"
          "stride"
          "flatten"
          "layernorm"
          ";"
          ";"
          "dense"
          "64"
          "tanh"
          "relu"
          ","
          ","
          " "
          "0"
          "-1"
          "conv"
          "(" ]
    |> Gen.listOf
    |> Gen.map (String.concat " ")

let tests =
    testList
        "Architecture"
        [ property "parse ∘ print is the identity" (Gen.listOf layers) (fun architecture ->
              Expect.equal (Architecture.parse (Architecture.print architecture)) (Ok architecture) "the layers")

          property "print ∘ parse only changes spaces, and commas to semicolons" texts (fun text ->
              match Architecture.parse text with
              | Ok architecture ->
                  let withoutSpaces (text: string) =
                      String.filter (Char.IsWhiteSpace >> not) text |> _.Replace(",", ";")

                  Expect.equal (withoutSpaces (Architecture.print architecture)) (withoutSpaces text) "the words"
              | Error why -> Expect.isNotWhitespace why "the reason")

          test "the text form is the documented one" {
              let architecture = [ HiddenLayer.Dense(64, Activation.Tanh); HiddenLayer.Dense(32, Activation.Relu) ]
              Expect.equal (Architecture.print architecture) "dense 64 tanh; dense 32 relu" "print"
              Expect.equal (Architecture.parse "dense  64 tanh ;dense 32 relu") (Ok architecture) "parse"
              Expect.equal (Architecture.parse "dense 64 tanh, dense 32 relu") (Ok architecture) "with commas"
              Expect.equal (Architecture.parse "dense 64\ttanh;\r\n  dense 32 relu\n") (Ok architecture) "on two lines"

              Expect.equal
                  (Architecture.parse "parts {\n  a: gru 4;\n  b: gru 3\n}")
                  (Architecture.parse "parts { a: gru 4; b: gru 3 }")
                  "parts on lines of their own"

              let window height width stride = { Height = height; Width = width; Stride = stride }

              Expect.equal
                  (Architecture.parse
                      "conv 16 3x5 stride 1 relu; pool max 2x2 stride 2; pool average 1x2 stride 3; layernorm; flatten")
                  (Ok
                      [ HiddenLayer.Convolution(16, window 3 5 1, Activation.Relu)
                        HiddenLayer.Pool(Max, window 2 2 2)
                        HiddenLayer.Pool(Average, window 1 2 3)
                        HiddenLayer.LayerNorm
                        HiddenLayer.Flatten ])
                  "layers for pictures"
          }

          property
              "tryUniform gives what uniform was made of, and none for different activations"
              (Gen.zip (Gen.nonEmptyListOf (Gen.choose (1, 9))) activations)
              (fun (hidden, activation) ->
                  let architecture = Architecture.uniform hidden activation
                  let other = if activation = Activation.Relu then Activation.Tanh else Activation.Relu
                  Expect.equal (Architecture.tryUniform architecture) (Some(hidden, activation)) "uniform"

                  Expect.isNone
                      (Architecture.tryUniform (HiddenLayer.Dense(1, other) :: architecture))
                      "different activations"

                  Expect.isNone (Architecture.tryUniform (HiddenLayer.LayerNorm :: architecture)) "another layer")

          for text, part in
              [ "conv 16 3x3 relu", "conv 16 3x3 relu is not conv FILTERS HEIGHTxWIDTH stride STRIDE ACTIVATION"
                "conv 16 3 stride 1 relu", "is not conv"
                "pool 2x2 stride 2", "is not pool max HEIGHTxWIDTH stride STRIDE | pool average"
                "layernorm 3", "layernorm 3 is not layernorm"
                "layernorms", "there is no layer layernorms; did you mean layernorm?"
                "dense 3 tanh;", "a layer is empty" ] do
              test $"{text} is refused, and says why" {
                  match Architecture.parse text with
                  | Error why -> Expect.stringContains why part "why"
                  | Ok layers -> failtest $"%A{layers}"
              }

          test "shapes go from layer to layer, and to the output" {
              let shapes text =
                  Architecture.shapes (Space.boxOfShape [ 10; 10; 4 ] 0.0 1.0) (Architecture.parse text |> expectOk)

              Expect.equal
                  (shapes "conv 16 3x3 stride 1 relu; pool max 2x2 stride 2; layernorm; flatten; dense 128 relu")
                  (Ok [ [ 10; 10; 4 ]; [ 8; 8; 16 ]; [ 4; 4; 16 ]; [ 4; 4; 16 ]; [ 256 ]; [ 128 ] ])
                  "the shapes"

              Expect.equal
                  (shapes "dense 5 tanh; conv 2 1x1 stride 1 tanh")
                  (Error
                      "layer 2, conv 2 1x1 stride 1 tanh, does not fit: it needs a picture (height × width × channels), and its input is 5")
                  "no picture"

              Expect.equal
                  (shapes "conv 2 9x9 stride 1 tanh; pool max 3x2 stride 1")
                  (Error
                      "layer 2, pool max 3x2 stride 1, does not fit: its window is larger than its input, a picture of 2 × 2 × 2 (height × width × channels)")
                  "too small"

              let large = Space.boxOfShape [ 20; 20; 1 ] 0.0 1.0
              let layers = Architecture.parse "conv 65536 1x1 stride 1 tanh" |> expectOk
              Expect.isError (Architecture.shapes large layers) "too large"
          }

          test "only a dense layer reads indices" {
              for first in [ "conv 2 1x1 stride 1 tanh"; "layernorm"; "flatten"; "pool max 1x1 stride 1" ] do
                  let layers = Architecture.parse $"{first}; dense 3 tanh" |> expectOk
                  Expect.isError (Architecture.shapes (Discrete 4) layers) first

                  expectRefused first (fun () -> Architecture.network (Discrete 4) 1.0 2 0 0.0 layers |> ignore)
          }

          property
              "sizes counts the parameters of the network"
              (gen {
                  let! layers = pictureLayers activations [ Max; Average ] 1
                  let! outputs = Gen.choose (1, 4)
                  return layers, outputs
              })
              (fun (layers, outputs) ->
                  /// The architecture of the same layers, without the last.
                  let rec hidden layers =
                      match layers with
                      | Convolved(filters, window, activation) ->
                          [ HiddenLayer.Convolution(filters, window, activation) ]
                      | Pooled(pooling, window) -> [ HiddenLayer.Pool(pooling, window) ]
                      | Normalised -> [ HiddenLayer.LayerNorm ]
                      | Then(first, second) -> hidden first @ hidden second
                      | BehindContract layers -> hidden layers
                      | _ -> []

                  match layers with
                  | Reading(shape, layers) ->
                      let space = Space.boxOfShape shape 0.0 1.0
                      let architecture = hidden layers
                      let network = Architecture.network space 1.0 outputs 0 0.0 architecture
                      let struct (weights, biases) = Architecture.sizes space (int64 outputs) architecture
                      Expect.equal (weights + biases) (float network.ParameterCount) "parameters"
                      Expect.equal network.Outputs outputs "outputs"
                  | other -> failtest $"%A{other}") ]
