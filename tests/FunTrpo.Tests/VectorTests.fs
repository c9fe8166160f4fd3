/// Vectors and matrices against plain arrays.
module FunTrpo.Tests.VectorTests

open System
open System.Collections.Immutable
open Expecto
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Tests.Generators
open FunTrpo.Tests.ReductionsTests

/// Numbers in which 0, −0, NaN and infinities are common.
let private anyNumbers =
    Gen.listOf (Gen.oneof [ number; Gen.elements [ 0f; -0f; nanf; infinityf; -infinityf; 1f ] ])
    |> Gen.map Array.ofList

/// Rows and columns, and the elements in a plain array, row after row.
let private tables =
    gen {
        let! rows = Gen.choose (0, 8)
        let! columns = Gen.choose (0, 8)
        let! values = numbers 1.0 (rows * columns)
        return rows, columns, values
    }

let private ofTable (rows, columns, values: float32[]) =
    Matrix.init rows columns (fun row column -> values[row * columns + column])

let private elements =
    testList
        "a vector"
        [ property "holds the numbers that it is made of, in their order" vectors (fun (a, _, _) ->
              let filled = Vector.Create(a.Length, Fill(fun values -> (ReadOnlySpan a).CopyTo values))

              for vector in [ Vector.ofArray a; Vector.ofSeq a; Vector.init a.Length (Array.get a); filled ] do
                  Expect.equal vector.Length a.Length "length"
                  Expect.equal (bitsOf (Vector.toArray vector)) (bitsOf a) "as an array"
                  Expect.equal (Array.init a.Length (fun i -> vector[i])) a "one by one")
          property
              "does not change with the array that it was made of, nor with the one that it was made into"
              vectors
              (fun (a, _, _) ->
                  let before = Array.copy a
                  let vector = Vector.ofArray a
                  Array.Fill(a, nanf)
                  let into = Vector.toArray vector
                  Expect.equal (Vector.toArray vector) before "the array that it was made of"
                  Array.Fill(into, nanf)
                  Expect.equal (Vector.toArray vector) before "the array that it was made into")
          property "equals those of the same bits, and no others" (Gen.zip anyNumbers anyNumbers) (fun (a, b) ->
              let of' = Vector.ofArray
              Expect.equal (of' a = of' b) (bitsOf a = bitsOf b) "two of them"
              Expect.isTrue (of' a = of' (Array.copy a)) "a copy"
              Expect.equal (hash (of' a)) (hash (of' (Array.copy a))) "its hash"

              for i in 0 .. a.Length - 1 do
                  let changed = Array.copy a
                  // The lowest bit: NaN stays NaN, and 0 becomes the smallest number.
                  changed[i] <- BitConverter.UInt32BitsToSingle(BitConverter.SingleToUInt32Bits a[i] ^^^ 1u)
                  Expect.isFalse (of' a = of' changed) $"bit of {i}"

              Expect.isFalse (of' a = of' (Array.append a [| 0f |])) "a longer one")
          property
              "of zeros stays so where nothing is written"
              (Gen.zip (Gen.choose (0, 50)) (Gen.choose (0, 50)))
              (fun (zeros, ones) ->
                  let vector = Vector.Create(zeros + ones, Fill(fun values -> values.Slice(zeros, ones).Fill 1f))

                  Expect.equal
                      (Vector.toArray vector)
                      (Array.append (Array.zeroCreate zeros) (Array.create ones 1f))
                      "numbers"

                  Expect.equal (Vector.zero zeros) (Vector.ofArray (Array.zeroCreate zeros)) "zero"
                  Expect.equal Vector.empty.Length 0 "empty")
          property
              "is joined from others and cut into them again"
              (Gen.listOf (Gen.choose (0, 9) |> Gen.bind (numbers 1.0)))
              (fun parts ->
                  let whole = parts |> List.map Vector.ofArray |> Vector.concat
                  Expect.equal (Vector.toArray whole) (Array.concat parts) "joined"
                  let starts = parts |> List.scan (fun start part -> start + part.Length) 0

                  for part, start in List.zip parts (List.truncate parts.Length starts) do
                      Expect.equal (whole.Slice(start, part.Length)) (Vector.ofArray part) $"from {start} on")
          property "of which a part beyond its ends is asked for refuses" vectors (fun (a, _, _) ->
              for offset, length in [ 0, a.Length + 1; a.Length, 1; -1, 1 ] do
                  expectRefused $"{length} from {offset} on" (fun () ->
                      (Vector.ofArray a).Slice(offset, length) |> ignore)) ]

