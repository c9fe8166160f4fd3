module FunTrpo.Tests.NetworkTests

open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

type NetworkCase =
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

        let! layers =
            Gen.frequency [ 3, layersOf activation depth outputs; 1, pictureLayers activation [ Max; Average ] outputs ]

        let! inputs = Layers.inputs layers
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

let networkCase = networkCaseOf (Gen.choose (0, 9))

let linearization case = Network.linearize case.Network case.Parameters case.Observations

let outputsOf case parameters =
    Array.init case.Observations.Rows (fun row ->
        Oracle.output case.Layers parameters (Oracle.constants (case.Observations.Row(row).ToArray())))
    |> Array.concat

let private whole =
    testList
        "any composition"
        [ property "forward and pushforward are those of dual numbers" networkCase (fun case ->
              let v = Oracle.floats case.Tangent

              let expected =
                  outputsOf case (Oracle.along v (Array.zeroCreate v.Length) (Oracle.floats case.Parameters))

              let it = linearization case
              let outputs = expected |> Array.map _.X
              let size = Array.fold (fun largest x -> max largest (abs x)) 1.0 outputs
              expectAllClose (2e-5 * size) (it.Outputs.Span.ToArray()) outputs "forward"
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
          property "the pullback to the observations is the gradient of ⟨u, forward⟩ in them" networkCase (fun case ->
              let actual = (linearization case).PullbackInputs case.Cotangent
              let parameters = Oracle.constants (Vector.toArray case.Parameters)
              Expect.equal (actual.Rows, actual.Columns) (case.Observations.Rows, case.Observations.Columns) "shape"

              for row in 0 .. actual.Rows - 1 do
                  let u = case.Cotangent.Row(row).ToArray() |> Oracle.constants

                  let expected =
                      case.Observations.Row(row).ToArray()
                      |> Array.map float
                      |> Oracle.gradient (
                          Oracle.output case.Layers parameters
                          >> Array.map2 (*) u
                          >> Array.fold (+) Oracle.HyperDual.Zero
                      )

                  let scale = Array.fold (fun largest x -> max largest (abs x)) 1.0 expected
                  expectAllClose (3e-5 * scale) (actual.Row(row).ToArray()) expected "pullback")
          property "⟨u, Jv⟩ = ⟨Jᵀu, v⟩" networkCase (fun case ->
              let it = linearization case
              let u = Matrix.flatten case.Cotangent

              LayerCases.expectAdjoint
                  u
                  (Matrix.flatten (it.Pushforward case.Tangent))
                  (it.Pullback case.Cotangent)
                  case.Tangent)
          property
              "a linearization gives the same bits however often and in whatever order it is asked"
              networkCase
              (fun case ->
                  let it = linearization case
                  let forward = it.Outputs
                  let pushed, pulled = it.Pushforward case.Tangent, it.Pullback case.Cotangent

                  it.Pullback(Matrix.init case.Observations.Rows case.Network.Outputs (fun _ _ -> nanf)) |> ignore
                  it.Pushforward(Vector.scale -3.0 case.Tangent) |> ignore

                  Expect.equal (it.Pullback case.Cotangent) pulled "pullback"
                  Expect.equal (it.Pushforward case.Tangent) pushed "pushforward"
                  Expect.equal it.Outputs forward "forward"
                  Expect.equal (linearization case).Outputs forward "forward of another linearization"

                  Expect.equal
                      ((linearization case).Pullback case.Cotangent)
                      pulled
                      "pullback of another linearization")
          property "an observation has the same outputs, bit for bit, whatever the others are" networkCase (fun case ->
              let forward = (linearization case).Outputs

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
              LayerCases.expectSame ((linearization case).Pullback case.Cotangent) sum scale "pullback")
          property "the same key gives the same initial parameters" (Gen.zip networkCase key) (fun (case, key) ->
              let initial = case.Network.Initialise key
              Expect.equal initial.Length case.Network.ParameterCount "length"
              Expect.isTrue (Vector.isFinite initial) "finite"
              Expect.equal (case.Network.Initialise key) initial "the same key")
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
                          let observations =
                              Matrix.init case.Observations.Rows (case.Network.Inputs + more) (fun _ _ -> 0f)

                          refuses "a block of observations" (fun () ->
                              Network.linearize case.Network case.Parameters observations)

                          refuses "a block of observations" (fun () ->
                              Network.forward case.Network case.Parameters observations)

                          refuses "a cotangent with other rows" (fun () ->
                              it.Pullback(
                                  Matrix.init (case.Observations.Rows + more) case.Network.Outputs (fun _ _ -> 0f)
                              ))

                          refuses "a cotangent with other columns" (fun () ->
                              it.Pullback(
                                  Matrix.init case.Observations.Rows (case.Network.Outputs + more) (fun _ _ -> 0f)
                              ))) ]

let private gathered =
    property
        "gathered observations have the gathered outputs, bit for bit"
        (Gen.zip networkCase (Gen.choose (1, 4)))
        (fun (case, step) ->
            let rows = ImmutableArray.CreateRange [ 0..step .. case.Observations.Rows - 1 ]
            let some = Network.forward case.Network case.Parameters (Matrix.gather rows case.Observations)
            Expect.equal some (Matrix.gather rows (linearization case).Outputs) "forward")

let tests = testList "whole networks" [ whole; gathered ]
