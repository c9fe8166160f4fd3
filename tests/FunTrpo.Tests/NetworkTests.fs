module FunTrpo.Tests.NetworkTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

// ---- One layer, with tangents and cotangents of its input as well ----

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

/// What `work` makes of the linearization of a case, which is lent until then. The input's rows are `gap` numbers further
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
let private expectSame (actual: Vector) (expected: Vector) (scale: float) what =
    expectAllClose (3e-5 * (1.0 + scale)) (Vector.toArray actual) (Oracle.floats expected) what

/// Fails unless f (a + 2b) = f a + 2 f b.
let private isLinear f (a: Vector) (b: Vector) what =
    let ofA, ofB: Vector * Vector = f a, f b
    let separately = Vector.addScaled 2.0 ofB ofA
    expectSame (f (Vector.addScaled 2.0 b a)) separately (Vector.norm ofA + Vector.norm ofB) what
    Expect.equal (f (Vector.scale 2.0 a)) (Vector.scale 2.0 ofA) $"%s{what}: twice the argument, to the last bit"

let private expectAdjoint (u: Vector) (jv: Vector) (jtu: Vector) (v: Vector) =
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

let private layers =
    testList
        "layers"
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

// ---- Whole networks ----

type private NetworkCase =
    { Layers: Layers
      Network: Network
      Parameters: Vector
      Observations: Matrix
      Tangent: Vector
      Cotangent: Matrix }

let private networkCaseOf (rows: Gen<int>) =
    gen {
        let! depth = Gen.choose (0, 4)
        let! outputs = Gen.choose (1, 5)
        let! inputs = Gen.choose (1, 5)
        let! layers = layersOf activation depth outputs
        let network = Layers.network inputs layers
        let! rows = rows
        let! parameters = vector 1.0 network.ParameterCount
        let! observations = matrix 1.0 rows inputs
        let! tangent = vector 1.0 network.ParameterCount
        let! cotangent = matrix 1.0 rows outputs

        return
            { Layers = layers
              Network = network
              Parameters = parameters
              Observations = observations
              Tangent = tangent
              Cotangent = cotangent }
    }

let private networkCase = networkCaseOf (Gen.choose (0, 9))

let private linearization case = Network.linearize case.Network case.Parameters case.Observations

let private outputsOf case parameters =
    Array.init case.Observations.Rows (fun row ->
        Oracle.output case.Layers parameters (Oracle.constants (case.Observations.Row(row).ToArray())))
    |> Array.concat

