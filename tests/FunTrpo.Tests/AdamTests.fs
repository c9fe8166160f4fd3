module FunTrpo.Tests.AdamTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// Algorithm 1 of Kingma and Ba (2014) in float64: the parameters after steps along the gradients.
let private reference learningRate (gradients: Vector list) (parameters: Vector) =
    let theta, mean, square =
        let zero = Array.zeroCreate<float> parameters.Length
        Oracle.floats parameters, Array.copy zero, zero

    for t, gradient in List.indexed gradients do
        for i in 0 .. theta.Length - 1 do
            let g = float gradient[i]
            mean[i] <- 0.9 * mean[i] + 0.1 * g
            square[i] <- 0.999 * square[i] + 0.001 * g * g
            let corrected = mean[i] / (1.0 - 0.9 ** float (t + 1))
            let deviation = sqrt (square[i] / (1.0 - 0.999 ** float (t + 1)))
            theta[i] <- theta[i] - learningRate * corrected / (deviation + 1e-8)

    theta

let private case =
    gen {
        let! count = Gen.choose (1, 40)
        let! parameters = vector 1.0 count
        let! steps = Gen.choose (0, 6)
        let! gradients = Gen.listOfLength steps (vector 1.0 count)
        return parameters, gradients
    }

let private updates learningRate gradients parameters =
    ((parameters, Adam.init parameters), gradients)
    ||> List.fold (fun (parameters, state) gradient ->
        let struct (parameters, state) = Adam.update learningRate gradient state parameters
        parameters, state)

let tests =
    testList
        "Adam"
        [ property "takes the steps of the paper's algorithm" case (fun (parameters, gradients) ->
              let after, state = updates 0.01 gradients parameters
              let expected = reference 0.01 gradients parameters
              Expect.equal state.Steps (int64 gradients.Length) "steps"

              for i in 0 .. expected.Length - 1 do
                  // Where a gradient nearly vanishes, ε decides, and rounding with it.
                  if gradients |> List.forall (fun gradient -> abs gradient[i] > 1e-3f) then
                      expectClose 1e-4 expected[i] (float after[i]) $"parameter {i}")
          property "leaves its arguments as they are" case (fun (parameters, gradients) ->
              let before = Vector.toArray parameters
              let first, state = updates 0.01 gradients parameters
              let again, stateAgain = updates 0.01 gradients parameters
              Expect.equal (Vector.toArray parameters) before "parameters"
              Expect.equal (again, stateAgain) (first, state) "the same steps again") ]
