module FunTrpo.Tests.ActivationTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// 2⁻²⁴, half of the distance between 1 and the next float32.
let private roundoff = 1.0 / float (1 <<< 24)

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

let tests =
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