let private networks =
    testList
        "networks"
        [ property "forward and pushforward are those of dual numbers" networkCase (fun case ->
              let v = Oracle.floats case.Tangent

              let expected =
                  outputsOf case (Oracle.along v (Array.zeroCreate v.Length) (Oracle.floats case.Parameters))

              let it = linearization case
              expectAllClose 2e-5 (it.Forward.Span.ToArray()) (expected |> Array.map _.X) "forward"
              let jv = expected |> Array.map _.E1
              let scale = Array.fold (fun largest x -> max largest (abs x)) 1.0 jv
              expectAllClose (3e-5 * scale) ((it.Pushforward case.Tangent).Span.ToArray()) jv "pushforward")
          property "the pullback of u is the gradient of ⟨u, forward⟩ by dual numbers" networkCase (fun case ->
              let u = case.Cotangent.Span.ToArray() |> Oracle.constants

              let expected =
                  Oracle.floats case.Parameters
                  |> Oracle.gradient (fun parameters ->
                      Array.map2 (*) u (outputsOf case parameters) |> Array.fold (+) Oracle.HyperDual.Zero)

              let scale = Array.fold (fun largest x -> max largest (abs x)) 1.0 expected
              let actual = (linearization case).Pullback case.Cotangent
              expectAllClose (3e-5 * scale) (Vector.toArray actual) expected "pullback")
          property "⟨u, Jv⟩ = ⟨Jᵀu, v⟩" networkCase (fun case ->
              let it = linearization case
              let u = Matrix.flatten case.Cotangent
              expectAdjoint u (Matrix.flatten (it.Pushforward case.Tangent)) (it.Pullback case.Cotangent) case.Tangent)
          property
              "a linearization gives the same bits however often and in whatever order it is asked"
              networkCase
              (fun case ->
                  let it = linearization case
                  let forward = it.Forward
                  let pushed, pulled = it.Pushforward case.Tangent, it.Pullback case.Cotangent

                  it.Pullback(Matrix.init case.Observations.Rows case.Network.Outputs (fun _ _ -> nanf)) |> ignore
                  it.Pushforward(Vector.scale -3.0 case.Tangent) |> ignore

                  Expect.equal (it.Pullback case.Cotangent) pulled "pullback"
                  Expect.equal (it.Pushforward case.Tangent) pushed "pushforward"
                  Expect.equal it.Forward forward "forward"
                  Expect.equal (linearization case).Forward forward "forward of another linearization"

                  Expect.equal
                      ((linearization case).Pullback case.Cotangent)
                      pulled
                      "pullback of another linearization")
          property "an observation has the same outputs, bit for bit, whatever the others are" networkCase (fun case ->
              let forward = (linearization case).Forward

              for row in 0 .. case.Observations.Rows - 1 do
                  let alone = Network.forward case.Network case.Parameters (case.Observations.SliceRows(row, 1))
                  Expect.equal alone (forward.SliceRows(row, 1)) $"row {row}")
          property "the pushforward of a row has the same bits, whatever the others are" networkCase (fun case ->
              let tangents = (linearization case).Pushforward case.Tangent

              for row in 0 .. case.Observations.Rows - 1 do
                  use alone = linearization { case with Observations = case.Observations.SliceRows(row, 1) }

                  Expect.equal (alone.Pushforward case.Tangent) (tangents.SliceRows(row, 1)) $"row {row}")
          property "the pullback is the sum of those of the rows, up to rounding" networkCase (fun case ->
              let ofRow row =
                  use alone = linearization { case with Observations = case.Observations.SliceRows(row, 1) }

                  alone.Pullback(case.Cotangent.SliceRows(row, 1))

              let rows = List.init case.Observations.Rows ofRow
              let sum = List.fold (Vector.addScaled 1.0) (Vector.zero case.Tangent.Length) rows
              let scale = rows |> List.sumBy Vector.norm
              expectSame ((linearization case).Pullback case.Cotangent) sum scale "pullback")
          property "a network is the same as its layers one after another" networkCase (fun case ->
              match case.Layers with
              | Then(first, second) ->
                  let inner = Layers.network case.Network.Inputs first
                  let outer = Layers.network inner.Outputs second
                  Expect.equal case.Network.ParameterCount (inner.ParameterCount + outer.ParameterCount) "parameters"
                  let hidden = Network.forward inner (case.Parameters.Slice(0, inner.ParameterCount)) case.Observations
                  let rest = case.Parameters.Slice(inner.ParameterCount, outer.ParameterCount)
                  Expect.equal (linearization case).Forward (Network.forward outer rest hidden) "forward"
              | _ -> ())
          property
              "parameters, observations, tangents and cotangents of another shape are refused"
              networkCase
              (fun case ->
                  let refuses what make = expectRefused what (make >> ignore)
                  let short (v: Vector) = v.Slice(0, v.Length - 1)
                  let long (v: Vector) = Vector.concat [ v; Vector.zero 1 ]

                  if case.Observations.Rows > 0 then
                      let it = linearization case

                      for resized in [ short; long ] do
                          let parameters = resized case.Parameters

                          refuses "a vector of parameters" (fun () ->
                              Network.linearize case.Network parameters case.Observations)

                          refuses "a vector of parameters" (fun () ->
                              Network.forward case.Network parameters case.Observations)

                          refuses "a tangent" (fun () -> it.Pushforward(resized case.Tangent))

                      for more in [ -1; 1 ] do
                          let observations = Matrix.zero case.Observations.Rows (case.Network.Inputs + more)

                          refuses "a block of observations" (fun () ->
                              Network.linearize case.Network case.Parameters observations)

                          refuses "a block of observations" (fun () ->
                              Network.forward case.Network case.Parameters observations)

                          refuses "a cotangent with other rows" (fun () ->
                              it.Pullback(Matrix.zero (case.Observations.Rows + more) case.Network.Outputs))

                          refuses "a cotangent with other columns" (fun () ->
                              it.Pullback(Matrix.zero case.Observations.Rows (case.Network.Outputs + more)))) ]

