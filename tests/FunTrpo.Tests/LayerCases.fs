/// Layers of every kind at random parameters and inputs, with their outputs and derivatives.
module internal FunTrpo.Tests.LayerCases

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// Fails unless two vectors differ by at most a few roundings at the scale of their numbers.
let expectSame (actual: Vector) (expected: Vector) (scale: float) what =
    expectAllClose (3e-5 * (1.0 + scale)) (Vector.toArray actual) (Oracle.floats expected) what

/// Fails unless ⟨u, Jv⟩ = ⟨Jᵀu, v⟩, up to a few roundings.
let expectAdjoint (u: Vector) (jv: Vector) (jtu: Vector) (v: Vector) =
    let scale = Vector.norm u * Vector.norm jv + Vector.norm jtu * Vector.norm v
    expectClose (1e-5 * (1.0 + scale)) (Vector.dot u jv) (Vector.dot jtu v) "⟨u, Jv⟩ = ⟨Jᵀu, v⟩"

// ---- Packed layers ----

/// A layer at parameters and an input, and two tangents of each, and two cotangents of the output.
type LayerCase =
    { Layers: Layers
      Layer: PackedLayer
      Parameters: Vector
      Input: Matrix
      InputTangents: Vector * Vector
      ParameterTangents: Vector * Vector
      Cotangents: Vector * Vector }

let pair gen = Gen.zip gen gen

