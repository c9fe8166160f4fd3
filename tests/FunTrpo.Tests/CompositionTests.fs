/// A stack of layers is a layer: associativity, the chain rule, and the order of parameters.
module FunTrpo.Tests.CompositionTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators
open FunTrpo.Tests.DenseTests
open FunTrpo.Tests.LayerCases
open FunTrpo.Tests.NetworkTests

/// Three stacks of layers that follow each other, and what all of them together are evaluated at.
type private Case = { Stacks: LayerBuilder * LayerBuilder * LayerBuilder; Inputs: int; At: Evaluation }

let private cases =
    gen {
        let! inputs = Gen.choose (1, 5)
        let! widths = Gen.listOfLength 3 (Gen.choose (1, 6))
        let! depths = Gen.listOfLength 3 (Gen.choose (0, 1))
        let! stacks = List.map2 (layersOf activation) depths widths |> Gen.sequenceToList
        let f, g, h = Layers.builder stacks[0], Layers.builder stacks[1], Layers.builder stacks[2]
        let! at = evaluations ((f >=> g >=> h) [ inputs ])
        return { Stacks = (f, g, h); Inputs = inputs; At = at }
    }

let private associativity =
    testList
        "associativity"
        [ property
              "(f >=> g) >=> h and f >=> (g >=> h) have the same parameters, outputs and derivatives, bit for bit"
              cases
              (fun case ->
                  let f, g, h = case.Stacks
                  let left, right = ((f >=> g) >=> h) [ case.Inputs ], (f >=> (g >=> h)) [ case.Inputs ]

                  Expect.equal
                      (right.Inputs, right.Outputs, right.ParameterCount)
                      (left.Inputs, left.Outputs, left.ParameterCount)
                      "sizes"

                  Expect.equal (Contract.evaluate right case.At) (Contract.evaluate left case.At) "output, J v and Jᵀu") ]

let private chainRule =
    testList
        "the chain rule"
        [ property "output, J v and Jᵀu are those of the two layers, one after the other" cases (fun case ->
              let f, g, h = case.Stacks
              let first = f [ case.Inputs ]
              let second = (g >=> h) first.OutputShape
              let both = (f >=> (g >=> h)) [ case.Inputs ]
              let at = case.At

              let split (v: Vector) =
                  v.Slice(0, first.ParameterCount), v.Slice(first.ParameterCount, second.ParameterCount)

              let ofFirst, ofSecond = split at.Parameters
              let tangentOfFirst, tangentOfSecond = split at.ParameterTangent
              Expect.equal both.ParameterCount (first.ParameterCount + second.ParameterCount) "parameters"
              let hidden = Contract.forward first ofFirst at.Rows at.Input
              let hiddenTangent = Contract.pushforward first ofFirst at.Rows at.Input at.InputTangent tangentOfFirst
              let expected = Contract.forward second ofSecond at.Rows hidden
              let expectedTangent = Contract.pushforward second ofSecond at.Rows hidden hiddenTangent tangentOfSecond

              let hiddenCotangent, cotangentOfSecond =
                  Contract.pullback second ofSecond at.Rows hidden at.OutputCotangent

              let inputCotangent, cotangentOfFirst = Contract.pullback first ofFirst at.Rows at.Input hiddenCotangent
              let found = Contract.evaluate both at
              Expect.equal found.Output expected "f"
              expectSame found.OutputTangent expectedTangent (Vector.norm expectedTangent) "J v"
              let scale = Vector.norm cotangentOfFirst + Vector.norm cotangentOfSecond + Vector.norm inputCotangent
              expectSame found.InputCotangent inputCotangent scale "J_xᵀ u"
              let parameterCotangent = Vector.concat [ cotangentOfFirst; cotangentOfSecond ]
              expectSame found.ParameterCotangent parameterCotangent scale "J_θᵀ u")
          property "a network is the same as its layers one after another" networkCase (fun case ->
              match case.Layers with
              | Then(first, second) ->
                  let inner = Layers.network case.Network.Inputs first
                  let outer = Layers.network inner.Outputs second
                  Expect.equal case.Network.ParameterCount (inner.ParameterCount + outer.ParameterCount) "parameters"
                  let hidden = Network.forward inner (case.Parameters.Slice(0, inner.ParameterCount)) case.Observations
                  let rest = case.Parameters.Slice(inner.ParameterCount, outer.ParameterCount)
                  Expect.equal (linearization case).Outputs (Network.forward outer rest hidden) "forward"
              | _ -> ()) ]

let private initial =
    testList
        "initial parameters"
        [ property "are those of each layer, under keys of their own" (Gen.zip cases key) (fun (case, key) ->
              let f, g, _ = case.Stacks
              let first = f [ case.Inputs ]
              let second = g first.OutputShape
              let struct (firstKey, secondKey) = Key.split key

              Expect.equal
                  (((f >=> g) [ case.Inputs ]).Initialise key)
                  (Vector.concat [ first.Initialise firstKey; second.Initialise secondKey ])
                  "parameters")
          property
              "layers of the same shape start with different weights"
              (Gen.zip (Gen.choose (2, 9)) key)
              (fun (units, key) ->
                  let dense = Dense.hidden units Activation.Tanh
                  let layer = (dense >=> dense >=> dense) [ units ]
                  let parameters = layer.Initialise key
                  let each = parameters.Length / 3
                  let weights = [ for i in 0..2 -> parameters.Slice(i * each, each) ]
                  weights |> List.iter (isOrthogonal units units (sqrt 2.0))
                  Expect.equal (List.length (List.distinct weights)) 3 "distinct") ]

/// A layer of this many parameters that is never evaluated.
let private ofSize count : LayerBuilder =
    fun shape ->
        { new Layer with
            member _.InputShape = shape
            member _.OutputShape = shape
            member _.ParameterCount = count
            member _.Initialise _ = Vector.empty
            member _.Forward(_, _, _, _) = ()
            member _.Pushforward(_, _, _, _, _, _) = ()
            member _.Pullback(_, _, _, _, _, _) = () }

let private sizes =
    property
        "a stack of more parameters than memory is lent for is refused, and counted without overflow"
        (let count =
            Gen.oneof
                [ Gen.choose (0, Int32.MaxValue)
                  Gen.elements [ 0; PooledBuffer.Largest / 2; PooledBuffer.Largest / 2 + 1; PooledBuffer.Largest ] ]

         Gen.zip count count)
        (fun (first, second) ->
            let make () = (ofSize first >=> ofSize second) [ 1 ]

            if int64 first + int64 second > int64 PooledBuffer.Largest then
                expectRefused $"{first} and {second}" (make >> ignore)
            else
                Expect.equal (make ()).ParameterCount (first + second) "parameters")

let tests = testList "compositions" [ associativity; chainRule; initial; sizes ]