// ---- Linearizations: threads, curvature, and memory that is lent ----

/// A network whose rows come in every number: parameters, tangents and observations by a key.
let private sized (network: Network) rows seed =
    let numbers name count =
        let key = Key.named name (Key.ofSeed seed)
        Array.init count (fun i -> float32 (2.0 * Key.uniform (Key.at (int64 i) key) - 1.0))

    let matrix name columns =
        let values = numbers name (rows * columns)
        Matrix.init rows columns (fun row column -> values[row * columns + column])

    {| Network = network
       Parameters = Vector.ofArray (numbers "parameters" network.ParameterCount)
       Tangent = Vector.ofArray (numbers "tangent" network.ParameterCount)
       Observations = matrix "observations" network.Inputs
       Cotangent = matrix "cotangent" network.Outputs |}

let private sizedNetworks =

    [ "two hidden layers",
      Network.create 3 (Dense.hidden 21 Activation.Tanh >=> Dense.hidden 9 Activation.Tanh >=> Dense.linear 4),
      Distribution.categorical 4
      "free outputs",
      Network.create 5 (Dense.hidden 17 Activation.Swish >=> Dense.linearWithStateIndependent 1.0 2 2 -0.5),
      Distribution.diagonalGaussian 2
      "one layer", Network.create 2 (Dense.linear 5), Distribution.categoricals [ 2; 3 ] ]

/// Where strips and blocks of rows begin and end.
let private rowCounts = [ 0; 1; 7; 127; 128; 129; 255; 256; 257; 511; 513; 1000; 5000 ]

/// All that the linearization gives, with products of these metrics.
let private everything
    threads
    (it: {| Network: Network; Parameters: Vector; Tangent: Vector; Observations: Matrix; Cotangent: Matrix |})
    metrics
    =
    poisonMemory ()
    use at = Network.linearize (Network.onThreads threads it.Network) it.Parameters it.Observations

    {| Forward = Vector.ofArray (at.Forward.Span.ToArray()) // What is lent would change.
       Alone = Network.forward (Network.onThreads threads it.Network) it.Parameters it.Observations
       Pushforward = at.Pushforward it.Tangent
       Pullback = at.Pullback it.Cotangent
       Curvature = metrics |> List.map (fun metric -> applied (at.Curvature metric) it.Tangent) |}

let private anyNumberOfRows =
    testList
        "any number of rows"
        [ for name, network, family in sizedNetworks do
              test $"%s{name}, for every number of rows" {
                  for rows in rowCounts do
                      let it = sized network rows 3L
                      let metrics = [ Metric.identity; family.Metric ]
                      let one = everything 1 it metrics
                      Expect.equal (Matrix.flatten one.Alone) one.Forward "forward alone"

                      for threads in [ 2; 3; 8 ] do
                          Expect.equal (everything threads it metrics) one $"{rows} rows, {threads} threads"
              } ]

