/// Every kernel that works in blocks, at all remainders around its blocks, against a plain loop in float64.
module FunTrpo.Tests.RemainderTests

open System
open Expecto
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// Whole numbers from −8 to 8, none of them 0: sums of their products are exact in float32, in whatever order, and one that is left
/// out shows.
type private Numbers() =
    let random = Random 1

    member _.One() = float32 ((1 + random.Next 8) * (1 - 2 * random.Next 2))
    member this.Of count = Array.init count (fun _ -> this.One())

/// What remains of numbers that are next to a multiple of a larger block.
let private around blocks distance =
    [ for block in blocks do
          yield! [ block - distance .. block + distance ] ]

/// Lengths with every remainder of all blocks of up to 64, and those near larger ones.
let private lengths = [ 0..160 ] @ around [ 256; 512; 1000; 1024; 4096; 16384 ] 17

/// Fails unless the numbers are equal, where 0 and −0 are.
let private areEqual (expected: 'T[]) (actual: 'T[]) (what: string) =
    if not (ReadOnlySpan(expected).SequenceEqual(ReadOnlySpan actual)) then
        Expect.equal actual expected what

let private isEqual (expected: float) (actual: float) (what: string) =
    if actual <> expected then
        Expect.equal actual expected what

let private forEachLength check =
    let numbers = Numbers()

    for length in lengths do
        check numbers length $"of {length}"

let private ofLengths name check = test name { forEachLength check }

let private map2 f (a: float32[]) (b: float32[]) = Array.map2 (fun x y -> float32 (f (float x) (float y))) a b

let private vectors =
    [ ofLengths "Dot" (fun numbers length what ->
          let a, b = numbers.Of length, numbers.Of length
          let expected = Array.fold2 (fun sum x y -> sum + float x * float y) 0.0 a b
          isEqual expected (Reductions.Dot(ReadOnlySpan a, ReadOnlySpan b)) what
          let a, b = toFloats a, toFloats b
          isEqual expected (Reductions.Dot(ReadOnlySpan a, ReadOnlySpan b)) $"{what}, in float64")
      ofLengths "AddScaled" (fun numbers length what ->
          let x, y, alpha = numbers.Of length, numbers.Of length, numbers.One()
          let expected = map2 (fun x y -> y + float alpha * x) x y
          let sum = Array.create length nanf
          Reductions.AddScaled(alpha, ReadOnlySpan x, ReadOnlySpan y, Span sum)
          areEqual expected sum what
          let sum = Array.create length nan
          Reductions.AddScaled(float alpha, ReadOnlySpan(toFloats x), ReadOnlySpan(toFloats y), Span sum)
          areEqual (toFloats expected) sum $"{what}, in float64")
      ofLengths "Combine" (fun numbers length what ->
          let x, y, alpha, beta = numbers.Of length, numbers.Of length, numbers.One(), numbers.One()
          let sum = Array.create length nanf
          Reductions.Combine(alpha, ReadOnlySpan x, beta, ReadOnlySpan y, Span sum)
          areEqual (map2 (fun x y -> float alpha * x + float beta * y) x y) sum what)
      ofLengths "Multiply, and ActivationDerivatives" (fun numbers length what ->
          let a, b = numbers.Of length, numbers.Of length
          let product = Array.create length nanf
          Reductions.Multiply(ReadOnlySpan a, ReadOnlySpan b, Span product)
          areEqual (map2 (*) a b) product what
          let kept, tanh = Array.copy a, Array.copy a
          ActivationDerivatives(ReadOnlyMemory b, false).Multiply(Span kept)
          ActivationDerivatives(ReadOnlyMemory b, true).Multiply(Span tanh)
          areEqual (map2 (*) a b) kept $"{what}, f′"
          areEqual (map2 (fun x y -> x * (1.0 - y * y)) a b) tanh $"{what}, f′ of tanh")
      ofLengths "Widen and Narrow" (fun numbers length what ->
          let a = numbers.Of length
          let wide, narrow = Array.create length nan, Array.create length nanf
          Reductions.Widen(ReadOnlySpan a, Span wide)
          Reductions.Narrow(ReadOnlySpan wide, Span narrow)
          areEqual (toFloats a) wide $"{what}, wider"
          areEqual a narrow $"{what}, narrower")
      ofLengths "AllFinite sees an element wherever it is" (fun numbers length what ->
          let a = numbers.Of length
          Expect.isTrue (Reductions.AllFinite(ReadOnlySpan a)) what

          // Everywhere in the shorter ones; in the longer ones in the last blocks, and in some before.
          let step = max 1 (length / 97)

          for place in Seq.append (seq { 0..step .. length - 1 }) (seq { max 0 (length - 40) .. length - 1 }) do
              let kept = a[place]
              a[place] <- (if place % 2 = 0 then nanf else infinityf)

              if Reductions.AllFinite(ReadOnlySpan a) then
                  failtest $"the element {place} {what} is not seen"

              a[place] <- kept)
      ofLengths "Adam" (fun numbers length what ->
          let gradient, start = numbers.Of length, numbers.Of length
          let mean, square, parameters = Array.copy start, Array.map abs start, Array.copy start
          let step, learningRate = 3L, 0.01
          Adam.Step(step, learningRate, ReadOnlySpan gradient, Span mean, Span square, Span parameters)
          let beta1, beta2 = float Adam.MeanDecay, float Adam.SquareDecay

          for i in 0 .. length - 1 do
              let g, m, theta = float gradient[i], float start[i], float start[i]
              let m, v = beta1 * m + (1.0 - beta1) * g, beta2 * abs m + (1.0 - beta2) * g * g
              let theta = theta - learningRate * (m / (1.0 - beta1 ** 3.0)) / (sqrt (v / (1.0 - beta2 ** 3.0)) + 1e-8)

              for actual, expected in [ mean[i], m; square[i], v; parameters[i], theta ] do
                  let isClose = abs (float actual - expected) <= 1e-5 * (abs expected + 0.1)

                  if not isClose then
                      failtest $"element {i} {what}: {actual}, and not {expected}")
      for activation in Enum.GetValues<Activation>() do
          ofLengths $"{activation}" (fun numbers length what ->
              let x = numbers.Of length |> Array.map (fun x -> x / 3f)
              let y, derivative = Array.copy x, Array.create length nanf
              Activations.Apply(activation, Span y, Span derivative)

              for i in 0 .. length - 1 do
                  let value, slope = ActivationTests.definition activation (float x[i])

                  if not (abs (float y[i] - value) <= 1e-6 && abs (float derivative[i] - slope) <= 1e-6) then
                      failtest $"element {i} {what}: {y[i]} and {derivative[i]}, and not {value} and {slope}") ]

