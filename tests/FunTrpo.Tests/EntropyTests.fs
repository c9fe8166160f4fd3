/// The entropy bonus: a nat of entropy beside the advantages.
module FunTrpo.Tests.EntropyTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// The entropy of independent choices and dimensions, in float64 and straight from the definition.
let private entropyOf space (parameters: float[]) =
    let ofChoice (logits: float[]) =
        let weights = logits |> Array.map exp
        let p = weights |> Array.map (fun w -> w / Array.sum weights)
        -(p |> Array.sumBy (fun p -> p * log p))

    let ofChoices counts =
        let starts = List.scan (+) 0 counts

        List.sum
            [ for start, count in List.zip (List.take counts.Length starts) counts ->
                  ofChoice parameters[start .. start + count - 1] ]

    match space with
    | Discrete count -> ofChoices [ count ]
    | MultiDiscrete counts -> ofChoices counts
    | MultiBinary count -> ofChoices (List.replicate count 2)
    | Masked _ -> failwith "a mask is no action"
    | Parts _ -> (Oracle.entropy DistributionKind.Gaussian space (Array.map Oracle.constant parameters)).X
    | Box(low, _, _) ->
        let dimensions = low.Length
        Array.sum parameters[dimensions..] + 0.5 * float dimensions * (1.0 + log (2.0 * Math.PI))

let private distributionCase =
    gen {
        let! space = actionSpace
        let! parameters = numbers 3.0 (Distribution.forSpace DistributionKind.Gaussian space).ParameterWidth
        return space, parameters
    }

/// Where finite differences have no kinks to fall over.
let private smoothCase = policyCaseOf (Gen.constant Activation.Tanh) (Gen.choose (1, 9))

let tests =
    testList
        "Entropy"
        [ property "∂H/∂parameters is the slope of the entropy" distributionCase (fun (space, parameters) ->
              let family = Distribution.forSpace DistributionKind.Gaussian space

              let gradient =
                  Vector.Create(
                      parameters.Length,
                      Fill(fun gradient ->
                          gradient.Fill nanf
                          family.EntropyGradient(ReadOnlySpan parameters, gradient))
                  )

              let at = toFloats parameters
              let step = 1e-4

              for i in 0 .. parameters.Length - 1 do
                  let moved by = Array.mapi (fun j x -> if i = j then x + by else x) at
                  let slope = (entropyOf space (moved step) - entropyOf space (moved -step)) / (2.0 * step)
                  expectClose 1e-6 (float gradient[i]) slope $"∂H/∂parameter {i}")

          property "with a bonus, nothing is gained at θ_old" policyCase (fun case ->
              let surrogate = Surrogate.withEntropyBonus 0.7 case.Surrogate
              Expect.equal (Surrogate.compare surrogate case.Parameters).Gain 0.0 "gain")

          property "a bonus of 0 changes no bit" policyCase (fun case ->
              let without = case.Surrogate
              let zero = Surrogate.withEntropyBonus 0.0 (Surrogate.withEntropyBonus 1.0 without)
              let elsewhere = Vector.scale 1.1 case.Parameters
              Expect.equal (Surrogate.gradient zero) (Surrogate.gradient without) "gradient"
              Expect.equal (Surrogate.compare zero elsewhere) (Surrogate.compare without elsewhere) "comparison")

          property "a bonus β adds β (H(θ) − H(θ_old)) to the gain" policyCase (fun case ->
              let beta = 0.3
              let elsewhere = Vector.scale 1.1 case.Parameters
              let gain bonus = (Surrogate.compare (Surrogate.withEntropyBonus bonus case.Surrogate) elsewhere).Gain
              let entropy parameters = (Surrogate.compare case.Surrogate parameters).Entropy

              expectClose
                  1e-9
                  (gain beta - gain 0.0)
                  (beta * (entropy elsewhere - entropy case.Parameters))
                  "what the bonus adds")

          property "with a bonus, the gradient is the slope of the gain" smoothCase (fun case ->
              // A small σ would bend the gain more than a third derivative tells.
              let case = { case with Parameters = Vector.scale 0.3 case.Parameters }
              let surrogate = Surrogate.withEntropyBonus 0.5 case.Surrogate
              let gradient = Surrogate.gradient surrogate
              let direction = Vector.scale (1.0 / max 1e-3 (Vector.norm gradient)) gradient

              let gain step = (Surrogate.compare surrogate (Vector.addScaled step direction case.Parameters)).Gain
              let slope step = (gain step - gain -step) / (2.0 * step)
              // How far two slopes are apart tells what the third derivative makes of the wider one.
              let wide, narrow = slope 0.04, slope 0.02
              let tolerance = abs (wide - narrow) + 1e-3 * (1.0 + Vector.norm gradient)
              expectClose tolerance narrow (Vector.dot gradient direction) "slope") ]
