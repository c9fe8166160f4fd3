module FunTrpo.Tests.KernelTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// 2⁻²⁴, half of the distance between 1 and the next float32.
let private roundoff = 1.0 / float (1 <<< 24)

// ---- C += A·B ----

/// C (m × n) += A (m × k) · B (k × n)
type private Product = { M: int; N: int; K: int; A: float32[]; B: float32[]; C: float32[] }

let private product =
    gen {
        let! m = Gen.choose (0, 11)
        let! n = Gen.frequency [ 1, Gen.choose (0, 1); 6, Gen.choose (2, 70); 1, Gen.choose (126, 150) ]
        let! k = Gen.choose (0, 20)
        let! a = numbers 2.0 (m * k)
        let! b = numbers 2.0 (k * n)
        let! c = numbers 2.0 (m * n)
        return { M = m; N = n; K = k; A = a; B = b; C = c }
    }

let private addProduct it =
    let c = Array.copy it.C
    MatrixProduct.AddProduct(it.M, it.N, it.K, ReadOnlySpan it.A, ReadOnlySpan it.B, Span c)
    c

let private transpose rows columns (a: float32[]) =
    let transposed = Array.zeroCreate<float32> a.Length
    MatrixProduct.Transpose(rows, columns, ReadOnlySpan a, Span transposed)
    transposed

let private addTransposedProduct it =
    let c = Array.copy it.C
    let a = transpose it.M it.K it.A
    MatrixProduct.AddTransposedProduct(it.M, it.N, it.K, ReadOnlySpan a, ReadOnlySpan it.B, Span c)
    c

/// Every element is within the error that k + 1 roundings in float32 can make of the sum in float64.
let private isProduct it (c: float32[]) =
    for row in 0 .. it.M - 1 do
        for column in 0 .. it.N - 1 do
            let terms =
                float it.C[row * it.N + column]
                :: [ for i in 0 .. it.K - 1 -> float it.A[row * it.K + i] * float it.B[i * it.N + column] ]

            let bound = float (it.K + 2) * roundoff * List.sumBy abs terms
            expectClose bound (float c[row * it.N + column]) (List.sum terms) $"C[{row}, {column}]"

let private isTranspose rows columns (a: float32[]) (transposed: float32[]) =
    for row in 0 .. rows - 1 do
        for column in 0 .. columns - 1 do
            Expect.equal transposed[column * rows + row] a[row * columns + column] $"element {row}, {column}"