let private matrices =
    [ test "ColumnSums" {
          let numbers = Numbers()

          let check rows vectors =
              let columns = vectors * Lanes.Width
              let matrix, before = numbers.Of(rows * columns), numbers.Of columns
              let expected = toFloats before

              for i in 0 .. matrix.Length - 1 do
                  expected[i % columns] <- expected[i % columns] + float matrix[i]

              ColumnSums.Add(ReadOnlySpan matrix, Span before)
              areEqual (Array.map float32 expected) before $"{rows} rows of {vectors} vectors"

          for rows in [ 0..200 ] @ around [ 256; 512; 1024 ] 9 do
              List.iter (check rows) [ 1; 4; 7 ]

          for vectors in 1..20 do
              List.iter (fun rows -> check rows vectors) [ 1; 7; 63; 64; 65 ]
      }
      test "the softmax's metric" {
          let numbers = Numbers()

          let check rows count before after =
              let stride = before + count + after
              let p, u = numbers.Of(rows * stride), numbers.Of(rows * stride)
              let expected = Array.copy u

              for row in 0 .. rows - 1 do
                  let places = [| row * stride + before .. row * stride + before + count - 1 |]
                  let mean = places |> Array.sumBy (fun i -> float p[i] * float u[i])

                  for i in places do
                      expected[i] <- float32 (float p[i] * (float u[i] - mean))

              Softmax.ApplyMetric(rows, stride, before, count, ReadOnlySpan p, Span u)
              areEqual expected u $"{rows} rows of {count}"

          for count in [ 1..140 ] do
              check 3 count (count % 5) (count % 3)

          for rows in [ 0..140 ] do
              check rows 5 1 2
      }
      test "Gather" {
          let numbers = Numbers()

          for width in 0..70 do
              let rows = 1 + 5 * width
              let matrix = numbers.Of(rows * width)

              // Others are asked for from the memory while so many are copied.
              for count in 0 :: 1 :: around [ 1 + 16384 / (max 64 width) ] 1 do
                  let indices = Array.init count (fun i -> i * 7 % rows)
                  let gathered = Array.create (count * width) nanf
                  Rows.Gather(ReadOnlySpan indices, width, ReadOnlySpan matrix, Span gathered)
                  let element i = matrix[indices[i / width] * width + i % width]
                  areEqual (Array.init gathered.Length element) gathered $"{count} rows of {width}"
      }
      test "PaddedRows" {
          let numbers = Numbers()

          let check rows columns gap =
              let what = $"{rows} × {columns}, {gap} apart"
              let matrix = numbers.Of(rows * columns)
              let stride = columns + gap

              /// A matrix of rows so far apart, with another number where they do not reach.
              let spread other rows columns (element: int -> int -> float32) =
                  let stride = columns + gap

                  Array.init (rows * stride) (fun i ->
                      if i % stride < columns then element (i / stride) (i % stride) else other)

              let at row column = matrix[row * columns + column]
              let padded = Array.create (rows * stride) nanf
              PaddedRows.Pad(rows, columns, ReadOnlySpan matrix, Span padded)
              areEqual (spread 0f rows columns at) padded $"{what}: padded"
              let compact = Array.create matrix.Length nanf
              PaddedRows.Unpad(rows, columns, ReadOnlySpan padded, Span compact)
              areEqual matrix compact $"{what}: not padded"
              let copy = Array.create (rows * stride) 99f
              PaddedRows.Copy(rows, columns, ReadOnlySpan matrix, columns, Span copy, stride)
              areEqual (spread 99f rows columns at) copy $"{what}: copied"
              let transposed = Array.create (columns * (rows + gap)) 99f
              PaddedRows.Transpose(rows, columns, ReadOnlySpan padded, stride, Span transposed, rows + gap)
              areEqual (spread 99f columns rows (fun column row -> at row column)) transposed $"{what}: transposed"

          for rows in 0..37 do
              for columns in 0..37 do
                  check rows columns ((rows + 3 * columns) % 6)

          for large in around [ 64; 128 ] 5 do
              for small in [ 1; 5; 17 ] do
                  check large small 3
                  check small large 3
      } ]

