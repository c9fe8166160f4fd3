/// Each layer and composition of layers, with tangents and cotangents of its input as well; and a layer of the user's own.
module FunTrpo.Tests.LayerTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators
open FunTrpo.Tests.LayerCases

/// Fails unless f (a + 2b) = f a + 2 f b.
let private isLinear f (a: Vector) (b: Vector) what =
    let ofA, ofB: Vector * Vector = f a, f b
    let separately = Vector.addScaled 2.0 ofB ofA
    expectSame (f (Vector.addScaled 2.0 b a)) separately (Vector.norm ofA + Vector.norm ofB) what
    Expect.equal (f (Vector.scale 2.0 a)) (Vector.scale 2.0 ofA) $"%s{what}: twice the argument, to the last bit"

let private ofLayer name layers =
    let case = layerCase layers

    let joined (inputTangent, parameterTangent) = Vector.concat [ inputTangent; parameterTangent ]

    testList
        name
        [ property "the pushforward is linear in (input tangent, parameter tangent)" case (fun case ->
              let inputs = case.Input.Span.Length

              let ofBoth (both: Vector) =
                  pushforward case (both.Slice(0, inputs), both.Slice(inputs, both.Length - inputs))

              isLinear ofBoth (joined (firstTangents case)) (joined (secondTangents case)) "pushforward")
          property "the pullback is linear in the cotangent" case (fun case ->
              isLinear (pullback case) (fst case.Cotangents) (snd case.Cotangents) "pullback")
          property "⟨u, J(ẋ, θ̇)⟩ = ⟨Jᵀu, (ẋ, θ̇)⟩" case (fun case ->
              let u = fst case.Cotangents
              let tangents = firstTangents case
              expectAdjoint u (pushforward case tangents) (pullback case u) (joined tangents))
          property "an empty input tangent is zero, and an empty input cotangent is not missed" case (fun case ->
              let zero = Vector.zero case.Input.Span.Length
              let ofParameters = snd (firstTangents case)
              let withZero = pushforward case (zero, ofParameters)

              expectAllClose
                  0.0
                  (Vector.toArray (pushforward case (Vector.empty, ofParameters)))
                  (Oracle.floats withZero)
                  "ẏ"

              let u = fst case.Cotangents
              let _, both = pullbackWith 0 true case u
              let _, alone = pullbackWith 0 false case u
              Expect.equal alone both "the cotangent of the parameters")
          property "output and pushforward are those of dual numbers" case (fun case ->
              let inputTangent, parameterTangent = firstTangents case
              let zeros (values: float[]) = Array.zeroCreate<float> values.Length

              let dual tangent values = Oracle.along (Oracle.floats tangent) (zeros (Oracle.floats tangent)) values

              let parameters = dual parameterTangent (Oracle.floats case.Parameters)

              let expected =
                  Array.init case.Input.Rows (fun row ->
                      let slice = inputTangent.Slice(row * case.Layer.Inputs, case.Layer.Inputs)
                      let input = case.Input.Row(row).ToArray() |> Array.map float
                      Oracle.output case.Layers parameters (dual slice input))
                  |> Array.concat

              let outputs = expected |> Array.map _.X
              let size = outputs |> Array.map abs |> Array.max
              expectAllClose (2e-5 * max 1.0 size) (Vector.toArray (output case)) outputs "output"
              let jv = expected |> Array.map _.E1
              let scale = jv |> Array.map abs |> Array.max
              expectAllClose (2e-5 * (1.0 + scale)) (Vector.toArray (pushforward case (firstTangents case))) jv "ẏ") ]

let private everyLayer = testList "each kind" [ for name, layers in kinds -> ofLayer name layers ]

// ---- The contract ----

/// y = a ∘ x + b, written from the contract alone: the parameters are a and then b.
let private scaleAndShift: LayerBuilder =
    fun shape ->
        let width = ArrayShape.length shape

        { new Layer with
            member _.InputShape = shape
            member _.OutputShape = shape
            member _.ParameterCount = 2 * width
            member _.Initialise _ = Vector.init (2 * width) (fun i -> if i < width then 1f else 0f)

            member _.Forward(parameters, rows, input, output) =
                for i in 0 .. rows * width - 1 do
                    output[i] <- parameters[i % width] * input[i] + parameters[width + i % width]

            member _.Pushforward(parameters, rows, input, inputTangent, parameterTangent, outputTangent) =
                for i in 0 .. rows * width - 1 do
                    let ofInput = if inputTangent.IsEmpty then 0f else parameters[i % width] * inputTangent[i]

                    outputTangent[i] <-
                        ofInput + parameterTangent[i % width] * input[i] + parameterTangent[width + i % width]

            member _.Pullback(parameters, rows, input, outputCotangent, inputCotangent, parameterCotangent) =
                for i in 0 .. rows * width - 1 do
                    if not inputCotangent.IsEmpty then
                        inputCotangent[i] <- parameters[i % width] * outputCotangent[i]

                    parameterCotangent[i % width] <- parameterCotangent[i % width] + input[i] * outputCotangent[i]
                    parameterCotangent[width + i % width] <- parameterCotangent[width + i % width] + outputCotangent[i] }

let private contract =
    testList
        "a user's own layer"
        [ property
              "written from the contract alone works before, between and after others"
              (gen {
                  let! inputs = Gen.choose (1, 9)
                  let! rows = Gen.choose (1, 300)
                  let! place = Gen.choose (0, 2)

                  let hidden, output = Dense.hidden 7 Activation.Tanh, Dense.linear 3

                  let builder =
                      match place with
                      | 0 -> scaleAndShift >=> hidden >=> output
                      | 1 -> hidden >=> scaleAndShift >=> output
                      | _ -> hidden >=> output >=> scaleAndShift

                  let network = Network.create [ inputs ] builder
                  let! parameters = vector 1.0 network.ParameterCount
                  let! tangent = vector 1.0 network.ParameterCount
                  let! cotangents = matrix 1.0 rows 3
                  let! observations = matrix 1.0 rows inputs
                  return network, parameters, tangent, cotangents, observations
              })
              (fun (network, parameters, tangent, cotangents, observations) ->
                  use linearization = Network.linearize network parameters observations
                  Expect.equal (Network.forward network parameters observations) linearization.Outputs "forward"

                  // J v against a difference quotient of the outputs.
                  let at step = Network.forward network (Vector.addScaled step tangent parameters) observations
                  let pushed = linearization.Pushforward tangent
                  let ahead, behind = at 1e-2, at -1e-2

                  for row in 0 .. observations.Rows - 1 do
                      for column in 0..2 do
                          let quotient = (float ahead[row, column] - float behind[row, column]) / 2e-2
                          let expected = float pushed[row, column]
                          Expect.isLessThan (abs (quotient - expected)) (2e-2 * (1.0 + abs expected)) "J v"

                  // ⟨u, J v⟩ = ⟨Jᵀu, v⟩
                  let left =
                      Seq.fold2
                          (fun sum u v -> sum + float u * float v)
                          0.0
                          (cotangents.Span.ToArray())
                          (pushed.Span.ToArray())

                  let right = Vector.dot (linearization.Pullback cotangents) tangent
                  Expect.isLessThan (abs (left - right)) (1e-3 * (1.0 + abs left)) "the transpose") ]

let tests = testList "layers" [ everyLayer; contract ]
