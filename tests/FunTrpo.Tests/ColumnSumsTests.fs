module FunTrpo.Tests.ColumnSumsTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

let tests =
    testList
        "column sums"
        [ property
              "ColumnSums adds the sum of each column, row after row"
              (gen {
                  let! rows = Gen.choose (0, 20)
                  let! columns = Gen.choose (1, 40) |> Gen.map Lanes.Pad
                  let! m = numbers 2.0 (rows * columns)
                  let! start = numbers 2.0 columns
                  return columns, m, start
              })
              (fun (columns, m, start) ->
                  let sums = Array.copy start
                  ColumnSums.Add(ReadOnlySpan m, Span sums)

                  let ofColumn column =
                      seq { column..columns .. m.Length - 1 } |> Seq.fold (fun sum i -> sum + m[i]) start[column]

                  Expect.equal (bitsOf sums) (Array.init columns ofColumn |> bitsOf) "sums")
          testCase "matrices that do not fit are refused" (fun () ->
              expectRefused "ColumnSums: sums that are not whole vectors" (fun () ->
                  ColumnSums.Add(ReadOnlySpan(Array.zeroCreate<float32> 3), Span(Array.zeroCreate<float32> 3)))

              expectRefused "ColumnSums: a matrix of parts of rows" (fun () ->
                  ColumnSums.Add(
                      ReadOnlySpan(Array.zeroCreate<float32>(3 * Lanes.Width)),
                      Span(Array.zeroCreate<float32>(2 * Lanes.Width))
                  ))) ]
