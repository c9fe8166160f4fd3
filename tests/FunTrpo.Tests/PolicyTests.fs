module FunTrpo.Tests.PolicyTests

open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.DenseTests

let tests =
    testList
        "policies"
        [ property
              "the network is the architecture's, with small output weights and, on a box, free log σ"
              (gen {
                  let! architecture = architecture
                  let! space = actionSpace
                  let! inputs = Gen.choose (1, 5)
                  let! key = key
                  return architecture, space, inputs, key
              })
              (fun (architecture, space, inputs, key) ->
                  let policy = Policy.create architecture -0.75 false (numbersOf inputs) space
                  let parameters = policy.Network.Initialise key
                  let width = policy.Family.ParameterWidth
                  Expect.equal policy.Network.Outputs width "outputs"

                  let free =
                      match space with
                      | Box(low, _, _) -> low.Length
                      | Parts _ -> (Policy.logSigmas policy parameters).Length
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

                  let hidden = if architecture.IsEmpty then inputs else List.last (unitsOf architecture)
                  let outputWeights = (hidden + 1) * (width - free)
                  let output = parameters.Slice(parameters.Length - free - outputWeights, outputWeights)
                  isOrthogonal hidden (width - free) 0.01 output
                  let tail = parameters.Slice(parameters.Length - free, free)
                  Expect.equal tail (Vector.init free (fun _ -> -0.75f)) "log σ") ]