let private arithmetic =
    testList
        "arithmetic"
        [ property "⟨a, b⟩ is the sum in float64, symmetric, and ‖a‖² = ⟨a, a⟩" vectors (fun (a, b, _) ->
              let terms = Array.map2 (fun x y -> float x * float y) a b
              let dot = Vector.dot (Vector.ofArray a) (Vector.ofArray b)
              expectClose (1e-14 * Array.sumBy abs terms) dot (Array.sum terms) "dot"
              Expect.equal (Vector.dot (Vector.ofArray b) (Vector.ofArray a)) dot "symmetric"
              let square = a |> Array.sumBy (fun x -> float x * float x)
              expectClose (1e-14 * square) (Vector.norm (Vector.ofArray a) ** 2.0) square "norm")
          property
              "y + α x has the bits of one rounding of each number, and leaves x and y"
              vectors
              (fun (x, y, alpha) ->
                  let vectorX, vectorY = Vector.ofArray x, Vector.ofArray y
                  let sum = Vector.addScaled (float alpha) vectorX vectorY
                  Expect.equal (Vector.toArray sum) (Array.map2 (fused alpha) x y) "sum"
                  Expect.equal (vectorX, vectorY) (Vector.ofArray x, Vector.ofArray y) "x and y")
          property "α is rounded to float32 first" vectors (fun (x, y, alpha) ->
              let exact = float alpha / 3.0
              let rounded = float (float32 exact)
              let x, y = Vector.ofArray x, Vector.ofArray y
              Expect.equal (Vector.addScaled exact x y) (Vector.addScaled rounded x y) "y + α x"
              Expect.equal (Vector.scale exact x) (Vector.scale rounded x) "α x")
          property "α x and f(x) are those of each number" vectors (fun (x, _, alpha) ->
              let vector = Vector.ofArray x

              Expect.equal
                  (Vector.toArray (Vector.scale (float alpha) vector))
                  (Array.map (fun xi -> alpha * xi) x)
                  "α x"

              Expect.equal (Vector.toArray (Vector.map MathF.Sin vector)) (Array.map MathF.Sin x) "sin x")
          property "is finite if each number is" anyNumbers (fun a ->
              Expect.equal (Vector.isFinite (Vector.ofArray a)) (Array.forall Single.IsFinite a) "vector"
              let matrix = Matrix.init 1 a.Length (fun _ column -> a[column])
              Expect.equal (Matrix.isFinite matrix) (Array.forall Single.IsFinite a) "matrix")
          property "of vectors of different lengths is refused" vectors (fun (a, _, alpha) ->
              let vector, longer = Vector.ofArray a, Vector.zero (a.Length + 1)
              expectRefused "dot" (fun () -> Vector.dot vector longer |> ignore)
              expectRefused "x longer" (fun () -> Vector.addScaled (float alpha) longer vector |> ignore)
              expectRefused "y longer" (fun () -> Vector.addScaled (float alpha) vector longer |> ignore)) ]

let private matrices =
    testList
        "a matrix"
        [ property "is row-major, however it is made and read" tables (fun (rows, columns, values) ->
              let matrix = ofTable (rows, columns, values)
              let filled = Matrix.Create(rows, columns, Fill(fun all -> (ReadOnlySpan values).CopyTo all))
              let ofRows = Matrix.ofRows (Array.init rows (fun row -> Array.sub values (row * columns) columns))
              Expect.equal (matrix.Rows, matrix.Columns) (rows, columns) "shape"
              Expect.equal (matrix.Span.ToArray()) values "numbers"
              Expect.equal (Vector.toArray (Matrix.flatten matrix)) values "as a vector"
              Expect.equal filled matrix "filled"
              Expect.equal (Vector.toArray (Matrix.flatten ofRows)) values "of rows"

              if rows > 0 then
                  Expect.equal ofRows matrix "of rows"

              for row in 0 .. rows - 1 do
                  Expect.equal (matrix.Row(row).ToArray()) (Array.sub values (row * columns) columns) $"row {row}"

                  for column in 0 .. columns - 1 do
                      Expect.equal matrix[row, column] values[row * columns + column] $"{row}, {column}")
          property "is equal to those of the same shape and bits alone" tables (fun (rows, columns, values) ->
              let matrix = ofTable (rows, columns, values)
              Expect.equal (hash (ofTable (rows, columns, values))) (hash matrix) "hash"
              let transposedShape = ofTable (columns, rows, values)
              Expect.equal (matrix = transposedShape) (rows = columns) "the same numbers in another shape"

              if values.Length > 0 then
                  let changed = Array.copy values
                  changed[values.Length / 2] <- changed[values.Length / 2] + 1f
                  Expect.notEqual (ofTable (rows, columns, changed)) matrix "another number")
          property
              "is cut into rows, and gathered from them"
              (gen {
                  let! rows, columns, values = tables
                  let! first = Gen.choose (0, rows)
                  let! count = Gen.choose (0, rows - first)
                  let! taken = Gen.choose (0, (if rows = 0 then 0 else 12))
                  let! indices = Gen.listOfLength taken (Gen.choose (0, max 0 (rows - 1)))
                  return (rows, columns, values), first, count, indices
              })
              (fun ((rows, columns, values), first, count, indices) ->
                  let matrix = ofTable (rows, columns, values)
                  let slice = matrix.SliceRows(first, count)
                  Expect.equal (slice.Rows, slice.Columns) (count, columns) "shape"
                  Expect.equal (slice.Span.ToArray()) (Array.sub values (first * columns) (count * columns)) "slice"
                  let gathered = Matrix.gather (ImmutableArray.CreateRange indices) matrix
                  Expect.equal (gathered.Rows, gathered.Columns) (indices.Length, columns) "shape"

                  for row, index in List.indexed indices do
                      Expect.equal (gathered.Row(row).ToArray()) (matrix.Row(index).ToArray()) $"row {index}")
          property
              "has a size that is computed without overflow, or is refused"
              (let size =
                  Gen.frequency
                      [ 2, Gen.choose (-2, 100)
                        2, Gen.choose (30_000, Int32.MaxValue)
                        1, Gen.elements [ 65536; 1 <<< 24; 1 <<< 30; Int32.MinValue; Int32.MaxValue ] ]

               Gen.zip size size)
              (fun (rows, columns) ->
                  let exact = bigint rows * bigint columns

                  if rows < 0 || columns < 0 || exact > bigint Array.MaxLength then
                      expectRefused "the product" (fun () -> Size.product rows columns |> ignore)
                      expectRefused "elements" (fun () -> Matrix.init rows columns (fun _ _ -> 0f) |> ignore)

                      expectRefused "filled" (fun () ->
                          Matrix.Create(rows, columns, Fill(fun all -> all.Clear())) |> ignore)
                  else
                      Expect.equal (bigint (Size.product rows columns)) exact "the product") ]

let tests = testList "vectors and matrices" [ elements; arithmetic; matrices ]