let private matrixProduct =
    testList
        "matrix product"
        [ property "AddProduct is C + A·B" product (fun it -> isProduct it (addProduct it))
          property "AddTransposedProduct of Aᵀ is C + A·B" product (fun it -> isProduct it (addTransposedProduct it))
          property "both give the same bits" product (fun it ->
              Expect.equal (bitsOf (addTransposedProduct it)) (bitsOf (addProduct it)) "bits")
          property
              "a row has the same bits however many rows are computed with it"
              (gen {
                  let! it = product
                  let! first = Gen.choose (0, it.M)
                  let! count = Gen.choose (0, it.M - first)
                  return it, first, count
              })
              (fun (it, first, count) ->
                  let some =
                      addProduct
                          { it with
                              M = count
                              A = Array.sub it.A (first * it.K) (count * it.K)
                              C = Array.sub it.C (first * it.N) (count * it.N) }

                  let all = Array.sub (addProduct it) (first * it.N) (count * it.N)
                  Expect.equal (bitsOf some) (bitsOf all) "bits")
          property "a column has the same bits however many columns are computed with it" product (fun it ->
              let all = addProduct it

              for column in 0 .. it.N - 1 do
                  let only (m: float32[]) rows = Array.init rows (fun row -> m[row * it.N + column])

                  let alone = addProduct { it with N = 1; B = only it.B it.K; C = only it.C it.M }

                  Expect.equal (bitsOf alone) (bitsOf (only all it.M)) $"column {column}")
          property "a factor that is not finite shows in every element that it belongs to" product (fun it ->
              if it.M > 0 && it.N > 0 && it.K > 0 then
                  let poisoned = Array.copy it.A
                  poisoned[(it.M - 1) * it.K + it.K - 1] <- nanf
                  let c = addProduct { it with A = poisoned }

                  for i in 0 .. c.Length - 1 do
                      Expect.equal (Single.IsNaN c[i]) (i >= (it.M - 1) * it.N) $"element {i}")
          property
              "Transpose swaps rows and columns"
              (gen {
                  let! rows = Gen.choose (0, 20)
                  let! columns = Gen.choose (0, 20)
                  let! a = numbers 2.0 (rows * columns)
                  return rows, columns, a
              })
              (fun (rows, columns, a) -> isTranspose rows columns a (transpose rows columns a))
          property
              "lengths that do not fit the shape are refused, and nothing is written"
              (gen {
                  let! it = product
                  let! extra = Gen.elements [ -1; 1; 7 ]
                  let! which = Gen.choose (0, 2)
                  return it, extra, which
              })
              (fun (it, extra, which) ->
                  let resized i (values: float32[]) =
                      if i = which then Array.zeroCreate<float32>(max 0 (values.Length + extra)) else Array.copy values

                  let a, b, c = resized 0 it.A, resized 1 it.B, resized 2 it.C

                  if a.Length <> it.A.Length || b.Length <> it.B.Length || c.Length <> it.C.Length then
                      let before = bitsOf c

                      expectRefused "AddProduct" (fun () ->
                          MatrixProduct.AddProduct(it.M, it.N, it.K, ReadOnlySpan a, ReadOnlySpan b, Span c))

                      expectRefused "AddTransposedProduct" (fun () ->
                          MatrixProduct.AddTransposedProduct(it.M, it.N, it.K, ReadOnlySpan a, ReadOnlySpan b, Span c))

                      Expect.equal (bitsOf c) before "C is as it was")
          testCase "Transpose refuses lengths that do not fit the shape" (fun () ->
              expectRefused "a short matrix" (fun () ->
                  MatrixProduct.Transpose(2, 3, ReadOnlySpan(Array.zeroCreate<float32> 5), Span(Array.zeroCreate 6)))

              expectRefused "a short result" (fun () ->
                  MatrixProduct.Transpose(2, 3, ReadOnlySpan(Array.zeroCreate<float32> 6), Span(Array.zeroCreate 5)))) ]

// ---- Reductions ----

let private pair =
    gen {
        let! length = Gen.choose (0, 100)
        let! a = numbers 1e3 length
        let! b = numbers 1e3 length
        let! alpha = number
        return a, b, alpha
    }

