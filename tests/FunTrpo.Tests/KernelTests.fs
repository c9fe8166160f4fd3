module FunTrpo.Tests.KernelTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// 2⁻²⁴, half of the distance between 1 and the next float32.
let private roundoff = 1.0 / float (1 <<< 24)

// ---- Reductions ----

let private pair =
    gen {
        let! length = Gen.choose (0, 100)
        let! a = numbers 1e3 length
        let! b = numbers 1e3 length
        let! alpha = number
        return a, b, alpha
    }

/// The same in float64, where rounding to float32 shows.
let private pairOfDoubles =
    pair
    |> Gen.map (fun (a, b, alpha) ->
        Array.map (fun x -> float x / 3.0) a, Array.map (fun x -> float x / 7.0) b, float alpha / 11.0)

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

              let expected = Array.map2 (fun x y -> fused alpha x y) x y
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
          property
              "ActivationDerivatives multiply by what is kept, by 1 − y² where that is y = tanh, and by 1 where nothing is"
              pair
              (fun (a, b, _) ->
                  let times slopes =
                      let product = Array.copy a
                      (slopes: ActivationDerivatives).Multiply(Span product)
                      bitsOf product

                  Expect.equal
                      (times (ActivationDerivatives(ReadOnlyMemory b, false)))
                      (Array.map2 (*) a b |> bitsOf)
                      "kept"

                  Expect.equal
                      (times (ActivationDerivatives(ReadOnlyMemory b, true)))
                      (Array.map2 (fun a y -> a * (1f - y * y)) a b |> bitsOf)
                      "tanh"

                  Expect.equal (times ActivationDerivatives.One) (bitsOf a) "1")
          property
              "a step of Adam is its formula number by number, however many there are"
              pair
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
          property "Combine is α x + β y, β y rounded first, also when it writes over x or y" pair (fun (x, y, alpha) ->
              let beta = 0.3f - alpha
              let expected = Array.map2 (fun x y -> fused alpha x (beta * y)) x y
              let sum, overX, overY = Array.create x.Length nanf, Array.copy x, Array.copy y
              Reductions.Combine(alpha, ReadOnlySpan x, beta, ReadOnlySpan y, Span sum)
              Reductions.Combine(alpha, ReadOnlySpan overX, beta, ReadOnlySpan y, Span overX)
              Reductions.Combine(alpha, ReadOnlySpan x, beta, ReadOnlySpan overY, Span overY)
              Expect.equal (bitsOf sum) (bitsOf expected) "bits"
              Expect.equal (bitsOf overX) (bitsOf expected) "over x"
              Expect.equal (bitsOf overY) (bitsOf expected) "over y")
          property "Dot of float64 is Σ aᵢ bᵢ" pairOfDoubles (fun (a, b, _) ->
              let terms = Array.map2 (*) a b
              let bound = 1e-14 * Array.sumBy abs terms
              expectClose bound (Reductions.Dot(ReadOnlySpan a, ReadOnlySpan b)) (Array.sum terms) "dot")
          property
              "AddScaled of float64 is y + α x with one rounding, also when it writes over x or y"
              pairOfDoubles
              (fun (x, y, alpha) ->
                  let expected = Array.map2 (fun x y -> fusedDouble alpha x y) x y
                  let sum, overX, overY = Array.create x.Length nan, Array.copy x, Array.copy y
                  Reductions.AddScaled(alpha, ReadOnlySpan x, ReadOnlySpan y, Span sum)
                  Reductions.AddScaled(alpha, ReadOnlySpan overX, ReadOnlySpan y, Span overX)
                  Reductions.AddScaled(alpha, ReadOnlySpan x, ReadOnlySpan overY, Span overY)
                  let bits = Array.map BitConverter.DoubleToUInt64Bits
                  Expect.equal (bits sum) (bits expected) "bits"
                  Expect.equal (bits overX) (bits expected) "over x"
                  Expect.equal (bits overY) (bits expected) "over y")
          property "Widen keeps every number, and Narrow takes the nearest" pairOfDoubles (fun (a, _, _) ->
              let narrow = Array.create a.Length nanf
              let wide = Array.create a.Length nan
              Reductions.Narrow(ReadOnlySpan a, Span narrow)
              Reductions.Widen(ReadOnlySpan narrow, Span wide)
              Expect.equal (bitsOf narrow) (bitsOf (Array.map float32 a)) "narrow"
              Expect.equal wide (Array.map float narrow) "wide")
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

              expectRefused "Combine: x" (fun () ->
                  Reductions.Combine(alpha, ReadOnlySpan longer, alpha, ReadOnlySpan a, Span a))

              expectRefused "Combine: y" (fun () ->
                  Reductions.Combine(alpha, ReadOnlySpan a, alpha, ReadOnlySpan longer, Span a))

              expectRefused "Combine: sum" (fun () ->
                  Reductions.Combine(alpha, ReadOnlySpan a, alpha, ReadOnlySpan a, Span longer))

              let doubles, longerDoubles = toFloats a, toFloats longer

              expectRefused "Dot of float64" (fun () ->
                  Reductions.Dot(ReadOnlySpan doubles, ReadOnlySpan longerDoubles) |> ignore)

              expectRefused "AddScaled of float64: x" (fun () ->
                  Reductions.AddScaled(1.0, ReadOnlySpan longerDoubles, ReadOnlySpan doubles, Span doubles))

              expectRefused "AddScaled of float64: y" (fun () ->
                  Reductions.AddScaled(1.0, ReadOnlySpan doubles, ReadOnlySpan longerDoubles, Span doubles))

              expectRefused "AddScaled of float64: sum" (fun () ->
                  Reductions.AddScaled(1.0, ReadOnlySpan doubles, ReadOnlySpan doubles, Span longerDoubles))

              expectRefused "Widen" (fun () -> Reductions.Widen(ReadOnlySpan longer, Span doubles))
              expectRefused "Narrow" (fun () -> Reductions.Narrow(ReadOnlySpan longerDoubles, Span a))
              expectRefused "Multiply: a" (fun () -> Reductions.Multiply(ReadOnlySpan longer, ReadOnlySpan a, Span a))
              expectRefused "Multiply: b" (fun () -> Reductions.Multiply(ReadOnlySpan a, ReadOnlySpan longer, Span a))

              expectRefused "Multiply: product" (fun () ->
                  Reductions.Multiply(ReadOnlySpan a, ReadOnlySpan a, Span longer))

              for isTanh in [ true; false ] do
                  expectRefused "ActivationDerivatives.Multiply" (fun () ->
                      ActivationDerivatives(ReadOnlyMemory longer, isTanh).Multiply(Span a))

              expectRefused "ColumnSums: sums that are not whole vectors" (fun () ->
                  ColumnSums.Add(ReadOnlySpan(Array.zeroCreate<float32> 3), Span(Array.zeroCreate<float32> 3)))

              expectRefused "ColumnSums: a matrix of parts of rows" (fun () ->
                  ColumnSums.Add(
                      ReadOnlySpan(Array.zeroCreate<float32>(3 * Lanes.Width)),
                      Span(Array.zeroCreate<float32>(2 * Lanes.Width))
                  ))) ]

