module FunTrpo.Tests.ActivationDerivativesTests

open System
open Expecto
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

let tests =
    testList
        "activation derivatives"
        [ property
              "ActivationDerivatives multiply by what is kept, by 1 − y² where that is y = tanh, and by 1 where nothing is"
              ReductionsTests.vectors
              (fun (a, b, _) ->
                  let times slopes =
                      let product = Array.copy a
                      (slopes: ActivationDerivatives).Multiply(Span product)
                      bitsOf product

                  Expect.equal
                      (times (ActivationDerivatives(ReadOnlyMemory b, false)))
                      (Array.map2 (*) a b |> bitsOf)
                      "kept"

                  Expect.equal
                      (times (ActivationDerivatives(ReadOnlyMemory b, true)))
                      (Array.map2 (fun a y -> a * (1f - y * y)) a b |> bitsOf)
                      "tanh"

                  Expect.equal (times ActivationDerivatives.One) (bitsOf a) "1")
          property "vectors of different lengths are refused" ReductionsTests.vectors (fun (a, _, _) ->
              let longer = Array.zeroCreate<float32>(a.Length + 1)

              for isTanh in [ true; false ] do
                  expectRefused "ActivationDerivatives.Multiply" (fun () ->
                      ActivationDerivatives(ReadOnlyMemory longer, isTanh).Multiply(Span a))) ]