let private reductions =
    testList
        "reductions"
        [ property "Dot is Σ aᵢ bᵢ to float64" pair (fun (a, b, _) ->
              let terms = Array.map2 (fun x y -> float x * float y) a b
              let bound = 1e-14 * Array.sumBy abs terms
              expectClose bound (Reductions.Dot(ReadOnlySpan a, ReadOnlySpan b)) (Array.sum terms) "dot")
          property "AddScaled is y + α x with one rounding, also when it writes over y" pair (fun (x, y, alpha) ->
              let sum = Array.zeroCreate<float32> x.Length
              Reductions.AddScaled(alpha, ReadOnlySpan x, ReadOnlySpan y, Span sum)

              let expected = Array.map2 (fun x y -> MathF.FusedMultiplyAdd(alpha, x, y)) x y
              Expect.equal (bitsOf sum) (bitsOf expected) "bits"

              let over = Array.copy y
              Reductions.AddScaled(alpha, ReadOnlySpan x, ReadOnlySpan over, Span over)
              Expect.equal (bitsOf over) (bitsOf expected) "in place")
          property "Multiply is aᵢ bᵢ, also when it writes over a" pair (fun (a, b, _) ->
              let product = Array.zeroCreate<float32> a.Length
              Reductions.Multiply(ReadOnlySpan a, ReadOnlySpan b, Span product)

              let expected = Array.map2 (*) a b
              Expect.equal (bitsOf product) (bitsOf expected) "bits"

              let over = Array.copy a
              Reductions.Multiply(ReadOnlySpan over, ReadOnlySpan b, Span over)
              Expect.equal (bitsOf over) (bitsOf expected) "in place")
          property
              "AddColumnSums adds to each element the sum of its column"
              (gen {
                  let! rows = Gen.choose (0, 20)
                  let! columns = Gen.choose (0, 40)
                  let! m = numbers 2.0 (rows * columns)
                  let! start = numbers 2.0 columns
                  return rows, columns, m, start
              })
              (fun (rows, columns, m, start) ->
                  let sums = Array.copy start
                  Reductions.AddColumnSums(rows, columns, ReadOnlySpan m, Span sums)

                  for column in 0 .. columns - 1 do
                      let terms =
                          float start[column] :: [ for row in 0 .. rows - 1 -> float m[row * columns + column] ]

                      let bound = float (rows + 1) * roundoff * List.sumBy abs terms
                      expectClose bound (float sums[column]) (List.sum terms) $"column {column}")
          property
              "AllFinite is false exactly when one element is NaN or infinite"
              (gen {
                  let! values = Gen.choose (1, 40) |> Gen.bind (numbers 3e38)
                  let! where = Gen.choose (0, values.Length - 1)
                  let! what = Gen.elements [ nanf; infinityf; -infinityf ]
                  return values, where, what
              })
              (fun (values, where, what) ->
                  Expect.isTrue (Reductions.AllFinite(ReadOnlySpan values)) "finite numbers"
                  values[where] <- what
                  Expect.isFalse (Reductions.AllFinite(ReadOnlySpan values)) $"with {what} at {where}")
          property "vectors of different lengths are refused" pair (fun (a, _, alpha) ->
              let longer = Array.zeroCreate<float32>(a.Length + 1)
              expectRefused "Dot" (fun () -> Reductions.Dot(ReadOnlySpan a, ReadOnlySpan longer) |> ignore)

              expectRefused "AddScaled: x" (fun () ->
                  Reductions.AddScaled(alpha, ReadOnlySpan longer, ReadOnlySpan a, Span a))

              expectRefused "AddScaled: y" (fun () ->
                  Reductions.AddScaled(alpha, ReadOnlySpan a, ReadOnlySpan longer, Span a))

              expectRefused "AddScaled: sum" (fun () ->
                  Reductions.AddScaled(alpha, ReadOnlySpan a, ReadOnlySpan a, Span longer))

              expectRefused "Multiply: a" (fun () -> Reductions.Multiply(ReadOnlySpan longer, ReadOnlySpan a, Span a))
              expectRefused "Multiply: b" (fun () -> Reductions.Multiply(ReadOnlySpan a, ReadOnlySpan longer, Span a))

              expectRefused "Multiply: product" (fun () ->
                  Reductions.Multiply(ReadOnlySpan a, ReadOnlySpan a, Span longer))

              expectRefused "AddColumnSums: matrix" (fun () ->
                  Reductions.AddColumnSums(2, longer.Length, ReadOnlySpan longer, Span longer))

              expectRefused "AddColumnSums: sums" (fun () ->
                  Reductions.AddColumnSums(1, longer.Length, ReadOnlySpan longer, Span a))) ]

// ---- Activations ----

let private apply activation (x: float32[]) =
    let values = Array.copy x
    let derivatives = Array.zeroCreate<float32> x.Length
    Activations.Apply(activation, Span values, Span derivatives)
    values, derivatives

let private sigmoid x = if x >= 0.0 then 1.0 / (1.0 + exp -x) else exp x / (1.0 + exp x)

/// f and f′ in float64.
let private definition activation (x: float) =
    match activation with
    | Activation.Identity -> x, 1.0
    | Activation.Tanh -> tanh x, 1.0 / (cosh x * cosh x)
    | Activation.Relu -> max 0.0 x, (if x > 0.0 then 1.0 else 0.0)
    | Activation.Sigmoid -> sigmoid x, sigmoid x * sigmoid -x
    | Activation.Elu -> (if x > 0.0 then x else exp x - 1.0), exp (min 0.0 x)
    | Activation.Softplus -> max 0.0 x + log (1.0 + exp -(abs x)), sigmoid x
    | Activation.Swish -> x * sigmoid x, sigmoid x + x * sigmoid x * sigmoid -x
    | other -> failwith $"no such activation: {other}"

/// Any float32 but NaN: each bit pattern is as likely as the next, or a number where activations bend.
let private anyNumber =
    let ofBits =
        gen {
            let! low = Gen.choose (0, 0xFFFF)
            let! high = Gen.choose (0, 0xFFFF)
            return BitConverter.UInt32BitsToSingle((uint32 high <<< 16) ||| uint32 low)
        }

    Gen.frequency
        [ 1, Gen.elements [ 0f; -0f; infinityf; -infinityf; Single.Epsilon; -Single.Epsilon ]
          1, Gen.elements [ Single.MaxValue; Single.MinValue; 1e4f; -1e4f; 80f; -80f; 7.90531f; -7.90531f; 1e-30f ]
          8, ofBits |> Gen.where (Single.IsNaN >> not)
          8, number |> Gen.map (fun x -> 10f * x) ]

