/// Linearizations of whole networks: threads, curvature, and memory.
module FunTrpo.Tests.LinearizationTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators
open FunTrpo.Tests.NetworkTests

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
      Network.create [ 3 ] (Dense.hidden 21 Activation.Tanh >=> Dense.hidden 9 Activation.Tanh >=> Dense.linear 4),
      Distribution.categorical 4
      "free outputs",
      Network.create
          [ 5 ]
          (Dense.hidden 17 Activation.Swish >=> Dense.withStateIndependent 1.0 2 Activation.Identity 2 -0.5),
      Distribution.diagonalGaussian 2
      "one layer", Network.create [ 2 ] (Dense.linear 5), Distribution.categoricals [ 2; 3 ] ]

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

    {| Forward = Vector.ofArray (at.Outputs.Span.ToArray()) // Its memory will be used again.
       Alone = Network.forward (Network.onThreads threads it.Network) it.Parameters it.Observations
       Pushforward = at.Pushforward it.Tangent
       Pullback = at.Pullback it.Cotangent
       PullbackInputs = at.PullbackInputs it.Cotangent
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
                      let expected = at.Pushforward v |> metricTimes metric at.Outputs |> at.Pullback
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

/// Fails unless each of these is refused for memory that has been disposed of.
let private areEnded (uses: (string * (unit -> unit)) list) =
    for what, attempt in uses do
        Expect.throwsT<ObjectDisposedException> attempt what

let private memory =
    testList
        "memory"
        [ property "what the memory held before changes no bit" networkCase (fun case ->
              let results () =
                  use it = linearization case

                  it.Outputs.Span.ToArray() |> bitsOf,
                  it.Pushforward case.Tangent,
                  it.Pullback case.Cotangent,
                  applied (it.Curvature Metric.identity) case.Tangent

              let before = results ()
              poisonMemory ()
              Expect.equal (results ()) before "results")
          property
              "a linearization that has been disposed of refuses, also when another one has its memory"
              networkCase
              (fun case ->
                  let it = linearization case
                  let product = it.Curvature Metric.identity
                  (it :> IDisposable).Dispose()

                  let refusesAll () =
                      areEnded
                          [ "forward", (fun () -> it.Outputs |> ignore)
                            "pushforward", (fun () -> it.Pushforward case.Tangent |> ignore)
                            "pullback", (fun () -> it.Pullback case.Cotangent |> ignore)
                            "curvature", (fun () -> it.Curvature Metric.identity |> ignore)
                            "a product", (fun () -> applied product case.Tangent |> ignore) ]

                  refusesAll ()
                  use other = linearization case
                  refusesAll ()

                  // To dispose of it twice does the other no harm.
                  let expected = other.Pullback case.Cotangent
                  (it :> IDisposable).Dispose()
                  poisonMemory ()
                  Expect.equal (other.Pullback case.Cotangent) expected "the other")
          property "a network that has been disposed of refuses" networkCase (fun case ->
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

let tests = testList "linearizations" [ curvature; memory ]

/// What does not depend on the width of the processor's vectors.
let threads =
    testList
        "the number of threads changes no bit"
        [ anyNumberOfRows
          test "more parameters than there is room for the sums of many blocks" {
              let it = sized (Network.create [ 300 ] (Dense.linear 7000)) 300 5L

              let pullback threads =
                  use at = Network.linearize (Network.onThreads threads it.Network) it.Parameters it.Observations
                  at.Pullback it.Cotangent

              Expect.equal (pullback 4) (pullback 1) "pullback"
          } ]
