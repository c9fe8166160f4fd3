module FunTrpo.Tests.SoftmaxTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

let tests =
    let rowsOfLogits =
        gen {
            let! rows = Gen.choose (0, 9)
            let! count = Gen.choose (1, 20)
            let! start = Gen.choose (0, 5)
            let! after = Gen.choose (0, 5)
            let! logits = Gen.arrayOfLength rows (numbers 5.0 count)
            let! u = Gen.arrayOfLength rows (numbers 2.0 count)
            return start, after, logits, u
        }

    testList
        "softmax"
        [ property
              "ApplyMetric is (diag(p) − p pᵀ) u, and touches nothing else"
              rowsOfLogits
              (fun (start, after, logits, u) ->
                  let probabilities =
                      logits
                      |> Array.map (fun row ->
                          let exps = row |> Array.map (float >> exp)
                          exps |> Array.map (fun e -> float32 (e / Array.sum exps)))

                  /// The rows with other numbers before and after.
                  let embedded rows =
                      rows
                      |> Array.collect (fun row -> Array.concat [ Array.create start 7f; row; Array.create after 7f ])

                  let count = if u.Length = 0 then 1 else u[0].Length
                  let stride = start + count + after
                  let product = embedded u

                  Softmax.ApplyMetric(
                      u.Length,
                      stride,
                      start,
                      count,
                      ReadOnlySpan(embedded probabilities),
                      Span product
                  )

                  for row in 0 .. u.Length - 1 do
                      let p, u = toFloats probabilities[row], toFloats u[row]
                      let mean = Array.fold2 (fun sum p u -> sum + p * u) 0.0 p u
                      let actual = Array.sub product (row * stride) stride
                      let expected = Array.map2 (fun p u -> p * (u - mean)) p u
                      expectAllClose 2e-6 (Array.sub actual start count) expected $"row {row}"
                      let around = Array.append actual[.. start - 1] actual[start + count ..]
                      Expect.allEqual around 7f "what lies around"
                      let sum = Array.sub actual start count |> Array.sumBy float

                      expectClose
                          2e-6
                          sum
                          0.0
                          $"Σ of row {row}, which is along the direction that changes no probability")
          testCase "rows and columns that do not fit are refused" (fun () ->
              let apply rows stride start count p u =
                  expectRefused $"{rows} rows of {stride}, from {start} on {count}, in {p} and {u}" (fun () ->
                      Softmax.ApplyMetric(
                          rows,
                          stride,
                          start,
                          count,
                          ReadOnlySpan(Array.zeroCreate<float32> p),
                          Span(Array.zeroCreate<float32> u)
                      ))

              apply 2 4 0 4 7 8
              apply 2 4 0 4 8 9
              apply 2 4 -1 4 8 8
              apply 2 4 1 4 8 8) ]
