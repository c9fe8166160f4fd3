/// Architectures as text, and what they are made of.
module FunTrpo.Tests.ArchitectureTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

let private activations = Gen.elements (List.map snd Architecture.activations)

let private layers =
    Gen.map2
        (fun units activation -> HiddenLayer.Dense(units, activation))
        (Gen.frequency [ 3, Gen.choose (1, 9); 1, Gen.choose (1, Int32.MaxValue) ])
        activations

/// Words of the grammar in any order, and a few that are none.
let private texts =
    Gen.elements
        [ "dense 64 tanh"
          "dense 8 relu"
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

          property "print ∘ parse only changes spaces" texts (fun text ->
              match Architecture.parse text with
              | Ok architecture ->
                  let withoutSpaces (text: string) = text.Replace(" ", "")
                  Expect.equal (withoutSpaces (Architecture.print architecture)) (withoutSpaces text) "the words"
              | Error why -> Expect.isNotWhitespace why "the reason")

          test "the text form is the documented one" {
              let architecture = [ HiddenLayer.Dense(64, Activation.Tanh); HiddenLayer.Dense(32, Activation.Relu) ]
              Expect.equal (Architecture.print architecture) "dense 64 tanh, dense 32 relu" "print"
              Expect.equal (Architecture.parse "dense  64 tanh ,dense 32 relu") (Ok architecture) "parse"
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
                      "different activations") ]
