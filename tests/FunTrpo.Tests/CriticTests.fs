/// V is a linear output of its network, in the unit of returns.
module FunTrpo.Tests.CriticTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// Moments of returns of any size, or none.
let private units =
    gen {
        let! count = Gen.choose (1, 1000)
        let! mean = Gen.choose (-1000, 1000)
        let! scale = Gen.choose (-3, 3)
        let! variance = Gen.choose (1, 400)
        let factor = 10.0 ** float scale
        let mean, variance = factor * float mean, factor * factor * float variance
        let moments = Moments.create (float count) [ mean ] [ float count * variance ]
        return! Gen.frequency [ 1, Gen.constant Plain; 4, Gen.constant (Standardised moments) ]
    }

type private Case = { Architecture: Architecture; Network: Network; Critic: CriticState; Observations: Matrix }

let private cases =
    gen {
        let! architecture = architecture
        let! inputs = Gen.choose (1, 5)
        let network = Critic.create architecture (numbersOf inputs)
        let! parameters = vector 1.0 network.ParameterCount
        let! unit = units
        let! rows = Gen.choose (1, 9)
        let! observations = matrix 1.0 rows inputs

        return
            { Architecture = architecture
              Network = network
              Critic = Critic.start unit parameters
              Observations = observations }
    }

let private valuesOf case critic = Critic.values case.Network critic case.Observations |> Array.ofSeq

let private values =
    testList
        "values"
        [ property "are mean + deviation · f(s), with f of the oracle and a linear output" cases (fun case ->
              let layers = Layers.ofArchitecture (Dense(1, Activation.Identity)) case.Architecture
              let parameters = Oracle.constants (Vector.toArray case.Critic.Parameters)
              let mean, deviation = ReturnUnit.mean case.Critic.Unit, ReturnUnit.deviation case.Critic.Unit
              let found = valuesOf case case.Critic
              Expect.equal case.Network.Outputs 1 "one output"

              for row in 0 .. case.Observations.Rows - 1 do
                  let observation = Oracle.constants (case.Observations.Row(row).ToArray())
                  let f = (Oracle.output layers parameters observation |> Array.exactlyOne).X

                  expectClose
                      (1e-4 * deviation * (1.0 + abs f) + 1e-12 * abs mean)
                      found[row]
                      (mean + deviation * f)
                      $"V of row {row}")
          property "are those of the linearization, in the unit of returns, bit for bit" cases (fun case ->
              use at = Network.linearize case.Network case.Critic.Parameters case.Observations
              let toReturn = ReturnUnit.toReturn case.Critic.Unit
              let expected = at.Outputs.Span.ToArray() |> Array.map (float >> toReturn)
              Expect.equal (valuesOf case case.Critic) expected "V")
          property
              "are affine in the parameters of the last layer: a step v there changes V by deviation · J v"
              (Gen.zip cases (Gen.choose (1, 100)))
              (fun (case, percent) ->
                  let inputs = List.tryLast (unitsOf case.Architecture) |> Option.defaultValue case.Network.Inputs

                  let last, count = inputs + 1, case.Network.ParameterCount

                  // A step of the last layer alone: its weights and its bias are the last parameters.
                  let step =
                      Vector.init count (fun i ->
                          if i < count - last then 0f else float32 percent / 100f * float32 (sin (float i)))

                  use at = Network.linearize case.Network case.Critic.Parameters case.Observations
                  let pushed = at.Pushforward step
                  let deviation = ReturnUnit.deviation case.Critic.Unit
                  let before = valuesOf case case.Critic

                  let after =
                      valuesOf case { case.Critic with Parameters = Vector.addScaled 1.0 step case.Critic.Parameters }

                  let scale = deviation * (1.0 + float inputs) + 1e-9 * abs (ReturnUnit.mean case.Critic.Unit)

                  for row in 0 .. before.Length - 1 do
                      expectClose
                          (1e-5 * scale)
                          (after[row] - before[row])
                          (deviation * float pushed[row, 0])
                          $"row {row}")
          property "do not depend on the other rows, nor on what the memory held" cases (fun case ->
              let all = valuesOf case case.Critic
              poisonMemory ()

              for row in 0 .. case.Observations.Rows - 1 do
                  let alone = valuesOf { case with Observations = case.Observations.SliceRows(row, 1) } case.Critic
                  Expect.equal alone [| all[row] |] $"row {row}")
          property "are 0 before any return, whatever the network says" cases (fun case ->
              let before = { case.Critic with Unit = ReturnUnit.unknown }
              Expect.allEqual (valuesOf case before) 0.0 "V")
          property
              "of a table are those of the unit alone, before the first fit"
              (Gen.zip3 units (Gen.choose (1, 20)) key)
              (fun (unit, count, key) ->
                  for space in [ Discrete count; MultiDiscrete [ count; 3 ] ] do
                      let network = Critic.create [] space
                      let critic = Critic.start unit (network.Initialise key)

                      let observations =
                          Matrix.init count (Space.width space) (fun row column ->
                              if column = 0 then float32 row else 2f)

                      let expected = Array.create count (ReturnUnit.toReturn unit 0.0)

                      Expect.equal
                          (Critic.values network critic observations |> Array.ofSeq)
                          expected
                          (Space.describe space)) ]