// ---- Activations ----

let private apply activation (x: float32[]) =
    let values = Array.copy x
    let derivatives = Array.zeroCreate<float32> x.Length
    Activations.Apply(activation, Span values, Span derivatives)
    values, derivatives

let private sigmoid x = if x >= 0.0 then 1.0 / (1.0 + exp -x) else exp x / (1.0 + exp x)

/// f and f′ in float64.
let definition activation (x: float) =
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
    let slack = if isFused then 1.0 else 2.0 // each step of the approximation then rounds twice

    for i in 0 .. x.Length - 1 do
        // Names are only made of what fails: there are many numbers.
        let isClose tolerance (actual: float32) expected what =
            let holds = abs (float actual - expected) <= tolerance

            if not holds then
                expectClose tolerance (float actual) expected $"%s{what} {x[i]}"

        let exact = tanh (float x[i])
        isClose (slack * 3e-7) values[i] exact "tanh"

        // Below 1e-30 products of the approximation leave the range of normal numbers.
        if abs x[i] >= 1e-30f then
            let ulp = float (MathF.BitIncrement(abs (float32 exact)) - abs (float32 exact))
            isClose (slack * 5.0 * ulp) values[i] exact "5 ulp of tanh"

        let isBounded = abs values[i] <= 1f

        if not isBounded then
            failtest $"|tanh {x[i]}| is {values[i]}, beyond 1"

        let derivative = if Single.IsInfinity x[i] then 0.0 else snd (definition Activation.Tanh (float x[i]))
        isClose 1e-6 derivatives[i] derivative "tanh′"

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
          property "f is the same without f′" anyNumbers (fun x ->
              let values, _ = apply activation x
              let alone = Array.copy x
              Activations.Apply(activation, Span alone, Span.Empty)
              Expect.equal (bitsOf alone) (bitsOf values) "f")
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

// ---- The softmax ----

let private softmaxMetric =
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

// ---- Adam ----

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

let private adam =
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

// ---- Rows ----

let private rows =
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