let private curvature =
    let withFamily =
        gen {
            let! case = policyCase
            let! tangent = vector 1.0 case.Parameters.Length
            return case, tangent
        }

    /// M u of each row.
    let metricTimes (metric: Metric) (parameters: Matrix) (u: Matrix) =
        Matrix.Create(
            u.Rows,
            u.Columns,
            Fill(fun product ->
                let factors = Array.create product.Length nanf
                u.Span.CopyTo product
                metric.Factors(u.Rows, u.Columns, parameters.Span, Span factors)
                metric.Apply(u.Rows, u.Columns, ReadOnlySpan factors, product))
        )

    testList
        "curvature"
        [ property
              "v ↦ Σ JᵀM J v is a pushforward, the metric, and a pullback, bit for bit"
              withFamily
              (fun (case, v) ->
                  use at = Network.linearize case.Policy.Network case.Parameters case.Observations

                  for metric in [ case.Policy.Family.Metric; Metric.identity ] do
                      let expected = at.Pushforward v |> metricTimes metric at.Forward |> at.Pullback
                      Expect.equal (applied (at.Curvature metric) v) expected "product")
          property "in the metric of values it is Σ JᵀJ v by dual numbers" networkCase (fun case ->
              use at = linearization case
              let v = Oracle.floats case.Tangent
              let theta = Oracle.floats case.Parameters
              let jv = outputsOf case (Oracle.along v (Array.zeroCreate v.Length) theta) |> Array.map _.E1

              let expected =
                  theta
                  |> Oracle.gradient (fun parameters ->
                      Array.map2 (fun jv y -> Oracle.constant jv * y) jv (outputsOf case parameters)
                      |> Array.fold (+) Oracle.HyperDual.Zero)

              let scale = expected |> Array.fold (fun largest x -> max largest (abs x)) 1.0
              let actual = applied (at.Curvature Metric.identity) case.Tangent
              expectAllClose (3e-5 * scale) (Vector.toArray actual) expected "JᵀJ v")
          property "products of several metrics do not disturb each other" withFamily (fun (case, v) ->
              use at = Network.linearize case.Policy.Network case.Parameters case.Observations
              let ofFamily = at.Curvature case.Policy.Family.Metric
              let before = applied ofFamily v
              let ofValues = at.Curvature Metric.identity
              applied ofValues (Vector.scale -2.0 v) |> ignore
              Expect.equal (applied ofFamily v) before "product")
          property "the product may take the place of the vector" withFamily (fun (case, v) ->
              use at = Network.linearize case.Policy.Network case.Parameters case.Observations
              let product = at.Curvature case.Policy.Family.Metric
              let memory = (Vector.toArray v).AsMemory()
              product (Vector(Memory.op_Implicit memory)) memory
              Expect.equal (Vector(Memory.op_Implicit memory)) (applied product v) "product")
          property "a product of another length is refused" withFamily (fun (case, v) ->
              use at = Network.linearize case.Policy.Network case.Parameters case.Observations
              let product = at.Curvature case.Policy.Family.Metric

              for count in [ v.Length - 1; v.Length + 1 ] do
                  expectRefused "a product" (fun () -> product v (Array.zeroCreate<float32>(count).AsMemory()))

                  expectRefused "a vector" (fun () ->
                      product (Vector.zero count) (Array.zeroCreate<float32>(v.Length).AsMemory()))) ]

/// Fails unless each of these is refused for the memory that has been given back.
let private areEnded (uses: (string * (unit -> unit)) list) =
    for what, attempt in uses do
        Expect.throwsT<ObjectDisposedException> attempt what

