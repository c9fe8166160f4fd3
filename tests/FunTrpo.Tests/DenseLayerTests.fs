module FunTrpo.Tests.DenseLayerTests

open System
open Expecto
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

open FunTrpo.Tests.DenseLayerCases
open FunTrpo.Tests.PaddedRowsTests

let private values =
    testList
        "values"
        [ property "x W + b is the sum in float64, up to float32 roundings" linear (fun it ->
              areSums (fst (forward it)) (outputs it (affine it)) "y")
          property "y = f(x W + b) and f′, where x W + b is one chain of fused multiply-adds" chainedCase (fun it ->
              let y, derivative = forward it
              let expected, expectedDerivative = outputs it (affine it) |> Array.map chained |> activated it
              Expect.equal (bitsOf y) (bitsOf expected) "y"

              if it.Kernel.IsLinear then
                  Expect.isEmpty derivative "no f′ is kept where it is 1"
              else
                  Expect.equal (bitsOf derivative) (bitsOf expectedDerivative) "f′")
          property "y is the same without f′" case (fun it ->
              Expect.equal (bitsOf (forwardTo [||] it)) (bitsOf (fst (forward it))) "y")
          property "an x that is NaN shows in every weighted output of its row, and in no other row" case (fun it ->
              if it.X.Length > 0 then
                  let row = it.Shape.Rows / 2
                  let poisoned = Array.copy it.X
                  poisoned[row * it.Shape.Inputs + it.Shape.Inputs - 1] <- nanf
                  let y, _ = forward it
                  let y', _ = forward { it with X = poisoned }

                  for i in 0 .. y.Length - 1 do
                      if i / it.Kernel.Outputs <> row then
                          Expect.equal (bitsOf [ y'[i] ]) (bitsOf [ y[i] ]) $"y[{i}]"
                      elif i % it.Kernel.Outputs < it.Shape.Weighted then
                          Expect.isTrue (Single.IsNaN y'[i]) $"y[{i}]") ]

let private derivatives =
    testList
        "derivatives"
        [ property "ẋ W + x Ẇ + ḃ is the sum in float64, up to float32 roundings" linear (fun it ->
              areSums (pushforward it) (outputs it (tangent it)) "ẏ")
          property "ẏ = (ẋ W + x Ẇ + ḃ) ⊙ f′, where the sum is one chain of fused multiply-adds" chainedCase (fun it ->
              let sums = outputs it (tangent it) |> Array.map chained
              let expected = if it.Kernel.IsLinear then sums else Array.map2 (*) sums (snd (forward it))
              Expect.equal (bitsOf (pushforward it)) (bitsOf expected) "ẏ")
          property "an empty tangent of x is zero" case (fun it ->
              let zero = { it with XTangent = Array.zeroCreate it.X.Length }
              // 0 and −0 are equal, and a product with zero may be either.
              expectAllClose 0.0 (pushforward { it with XTangent = [||] }) (toFloats (pushforward zero)) "ẏ")
          property "the cotangents are δ Wᵀ, and xᵀ δ and the column sums of δ, in float64" case (fun it ->
              let ofInput, ofParameters = pullback true { it with XKept = [||] }
              areSums ofInput (elements it.Shape.Rows it.Shape.Inputs (inputCotangent it)) "of x"
              areSums ofParameters (Array.init ofParameters.Length (parameterCotangent it)) "of (W, b)")
          property
              "the cotangents are chains of fused multiply-adds: that of x times f′ of the layer before, the others on top of what was there"
              case
              (fun it ->
                  let ofInput, ofParameters = pullback true it

                  let expected =
                      elements it.Shape.Rows it.Shape.Inputs (inputCotangent it)
                      |> Array.mapi (fun i sum -> chained sum * xSlope it i)

                  Expect.equal (bitsOf ofInput) (bitsOf expected) "of x"
                  areChains ofParameters (Array.init ofParameters.Length (parameterCotangent it)) "of (W, b)")
          property "a cotangent of x that is not wanted changes nothing else" case (fun it ->
              Expect.equal (bitsOf (snd (pullback false it))) (bitsOf (snd (pullback true it))) "of (W, b)")
          property
              "what will be read soon changes no bit, however much it is, and not when it has been collected since"
              (gen {
                  let! it = case
                  let! reads = Gen.choose (0, 300)
                  let! length = Gen.choose (0, 200)
                  return it, reads, length
              })
              (fun (it, reads, length) ->
                  PrefetchQueue.Clear()
                  let expected = pullback true it

                  for _ in 1..reads do
                      PrefetchQueue.Add(ReadOnlySpan(Array.zeroCreate<float32> length))

                  GC.Collect 0
                  let ofInput, ofParameters = pullback true it
                  PrefetchQueue.Clear()
                  Expect.equal (bitsOf ofInput) (bitsOf (fst expected)) "of x"
                  Expect.equal (bitsOf ofParameters) (bitsOf (snd expected)) "of (W, b)")
          property "⟨u, ẏ⟩ = ⟨ẋ*, ẋ⟩ + ⟨(W, b)*, (Ẇ, ḃ)⟩" case (fun it ->
              let u = it.Delta
              let _, derivative = forward it
              let delta = if it.Kernel.IsLinear then u else Array.map2 (*) u derivative

              let ofInput, ofParameters =
                  pullback true { it with Delta = delta; XKept = [||]; Before = Array.zeroCreate it.Before.Length }

              let dot (a: float32[]) (b: float32[]) = Reductions.Dot(ReadOnlySpan a, ReadOnlySpan b)
              let size (a: float32[]) = sqrt (dot a a)
              let tangent = pushforward it
              let ofX = if it.XTangent.Length = 0 then 0.0 else dot ofInput it.XTangent
              let scale = size u * size tangent + size ofParameters * size it.ParameterTangent
              let pulled = ofX + dot ofParameters it.ParameterTangent
              expectClose (1e-5 * (1.0 + scale)) (dot u tangent) pulled "⟨u, Jv⟩ = ⟨Jᵀu, v⟩") ]

/// The case with only some of its rows.
let private withRows first count it =
    let some (values: float32[]) =
        if it.Shape.Rows = 0 then
            values
        else
            let width = values.Length / it.Shape.Rows
            Array.sub values (first * width) (count * width)

    { it with
        Shape = { it.Shape with Rows = count }
        X = some it.X
        XTangent = some it.XTangent
        Delta = some it.Delta
        XKept = if it.XKept.Length = 0 then [||] else some it.XKept }

let private rows =
    testList
        "rows"
        [ property
              "a row has the same bits however many are computed with it"
              (gen {
                  let! it = case
                  let! first = Gen.choose (0, it.Shape.Rows)
                  let! count = Gen.choose (0, it.Shape.Rows - first)
                  return it, first, count
              })
              (fun (it, first, count) ->
                  let some = withRows first count it
                  let outputs, inputs = it.Kernel.Outputs, it.Shape.Inputs
                  let sub width (values: float32[]) = Array.sub values (first * width) (count * width) |> bitsOf
                  Expect.equal (bitsOf (fst (forward some))) (sub outputs (fst (forward it))) "y"

                  if it.XTangent.Length = 0 || count > 0 then
                      Expect.equal (bitsOf (pushforward some)) (sub outputs (pushforward it)) "ẏ"

                  Expect.equal (bitsOf (fst (pullback true some))) (sub inputs (fst (pullback true it))) "of x")
          property
              "the cotangent of the parameters has the same bits in blocks, each added to the last"
              (gen {
                  let! it = case
                  let! first = Gen.choose (0, it.Shape.Rows)
                  return it, first
              })
              (fun (it, first) ->
                  let _, half = pullback false (withRows 0 first it)
                  let rest = { withRows first (it.Shape.Rows - first) it with Before = half }
                  Expect.equal (bitsOf (snd (pullback false rest))) (bitsOf (snd (pullback false it))) "of (W, b)") ]

let private packing =
    testList
        "packing"
        [ property "every parameter has its place, and the padding is zero" case (fun it ->
              let packed = pack it it.Parameters

              /// Rows of the parameters' numbers, padded with zeros.
              let padded rows width element =
                  elements rows (Lanes.Pad width) (fun row column -> if column < width then element row column else 0f)

              let main = it.Shape.Weighted - it.Kernel.Rest
              let weights = padded it.Shape.Inputs main (at it it.Parameters)

              /// Column after column, the last vector of each ending with it.
              let rest =
                  let whole = it.Shape.Inputs / Lanes.Width * Lanes.Width
                  let shift = Lanes.Pad it.Shape.Inputs - it.Shape.Inputs

                  elements it.Kernel.Rest (Lanes.Pad it.Shape.Inputs) (fun column place ->
                      at it it.Parameters (if place < whole then place else place - shift) (main + column))

              let biases = padded 1 it.Kernel.Outputs (fun _ column -> at it it.Parameters it.Shape.Inputs column)
              Expect.equal (bitsOf packed) (Array.concat [ weights; rest; biases ] |> bitsOf) "packed"
              Expect.equal (bitsOf (unpack it packed)) (bitsOf it.Parameters) "unpacked")
          property "transposing swaps rows and columns, and the padding is zero" case (fun it ->
              let stride = Lanes.Pad it.Shape.Inputs

              let expected =
                  elements it.Shape.Weighted stride (fun column row ->
                      if row < it.Shape.Inputs then at it it.Parameters row column else 0f)

              Expect.equal (bitsOf (transpose it)) (bitsOf expected) "Wᵀ") ]

/// Lengths of the spans of a call, by name. For each of them, the call must be refused with one number too few or too many,
/// unless more is fine, and not be refused as they are.
let private refuses (lengths: (string * int * bool) list) (call: (string -> float32[]) -> unit) =
    let with' changed by name =
        let _, length, _ = lengths |> List.find (fun (other, _, _) -> other = name)
        Array.zeroCreate<float32>(if name = changed then length + by else length)

    call (with' "" 0)

    for name, length, mayBeLonger in lengths do
        if length > 0 then
            expectRefused $"a short %s{name}" (fun () -> call (with' name -1))

        if not mayBeLonger then
            expectRefused $"a long %s{name}" (fun () -> call (with' name 1))

let private refusals =
    testList
        "spans of a wrong length are refused"
        [ let linearOrNot =
              gen {
                  let! activation = Gen.elements [ Activation.Identity; Activation.Tanh ]
                  return! caseOf (Gen.constant activation) |> Gen.where (fun it -> it.Shape.Rows > 0)
              }

          let lengths it =
              let y = it.Shape.Rows * it.Kernel.Stride

              {| X = "x", (it.Shape.Rows - 1) * xStride it + it.Shape.Inputs, true
                 Packed = "parameters", it.Kernel.PackedCount, false
                 Y = "y", y, false
                 Derivative = "derivative", (if it.Kernel.IsLinear then 0 else y), false |}

          propertyOf 30 "Forward" linearOrNot (fun it ->
              let lengths = lengths it
              let derivative = if it.Kernel.IsLinear then [] else [ lengths.Derivative ]

              refuses ([ lengths.X; lengths.Packed; lengths.Y ] @ derivative) (fun span ->
                  it.Kernel.Forward(
                      it.Shape.Rows,
                      ReadOnlySpan(span "parameters"),
                      ReadOnlySpan(span "x"),
                      xStride it,
                      Span(span "y"),
                      (if it.Kernel.IsLinear then Span.Empty else Span(span "derivative"))
                  )))

          propertyOf 30 "Pushforward" linearOrNot (fun it ->
              let lengths = lengths it
              let _, x, _ = lengths.X

              let tangents = [ "tangent of x", x, true; "tangent of parameters", it.Kernel.PackedCount, false ]

              // One number is not empty, and an empty tangent stands for zero.
              let tangents = if x = 1 then tangents.Tail else tangents
              let xTangent span = if x = 1 then [| 0f |] else span "tangent of x"

              refuses (tangents @ [ lengths.X; lengths.Packed; lengths.Y; lengths.Derivative ]) (fun span ->
                  it.Kernel.Pushforward(
                      it.Shape.Rows,
                      ReadOnlySpan(span "parameters"),
                      ReadOnlySpan(span "x"),
                      xStride it,
                      ReadOnlySpan(span "derivative"),
                      ReadOnlySpan(xTangent span),
                      ReadOnlySpan(span "tangent of parameters"),
                      Span(span "y")
                  )))

          propertyOf 30 "Pullback" linearOrNot (fun it ->
              let lengths = lengths it

              let cotangents =
                  [ "transposed weights", it.Kernel.TransposedCount, false
                    "cotangent of x", it.Shape.Rows * Lanes.Pad it.Shape.Inputs, false
                    "slopes", it.Shape.Rows * Lanes.Pad it.Shape.Inputs, false
                    "cotangent of parameters", it.Kernel.PackedCount, false ]

              refuses (cotangents @ [ lengths.X; lengths.Y ]) (fun span ->
                  it.Kernel.Pullback(
                      it.Shape.Rows,
                      ReadOnlySpan(span "transposed weights"),
                      ReadOnlySpan(span "x"),
                      xStride it,
                      ActivationDerivatives(ReadOnlyMemory(span "slopes"), true),
                      ReadOnlySpan(span "y"),
                      Span(span "cotangent of x"),
                      Span(span "cotangent of parameters")
                  )))

          propertyOf 30 "Pack, Unpack and Transpose" linearOrNot (fun it ->
              let both = [ "parameters", it.Kernel.ParameterCount, false; "packed", it.Kernel.PackedCount, false ]

              refuses both (fun span -> it.Kernel.Pack(ReadOnlySpan(span "parameters"), Span(span "packed")))
              refuses both (fun span -> it.Kernel.Unpack(ReadOnlySpan(span "packed"), Span(span "parameters")))

              refuses
                  [ "packed", it.Kernel.PackedCount, false; "transposed", it.Kernel.TransposedCount, false ]
                  (fun span -> it.Kernel.Transpose(ReadOnlySpan(span "packed"), Span(span "transposed"))))

          property "rows of x that overlap" linearOrNot (fun it ->
              expectRefused "a stride below the inputs" (fun () ->
                  it.Kernel.Forward(
                      it.Shape.Rows,
                      ReadOnlySpan(pack it it.Parameters),
                      ReadOnlySpan it.X,
                      it.Shape.Inputs - 1,
                      Span(Array.zeroCreate (it.Shape.Rows * it.Kernel.Stride)),
                      Span.Empty
                  ))) ]

let tests = testList "dense layer" [ values; derivatives; rows; packing; refusals ]