/// The dense layer of such a shape, whose last outputs are free, with whole numbers for all that its kernels are given.
let private checkLayer (numbers: Numbers) rows inputs weighted free =
    let what = $"{rows} rows, {inputs} → {weighted} + {free}"
    let outputs = weighted + free
    let layer activation = DenseLayer(inputs, weighted, outputs, activation)
    let linear = layer Activation.Identity
    let stride, xStride, padded = linear.Stride, inputs + 3, Lanes.Pad inputs
    let parameters, tangents = numbers.Of linear.ParameterCount, numbers.Of linear.ParameterCount
    let x, xTangent = numbers.Of(rows * xStride), numbers.Of(rows * xStride)
    let kept, delta = numbers.Of(rows * stride), numbers.Of(rows * stride)
    let xKept = numbers.Of(rows * padded)

    let pack (values: float32[]) =
        let packed = Array.create linear.PackedCount nanf
        linear.Pack(ReadOnlySpan values, Span packed)
        packed

    let packed, packedTangents = pack parameters, pack tangents

    // ---- Plain loops ----

    let weight (values: float32[]) input column = float values[input * weighted + column]
    let bias (values: float32[]) column = float values[inputs * weighted + column]

    /// Σ x W over the inputs, for a column of y.
    let product (x: float32[]) values row column =
        let mutable sum = 0.0

        if column < weighted then
            for input in 0 .. inputs - 1 do
                sum <- sum + float x[row * xStride + input] * weight values input column

        sum

    /// Only what the rows hold, and not what lies between them.
    let compact stride width (values: float32[]) =
        Array.init (rows * width) (fun i -> values[i / width * stride + i % width])

    let table width element = Array.init (rows * width) (fun i -> float32 (element (i / width) (i % width)))

    let forward = table outputs (fun row column -> product x parameters row column + bias parameters column)

    let tangent row column =
        product x tangents row column + product xTangent parameters row column + bias tangents column

    let xCotangent row input =
        let mutable sum = 0.0

        for column in 0 .. weighted - 1 do
            sum <- sum + float delta[row * stride + column] * weight parameters input column

        sum

    /// On top of the parameters themselves.
    let parameterCotangent i =
        let mutable sum = float parameters[i]

        for row in 0 .. rows - 1 do
            let factor, column =
                if i < inputs * weighted then
                    float x[row * xStride + i / weighted], i % weighted
                else
                    1.0, i - inputs * weighted

            sum <- sum + factor * float delta[row * stride + column]

        float32 sum

    // ---- The kernels ----

    let y = Array.create (rows * stride) nanf

    linear.Forward(rows, ReadOnlySpan packed, ReadOnlySpan x, xStride, Span y, Span.Empty)
    areEqual forward (compact stride outputs y) $"{what}: y"

    let pushforward activation (derivative: float32[]) =
        let tangent = Array.create (rows * stride) nanf

        (layer activation)
            .Pushforward(
                rows,
                ReadOnlySpan packed,
                ReadOnlySpan x,
                xStride,
                ReadOnlySpan derivative,
                ReadOnlySpan xTangent,
                ReadOnlySpan packedTangents,
                Span tangent
            )

        compact stride outputs tangent

    let times slope = table outputs (fun row column -> tangent row column * slope (float kept[row * stride + column]))
    areEqual (times (fun _ -> 1.0)) (pushforward Activation.Identity [||]) $"{what}: ẏ"
    areEqual (times id) (pushforward Activation.Relu kept) $"{what}: ẏ with f′"
    areEqual (times (fun y -> 1.0 - y * y)) (pushforward Activation.Tanh kept) $"{what}: ẏ with tanh′"

    let transposed = Array.create linear.TransposedCount nanf
    linear.Transpose(ReadOnlySpan packed, Span transposed)

    let pullback (slopes: ActivationDerivatives) =
        let ofX, ofParameters = Array.create (rows * padded) nanf, Array.copy packed

        linear.Pullback(
            rows,
            ReadOnlySpan transposed,
            ReadOnlySpan x,
            xStride,
            slopes,
            ReadOnlySpan delta,
            Span ofX,
            Span ofParameters
        )

        let unpacked = Array.create linear.ParameterCount nanf
        linear.Unpack(ReadOnlySpan ofParameters, Span unpacked)
        compact padded inputs ofX, unpacked

    for name, slopes, slope in
        [ "1", ActivationDerivatives.One, (fun _ -> 1.0)
          "f′", ActivationDerivatives(ReadOnlyMemory xKept, false), id
          "tanh′", ActivationDerivatives(ReadOnlyMemory xKept, true), (fun y -> 1.0 - y * y) ] do
        let ofX, ofParameters = pullback slopes

        let expected =
            table inputs (fun row input -> xCotangent row input * slope (float xKept[row * padded + input]))

        areEqual expected ofX $"{what}: the cotangent of x with {name}"
        areEqual (Array.init parameters.Length parameterCotangent) ofParameters $"{what}: that of the parameters"