let private anyNumbers =
    Gen.choose (1, 70) |> Gen.bind (fun length -> Gen.arrayOfLength length anyNumber)

let private finiteNumbers = anyNumbers |> Gen.map (Array.filter Single.IsFinite)

/// Enough numbers for the places between −10 and 10 that random ones miss.
let private grid = Array.init 200_001 (fun i -> float32 (i - 100_000) / 10_000f)

let private isTanh (x: float32[]) =
    let values, derivatives = apply Activation.Tanh x

    for i in 0 .. x.Length - 1 do
        let exact = tanh (float x[i])
        expectClose 3e-7 (float values[i]) exact $"tanh {x[i]}"

        // Below 1e-30 products of the approximation leave the range of normal numbers.
        if abs x[i] >= 1e-30f then
            let ulp = float (MathF.BitIncrement(abs (float32 exact)) - abs (float32 exact))
            expectClose (5.0 * ulp) (float values[i]) exact $"5 ulp of tanh {x[i]}"

        Expect.isTrue (abs values[i] <= 1f) $"|tanh {x[i]}| ≤ 1"
        let derivative = if Single.IsInfinity x[i] then 0.0 else snd (definition Activation.Tanh (float x[i]))
        expectClose 1e-6 (float derivatives[i]) derivative $"tanh′ {x[i]}"

let private ofActivation (activation: Activation) =
    testList
        (string activation)
        [ property "f and f′ are what float64 gives, rounded" finiteNumbers (fun x ->
              let values, derivatives = apply activation x

              for i in 0 .. x.Length - 1 do
                  let value, derivative = definition activation (float x[i])
                  let tolerance exact = if activation = Activation.Tanh then 1e-6 else 1e-15 + roundoff * abs exact
                  expectClose (tolerance value) (float values[i]) value $"f({x[i]})"
                  expectClose (tolerance derivative) (float derivatives[i]) derivative $"f′({x[i]})")
          property
              "f′ is the slope of f"
              (Gen.arrayOfLength 20 (Gen.choose (-8_000_000, 8_000_000) |> Gen.map (fun i -> float32 i / 1e6f))
               |> Gen.map (Array.filter (fun x -> abs x > 1e-4f)))
              (fun x ->
                  let _, derivatives = apply activation x

                  for i in 0 .. x.Length - 1 do
                      let at h = fst (definition activation (float x[i] + h))
                      let slope = (at 1e-5 - at -1e-5) / 2e-5
                      expectClose 1e-6 (float derivatives[i]) slope $"f′({x[i]})")
          property "an element has the same bits however many are computed with it" anyNumbers (fun x ->
              let values, derivatives = apply activation x

              for i in 0 .. x.Length - 1 do
                  let value, derivative = apply activation [| x[i] |]
                  Expect.equal (bitsOf value) (bitsOf [ values[i] ]) $"f({x[i]})"
                  Expect.equal (bitsOf derivative) (bitsOf [ derivatives[i] ]) $"f′({x[i]})")
          property "NaN stays NaN" anyNumbers (fun x ->
              x[x.Length / 2] <- nanf
              let values, _ = apply activation x
              Expect.isTrue (Single.IsNaN values[x.Length / 2]) "NaN")
          testCase "lengths that differ are refused" (fun () ->
              expectRefused "a short derivative" (fun () ->
                  Activations.Apply(activation, Span(Array.zeroCreate<float32> 3), Span(Array.zeroCreate<float32> 2)))) ]

let private activations =
    testList
        "activations"
        [ yield! Enum.GetValues<Activation>() |> Seq.map ofActivation
          property "tanh is within 5 ulp and 3e-7 on every float32, and never beyond ±1" anyNumbers isTanh
          testCase "tanh is within 5 ulp and 3e-7 all along [−10, 10]" (fun () -> isTanh grid)
          property "tanh is odd, bit for bit" anyNumbers (fun x ->
              let values, _ = apply Activation.Tanh x
              let negated, _ = apply Activation.Tanh (Array.map (~-) x)
              Expect.equal (bitsOf negated) (values |> Array.map (~-) |> bitsOf) "tanh −x = −tanh x")
          testCase "no other activation exists" (fun () ->
              expectRefused "an unknown activation" (fun () ->
                  Activations.Apply(enum 99, Span(Array.zeroCreate<float32> 1), Span(Array.zeroCreate<float32> 1)))) ]

