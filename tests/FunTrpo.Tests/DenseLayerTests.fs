module FunTrpo.Tests.DenseLayerTests

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

/// Rows × inputs → outputs, of which the last `Free` are biases alone. The rows of x are `Gap` numbers further apart than they
/// need to be.
type private Shape = { Rows: int; Inputs: int; Weighted: int; Free: int; Gap: int }

/// A layer, and all that its kernels are given, without padding.
type private Case =
    {
        Shape: Shape
        Kernel: DenseLayer
        Parameters: float32[]
        X: float32[]
        /// Empty where it is left out.
        XTangent: float32[]
        ParameterTangent: float32[]
        /// δ, a cotangent of x W + b.
        Delta: float32[]
        /// f′ of the layer whose output x is, or its y where f = tanh; empty for 1.
        XKept: float32[]
        IsXTanh: bool
        /// What the cotangent of the parameters is added to.
        Before: float32[]
    }

/// What the reference takes, in multiplications.
let private work it = it.Rows * it.Inputs * (it.Weighted + it.Free)

/// Shapes of every remainder: of the vectors, of the tiles, and of the parts that the inner dimension is cut into.
let private shape =
    let few = Gen.choose (1, 24)

    let inputs =
        Gen.frequency [ 6, few; 2, Gen.choose (25, 70); 2, Gen.choose (120, 136); 1, Gen.choose (250, 300) ]

    gen {
        let! rows =
            Gen.frequency [ 1, Gen.constant 0; 1, Gen.constant 1; 8, few; 3, Gen.choose (25, 70); 1, inputs ]

        let! inputs = inputs

        let! weighted =
            Gen.frequency [ 1, Gen.constant 0; 6, few; 6, Gen.choose (25, 70); 1, Gen.choose (71, 200) ]

        let! free = Gen.frequency [ 3, Gen.constant 0; 1, Gen.choose (1, 20) ]
        let! gap = Gen.frequency [ 2, Gen.constant 0; 1, Gen.choose (1, 20) ]

        return
            { Rows = rows
              Inputs = inputs
              Weighted = weighted
              Free = (if weighted = 0 then max 1 free else free)
              Gap = gap }
    }
    |> Gen.where (fun it -> work it <= 150_000)

let private caseOf (activations: Gen<Activation>) =
    gen {
        let! shape = shape
        let! activation = activations
        let! hasTangent = Gen.elements [ true; true; true; false ]
        let! hasSlopes = Gen.elements [ true; true; false ]
        let! isXTanh = Gen.elements [ true; false ]
        let! seed = Gen.choose (0, Int32.MaxValue)
        let random = Random seed
        let kernel = DenseLayer(shape.Inputs, shape.Weighted, shape.Weighted + shape.Free, activation)

        // In [−1, 1], and exactly 0 now and then.
        let numbers count = Array.init count (fun _ -> if random.Next 25 = 0 then 0f else 2f * random.NextSingle() - 1f)

        return
            { Shape = shape
              Kernel = kernel
              Parameters = numbers kernel.ParameterCount
              X = numbers (shape.Rows * shape.Inputs)
              XTangent = numbers (if hasTangent then shape.Rows * shape.Inputs else 0)
              ParameterTangent = numbers kernel.ParameterCount
              Delta = numbers (shape.Rows * kernel.Outputs)
              XKept = numbers (if hasSlopes then shape.Rows * shape.Inputs else 0)
              IsXTanh = isXTanh
              Before = numbers kernel.ParameterCount }
    }

let private case = caseOf activation

// ---- The kernels, without padding at either end ----

/// The rows so far apart, with NaN between them.
let private spread stride rows (values: float32[]) =
    let padded = Array.create (rows * stride) nanf
    let width = if rows = 0 then 0 else values.Length / rows

    for row in 0 .. rows - 1 do
        Array.blit values (row * width) padded (row * stride) width

    padded

/// The rows without what lies between them.
let private compact rows width (padded: float32[]) =
    let stride = if rows = 0 then 0 else padded.Length / rows
    Array.init (rows * width) (fun i -> padded[i / width * stride + i % width])