let private returnUnits =
    testList
        "the unit of returns"
        [ property "is undone by its inverse" (Gen.zip units number) (fun (unit, output) ->
              let output = 5.0 * float output
              let value = ReturnUnit.toReturn unit output
              let size = 1.0 + abs output + abs (ReturnUnit.mean unit) / ReturnUnit.deviation unit
              expectClose (1e-14 * size) (ReturnUnit.ofReturn unit value) output "output")
          property
              "makes returns of mean 0 and deviation 1 of those that it has seen"
              (Gen.choose (2, 40)
               |> Gen.bind (numbers 100.0)
               |> Gen.where (fun returns -> (Array.distinct returns).Length > 1))
              (fun returns ->
                  let returns = toFloats returns
                  let unit = Standardised(Moments.ofNumbers (ReadOnlyMemory returns))
                  let outputs = returns |> Array.map (ReturnUnit.ofReturn unit)
                  expectClose 1e-9 (Array.average outputs) 0.0 "mean"
                  expectClose 1e-9 (outputs |> Array.averageBy (fun x -> x * x)) 1.0 "mean square"
                  expectClose 1e-9 (ReturnUnit.mean unit) (Array.average returns) "mean of the returns")
          property
              "has the deviation 0 where all returns were equal, however large"
              (Gen.choose (-9, 9))
              (fun exponent ->
                  for sign in [ 1.0; -1.0 ] do
                      let value = sign * 10.0 ** float exponent / 3.0
                      let unit = Standardised(Moments.ofNumbers (ReadOnlyMemory(Array.create 7 value)))
                      Expect.equal (ReturnUnit.deviation unit) 0.0 "deviation"
                      expectClose (1e-12 * abs value) (ReturnUnit.toReturn unit 3.0) value "V is the mean")
          test "that is plain changes no number, and one that is unknown gives 0" {
              for output in [ 0.0; 1.5; -1e9 ] do
                  Expect.equal (ReturnUnit.toReturn Plain output) output "plain"
                  Expect.equal (ReturnUnit.ofReturn Plain output) output "plain, back"
                  Expect.equal (ReturnUnit.toReturn ReturnUnit.unknown output) 0.0 "unknown"
          } ]

let private errors =
    testList
        "the error"
        [ property "is the root of the mean square of V − G" (Gen.zip cases (numbers 10.0 9)) (fun (case, returns) ->
              let values = valuesOf case case.Critic
              let returns = Array.truncate values.Length (toFloats returns)
              let expected = sqrt (Array.map2 (fun v g -> (v - g) ** 2.0) values returns |> Array.average)

              let found =
                  Critic.error case.Network case.Critic None case.Observations (ImmutableArray.CreateRange returns)

              expectClose (1e-12 * expected) found expected "error"
              Expect.equal (Critic.errorOf (ReadOnlySpan values) (ReadOnlySpan returns)) found "of the values"

              Expect.equal
                  (Critic.errorOf (ReadOnlySpan values) (ReadOnlySpan values))
                  0.0
                  "of returns that are the values") ]

let private starting =
    property "a critic starts with the optimiser's first state" cases (fun case ->
        Expect.equal case.Critic.Optimiser (Adam.init case.Critic.Parameters) "optimiser"
        Expect.equal case.Critic.Optimiser.Steps 0L "steps")

let tests = testList "Critic" [ values; returnUnits; errors; starting ]
