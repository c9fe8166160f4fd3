/// The initial parameters of dense layers.
module FunTrpo.Tests.DenseTests

open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// The weights of a dense layer with this gain, and its parameters.
let private initialCase =
    gen {
        let! inputs = Gen.choose (1, 12)
        let! outputs = Gen.choose (1, 12)
        let! hundredths = Gen.choose (1, 300)
        let! key = key
        return inputs, outputs, float hundredths / 100.0, key
    }

/// Fails unless the rows of the weights (or the columns, where those are fewer) are orthogonal and as long as the gain.
let isOrthogonal inputs outputs gain (parameters: Vector) =
    let weight i j = float parameters[i * outputs + j]

    let fewer, more, element =
        if inputs <= outputs then inputs, outputs, weight else outputs, inputs, (fun i j -> weight j i)

    for a in 0 .. fewer - 1 do
        for b in 0 .. fewer - 1 do
            let product = [ 0 .. more - 1 ] |> List.sumBy (fun i -> element a i * element b i)
            let expected = if a = b then gain * gain else 0.0
            expectClose (1e-6 * gain * gain) product expected $"⟨w{a}, w{b}⟩"

    for j in 0 .. outputs - 1 do
        Expect.equal parameters[inputs * outputs + j] 0f $"bias {j}"

let tests =
    testList
        "initial parameters"
        [ property
              "weights are orthogonal with the gain, and biases are zero"
              initialCase
              (fun (inputs, outputs, gain, key) ->
                  let layer = Dense.withGain gain outputs Activation.Tanh [ inputs ]
                  isOrthogonal inputs outputs gain (layer.Initialise key))
          property
              "the gain of a hidden layer is √2, and that of a linear one 1"
              initialCase
              (fun (inputs, outputs, _, key) ->
                  isOrthogonal
                      inputs
                      outputs
                      (sqrt 2.0)
                      ((Dense.hidden outputs Activation.Relu [ inputs ]).Initialise key)

                  isOrthogonal inputs outputs 1.0 ((Dense.linear outputs [ inputs ]).Initialise key))
          property "free outputs start where they are told" initialCase (fun (inputs, outputs, initial, key) ->
              let layer = Dense.withStateIndependent 1.0 outputs Activation.Identity 3 initial [ inputs ]
              let parameters = layer.Initialise key
              Expect.equal parameters.Length layer.ParameterCount "length"
              let free = parameters.Slice(parameters.Length - 3, 3)
              Expect.equal free (Vector.init 3 (fun _ -> float32 initial)) "free outputs"
              isOrthogonal inputs outputs 1.0 (parameters.Slice(0, parameters.Length - 3)))
          property "another key gives other parameters" initialCase (fun (inputs, outputs, _, key) ->
              // One weight has but two orthogonal values.
              let layer = Dense.linear outputs [ inputs + 1 ]
              Expect.notEqual (layer.Initialise(Key.at 1L key)) (layer.Initialise key) "another key") ]