let private pack it (values: float32[]) =
    let packed = Array.create it.Kernel.PackedCount nanf
    it.Kernel.Pack(ReadOnlySpan values, Span packed)
    packed

let private unpack it (packed: float32[]) =
    let values = Array.create it.Kernel.ParameterCount nanf
    it.Kernel.Unpack(ReadOnlySpan packed, Span values)
    values

let private transpose it =
    let transposed = Array.create it.Kernel.TransposedCount nanf
    it.Kernel.Transpose(ReadOnlySpan(pack it it.Parameters), Span transposed)
    transposed

let private xStride it = it.Shape.Inputs + it.Shape.Gap

let private spreadX it (x: float32[]) = spread (xStride it) it.Shape.Rows x

/// What has the shape of y, with NaN where the padding is.
let private spreadY it (y: float32[]) = spread it.Kernel.Stride it.Shape.Rows y

let private compactY it (y: float32[]) = compact it.Shape.Rows it.Kernel.Outputs y

/// y. The padded f′ is written to `derivative`, unless that is empty.
let private forwardTo (derivative: float32[]) it =
    let y = Array.create (it.Shape.Rows * it.Kernel.Stride) nanf

    it.Kernel.Forward(
        it.Shape.Rows,
        ReadOnlySpan(pack it it.Parameters),
        ReadOnlySpan(spreadX it it.X),
        xStride it,
        Span y,
        Span derivative
    )

    compactY it y

/// y, and f′, which is empty where it is 1 everywhere.
let private forward it =
    let derivative = Array.create (if it.Kernel.IsLinear then 0 else it.Shape.Rows * it.Kernel.Stride) nanf
    let y = forwardTo derivative it
    y, (if it.Kernel.IsLinear then [||] else compactY it derivative)

/// f′, or y for tanh, with NaN where the padding is.
let private paddedDerivative it =
    let y, derivative = forward it

    if it.Kernel.IsLinear then [||]
    elif it.Kernel.IsTanh then spreadY it y
    else spreadY it derivative

let private pushforward it =
    let tangent = Array.create (it.Shape.Rows * it.Kernel.Stride) nanf

    it.Kernel.Pushforward(
        it.Shape.Rows,
        ReadOnlySpan(pack it it.Parameters),
        ReadOnlySpan(spreadX it it.X),
        xStride it,
        ReadOnlySpan(paddedDerivative it),
        ReadOnlySpan(if it.XTangent.Length = 0 then [||] else spreadX it it.XTangent),
        ReadOnlySpan(pack it it.ParameterTangent),
        Span tangent
    )

    compactY it tangent

/// The cotangent of x, multiplied by the slopes and where it is wanted, and that of the parameters.
let private pullback isInputWanted it =
    let rows, inputs = it.Shape.Rows, it.Shape.Inputs
    let xKept = if it.XKept.Length = 0 then [||] else spread (Lanes.Pad inputs) rows it.XKept
    let ofInput = Array.create (if isInputWanted then rows * Lanes.Pad inputs else 0) nanf
    let isParameter = pack it (Array.create it.Kernel.ParameterCount 1f)

    let ofParameters =
        Array.map2 (fun is value -> if is = 0f then nanf else value) isParameter (pack it it.Before)

    it.Kernel.Pullback(
        rows,
        ReadOnlySpan(if isInputWanted then transpose it else [||]),
        ReadOnlySpan(spreadX it it.X),
        xStride it,
        ActivationDerivatives(ReadOnlyMemory xKept, it.IsXTanh),
        ReadOnlySpan(spreadY it it.Delta),
        Span ofInput,
        Span ofParameters
    )

    (if isInputWanted then compact rows inputs ofInput else [||]), unpack it ofParameters

// ---- The same, element by element ----

/// A sum of products, in the order in which it is summed.
[<Struct>]
type private Sum = { Start: float32; Count: int; Term: int -> struct (float32 * float32) }

/// As one chain of fused multiply-adds in float32.
let private chained sum =
    let mutable total = sum.Start

    for i in 0 .. sum.Count - 1 do
        let struct (a, b) = sum.Term i
        total <- fused a b total

    total