let private lending =
    testList
        "memory that is lent"
        [ property "what the memory held before changes no bit" networkCase (fun case ->
              let results () =
                  use it = linearization case

                  it.Forward.Span.ToArray() |> bitsOf,
                  it.Pushforward case.Tangent,
                  it.Pullback case.Cotangent,
                  applied (it.Curvature Metric.identity) case.Tangent

              let before = results ()
              poisonMemory ()
              Expect.equal (results ()) before "results")
          property
              "a linearization that has been given back refuses, also when its memory is lent anew"
              networkCase
              (fun case ->
                  let it = linearization case
                  let product = it.Curvature Metric.identity
                  (it :> IDisposable).Dispose()

                  let refusesAll () =
                      areEnded
                          [ "forward", (fun () -> it.Forward |> ignore)
                            "pushforward", (fun () -> it.Pushforward case.Tangent |> ignore)
                            "pullback", (fun () -> it.Pullback case.Cotangent |> ignore)
                            "curvature", (fun () -> it.Curvature Metric.identity |> ignore)
                            "a product", (fun () -> applied product case.Tangent |> ignore) ]

                  refusesAll ()
                  use other = linearization case
                  refusesAll ()

                  // To give it back twice is harmless to the other.
                  let expected = other.Pullback case.Cotangent
                  (it :> IDisposable).Dispose()
                  poisonMemory ()
                  Expect.equal (other.Pullback case.Cotangent) expected "the other")
          property "a network that has been given back refuses" networkCase (fun case ->
              let outputs = Array.zeroCreate<float32>(case.Observations.Rows * case.Network.Outputs).AsMemory()
              let it = Network.at case.Network case.Parameters
              (it :> IDisposable).Dispose()
              use other = Network.at case.Network case.Parameters
              areEnded [ "forward", (fun () -> it.Forward(case.Observations.Memory, outputs)) ]
              other.Forward(case.Observations.Memory, outputs)
              let expected = Network.forward case.Network case.Parameters case.Observations
              let actual = Matrix(case.Observations.Rows, case.Network.Outputs, Memory.op_Implicit outputs)
              Expect.equal actual expected "the other")
          property "a network refuses parts of rows, and too few outputs" networkCase (fun case ->
              use it = Network.at case.Network case.Parameters
              let rows, inputs, outputs = case.Observations.Rows + 1, case.Network.Inputs, case.Network.Outputs
              let numbers count = Array.zeroCreate<float32>(count).AsMemory()
              let forward observations results = it.Forward(Memory.op_Implicit (numbers observations), numbers results)
              forward (rows * inputs) (rows * outputs)
              expectRefused "outputs" (fun () -> forward (rows * inputs) (rows * outputs - 1))

              if inputs > 1 then
                  expectRefused "observations" (fun () -> forward (rows * inputs - 1) (rows * outputs)))
          testCase "several threads may use a network at a time, and each has its own results" (fun () ->
              let _, network, _ = sizedNetworks.Head
              let it = sized network 600 9L
              use at = Network.at (Network.onThreads 2 network) it.Parameters
              let expected = Network.forward network it.Parameters it.Observations
              let failures = Collections.Concurrent.ConcurrentBag<int>()

              let work count () =
                  for _ in 1..20 do
                      let outputs = Array.create (count * network.Outputs) nanf
                      at.Forward((it.Observations.SliceRows(0, count)).Memory, outputs.AsMemory())

                      if Vector.ofArray outputs <> Matrix.flatten (expected.SliceRows(0, count)) then
                          failures.Add count

              let threads = [ 1; 100; 300; 600 ] |> List.map (fun count -> Threading.Thread(work count))

              for thread in threads do
                  thread.Start()

              for thread in threads do
                  thread.Join()

              Expect.isEmpty failures "failures") ]

// ---- Initial parameters ----

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
let private isOrthogonal inputs outputs gain (parameters: Vector) =
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
        "a layer of one's own"
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
                  Expect.equal (Network.forward network parameters observations) linearization.Forward "forward"

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

