/// Each layer and composition of layers, with tangents and cotangents of its input as well; and a layer of the user's own.
module FunTrpo.Tests.LayerTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// A layer at parameters and an input, and two tangents of each, and two cotangents of the output.
type private LayerCase =
    { Layers: Layers
      Layer: PackedLayer
      Parameters: Vector
      Input: Matrix
      InputTangents: Vector * Vector
      ParameterTangents: Vector * Vector
      Cotangents: Vector * Vector }

let private pair gen = Gen.zip gen gen

let private layerCase (layers: Gen<Layers>) =
    gen {
        let! layers = layers
        let! inputs = Gen.choose (1, 5)
        let layer = Layers.builder layers inputs |> PackedLayer.ofLayer
        let! rows = Gen.choose (1, 7)
        let! parameters = vector 1.0 layer.ParameterCount
        let! input = matrix 1.0 rows inputs
        let! inputTangents = pair (vector 1.0 (rows * inputs))
        let! parameterTangents = pair (vector 1.0 layer.ParameterCount)
        let! cotangents = pair (vector 1.0 (rows * layer.Outputs))

        return
            { Layers = layers
              Layer = layer
              Parameters = parameters
              Input = input
              InputTangents = inputTangents
              ParameterTangents = parameterTangents
              Cotangents = cotangents }
    }

/// What `work` makes of the linearization of a case, which is disposed of afterwards. The input's rows are `gap` numbers further
/// apart than they need to be, and NaN lies between them.
let private linearized gap (case: LayerCase) (work: int -> PackedLinearization -> 'Result) =
    let inputs = case.Layer.Inputs
    let stride = inputs + gap
    let input = Array.create (case.Input.Rows * stride) nanf
    PaddedRows.Pad(case.Input.Rows, inputs, case.Input.Span, Span input)

    for row in 0 .. case.Input.Rows - 1 do
        Array.fill input (row * stride + inputs) gap nanf

    use packed = PooledBuffer.Rent case.Layer.PackedCount
    case.Layer.Pack(case.Parameters.Span, packed.Span)
    use at = case.Layer.At(Memory.op_Implicit packed.Memory)
    use linearization = at.Linearize(case.Input.Rows, ReadOnlyMemory input, stride)
    work stride linearization

/// The rows without what lies between them.
let private compact rows width (padded: float32[]) =
    let values = Array.zeroCreate<float32>(rows * width)
    PaddedRows.Unpad(rows, width, ReadOnlySpan padded, Span values)
    Vector.ofArray values

let private output case =
    linearized 0 case (fun _ it -> compact case.Input.Rows case.Layer.Outputs (it.Output.ToArray()))

let private pushforwardWith gap case (inputTangent: Vector, parameterTangent: Vector) =
    linearized gap case (fun stride it ->
        let rows = case.Input.Rows
        let input = Array.create (if inputTangent.Length = 0 then 0 else rows * stride) nanf

        if inputTangent.Length > 0 then
            PaddedRows.Pad(rows, case.Layer.Inputs, inputTangent.Span, Span input)

        use packed = PooledBuffer.Rent case.Layer.PackedCount
        case.Layer.Pack(parameterTangent.Span, packed.Span)
        let tangent = Array.create (rows * case.Layer.Stride) nanf
        it.Pushforward(ReadOnlySpan input, Span.op_Implicit packed.Span, Span tangent)
        compact rows case.Layer.Outputs tangent)

let private pushforward case tangents = pushforwardWith 0 case tangents

/// The cotangents of the input, where it is wanted, and of the parameters.
let private pullbackWith gap isInputWanted case (cotangent: Vector) =
    linearized gap case (fun _ it ->
        let rows, inputs = case.Input.Rows, case.Layer.Inputs
        let ofOutput = Array.create (rows * case.Layer.Stride) nanf
        PaddedRows.Pad(rows, case.Layer.Outputs, cotangent.Span, Span ofOutput)
        let ofInput = Array.create (if isInputWanted then rows * Lanes.Pad inputs else 0) nanf
        let packed = Array.zeroCreate<float32> case.Layer.PackedCount
        it.ActivationDerivatives.Multiply(Span ofOutput)
        it.Pullback(ReadOnlySpan ofOutput, ActivationDerivatives.One, Span ofInput, Span packed)
        let ofParameters = Array.create case.Layer.ParameterCount nanf
        case.Layer.Unpack(ReadOnlySpan packed, Span ofParameters)
        (if isInputWanted then compact rows inputs ofInput else Vector.empty), Vector.ofArray ofParameters)

let private pullback case cotangent =
    let ofInput, ofParameters = pullbackWith 0 true case cotangent
    Vector.concat [ ofInput; ofParameters ]

let private firstTangents case = fst case.InputTangents, fst case.ParameterTangents

let private secondTangents case = snd case.InputTangents, snd case.ParameterTangents

/// Fails unless two vectors differ by at most a few roundings at the scale of their numbers.
let expectSame (actual: Vector) (expected: Vector) (scale: float) what =
    expectAllClose (3e-5 * (1.0 + scale)) (Vector.toArray actual) (Oracle.floats expected) what

/// Fails unless f (a + 2b) = f a + 2 f b.
let private isLinear f (a: Vector) (b: Vector) what =
    let ofA, ofB: Vector * Vector = f a, f b
    let separately = Vector.addScaled 2.0 ofB ofA
    expectSame (f (Vector.addScaled 2.0 b a)) separately (Vector.norm ofA + Vector.norm ofB) what
    Expect.equal (f (Vector.scale 2.0 a)) (Vector.scale 2.0 ofA) $"%s{what}: twice the argument, to the last bit"

/// Fails unless ⟨u, Jv⟩ = ⟨Jᵀu, v⟩, up to a few roundings.
let expectAdjoint (u: Vector) (jv: Vector) (jtu: Vector) (v: Vector) =
    let scale = Vector.norm u * Vector.norm jv + Vector.norm jtu * Vector.norm v
    expectClose (1e-5 * (1.0 + scale)) (Vector.dot u jv) (Vector.dot jtu v) "⟨u, Jv⟩ = ⟨Jᵀu, v⟩"

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
          property
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

              expectAllClose 2e-5 (Vector.toArray (output case)) (expected |> Array.map _.X) "output"
              let jv = expected |> Array.map _.E1
              let scale = jv |> Array.map abs |> Array.max
              expectAllClose (2e-5 * (1.0 + scale)) (Vector.toArray (pushforward case (firstTangents case))) jv "ẏ") ]

let private everyLayer =
    testList
        "each kind"
        [ for activation in Enum.GetValues<Activation>() do
              ofLayer $"dense {activation}" (Gen.choose (1, 20) |> Gen.map (fun outputs -> Dense(outputs, activation)))
          ofLayer
              "linear with free outputs"
              (gen {
                  let! outputs = Gen.choose (1, 5)
                  let! free = Gen.choose (1, 5)
                  return LinearThenStateIndependent(outputs, free)
              })
          ofLayer
              "compositions"
              (gen {
                  let! depth = Gen.choose (1, 4)
                  let! outputs = Gen.choose (1, 5)
                  return! layersOf activation depth outputs
              }) ]

// ---- The contract ----

/// y = a ∘ x + b, written from the contract alone: the parameters are a and then b.
let private scaleAndShift: LayerBuilder =
    fun width ->
        { new Layer with
            member _.Inputs = width
            member _.Outputs = width
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

                  let network = Network.create inputs builder
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