/// In 32 bits each of these products of lengths wraps around, to the length of the spans that are given: then nothing would keep a
/// kernel from leaving them.
let private wrapping =
    let none = Array.empty<float32>
    let rows = 1 <<< 28 // times 16 is 2³²

    testList
        "lengths that would fit in 32 bits alone are refused:"
        [ for name, call in
              [ "Pad", (fun () -> PaddedRows.Pad(rows, 16, ReadOnlySpan none, Span none))
                "Unpad", (fun () -> PaddedRows.Unpad(rows, 16, ReadOnlySpan none, Span none))
                "Copy, from", (fun () -> PaddedRows.Copy(rows + 1, 0, ReadOnlySpan none, 16, Span none, 0))
                "Copy, to", (fun () -> PaddedRows.Copy(rows + 1, 0, ReadOnlySpan none, 0, Span none, 16))
                "Copy of fewer rows than none", (fun () -> PaddedRows.Copy(-1, 1, ReadOnlySpan none, 1, Span none, 1))
                "Transpose", (fun () -> PaddedRows.Transpose(rows + 1, 0, ReadOnlySpan none, 16, Span none, rows + 1))
                "Gather",
                (fun () -> Rows.Gather(ReadOnlySpan(Array.zeroCreate<int> 65536), 65536, ReadOnlySpan none, Span none))
                "ApplyMetric, rows", (fun () -> Softmax.ApplyMetric(rows, 16, 0, 2, ReadOnlySpan none, Span none))
                "ApplyMetric, columns",
                (fun () ->
                    Softmax.ApplyMetric(
                        1,
                        4,
                        Int32.MaxValue,
                        5,
                        ReadOnlySpan(Array.zeroCreate<float32> 4),
                        Span(Array.zeroCreate 4)
                    ))
                "ColumnSums", (fun () -> ColumnSums.Add(ReadOnlySpan(Array.zeroCreate<float32> 4), Span none))
                "Rent", (fun () -> (PooledBuffer.Rent(1 <<< 16, 1 <<< 16)).Dispose())
                "RentZeros", (fun () -> (PooledBuffer.RentZeros(1 <<< 16, 1 <<< 16)).Dispose())
                "RentDoubles", (fun () -> (PooledBuffer.RentDoubles Int32.MinValue).Dispose()) ] do
              test name { expectRefused name call }

          test "Forward, Pushforward and Pullback of a layer" {
              let layer = DenseLayer(16, 16, 16, Activation.Identity)
              let packed = Array.zeroCreate layer.PackedCount
              let transposed = Array.zeroCreate layer.TransposedCount

              expectRefused "Forward" (fun () ->
                  layer.Forward(rows, ReadOnlySpan packed, ReadOnlySpan none, 16, Span none, Span none))

              expectRefused "Pushforward" (fun () ->
                  layer.Pushforward(
                      rows,
                      ReadOnlySpan packed,
                      ReadOnlySpan none,
                      16,
                      ReadOnlySpan none,
                      ReadOnlySpan none,
                      ReadOnlySpan packed,
                      Span none
                  ))

              expectRefused "Pullback" (fun () ->
                  layer.Pullback(
                      rows,
                      ReadOnlySpan transposed,
                      ReadOnlySpan none,
                      16,
                      ActivationDerivatives.One,
                      ReadOnlySpan none,
                      Span none,
                      Span packed
                  ))
          }

          property
              "a layer of any size is either refused, or all its forms are of the size that they should be"
              (let size =
                  Gen.frequency
                      [ 2, Gen.choose (-1, 100)
                        2, Gen.choose (1000, Int32.MaxValue)
                        1, Gen.elements [ 65536; 1 <<< 24; Int32.MaxValue ] ]

               Gen.zip3 size size size)
              (fun (inputs, weighted, outputs) ->
                  let made =
                      try
                          Some(DenseLayer(inputs, weighted, outputs, Activation.Tanh))
                      with :? ArgumentOutOfRangeException ->
                          None

                  match made with
                  | None -> ()
                  | Some layer ->
                      let parameters = int64 inputs * int64 weighted + int64 outputs
                      Expect.equal (int64 layer.ParameterCount) parameters "parameters"
                      Expect.isGreaterThanOrEqual (int64 layer.PackedCount) parameters "packed"

                      Expect.isGreaterThanOrEqual
                          (int64 layer.TransposedCount)
                          (int64 inputs * int64 weighted)
                          "transposed"

                      Expect.isLessThanOrEqual layer.PackedCount PooledBuffer.Largest "packed"
                      Expect.isLessThanOrEqual layer.TransposedCount PooledBuffer.Largest "transposed") ]

let tests =
    testList "kernels" [ wrapping; reductions; softmaxMetric; activations; adam; rows; DenseLayerTests.tests ]
