/// What layers can do beyond their contract, and layers that have no more than the contract.
module FunTrpo.Tests.PackedLayerTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators
open FunTrpo.Tests.LayerCases

/// The parameter cotangent of two blocks, one after the other.
let private pullbackOfBoth case (first: Vector, second: Vector) =
    linearized 0 case (fun _ it ->
        let packed = Array.zeroCreate<float32> case.Layer.PackedCount

        for cotangent in [ first; second ] do
            let ofOutput = Array.create (case.Input.Rows * case.Layer.Stride) nanf
            PaddedRows.Pad(case.Input.Rows, case.Layer.Outputs, cotangent.Span, Span ofOutput)
            it.ActivationDerivatives.Multiply(Span ofOutput)
            it.Pullback(ReadOnlySpan ofOutput, ActivationDerivatives.One, Span.Empty, Span packed)

        let sum = Array.create case.Layer.ParameterCount nanf
        case.Layer.Unpack(ReadOnlySpan packed, Span sum)
        Vector.ofArray sum)

/// The same layer, of which others see the plain contract alone.
let private plain (layers: Layers) inputs = Layers.builder (BehindContract layers) [ inputs ]

let private ofLayer name layers =
    let case = layerCase layers

    testList
        name
        [ property
              "what lies between the rows of the input changes no bit"
              (Gen.zip case (Gen.choose (1, 20)))
              (fun (case, gap) ->
                  let tangents, u = firstTangents case, fst case.Cotangents
                  Expect.equal (pushforwardWith gap case tangents) (pushforward case tangents) "pushforward"
                  Expect.equal (pullbackWith gap true case u) (pullbackWith 0 true case u) "pullback")
          property "packing keeps every parameter" case (fun case ->
              use packed = PooledBuffer.Rent case.Layer.PackedCount
              let kept = Array.create case.Layer.ParameterCount nanf
              case.Layer.Pack(case.Parameters.Span, packed.Span)
              case.Layer.Unpack(Span.op_Implicit packed.Span, Span kept)
              Expect.equal (Vector.ofArray kept) case.Parameters "parameters")
          property "forward alone gives the output of the linearization" case (fun case ->
              use packed = PooledBuffer.Rent case.Layer.PackedCount
              case.Layer.Pack(case.Parameters.Span, packed.Span)
              use at = case.Layer.At(Memory.op_Implicit packed.Memory)
              let values = Array.create (case.Input.Rows * case.Layer.Stride) nanf
              at.Forward(case.Input.Rows, case.Input.Span, case.Layer.Inputs, Span values)
              Expect.equal (compact case.Input.Rows case.Layer.Outputs values) (output case) "output")
          property
              "the cotangent of the input is multiplied by the derivatives of the layer below, f′ or 1 − y², bit for bit"
              (gen {
                  let! case = case
                  let! below = numbers 1.0 (case.Input.Rows * case.Layer.Inputs)
                  let! isTanh = Gen.elements [ true; false ]
                  return case, below, isTanh
              })
              (fun (case, below, isTanh) ->
                  let rows, inputs = case.Input.Rows, case.Layer.Inputs
                  let padded = Array.zeroCreate<float32>(rows * Lanes.Pad inputs)
                  PaddedRows.Pad(rows, inputs, ReadOnlySpan below, Span padded)
                  let derivatives = ActivationDerivatives(ReadOnlyMemory padded, isTanh)
                  let u = fst case.Cotangents
                  let unscaled, ofParameters = pullbackWith 0 true case u

                  let expected =
                      unscaled
                      |> Vector.toArray
                      |> Array.map2 (fun y x -> x * (if isTanh then 1f - y * y else y)) below

                  let handedDown, again = pullbackBelow derivatives 0 true case u
                  Expect.equal (Vector.toArray handedDown) expected "input"
                  Expect.equal again ofParameters "parameters")
          property "the parameter cotangents of several blocks add up" case (fun case ->
              let first, second = case.Cotangents
              let ofParameters cotangent = snd (pullbackWith 0 false case cotangent)
              let one, other = ofParameters first, ofParameters second
              let scale = Vector.norm one + Vector.norm other
              expectSame (pullbackOfBoth case (first, second)) (Vector.addScaled 1.0 one other) scale "parameters")
          property "through its contract it gives the numbers of its linearization, bit for bit" case (fun case ->
              let at = evaluationOf case
              let found = Contract.evaluate case.Layer at
              Expect.equal found.Output (output case) "output"
              Expect.equal found.OutputTangent (pushforward case (firstTangents case)) "J v"
              let ofInput, ofParameters = pullbackWith 0 true case at.OutputCotangent
              Expect.equal found.InputCotangent ofInput "J_xᵀ u"
              Expect.equal found.ParameterCotangent ofParameters "J_θᵀ u")
          property
              "the contract's pullback adds to the parameter cotangent that is there"
              (gen {
                  let! case = case
                  let! before = vector 1.0 case.Layer.ParameterCount
                  return case, before
              })
              (fun (case, before) ->
                  let at = evaluationOf case

                  let pullback before =
                      Contract.pullbackOnTop before case.Layer at.Parameters at.Rows at.Input at.OutputCotangent

                  let ofInput, onTop = pullback before
                  let alone, ofParameters = pullback (Vector.zero before.Length)
                  Expect.equal ofInput alone "input"
                  expectSame onTop (Vector.addScaled 1.0 before ofParameters) (Vector.norm ofParameters) "parameters")
          property
              "behind ofLayer, a layer with no more than the contract gives the same numbers, bit for bit"
              case
              (fun case ->
                  let at = evaluationOf case
                  let layer = plain case.Layers case.Layer.Inputs
                  let packed = PackedLayer.ofLayer layer

                  Expect.equal
                      ((packed :> Layer).Inputs, packed.Outputs, packed.ParameterCount, packed.PackedCount)
                      (layer.Inputs, layer.Outputs, layer.ParameterCount, layer.ParameterCount)
                      "sizes"

                  Expect.equal (Contract.evaluate packed at) (Contract.evaluate layer at) "output and derivatives"
                  let key = Key.ofSeed 1L
                  Expect.equal (packed.Initialise key) (layer.Initialise key) "initial parameters"

                  Expect.isTrue
                      (obj.ReferenceEquals(PackedLayer.ofLayer packed, packed))
                      "a packed layer is left as it is") ]

let tests = testList "packed layers" [ for name, layers in kinds -> ofLayer name layers ]
