module FunTrpo.Tests.PaddedRowsTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// The rows so far apart, with NaN between them.
let spread stride rows (values: float32[]) =
    let padded = Array.create (rows * stride) nanf
    let width = if rows = 0 then 0 else values.Length / rows

    for row in 0 .. rows - 1 do
        Array.blit values (row * width) padded (row * stride) width

    padded

/// Every element of rows × columns.
let elements rows columns element = Array.init (rows * columns) (fun i -> element (i / columns) (i % columns))

let tests =
    testList
        "padded rows"
        [ property "rows are padded to the next whole vector, and no further" (Gen.choose (0, 1000)) (fun count ->
              let padded = Lanes.Pad count
              Expect.equal (padded % Lanes.Width) 0 "whole vectors"
              Expect.isTrue (padded >= count && padded < count + Lanes.Width) "the next")
          property
              "PaddedRows pads with zeros, and takes them off again"
              (gen {
                  let! rows = Gen.choose (0, 20)
                  let! width = Gen.choose (0, 40)
                  let! extra = Gen.choose (0, 20)
                  let! values = numbers 1.0 (rows * width)
                  return rows, width, width + extra, values
              })
              (fun (rows, width, stride, values) ->
                  let padded = Array.create (rows * stride) nanf
                  PaddedRows.Pad(rows, width, ReadOnlySpan values, Span padded)

                  let expected =
                      elements rows stride (fun row column ->
                          if column < width then values[row * width + column] else 0f)

                  Expect.equal (bitsOf padded) (bitsOf expected) "padded"
                  let unpadded = Array.create values.Length nanf
                  let between = spread stride rows values
                  PaddedRows.Unpad(rows, width, ReadOnlySpan between, Span unpadded)
                  Expect.equal (bitsOf unpadded) (bitsOf values) "unpadded")
          property
              "PaddedRows copies and transposes, and touches nothing else"
              (gen {
                  let! rows = Gen.choose (0, 40)
                  let! columns = Gen.choose (0, 40)
                  let! extra = Gen.choose (0, 20)
                  let! copyExtra = Gen.choose (0, 20)
                  let! values = numbers 1.0 (rows * columns)
                  return rows, columns, extra, copyExtra, values
              })
              (fun (rows, columns, extra, copyExtra, values) ->
                  let matrix = spread (columns + extra) rows values
                  let copy = Array.create (rows * (columns + copyExtra)) nanf

                  PaddedRows.Copy(rows, columns, ReadOnlySpan matrix, columns + extra, Span copy, columns + copyExtra)

                  Expect.equal (bitsOf copy) (spread (columns + copyExtra) rows values |> bitsOf) "copied"
                  let transposed = Array.create (columns * (rows + copyExtra)) nanf

                  PaddedRows.Transpose(
                      rows,
                      columns,
                      ReadOnlySpan matrix,
                      columns + extra,
                      Span transposed,
                      rows + copyExtra
                  )

                  let swapped = elements columns rows (fun column row -> values[row * columns + column])
                  Expect.equal (bitsOf transposed) (spread (rows + copyExtra) columns swapped |> bitsOf) "transposed")
          testCase "PaddedRows refuses rows that do not fit" (fun () ->
              let zeros count = Array.zeroCreate<float32> count

              for rows, width, compact, padded in [ 2, 3, 5, 8; 2, 3, 6, 7; 2, 3, 6, 4; 0, 3, 0, 4; 1, 3, 3, 2 ] do
                  let what = $"{rows} × {width}, {compact}, {padded}"

                  expectRefused $"Pad {what}" (fun () ->
                      PaddedRows.Pad(rows, width, ReadOnlySpan(zeros compact), Span(zeros padded)))

                  expectRefused $"Unpad {what}" (fun () ->
                      PaddedRows.Unpad(rows, width, ReadOnlySpan(zeros padded), Span(zeros compact)))) ]