// ---- The dense layer ----

type private Layer =
    { Rows: int
      Inputs: int
      Outputs: int
      Activation: Activation
      Parameters: float32[]
      X: float32[] }

let private layer =
    gen {
        let! rows = Gen.choose (0, 9)
        let! inputs = Gen.choose (1, 9)
        let! outputs = Gen.choose (1, 40)
        let! activation = activation
        let! parameters = numbers 1.0 (inputs * outputs + outputs)
        let! x = numbers 1.0 (rows * inputs)

        return
            { Rows = rows
              Inputs = inputs
              Outputs = outputs
              Activation = activation
              Parameters = parameters
              X = x }
    }

let private forward it =
    let y = Array.zeroCreate<float32>(it.Rows * it.Outputs)
    let derivative = Array.zeroCreate<float32>(it.Rows * it.Outputs)

    DenseLayer.Forward(
        it.Rows,
        it.Inputs,
        it.Outputs,
        it.Activation,
        ReadOnlySpan it.Parameters,
        ReadOnlySpan it.X,
        Span y,
        Span derivative
    )

    y, derivative

/// x W + b, element by element, for any matrix in the place of x and any vector in that of (W, b).
let private affine it (x: float[]) (parameters: float[]) row column =
    let mutable sum = parameters[it.Inputs * it.Outputs + column]

    for i in 0 .. it.Inputs - 1 do
        sum <- sum + x[row * it.Inputs + i] * parameters[i * it.Outputs + column]

    sum

/// The matrix of rows × outputs with these elements.
let private outputs it element = Array.init (it.Rows * it.Outputs) (fun i -> element (i / it.Outputs) (i % it.Outputs))

/// The layer with an input tangent, a parameter tangent, and an output cotangent.
let private layerWithTangents =
    gen {
        let! it = layer
        let! inputTangent = numbers 1.0 it.X.Length
        let! parameterTangent = numbers 1.0 it.Parameters.Length
        let! cotangent = numbers 1.0 (it.Rows * it.Outputs)
        return it, inputTangent, parameterTangent, cotangent
    }

let private pushforward it derivative (inputTangent: float32[]) (parameterTangent: float32[]) =
    let tangent = Array.zeroCreate<float32>(it.Rows * it.Outputs)

    DenseLayer.Pushforward(
        it.Rows,
        it.Inputs,
        it.Outputs,
        ReadOnlySpan it.Parameters,
        ReadOnlySpan it.X,
        ReadOnlySpan(derivative: float32[]),
        ReadOnlySpan inputTangent,
        ReadOnlySpan parameterTangent,
        Span tangent
    )

    tangent

let private pullback it derivative (cotangent: float32[]) inputCotangentLength =
    let transposed = transpose it.Inputs it.Outputs it.Parameters[.. it.Inputs * it.Outputs - 1]
    let inputCotangent = Array.create inputCotangentLength nanf
    let parameterCotangent = Array.create it.Parameters.Length nanf

    DenseLayer.Pullback(
        it.Rows,
        it.Inputs,
        it.Outputs,
        ReadOnlySpan transposed,
        ReadOnlySpan it.X,
        ReadOnlySpan(derivative: float32[]),
        ReadOnlySpan cotangent,
        Span inputCotangent,
        Span parameterCotangent
    )

    inputCotangent, parameterCotangent

