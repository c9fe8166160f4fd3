module FunTrpo.Tests.RowsTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

let tests =
    let shape =
        gen {
            let! count = Gen.choose (1, 60)
            let! width = Gen.choose (0, 40)
            let! matrix = numbers 1e3 (count * width)
            let! taken = Gen.choose (0, 80)
            let! indices = Gen.arrayOfLength taken (Gen.choose (0, count - 1))
            return count, width, matrix, indices
        }

    testList
        "rows"
        [ property "Gather copies the rows that are asked for, in that order" shape (fun (_, width, matrix, indices) ->
              let gathered = Array.create (indices.Length * width) nanf
              Rows.Gather(ReadOnlySpan indices, width, ReadOnlySpan matrix, Span gathered)

              let expected = indices |> Array.collect (fun index -> Array.sub matrix (index * width) width)

              Expect.equal (bitsOf gathered) (bitsOf expected) "rows")
          property "Gather refuses what is no row" shape (fun (count, width, matrix, indices) ->
              for index in [ -1; count + (if width = 0 then Int32.MaxValue - count else 0) ] do
                  let indices = Array.append indices [| index |]
                  let gathered = Array.zeroCreate<float32>(indices.Length * width)

                  expectRefused "Gather" (fun () ->
                      Rows.Gather(ReadOnlySpan indices, width, ReadOnlySpan matrix, Span gathered))

              expectRefused "Gather: too little room" (fun () ->
                  Rows.Gather(
                      ReadOnlySpan indices,
                      width,
                      ReadOnlySpan matrix,
                      Span(Array.zeroCreate<float32>(indices.Length * width + 1))
                  ))) ]
