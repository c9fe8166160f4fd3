/// Random cases for the properties: shapes are small, and numbers are of the size that networks work with.
module FunTrpo.Tests.Generators

open System
open System.Buffers
open System.Collections.Immutable
open Expecto
open FsCheck
open FsCheck.FSharp
open FunTrpo
open FunTrpo.Kernels

/// The value of a result that must not be an error.
let expectOk (result: Result<'T, 'Fault>) =
    match result with
    | Ok value -> value
    | Error fault -> failtest $"%A{fault}"

/// The environment variable that says how many random cases are enough.
let casesVariable = "FUNTRPO_TESTS_CASES"

let private mostCases =
    match Environment.GetEnvironmentVariable casesVariable with
    | null -> Int32.MaxValue
    | cases -> int cases

/// The configuration of a property that is checked on this many random cases.
let few cases = { FsCheckConfig.defaultConfig with maxTest = min cases mostCases }

/// A property that is checked on this many random cases.
let propertyOf cases name (cases': Gen<'Case>) (holds: 'Case -> unit) =
    testPropertyWithConfig (few cases) name (Prop.forAll (Arb.fromGen cases') holds)

/// A property of random numbers, which chance could break: the same random cases in each run, in which it does not.
let statisticOf cases name (cases': Gen<'Case>) (holds: 'Case -> unit) =
    test name {
        for case in Gen.sampleWithSeed (Rnd 1UL) 50 (min cases mostCases) cases' do
            holds case
    }

/// A property that is checked on 100 random cases.
let property name cases holds = propertyOf 100 name cases holds

/// A number in [−1, 1] with a full mantissa, which is exactly 0 now and then.
let number =
    Gen.frequency
        [ 1, Gen.constant 0f
          24, Gen.choose (-(1 <<< 24), 1 <<< 24) |> Gen.map (fun i -> float32 i / float32 (1 <<< 24)) ]

/// `length` numbers in [−scale, scale].
let numbers scale length = Gen.arrayOfLength length number |> Gen.map (Array.map (fun x -> float32 scale * x))

/// A vector of numbers in [−scale, scale].
let vector scale length = numbers scale length |> Gen.map Vector.ofArray

/// A matrix of numbers in [−scale, scale].
let matrix scale rows columns =
    numbers scale (rows * columns)
    |> Gen.map (fun values -> Matrix.init rows columns (fun row column -> values[row * columns + column]))

/// Any seed: small ones more often than large ones.
let seeds = ArbMap.defaults |> ArbMap.generate<int64>

let key = Gen.choose (Int32.MinValue, Int32.MaxValue) |> Gen.map (int64 >> Key.ofSeed)

let activation = Gen.elements (Enum.GetValues<Activation>())

/// Up to three hidden layers.
let architecture =
    gen {
        let! layers = Gen.choose (0, 3)
        let! hidden = Gen.listOfLength layers (Gen.choose (1, 9))
        let! activation = activation

        return (Architecture.uniform hidden activation)
    }

/// What a stack of layers is made of, for a reader and for the oracle; `builder` makes the stack itself.
type Layers =
    | Dense of outputs: int * Activation
    /// A linear layer, followed by outputs that are free parameters.
    | LinearThenStateIndependent of outputs: int * free: int
    | Then of first: Layers * second: Layers
    /// The filters, the window and the activation of a convolution.
    | Convolved of filters: int * Window * Activation
    | Pooled of Pooling * Window
    | Normalised
    /// Layers for rows that are pictures of this shape.
    | Reading of ArrayShape * Layers
    /// The same layers, of which others see the plain contract alone.
    | BehindContract of Layers
    /// Layers side by side, each for rows of this shape.
    | SideBySide of (ArrayShape * Layers) list

module Layers =

    /// The layer without its packed parameters, its padding and what else it can do beyond the contract.
    let private plain (layer: Layer) =
        { new Layer with
            member _.InputShape = layer.InputShape
            member _.OutputShape = layer.OutputShape
            member _.ParameterCount = layer.ParameterCount
            member _.Initialise key = layer.Initialise key
            member _.Forward(parameters, rows, input, output) = layer.Forward(parameters, rows, input, output)

            member _.Pushforward(parameters, rows, input, inputTangent, parameterTangent, outputTangent) =
                layer.Pushforward(parameters, rows, input, inputTangent, parameterTangent, outputTangent)

            member _.Pullback(parameters, rows, input, outputCotangent, inputCotangent, parameterCotangent) =
                layer.Pullback(parameters, rows, input, outputCotangent, inputCotangent, parameterCotangent) }

    let rec builder layers : LayerBuilder =
        match layers with
        | Dense(outputs, Activation.Identity) -> Dense.linear outputs
        | Dense(outputs, activation) -> Dense.hidden outputs activation
        | LinearThenStateIndependent(outputs, free) ->
            Dense.withStateIndependent 1.0 outputs Activation.Identity free 0.5
        | Then(first, second) -> builder first >=> builder second
        | Convolved(filters, window, activation) -> Convolution.hidden filters window activation
        | Pooled(pooling, window) -> Pool.layer pooling window
        | Normalised -> LayerNormalisation.layer
        | Reading(shape, layers) ->
            fun input ->
                Expect.equal (ArrayShape.size input) (ArrayShape.size shape) "a row is a picture"
                builder layers shape
        | BehindContract layers -> builder layers >> plain
        | SideBySide parts -> PartsLayer.create [ for shape, layers in parts -> shape, builder layers ]

    let network inputs layers = Network.create [ inputs ] (builder layers)

    /// The lengths of the rows that the layers read.
    let rec inputs layers =
        match layers with
        | Reading(shape, _) -> Gen.constant (ArrayShape.length shape)
        | SideBySide parts -> Gen.constant (parts |> List.sumBy (fst >> ArrayShape.length))
        | BehindContract layers
        | Then(layers, _) -> inputs layers
        | _ -> Gen.choose (1, 5)

    let private ofHidden layer =
        match layer with
        | HiddenLayer.Dense(units, activation) -> Dense(units, activation)
        | HiddenLayer.Convolution(filters, window, activation) -> Convolved(filters, window, activation)
        | HiddenLayer.Pool(pooling, window) -> Pooled(pooling, window)
        | HiddenLayer.LayerNorm -> Normalised
        | HiddenLayer.Flatten -> failwith "a dense layer reads pictures as rows without it"
        | HiddenLayer.Gru _
        | HiddenLayer.Lstm _
        | HiddenLayer.Parts _ -> failwith "layers with memory and layers for parts have cases of their own"

    /// The layers of an architecture, with an output layer.
    let ofArchitecture output (architecture: Architecture) =
        List.foldBack (fun layer rest -> Then(ofHidden layer, rest)) architecture output

/// Layers of any composition with `depth` ones after the first, and this many outputs. Most are narrower than a vector of the
/// processor; some take several.
let rec layersOf (activations: Gen<Activation>) depth outputs =
    gen {
        if depth = 0 then
            let! free = Gen.frequency [ 3, Gen.constant 0; 1, Gen.choose (0, outputs - 1) ]
            let! activation = activations
            let! isPlain = Gen.frequency [ 4, Gen.constant false; 1, Gen.constant true ]

            let layer =
                if free > 0 then LinearThenStateIndependent(outputs - free, free) else Dense(outputs, activation)

            return if isPlain then BehindContract layer else layer
        else
            let! left = Gen.choose (0, depth - 1)
            let! between = Gen.frequency [ 9, Gen.choose (1, 6); 1, Gen.choose (7, 35) ]
            let! first = layersOf activations left between
            let! second = layersOf activations (depth - 1 - left) outputs
            return Then(first, second)
    }

/// Pictures with sides of 2 up to this length.
let pictureShape longest =
    Gen.map3
        (fun height width channels -> [ height; width; channels ])
        (Gen.choose (2, longest))
        (Gen.choose (2, longest))
        (Gen.choose (1, 3))

/// A window that fits into a picture.
let windowIn (shape: ArrayShape) =
    Gen.map3
        (fun height width stride -> { Height = height; Width = width; Stride = stride })
        (Gen.choose (1, min 4 shape[0]))
        (Gen.choose (1, min 4 shape[1]))
        (Gen.choose (1, 3))

/// A convolution for pictures.
let convolution filters (activations: Gen<Activation>) shape =
    Gen.map3
        (fun filters window activation -> Convolved(filters, window, activation))
        filters
        (windowIn shape)
        activations

/// Numbers of filters, some of which fill vectors of the processor, and some of which are more than a tile holds.
let filters = Gen.frequency [ 4, Gen.choose (1, 5); 2, Gen.elements [ 16; 32 ]; 1, Gen.choose (6, 70) ]

let pool pooling shape = windowIn shape |> Gen.map (fun window -> Pooled(pooling, window))

/// A layer for pictures of any shape, with the shape.
let pictures (layer: ArrayShape -> Gen<Layers>) =
    pictureShape 6
    |> Gen.bind (fun shape -> layer shape |> Gen.map (fun layer -> Reading(shape, layer)))

/// One to three layers for small pictures, and a dense one with this many outputs. There are no kinks but those of the activations and of
/// these poolings.
let pictureLayers activations poolings outputs =
    let rec stack depth shape =
        gen {
            let! layer =
                Gen.frequency
                    [ 3, convolution (Gen.choose (1, 4)) activations shape
                      2, Gen.elements poolings |> Gen.bind (fun pooling -> pool pooling shape)
                      // A few numbers may be so near to each other that float32 does not know their variance.
                      (if ArrayShape.size shape >= 8L then 1 else 0), Gen.constant Normalised ]

            let next =
                match layer with
                | Convolved(filters, window, _) -> Window.outputShape filters window shape |> expectOk
                | Pooled(_, window) -> Window.outputShape (List.last shape) window shape |> expectOk
                | _ -> shape

            let! isPlain = Gen.frequency [ 4, Gen.constant false; 1, Gen.constant true ]
            let layer = if isPlain then BehindContract layer else layer
            let! rest = if depth = 1 then layersOf activations 0 outputs else stack (depth - 1) next
            return Then(layer, rest)
        }

    Gen.zip (Gen.choose (1, 3)) (pictureShape 4)
    |> Gen.bind (fun (depth, shape) -> stack depth shape |> Gen.map (fun layers -> Reading(shape, layers)))

/// The units of dense layers.
let unitsOf (architecture: Architecture) =
    architecture
    |> List.map (fun layer ->
        match layer with
        | HiddenLayer.Dense(units, _) -> units
        | other -> failwith $"{HiddenLayer.print other} is not dense")

/// Observations of so many numbers.
let numbersOf width = Space.box width -infinity infinity

let private simpleActionSpace =
    Gen.oneof
        [ Gen.choose (1, 5) |> Gen.map Discrete
          Gen.choose (1, 3)
          |> Gen.bind (fun choices -> Gen.listOfLength choices (Gen.choose (1, 4)))
          |> Gen.map MultiDiscrete
          Gen.choose (1, 4) |> Gen.map MultiBinary
          Gen.zip3 (Gen.choose (1, 3)) (Gen.choose (-3, 2)) (Gen.choose (1, 4))
          |> Gen.map (fun (dimensions, low, width) -> Space.box dimensions (float low) (float (low + width))) ]

/// Spaces as one with parts, named part0, part1 and so on.
let partsOf spaces = Parts(spaces |> List.mapi (fun i space -> $"part{i}", space))

/// One to three parts of such spaces.
let parts spaces = Gen.choose (1, 3) |> Gen.bind (fun count -> Gen.listOfLength count spaces) |> Gen.map partsOf

/// An action space of every kind but with few actions or dimensions.
let actionSpace =
    Gen.frequency
        [ 4, simpleActionSpace
          1, parts (Gen.frequency [ 5, simpleActionSpace; 1, parts simpleActionSpace ]) ]

/// An action space of every kind, with a distribution for it.
let distributedSpace =
    gen {
        let! space = actionSpace
        let! kind = Gen.elements (List.map snd Distribution.kinds)
        return (if space.IsBox || space.IsParts then kind else DistributionKind.Gaussian), space
    }

/// A policy with any layers, at random parameters, and a batch that it collected.
type PolicyCase =
    { Layers: Layers
      Policy: Policy
      Parameters: Vector
      Observations: Matrix
      Actions: Matrix
      Advantages: ImmutableArray<float> }

    member this.Space = this.Policy.ActionSpace

    member this.Surrogate =
        Surrogate.create 1 this.Policy this.Observations this.Actions this.Advantages this.Parameters

/// Actions that a policy takes on the observations, each drawn by a key of its own.
let drawActions (policy: Policy) parameters observations key =
    let distributions = Network.forward policy.Network parameters observations
    let width = policy.Family.ActionWidth

    Matrix.Create(
        observations.Rows,
        width,
        Fill(fun actions ->
            for row in 0 .. observations.Rows - 1 do
                policy.Family.Sample(distributions.Row row, Key.at (int64 row) key, actions.Slice(row * width, width)))
    )

/// A policy and its batch of so many rows, where the layers have only these activations.
let policyCaseOf activations (rows: Gen<int>) =
    gen {
        let! kind, space = distributedSpace
        let family = Distribution.forSpace kind space
        let! depth = Gen.choose (0, 2)

        let! layers =
            match space with
            | Box(low, _, _) ->
                let head = LinearThenStateIndependent(low.Length, low.Length)

                Gen.oneof
                    [ layersOf activations depth family.ParameterWidth
                      Gen.constant head
                      Gen.choose (1, 6)
                      |> Gen.bind (layersOf activations depth)
                      |> Gen.map (fun hidden -> Then(hidden, head)) ]
            | _ ->
                Gen.frequency
                    [ 4, layersOf activations depth family.ParameterWidth
                      1, pictureLayers activations [ Average ] family.ParameterWidth ]

        let! inputs = Layers.inputs layers

        let policy =
            { ObservationSpace = numbersOf inputs
              ActionSpace = space
              Architecture = (Architecture.uniform [] Activation.Identity)
              Distribution = kind
              Family = family
              Network = Layers.network inputs layers
              IsScaled = false }

        let! rows = rows
        let! parameters = vector 1.0 policy.Network.ParameterCount
        let! observations = matrix 1.5 rows inputs
        let! key = key
        let! advantages = numbers 2.0 rows

        return
            { Layers = layers
              Policy = policy
              Parameters = parameters
              Observations = observations
              Actions = drawActions policy parameters observations key
              Advantages = ImmutableArray.CreateRange(Seq.map float advantages) }
    }

/// A policy and its batch of up to nine rows.
let policyCase = policyCaseOf activation (Gen.choose (1, 9))

/// Whether the processor fuses multiplications with additions. One that does not rounds the product.
let isFused =
    System.Runtime.Intrinsics.X86.Fma.IsSupported || System.Runtime.Intrinsics.Arm.AdvSimd.IsSupported

/// a·b + c as the kernels round it.
let fused (a: float32) (b: float32) (c: float32) = if isFused then MathF.FusedMultiplyAdd(a, b, c) else a * b + c

/// a·b + c as the kernels round it.
let fusedDouble (a: float) (b: float) (c: float) = if isFused then Math.FusedMultiplyAdd(a, b, c) else a * b + c

/// The numbers in float64.
let toFloats: float32[] -> float[] = Array.map float

/// Fails unless the two numbers differ by at most `tolerance`; NaN always fails.
let expectClose tolerance (actual: float) (expected: float) what =
    let isClose = abs (actual - expected) <= tolerance

    if not isClose then
        failtest $"%s{what}: %g{actual} is not within %g{tolerance} of %g{expected}"

/// Fails unless each of the numbers is within `tolerance` of its counterpart.
let expectAllClose tolerance (actual: seq<float32>) (expected: float[]) what =
    let actual = Array.ofSeq actual
    Expect.equal actual.Length expected.Length $"%s{what}: length"

    for i in 0 .. actual.Length - 1 do
        expectClose tolerance (float actual[i]) expected[i] $"%s{what}[{i}]"

/// The bits of the numbers: 0 and −0 differ, and NaN is itself.
let bitsOf (values: seq<float32>) = values |> Seq.map BitConverter.SingleToUInt32Bits |> Array.ofSeq

/// Fills the memory that is rented next with NaN, so that results which depend on what it held before are seen.
let poisonMemory () =
    for power in 0..15 do
        for scratch in List.init 6 (fun _ -> PooledBuffer.Rent(1 <<< power)) do
            scratch.Span.Fill nanf
            scratch.Dispose()

        let doubles = ArrayPool.Shared.Rent(1 <<< power)
        Array.fill doubles 0 doubles.Length nan
        ArrayPool.Shared.Return doubles

/// Fails unless the arguments of the call are refused.
let expectRefused what (call: unit -> unit) =
    let refused =
        try
            call ()
            false
        with :? ArgumentException ->
            true

    Expect.isTrue refused $"%s{what} is refused"

/// The map as one that writes into memory that the caller owns.
let linearMapOf (f: Vector -> Vector) : LinearMap = fun v product -> (f v).Memory.CopyTo product

/// What the map makes of v, as a new vector. What the memory held before must not matter.
let applied (map: LinearMap) (v: Vector) =
    let product = Array.create v.Length nanf
    map v (product.AsMemory())
    Vector.ofArray product

/// F v + damping · v, averaged over `fraction` of the rows.
let fisherProduct damping fraction surrogate v =
    use fisher = Fisher.matrix damping fraction surrogate
    applied fisher.Product v

/// The number of alternatives of each choice of a space; none of a box.
let rec countsOf (space: Space) =
    match space with
    | Discrete count -> [ count ]
    | MultiDiscrete counts -> counts
    | MultiBinary count -> List.replicate count 2
    | Parts parts -> parts |> List.collect (snd >> countsOf)
    | Box _
    | Masked _ -> []