let private initialisation =
    testList
        "initial parameters"
        [ property
              "weights are orthogonal with the gain, and biases are zero"
              initialCase
              (fun (inputs, outputs, gain, key) ->
                  let layer = Dense.withGain gain outputs Activation.Tanh inputs
                  isOrthogonal inputs outputs gain (layer.Initialise key))
          property
              "the gain of a hidden layer is √2, and that of a linear one 1"
              initialCase
              (fun (inputs, outputs, _, key) ->
                  isOrthogonal inputs outputs (sqrt 2.0) ((Dense.hidden outputs Activation.Relu inputs).Initialise key)
                  isOrthogonal inputs outputs 1.0 ((Dense.linear outputs inputs).Initialise key))
          property "free outputs start where they are told" initialCase (fun (inputs, outputs, initial, key) ->
              let layer = Dense.linearWithStateIndependent 1.0 outputs 3 initial inputs
              let parameters = layer.Initialise key
              Expect.equal parameters.Length layer.ParameterCount "length"
              let free = parameters.Slice(parameters.Length - 3, 3)
              Expect.equal free (Vector.init 3 (fun _ -> float32 initial)) "free outputs"
              isOrthogonal inputs outputs 1.0 (parameters.Slice(0, parameters.Length - 3)))
          property "the same key gives the same parameters" (Gen.zip networkCase key) (fun (case, key) ->
              let initial = case.Network.Initialise key
              Expect.equal initial.Length case.Network.ParameterCount "length"
              Expect.isTrue (Vector.isFinite initial) "finite"
              Expect.equal (case.Network.Initialise key) initial "the same key")
          property "another key gives other parameters" initialCase (fun (inputs, outputs, _, key) ->
              // One weight has but two orthogonal values.
              let layer = Dense.linear outputs (inputs + 1)
              Expect.notEqual (layer.Initialise(Key.at 1L key)) (layer.Initialise key) "another key")
          property
              "layers of the same shape start with different weights"
              (Gen.zip (Gen.choose (2, 9)) key)
              (fun (units, key) ->
                  let dense = Dense.hidden units Activation.Tanh
                  let layer = (dense >=> dense >=> dense) units
                  let parameters = layer.Initialise key
                  let each = parameters.Length / 3
                  let weights = [ for i in 0..2 -> parameters.Slice(i * each, each) ]
                  weights |> List.iter (isOrthogonal units units (sqrt 2.0))
                  Expect.equal (List.length (List.distinct weights)) 3 "distinct")
          property
              "a policy's network is its architecture's, with small output weights and, on a box, free log σ"
              (gen {
                  let! architecture = architecture
                  let! space = actionSpace
                  let! inputs = Gen.choose (1, 5)
                  let! key = key
                  return architecture, space, inputs, key
              })
              (fun (architecture, space, inputs, key) ->
                  let policy = Policy.create architecture -0.75 (numbersOf inputs) space
                  let parameters = policy.Network.Initialise key
                  let width = policy.Family.ParameterWidth
                  Expect.equal policy.Network.Outputs width "outputs"

                  let free =
                      match space with
                      | Box(low, _) -> low.Length
                      | _ -> 0

                  let layers = Layers.ofArchitecture (LinearThenStateIndependent(width - free, free)) architecture

                  let observations =
                      Matrix.init 4 inputs (fun row column ->
                          float32 (Key.normal (Key.at (int64 (9 * row + column)) key)))

                  let expected =
                      Array.init 4 (fun row ->
                          Oracle.output
                              layers
                              (Oracle.constants (Vector.toArray parameters))
                              (Oracle.constants (observations.Row(row).ToArray())))
                      |> Array.concat
                      |> Array.map _.X

                  let forward = Network.forward policy.Network parameters observations
                  expectAllClose 1e-5 (forward.Span.ToArray()) expected "forward"

                  let hidden = if architecture.IsEmpty then inputs else List.last (Architecture.units architecture)
                  let outputWeights = (hidden + 1) * (width - free)
                  let output = parameters.Slice(parameters.Length - free - outputWeights, outputWeights)
                  isOrthogonal hidden (width - free) 0.01 output
                  let tail = parameters.Slice(parameters.Length - free, free)
                  Expect.equal tail (Vector.init free (fun _ -> -0.75f)) "log σ") ]

/// Every k-th of the rows, gathered, for the test below.
let private gathered =
    property
        "gathered observations have the gathered outputs, bit for bit"
        (Gen.zip networkCase (Gen.choose (1, 4)))
        (fun (case, step) ->
            let rows = ImmutableArray.CreateRange [ 0..step .. case.Observations.Rows - 1 ]
            let some = Network.forward case.Network case.Parameters (Matrix.gather rows case.Observations)
            Expect.equal some (Matrix.gather rows (linearization case).Forward) "forward")

let tests =
    testList "networks" [ layers; contract; networks; gathered; curvature; lending; initialisation ]

/// What does not depend on the vectors of the processor.
let threads =
    testList
        "the number of threads changes no bit"
        [ anyNumberOfRows
          test "more parameters than there is room for the sums of many blocks" {
              let it = sized (Network.create 300 (Dense.linear 7000)) 300 5L

              let pullback threads =
                  use at = Network.linearize (Network.onThreads threads it.Network) it.Parameters it.Observations
                  at.Pullback it.Cotangent

              Expect.equal (pullback 4) (pullback 1) "pullback"
          } ]
