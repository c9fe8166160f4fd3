/// The kernel of Adam. `AdamTests` are of the steps that are made of it.
module FunTrpo.Tests.AdamKernelTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// Moments, parameters, and gradients of several steps.
type private Descent = { Parameters: float32[]; Gradients: float32[][]; LearningRate: float; StepsBefore: int64 }

let private descent =
    gen {
        let! count = Gen.choose (0, 40)
        let! steps = Gen.choose (1, 6)
        let! parameters = numbers 2.0 count
        let! scale = Gen.choose (-3, 3)
        let! gradients = Gen.arrayOfLength steps (numbers (10.0 ** float scale) count)
        let! learningRate = Gen.elements [ 1e-4; 1e-2; 0.3 ]
        let! before = Gen.elements [ 0L; 1L; 1000L; 10_000_000L ]

        return
            { Parameters = parameters
              Gradients = gradients
              LearningRate = learningRate
              StepsBefore = before }
    }

/// The moments and the parameters after all steps.
let private descend it =
    let mean, square =
        Array.zeroCreate<float32> it.Parameters.Length, Array.zeroCreate<float32> it.Parameters.Length

    let parameters = Array.copy it.Parameters

    it.Gradients
    |> Array.iteri (fun i gradient ->
        let step = it.StepsBefore + int64 i + 1L
        Adam.Step(step, it.LearningRate, ReadOnlySpan gradient, Span mean, Span square, Span parameters))

    mean, square, parameters

let tests =
    testList
        "Adam"
        [ property "takes the steps of the paper's algorithm in float64" descent (fun it ->
              let mean, square, parameters = descend it
              // As they are in float32: 0.9 and 0.999 to a few parts in 10⁸.
              let beta1, beta2 = float Adam.MeanDecay, float Adam.SquareDecay

              for i in 0 .. it.Parameters.Length - 1 do
                  let mutable m, v, theta = 0.0, 0.0, float it.Parameters[i]
                  let mutable tolerance = 1e-7 * abs theta
                  let gradients = it.Gradients |> Array.map (fun gradient -> float gradient[i])
                  let largest = gradients |> Array.map abs |> Array.max

                  for k in 0 .. gradients.Length - 1 do
                      let g, t = gradients[k], float (it.StepsBefore + int64 k + 1L)
                      m <- beta1 * m + (1.0 - beta1) * g
                      v <- beta2 * v + (1.0 - beta2) * g * g
                      let divisor = sqrt (v / (1.0 - beta2 ** t)) + 1e-8
                      let move = it.LearningRate * m / (1.0 - beta1 ** t) / divisor
                      theta <- theta - move
                      // Of the moments in float32, where m may be a small difference of large gradients.
                      let ofMean = it.LearningRate * largest / (1.0 - beta1 ** t) / divisor
                      tolerance <- tolerance + 1e-6 * (abs move + ofMean) + 1e-7 * abs theta

                  expectClose (1e-6 * largest) (float mean[i]) m $"m[{i}]"
                  expectClose (1e-6 * largest * largest) (float square[i]) v $"v[{i}]"
                  expectClose tolerance (float parameters[i]) theta $"θ[{i}]")
          property
              "a step of Adam is its formula number by number, however many there are"
              ReductionsTests.vectors
              (fun (gradient, start, _) ->
                  let step, learningRate = 3L, 0.01
                  let mean, parameters = Array.copy start, Array.map (fun x -> 2f * x) start
                  let square = start |> Array.map (fun x -> x * x)
                  let oldParameters, oldSquare = Array.copy parameters, Array.copy square

                  Adam.Step(step, learningRate, ReadOnlySpan gradient, Span mean, Span square, Span parameters)

                  let power (decay: float32) = Math.Pow(float decay, float step)
                  let rate = float32 (learningRate / (1.0 - power Adam.MeanDecay))
                  let scale = float32 (1.0 / (1.0 - power Adam.SquareDecay))

                  let expectedMean = Array.map2 (fun g m -> fused (1f - Adam.MeanDecay) (g - m) m) gradient start

                  let expectedSquare =
                      Array.map2 (fun g v -> fused (1f - Adam.SquareDecay) (g * g - v) v) gradient oldSquare

                  let moved theta m v = theta - rate * m / (sqrt (scale * v) + Adam.Epsilon)
                  Expect.equal (bitsOf mean) (bitsOf expectedMean) "mean"
                  Expect.equal (bitsOf square) (bitsOf expectedSquare) "square"

                  Expect.equal
                      (bitsOf parameters)
                      (Array.map3 moved oldParameters expectedMean expectedSquare |> bitsOf)
                      "parameters")
          property "an element has the same bits however many are computed with it" descent (fun it ->
              let mean, square, parameters = descend it

              for i in 0 .. it.Parameters.Length - 1 do
                  let only (values: float32[]) = [| values[i] |]

                  let m, v, theta =
                      descend { it with Parameters = only it.Parameters; Gradients = Array.map only it.Gradients }

                  Expect.equal
                      (bitsOf (Array.concat [ m; v; theta ]))
                      (bitsOf [ mean[i]; square[i]; parameters[i] ])
                      $"element {i}")
          property "without gradients nothing moves" descent (fun it ->
              let idle = { it with Gradients = it.Gradients |> Array.map (Array.map (fun _ -> 0f)) }
              let _, _, parameters = descend idle
              Expect.equal (bitsOf parameters) (bitsOf it.Parameters) "parameters")
          testCase "vectors of different lengths are refused" (fun () ->
              for wrong in 0..2 do
                  let vector i = Array.zeroCreate<float32>(if i = wrong then 4 else 5)

                  expectRefused $"vector {wrong}" (fun () ->
                      Adam.Step(
                          1L,
                          0.1,
                          ReadOnlySpan(Array.zeroCreate<float32> 5),
                          Span(vector 0),
                          Span(vector 1),
                          Span(vector 2)
                      ))) ]
