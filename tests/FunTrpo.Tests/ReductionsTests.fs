module FunTrpo.Tests.ReductionsTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// Two vectors of one length, and a factor.
let vectors =
    gen {
        let! length = Gen.choose (0, 100)
        let! a = numbers 1e3 length
        let! b = numbers 1e3 length
        let! alpha = number
        return a, b, alpha
    }

/// The same in float64, where rounding to float32 shows.
let private vectorsOfDoubles =
    vectors
    |> Gen.map (fun (a, b, alpha) ->
        Array.map (fun x -> float x / 3.0) a, Array.map (fun x -> float x / 7.0) b, float alpha / 11.0)

let tests =
    testList
        "reductions"
        [ property "Dot is Σ aᵢ bᵢ to float64" vectors (fun (a, b, _) ->
              let terms = Array.map2 (fun x y -> float x * float y) a b
              let bound = 1e-14 * Array.sumBy abs terms
              expectClose bound (Reductions.Dot(ReadOnlySpan a, ReadOnlySpan b)) (Array.sum terms) "dot")
          property "AddScaled is y + α x with one rounding, also when it writes over y" vectors (fun (x, y, alpha) ->
              let sum = Array.zeroCreate<float32> x.Length
              Reductions.AddScaled(alpha, ReadOnlySpan x, ReadOnlySpan y, Span sum)

              let expected = Array.map2 (fun x y -> fused alpha x y) x y
              Expect.equal (bitsOf sum) (bitsOf expected) "bits"

              let over = Array.copy y
              Reductions.AddScaled(alpha, ReadOnlySpan x, ReadOnlySpan over, Span over)
              Expect.equal (bitsOf over) (bitsOf expected) "in place")
          property "Multiply is aᵢ bᵢ, also when it writes over a" vectors (fun (a, b, _) ->
              let product = Array.zeroCreate<float32> a.Length
              Reductions.Multiply(ReadOnlySpan a, ReadOnlySpan b, Span product)

              let expected = Array.map2 (*) a b
              Expect.equal (bitsOf product) (bitsOf expected) "bits"

              let over = Array.copy a
              Reductions.Multiply(ReadOnlySpan over, ReadOnlySpan b, Span over)
              Expect.equal (bitsOf over) (bitsOf expected) "in place")
          property
              "Combine is α x + β y, β y rounded first, also when it writes over x or y"
              vectors
              (fun (x, y, alpha) ->
                  let beta = 0.3f - alpha
                  let expected = Array.map2 (fun x y -> fused alpha x (beta * y)) x y
                  let sum, overX, overY = Array.create x.Length nanf, Array.copy x, Array.copy y
                  Reductions.Combine(alpha, ReadOnlySpan x, beta, ReadOnlySpan y, Span sum)
                  Reductions.Combine(alpha, ReadOnlySpan overX, beta, ReadOnlySpan y, Span overX)
                  Reductions.Combine(alpha, ReadOnlySpan x, beta, ReadOnlySpan overY, Span overY)
                  Expect.equal (bitsOf sum) (bitsOf expected) "bits"
                  Expect.equal (bitsOf overX) (bitsOf expected) "over x"
                  Expect.equal (bitsOf overY) (bitsOf expected) "over y")
          property "Dot of float64 is Σ aᵢ bᵢ" vectorsOfDoubles (fun (a, b, _) ->
              let terms = Array.map2 (*) a b
              let bound = 1e-14 * Array.sumBy abs terms
              expectClose bound (Reductions.Dot(ReadOnlySpan a, ReadOnlySpan b)) (Array.sum terms) "dot")
          property
              "AddScaled of float64 is y + α x with one rounding, also when it writes over x or y"
              vectorsOfDoubles
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
          property "Widen keeps every number, and Narrow takes the nearest" vectorsOfDoubles (fun (a, _, _) ->
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
          property "vectors of different lengths are refused" vectors (fun (a, _, alpha) ->
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
                  Reductions.Multiply(ReadOnlySpan a, ReadOnlySpan a, Span longer))) ]
