module FunTrpo.Tests.MatrixTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators

/// The number in a row and a column, different from all the others.
let private number row column = float32 (100 * row + column)

let tests =
    testList
        "Matrix"
        [ property
              "an element is found by its row and column, and there is none outside of them"
              (Gen.zip
                  (Gen.zip (Gen.choose (0, 5)) (Gen.choose (0, 5)))
                  (Gen.zip
                      (Gen.frequency [ 6, Gen.choose (-2, 7); 1, Gen.elements [ 1 <<< 30; Int32.MinValue ] ])
                      (Gen.frequency [ 6, Gen.choose (-2, 7); 1, Gen.elements [ 1 <<< 30; Int32.MinValue ] ])))
              (fun ((rows, columns), (row, column)) ->
                  let matrix = Matrix.init rows columns number

                  if 0 <= row && row < rows && 0 <= column && column < columns then
                      Expect.equal matrix[row, column] (number row column) "the element"
                  else
                      Expect.throwsT<IndexOutOfRangeException> (fun () -> matrix[row, column] |> ignore) "outside")
          property
              "rows of equal lengths become a matrix, and others are refused"
              (Gen.listOf (Gen.frequency [ 6, Gen.constant 3; 1, Gen.choose (0, 6) ]))
              (fun lengths ->
                  let rows = lengths |> List.mapi (fun row length -> Array.init length (number row))

                  if (List.distinct lengths).Length <= 1 then
                      let matrix = Matrix.ofRows (Array.ofList rows)
                      Expect.equal matrix.Rows rows.Length "rows"
                      Expect.equal matrix.Columns (List.tryHead lengths |> Option.defaultValue 0) "columns"

                      for i, row in List.indexed rows do
                          Expect.equal (matrix.Row(i).ToArray()) row $"row {i}"
                  else
                      Expect.throwsT<ArgumentException>
                          (fun () -> Matrix.ofRows (Array.ofList rows) |> ignore)
                          "unequal lengths") ]