/// In float64, and the sum of the absolute values.
let private exact sum =
    let mutable total, size = float sum.Start, abs (float sum.Start)

    for i in 0 .. sum.Count - 1 do
        let struct (a, b) = sum.Term i
        let product = float a * float b
        total <- total + product
        size <- size + abs product

    struct (total, size)

/// The row of (W, b), where b is the last, at one column: W is 0 where outputs are free.
let private at it (parameters: float32[]) row column =
    if row = it.Shape.Inputs then parameters[row * it.Shape.Weighted + column]
    elif column < it.Shape.Weighted then parameters[row * it.Shape.Weighted + column]
    else 0f

let private inner it (x: float32[]) parameters row column i =
    struct (x[row * it.Shape.Inputs + i], at it parameters i column)

/// x W + b
let private affine it row column =
    { Start = at it it.Parameters it.Shape.Inputs column
      Count = it.Shape.Inputs
      Term = inner it it.X it.Parameters row column }

/// x Ẇ + ẋ W + ḃ
let private tangent it row column =
    let ofParameters = inner it it.X it.ParameterTangent row column
    let ofX = inner it it.XTangent it.Parameters row column
    let first = it.Shape.Inputs
    let second = if it.XTangent.Length = 0 then 0 else it.Shape.Inputs

    { Start = at it it.ParameterTangent it.Shape.Inputs column
      Count = first + second
      Term = fun i -> if i < first then ofParameters i else ofX (i - first) }

/// δ Wᵀ
let private inputCotangent it row input =
    { Start = 0f
      Count = it.Shape.Weighted
      Term = fun column -> struct (it.Delta[row * it.Kernel.Outputs + column], at it it.Parameters input column) }

/// f′ of the layer whose output x is.
let private xSlope it i =
    if it.XKept.Length = 0 then 1f
    elif it.IsXTanh then 1f - it.XKept[i] * it.XKept[i]
    else it.XKept[i]

/// xᵀ δ, and the column sums of δ, on top of what was there.
let private parameterCotangent it i =
    let weights = it.Shape.Inputs * it.Shape.Weighted

    let input, column =
        if i < weights then i / it.Shape.Weighted, i % it.Shape.Weighted else -1, i - weights

    { Start = it.Before[i]
      Count = it.Shape.Rows
      Term =
        fun row ->
            let factor = if input < 0 then 1f else it.X[row * it.Shape.Inputs + input]
            struct (factor, it.Delta[row * it.Kernel.Outputs + column]) }

/// Every element of rows × columns.
let private elements rows columns element = Array.init (rows * columns) (fun i -> element (i / columns) (i % columns))

let private outputs it element = elements it.Shape.Rows it.Kernel.Outputs element

/// Fails unless the numbers are the sums, within the error that so many roundings can make.
let private areSums (actual: float32[]) (sums: Sum[]) what =
    Expect.equal actual.Length sums.Length $"%s{what}: length"

    for i in 0 .. sums.Length - 1 do
        let struct (sum, size) = exact sums[i]
        let bound = float (sums[i].Count + 2) * 6e-8 * size
        expectClose bound (float actual[i]) sum $"%s{what}[{i}]"

/// Fails unless the numbers are the sums as they are defined to be rounded, bit for bit.
let private areChains (actual: float32[]) (sums: Sum[]) what =
    Expect.equal (bitsOf actual) (sums |> Array.map chained |> bitsOf) what

let private activated it (z: float32[]) =
    let y, derivative = Array.copy z, Array.create z.Length nanf
    Activations.Apply(it.Kernel.Activation, Span y, Span derivative)
    y, derivative

let private linear = caseOf (Gen.constant Activation.Identity)

/// The sums of columns beyond whole vectors are several chains, added up at the end.
let private chainedCase = case |> Gen.where (fun it -> it.Kernel.Rest = 0)

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

              Expect.equal (bitsOf (transpose it)) (bitsOf expected) "Wᵀ")
          property "rows are padded to the next whole vector, and no further" (Gen.choose (0, 1000)) (fun count ->
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

              {| X = "x", it.Shape.Rows * xStride it, true
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
