module FunTrpo.Tests.SurrogateTests

open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

let private comparing =
    testList
        "a comparison"
        [ property
              "has the gain and its standard error as the rows, one by one, have them"
              (gen {
                  let! case = policyCase
                  let! step = vector 0.1 case.Parameters.Length
                  let! bonus = Gen.elements [ 0.0; 0.3 ]
                  return case, step, bonus
              })
              (fun (case, step, bonus) ->
                  let moved = Vector.addScaled 1.0 step case.Parameters
                  let rows = case.Advantages.Length

                  let gainOf first count =
                      let only =
                          { case with
                              Observations =
                                  Matrix.ofRows
                                      [| for row in first .. first + count - 1 -> case.Observations.Row(row).ToArray() |]
                              Actions =
                                  Matrix.ofRows
                                      [| for row in first .. first + count - 1 -> case.Actions.Row(row).ToArray() |]
                              Advantages =
                                  ImmutableArray.CreateRange(Seq.skip first case.Advantages |> Seq.truncate count) }

                      Surrogate.compare (Surrogate.withEntropyBonus bonus only.Surrogate) moved

                  let each = Array.init rows (fun row -> (gainOf row 1).Gain)
                  let all = gainOf 0 rows
                  let mean = Array.average each
                  let error = sqrt (Array.averageBy (fun gain -> (gain - mean) ** 2.0) each / float rows)
                  let size = each |> Array.map abs |> Array.max
                  expectClose (1e-4 * size + 1e-12) all.Gain mean "gain"
                  expectClose (1e-4 * size + 1e-12) all.GainError error "standard error") ]

let private stepCase =
    gen {
        let! case = Gen.where Oracle.isResolved policyCase
        let! step = vector 0.1 case.Parameters.Length
        let! bonus = Gen.elements [ 0.0; 0.3 ]
        return case, Vector.addScaled 1.0 step case.Parameters, bonus
    }

let private gradients =
    testList
        "the gradient"
        [ property "at θ_old is the policy gradient, bit for bit" stepCase (fun (case, _, bonus) ->
              use surrogate = Surrogate.withEntropyBonus bonus case.Surrogate
              let gradient = Surrogate.gradient surrogate
              Expect.equal (Surrogate.gradientAt surrogate case.Parameters) gradient "gradient")
          propertyOf
              60
              "at any θ is the derivative of L that dual numbers give"
              stepCase
              (fun (case, parameters, bonus) ->
                  use surrogate = Surrogate.withEntropyBonus bonus case.Surrogate
                  let actual = Surrogate.gradientAt surrogate parameters |> Oracle.floats

                  let objective theta = Oracle.gain case theta + Oracle.constant bonus * Oracle.meanEntropy case theta

                  let expected = Oracle.gradient objective (Oracle.floats parameters)
                  let size = expected |> Array.map abs |> Array.max

                  // The entropy of a squashed Gaussian is a quadrature of few points (`Squash`), and that of the oracle one of many.
                  let isQuadrature = bonus > 0.0 && case.Policy.Distribution = DistributionKind.SquashedGaussian
                  let tolerance = if isQuadrature then 2e-2 else 1e-3

                  for i in 0 .. expected.Length - 1 do
                      expectClose (tolerance * size + 1e-5) expected[i] actual[i] $"entry {i}") ]

let tests = testList "surrogate" [ comparing; gradients ]