/// The blocks are tiles of six and eight rows, of one to four vectors of columns, and 128 inner indices at a time.
let private layers =
    [ test "of rows" {
          let numbers = Numbers()

          for rows in [ 0..60 ] @ around [ 64; 128; 256 ] 9 do
              checkLayer numbers rows 5 21 (rows % 3)
      }
      test "of inputs" {
          let numbers = Numbers()

          for inputs in [ 1..70 ] @ around [ 128; 256 ] 9 do
              checkLayer numbers 9 inputs 3 0
              checkLayer numbers 7 inputs 19 2
      }
      test "of outputs" {
          let numbers = Numbers()

          for weighted in [ 0..100 ] @ around [ 128 ] 9 do
              checkLayer numbers 7 9 weighted 1
              checkLayer numbers 8 17 (max 1 weighted) 0

          for free in 0..40 do
              checkLayer numbers 3 4 5 free
      }
      test "of all together" {
          let numbers = Numbers()

          for rows in 1..9 do
              for inputs in [ 1; 2; 3; 4; 5; 8; 15; 16; 17 ] do
                  for weighted in 1..9 do
                      checkLayer numbers rows inputs weighted 0
      } ]

let tests =
    testList
        "remainders"
        [ testList "of vectors" vectors
          testList "of matrices" matrices
          testList "of dense layers" layers ]