let layerCase (layers: Gen<Layers>) =
    gen {
        let! layers = layers
        let! inputs = Layers.inputs layers
        let layer = Layers.builder layers [ inputs ] |> PackedLayer.ofLayer
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

/// Each kind of layer, and stacks of them.
let kinds =
    [ for activation in Enum.GetValues<Activation>() do
          $"dense {activation}", Gen.choose (1, 20) |> Gen.map (fun outputs -> Dense(outputs, activation))
      "linear with free outputs",
      gen {
          let! outputs = Gen.choose (1, 5)
          let! free = Gen.choose (1, 5)
          return LinearThenStateIndependent(outputs, free)
      }
      for activation in Enum.GetValues<Activation>() do
          $"convolution {activation}", pictures (convolution filters (Gen.constant activation))
      "maximum", pictures (pool Max)
      "average", pictures (pool Average)
      "layer normalisation", Gen.map (fun shape -> Reading(shape, Normalised)) (pictureShape 6)
      "stacks for pictures", Gen.choose (1, 5) |> Gen.bind (pictureLayers activation [ Max; Average ])
      "layers side by side",
      (let part =
          Gen.oneof
              [ pictures (pool Average)
                pictures (convolution filters activation)
                Gen.map2
                    (fun inputs outputs -> Reading([ inputs ], Dense(outputs, Activation.Tanh)))
                    (Gen.choose (1, 20))
                    (Gen.choose (1, 20)) ]

       Gen.choose (1, 3)
       |> Gen.bind (fun count -> Gen.listOfLength count part)
       |> Gen.map (
           List.map (fun layers ->
               match layers with
               | Reading(shape, _) -> shape, layers
               | other -> failwith $"%A{other}")
           >> SideBySide
       ))
      "compositions",
      gen {
          let! depth = Gen.choose (1, 4)
          let! outputs = Gen.choose (1, 5)
          return! layersOf activation depth outputs
      } ]

/// What `work` makes of the linearization of a case, which is disposed of afterwards. The input's rows are `gap` numbers further
/// apart than they need to be, and NaN lies between them.
let linearized gap (case: LayerCase) (work: int -> PackedLinearization -> 'Result) =
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
let compact rows width (padded: float32[]) =
    let values = Array.zeroCreate<float32>(rows * width)
    PaddedRows.Unpad(rows, width, ReadOnlySpan padded, Span values)
    Vector.ofArray values

let output case = linearized 0 case (fun _ it -> compact case.Input.Rows case.Layer.Outputs (it.Output.ToArray()))

let pushforwardWith gap case (inputTangent: Vector, parameterTangent: Vector) =
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

let pushforward case tangents = pushforwardWith 0 case tangents

/// The cotangents of the input, where it is wanted, and of the parameters. That of the input is multiplied by the derivatives of the
/// layer below.
let pullbackBelow below gap isInputWanted case (cotangent: Vector) =
    linearized gap case (fun _ it ->
        let rows, inputs = case.Input.Rows, case.Layer.Inputs
        let ofOutput = Array.create (rows * case.Layer.Stride) nanf
        PaddedRows.Pad(rows, case.Layer.Outputs, cotangent.Span, Span ofOutput)
        let ofInput = Array.create (if isInputWanted then rows * Lanes.Pad inputs else 0) nanf
        let packed = Array.zeroCreate<float32> case.Layer.PackedCount
        it.ActivationDerivatives.Multiply(Span ofOutput)
        it.Pullback(ReadOnlySpan ofOutput, below, Span ofInput, Span packed)
        let ofParameters = Array.create case.Layer.ParameterCount nanf
        case.Layer.Unpack(ReadOnlySpan packed, Span ofParameters)
        (if isInputWanted then compact rows inputs ofInput else Vector.empty), Vector.ofArray ofParameters)

/// The cotangents of the input, where it is wanted, and of the parameters.
let pullbackWith gap isInputWanted case cotangent =
    pullbackBelow ActivationDerivatives.One gap isInputWanted case cotangent

let pullback case cotangent =
    let ofInput, ofParameters = pullbackWith 0 true case cotangent
    Vector.concat [ ofInput; ofParameters ]

let firstTangents case = fst case.InputTangents, fst case.ParameterTangents

let secondTangents case = snd case.InputTangents, snd case.ParameterTangents

// ---- The plain contract ----

/// What a layer is evaluated at: rows of input, parameters, tangents of both, and a cotangent of the output.
type Evaluation =
    { Rows: int
      Parameters: Vector
      Input: Vector
      InputTangent: Vector
      ParameterTangent: Vector
      OutputCotangent: Vector }

let evaluations (layer: Layer) =
    gen {
        let! rows = Gen.choose (1, 7)
        let! parameters = vector 1.0 layer.ParameterCount
        let! input = vector 1.0 (rows * layer.Inputs)
        let! inputTangent = vector 1.0 (rows * layer.Inputs)
        let! parameterTangent = vector 1.0 layer.ParameterCount
        let! outputCotangent = vector 1.0 (rows * layer.Outputs)

        return
            { Rows = rows
              Parameters = parameters
              Input = input
              InputTangent = inputTangent
              ParameterTangent = parameterTangent
              OutputCotangent = outputCotangent }
    }

/// The output and the derivatives of a layer, by the methods of its contract alone.
module Contract =

    let private unwritten length = Array.create length nanf

    let forward (layer: Layer) (parameters: Vector) rows (input: Vector) =
        let output = unwritten (rows * layer.Outputs)
        layer.Forward(parameters.Span, rows, input.Span, Span output)
        Vector.ofArray output

    let pushforward
        (layer: Layer)
        (parameters: Vector)
        rows
        (input: Vector)
        (inputTangent: Vector)
        (parameterTangent: Vector)
        =
        let tangent = unwritten (rows * layer.Outputs)
        layer.Pushforward(parameters.Span, rows, input.Span, inputTangent.Span, parameterTangent.Span, Span tangent)
        Vector.ofArray tangent

    /// The input cotangent, and the parameter cotangent on top of `before`.
    let pullbackOnTop
        (before: Vector)
        (layer: Layer)
        (parameters: Vector)
        rows
        (input: Vector)
        (outputCotangent: Vector)
        =
        let ofInput = unwritten (rows * layer.Inputs)
        let ofParameters = Vector.toArray before
        layer.Pullback(parameters.Span, rows, input.Span, outputCotangent.Span, Span ofInput, Span ofParameters)
        Vector.ofArray ofInput, Vector.ofArray ofParameters

    /// The cotangents of the input and of the parameters.
    let pullback (layer: Layer) = pullbackOnTop (Vector.zero layer.ParameterCount) layer

    /// All of it.
    let evaluate layer at =
        let inputCotangent, parameterCotangent =
            pullback layer at.Parameters at.Rows at.Input at.OutputCotangent

        {| Output = forward layer at.Parameters at.Rows at.Input
           OutputTangent = pushforward layer at.Parameters at.Rows at.Input at.InputTangent at.ParameterTangent
           InputCotangent = inputCotangent
           ParameterCotangent = parameterCotangent |}

/// The same case for the contract, with its first tangents and its first cotangent.
let evaluationOf (case: LayerCase) =
    { Rows = case.Input.Rows
      Parameters = case.Parameters
      Input = Matrix.flatten case.Input
      InputTangent = fst case.InputTangents
      ParameterTangent = fst case.ParameterTangents
      OutputCotangent = fst case.Cotangents }
