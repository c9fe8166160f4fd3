/// Dense layers of every shape with all that their kernels are given, and what the kernels compute, element by element.
module FunTrpo.Tests.DenseLayerCases

open System
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo.Kernels
open FunTrpo.Tests.Generators

open FunTrpo.Tests.PaddedRowsTests

/// Rows × inputs → outputs, of which the last `Free` are biases alone. The rows of x are `Gap` numbers further apart than they
/// need to be.
type Shape = { Rows: int; Inputs: int; Weighted: int; Free: int; Gap: int }

/// A layer, and all that its kernels are given, without padding.
type Case =
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
let work it = it.Rows * it.Inputs * (it.Weighted + it.Free)

/// Shapes of every remainder: of the vectors, of the tiles, and of the parts that the inner dimension is cut into.
let shape =
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

let caseOf (activations: Gen<Activation>) =
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

let case = caseOf activation

// ---- The kernels, without padding at either end ----

/// The rows without what lies between them.
let compact rows width (padded: float32[]) =
    let stride = if rows = 0 then 0 else padded.Length / rows
    Array.init (rows * width) (fun i -> padded[i / width * stride + i % width])

let pack it (values: float32[]) =
    let packed = Array.create it.Kernel.PackedCount nanf
    it.Kernel.Pack(ReadOnlySpan values, Span packed)
    packed

let unpack it (packed: float32[]) =
    let values = Array.create it.Kernel.ParameterCount nanf
    it.Kernel.Unpack(ReadOnlySpan packed, Span values)
    values

let transpose it =
    let transposed = Array.create it.Kernel.TransposedCount nanf
    it.Kernel.Transpose(ReadOnlySpan(pack it it.Parameters), Span transposed)
    transposed

let xStride it = it.Shape.Inputs + it.Shape.Gap

let spreadX it (x: float32[]) = spread (xStride it) it.Shape.Rows x

/// What has the shape of y, with NaN where the padding is.
let spreadY it (y: float32[]) = spread it.Kernel.Stride it.Shape.Rows y

let compactY it (y: float32[]) = compact it.Shape.Rows it.Kernel.Outputs y

/// y. The padded f′ is written to `derivative`, unless that is empty.
let forwardTo (derivative: float32[]) it =
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
let forward it =
    let derivative = Array.create (if it.Kernel.IsLinear then 0 else it.Shape.Rows * it.Kernel.Stride) nanf
    let y = forwardTo derivative it
    y, (if it.Kernel.IsLinear then [||] else compactY it derivative)

/// f′, or y for tanh, with NaN where the padding is.
let paddedDerivative it =
    let y, derivative = forward it

    if it.Kernel.IsLinear then [||]
    elif it.Kernel.IsTanh then spreadY it y
    else spreadY it derivative

let pushforward it =
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
let pullback isInputWanted it =
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
type Sum = { Start: float32; Count: int; Term: int -> struct (float32 * float32) }

/// As one chain of fused multiply-adds in float32.
let chained sum =
    let mutable total = sum.Start

    for i in 0 .. sum.Count - 1 do
        let struct (a, b) = sum.Term i
        total <- fused a b total

    total

/// In float64, and the sum of the absolute values.
let exact sum =
    let mutable total, size = float sum.Start, abs (float sum.Start)

    for i in 0 .. sum.Count - 1 do
        let struct (a, b) = sum.Term i
        let product = float a * float b
        total <- total + product
        size <- size + abs product

    struct (total, size)

/// The row of (W, b), where b is the last, at one column: W is 0 where outputs are free.
let at it (parameters: float32[]) row column =
    if row = it.Shape.Inputs then parameters[row * it.Shape.Weighted + column]
    elif column < it.Shape.Weighted then parameters[row * it.Shape.Weighted + column]
    else 0f

let inner it (x: float32[]) parameters row column i = struct (x[row * it.Shape.Inputs + i], at it parameters i column)

/// x W + b
let affine it row column =
    { Start = at it it.Parameters it.Shape.Inputs column
      Count = it.Shape.Inputs
      Term = inner it it.X it.Parameters row column }

/// x Ẇ + ẋ W + ḃ
let tangent it row column =
    let ofParameters = inner it it.X it.ParameterTangent row column
    let ofX = inner it it.XTangent it.Parameters row column
    let first = it.Shape.Inputs
    let second = if it.XTangent.Length = 0 then 0 else it.Shape.Inputs

    { Start = at it it.ParameterTangent it.Shape.Inputs column
      Count = first + second
      Term = fun i -> if i < first then ofParameters i else ofX (i - first) }

/// δ Wᵀ
let inputCotangent it row input =
    { Start = 0f
      Count = it.Shape.Weighted
      Term = fun column -> struct (it.Delta[row * it.Kernel.Outputs + column], at it it.Parameters input column) }

/// f′ of the layer whose output x is.
let xSlope it i =
    if it.XKept.Length = 0 then 1f
    elif it.IsXTanh then 1f - it.XKept[i] * it.XKept[i]
    else it.XKept[i]

/// xᵀ δ, and the column sums of δ, on top of what was there.
let parameterCotangent it i =
    let weights = it.Shape.Inputs * it.Shape.Weighted

    let input, column =
        if i < weights then i / it.Shape.Weighted, i % it.Shape.Weighted else -1, i - weights

    { Start = it.Before[i]
      Count = it.Shape.Rows
      Term =
        fun row ->
            let factor = if input < 0 then 1f else it.X[row * it.Shape.Inputs + input]
            struct (factor, it.Delta[row * it.Kernel.Outputs + column]) }

let outputs it element = elements it.Shape.Rows it.Kernel.Outputs element

/// Fails unless the numbers are the sums, within the error that so many roundings can make.
let areSums (actual: float32[]) (sums: Sum[]) what =
    Expect.equal actual.Length sums.Length $"%s{what}: length"

    for i in 0 .. sums.Length - 1 do
        let struct (sum, size) = exact sums[i]
        let bound = float (sums[i].Count + 2) * 6e-8 * size
        expectClose bound (float actual[i]) sum $"%s{what}[{i}]"

/// Fails unless the numbers are the sums as they are defined to be rounded, bit for bit.
let areChains (actual: float32[]) (sums: Sum[]) what =
    Expect.equal (bitsOf actual) (sums |> Array.map chained |> bitsOf) what

let activated it (z: float32[]) =
    let y, derivative = Array.copy z, Array.create z.Length nanf
    Activations.Apply(it.Kernel.Activation, Span y, Span derivative)
    y, derivative

let linear = caseOf (Gen.constant Activation.Identity)

/// The sums of columns beyond whole vectors are several chains, added up at the end.
let chainedCase = case |> Gen.where (fun it -> it.Kernel.Rest = 0)