let private denseLayer =
    testList
        "dense layer"
        [ property "y = f(x W + b)" layer (fun it ->
              let y, _ = forward it
              let inner = affine it (toFloats it.X) (toFloats it.Parameters)

              outputs it (fun row column -> inner row column |> definition it.Activation |> fst)
              |> fun expected -> expectAllClose 1e-5 y expected "y")
          property "the derivative is f′(x W + b)" layer (fun it ->
              let _, derivative = forward it
              let inner = affine it (toFloats it.X) (toFloats it.Parameters)

              for row in 0 .. it.Rows - 1 do
                  for column in 0 .. it.Outputs - 1 do
                      let z = inner row column

                      // The slope of a ReLU is not defined at 0, and rounding may take either side there.
                      if abs z > 1e-5 then
                          let expected = snd (definition it.Activation z)
                          expectClose 1e-5 (float derivative[row * it.Outputs + column]) expected "f′")
          property "ẏ = (ẋ W + x Ẇ + ḃ) ⊙ f′" layerWithTangents (fun (it, inputTangent, parameterTangent, _) ->
              let _, derivative = forward it
              let weights, tangents = toFloats it.Parameters, toFloats parameterTangent
              let inner = affine it (toFloats it.X) tangents
              // The biases belong to the parameters, and not to what the input's tangent is multiplied by.
              let withoutBiases = weights |> Array.mapi (fun i w -> if i < it.Inputs * it.Outputs then w else 0.0)

              let outer = affine it (toFloats inputTangent) withoutBiases
              let slope row column = float derivative[row * it.Outputs + column]

              let expected = outputs it (fun row column -> (inner row column + outer row column) * slope row column)
              expectAllClose 1e-5 (pushforward it derivative inputTangent parameterTangent) expected "ẏ")
          property "an empty input tangent is zero" layerWithTangents (fun (it, inputTangent, parameterTangent, _) ->
              let _, derivative = forward it
              let zero = Array.zeroCreate inputTangent.Length

              expectAllClose
                  0.0
                  (pushforward it derivative [||] parameterTangent)
                  (toFloats (pushforward it derivative zero parameterTangent))
                  "ẏ")
          property
              "with δ = u ⊙ f′ the cotangents are δ Wᵀ, xᵀ δ and the column sums of δ"
              layerWithTangents
              (fun (it, _, _, u) ->
                  let _, derivative = forward it
                  let inputCotangent, parameterCotangent = pullback it derivative u it.X.Length

                  let delta row column =
                      float u[row * it.Outputs + column] * float derivative[row * it.Outputs + column]

                  let rows = [ 0 .. it.Rows - 1 ]
                  let columns = [ 0 .. it.Outputs - 1 ]

                  let ofInput =
                      Array.init it.X.Length (fun i ->
                          let row, input = i / it.Inputs, i % it.Inputs

                          columns
                          |> List.sumBy (fun column ->
                              delta row column * float it.Parameters[input * it.Outputs + column]))

                  let ofParameters =
                      Array.init it.Parameters.Length (fun i ->
                          let input, column = i / it.Outputs, i % it.Outputs

                          rows
                          |> List.sumBy (fun row ->
                              let x = if input = it.Inputs then 1.0 else float it.X[row * it.Inputs + input]
                              x * delta row column))

                  expectAllClose 1e-5 inputCotangent ofInput "of the input"
                  expectAllClose 1e-5 parameterCotangent ofParameters "of the parameters")
          property "an input cotangent that is not wanted changes nothing else" layerWithTangents (fun (it, _, _, u) ->
              let _, derivative = forward it
              let _, wanted = pullback it derivative u it.X.Length
              let _, unwanted = pullback it derivative u 0
              Expect.equal (bitsOf unwanted) (bitsOf wanted) "of the parameters")
          property
              "spans of a wrong length are refused"
              (layerWithTangents |> Gen.where (fun (it, _, _, _) -> it.Rows > 0))
              (fun (it, inputTangent, parameterTangent, u) ->
                  let _, derivative = forward it
                  let short (values: float32[]) = Array.sub values 0 (values.Length - 1)
                  let long (values: float32[]) = Array.append values [| 0f |]

                  for resized in [ short; long ] do
                      expectRefused "Forward: x" (fun () -> forward { it with X = resized it.X } |> ignore)

                      expectRefused "Forward: parameters" (fun () ->
                          forward { it with Parameters = resized it.Parameters } |> ignore)

                      expectRefused "Pushforward: derivative" (fun () ->
                          pushforward it (resized derivative) inputTangent parameterTangent |> ignore)

                      expectRefused "Pushforward: parameter tangent" (fun () ->
                          pushforward it derivative inputTangent (resized parameterTangent) |> ignore)

                      if it.X.Length > 1 then
                          expectRefused "Pushforward: input tangent" (fun () ->
                              pushforward it derivative (resized inputTangent) parameterTangent |> ignore)

                          expectRefused "Pullback: input cotangent" (fun () ->
                              pullback it derivative u (resized it.X).Length |> ignore)

                      expectRefused "Pullback: derivative" (fun () ->
                          pullback it (resized derivative) u it.X.Length |> ignore)

                      expectRefused "Pullback: cotangent" (fun () ->
                          pullback it derivative (resized u) it.X.Length |> ignore)) ]

let tests = testList "kernels" [ matrixProduct; reductions; activations; denseLayer ]
