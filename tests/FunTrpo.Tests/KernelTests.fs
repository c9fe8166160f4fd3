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
              "ScaleAndAddColumnSums multiplies by the scale, and adds the sum of each column row after row"
              (gen {
                  let! rows = Gen.choose (0, 20)
                  let! columns = Gen.choose (1, 40) |> Gen.map Lanes.Pad
                  let! m = numbers 2.0 (rows * columns)
                  let! scale = Gen.oneof [ numbers 2.0 (rows * columns); Gen.constant [||] ]
                  let! start = numbers 2.0 columns
                  return columns, m, scale, start
              })
              (fun (columns, m, scale, start) ->
                  let scaled, sums = Array.copy m, Array.copy start
                  ColumnSums.ScaleAndAdd(Span scaled, ReadOnlySpan scale, Span sums)
                  let expected = if scale.Length = 0 then m else Array.map2 (*) m scale
                  Expect.equal (bitsOf scaled) (bitsOf expected) "scaled"

                  let ofColumn column =
                      seq { column..columns .. m.Length - 1 }
                      |> Seq.fold (fun sum i -> sum + expected[i]) start[column]

                  Expect.equal (bitsOf sums) (Array.init columns ofColumn |> bitsOf) "sums")
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

              expectRefused "ScaleAndAddColumnSums: sums that are not whole vectors" (fun () ->
                  ColumnSums.ScaleAndAdd(
                      Span(Array.zeroCreate<float32> 3),
                      ReadOnlySpan.Empty,
                      Span(Array.zeroCreate<float32> 3)
                  ))

              expectRefused "ScaleAndAddColumnSums: a matrix of parts of rows" (fun () ->
                  ColumnSums.ScaleAndAdd(
                      Span(Array.zeroCreate<float32>(3 * Lanes.Width)),
                      ReadOnlySpan.Empty,
                      Span(Array.zeroCreate<float32>(2 * Lanes.Width))
                  ))

              expectRefused "ScaleAndAddColumnSums: scale" (fun () ->
                  ColumnSums.ScaleAndAdd(
                      Span(Array.zeroCreate<float32>(2 * Lanes.Width)),
                      ReadOnlySpan(Array.zeroCreate<float32> Lanes.Width),
                      Span(Array.zeroCreate<float32> Lanes.Width)
                  ))) ]

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

let tests = testList "kernels" [ reductions; activations; DenseLayerTests.tests ]
