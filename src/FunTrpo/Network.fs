namespace FunTrpo

open System
open System.Buffers
open FunTrpo.Kernels

type Activation = FunTrpo.Kernels.Activation

/// A network at fixed parameters, on a block of observations: its value and its two derivatives in the parameters.
/// It may be called any number of times, by one thread at a time.
type Linearization =
    {
        /// rows × outputs
        Forward: Matrix
        /// v ↦ J v: from a tangent of the parameters to rows × outputs
        Pushforward: Vector -> Matrix
        /// u ↦ Jᵀ u: from rows × outputs to a cotangent of the parameters, summed over the rows
        Pullback: Matrix -> Vector
    }

/// A differentiable map from parameters and observations to outputs.
type Network =
    {
        Inputs: int
        Outputs: int
        ParameterCount: int
        Initialise: Key -> Vector
        /// The network at parameters θ, on observations of one row a sample.
        At: Vector -> Matrix -> Linearization
    }

/// A layer at fixed parameters and a fixed input. Its derivatives write into blocks that the caller owns.
type LayerLinearization =
    abstract Output: Matrix

    /// The tangent of the output for those of the input and of the parameters. An empty input tangent is zero.
    abstract Pushforward:
        inputTangent: ReadOnlySpan<float32> * parameterTangent: ReadOnlySpan<float32> * outputTangent: Span<float32> ->
            unit

    /// The cotangents of the input and of the parameters for one of the output. An empty input cotangent is not wanted.
    abstract Pullback:
        outputCotangent: ReadOnlySpan<float32> * inputCotangent: Span<float32> * parameterCotangent: Span<float32> ->
            unit

/// A differentiable map from parameters and inputs to outputs, of which networks are composed.
type Layer =
    abstract Inputs: int
    abstract Outputs: int
    abstract ParameterCount: int
    abstract Initialise: Key -> Vector
    abstract At: parameters: Vector * input: Matrix -> LayerLinearization

/// A layer whose number of inputs is not yet known.
type LayerBuilder = int -> Layer

module Layer =

    /// A matrix whose columns (or rows, where those are fewer) are orthonormal, times `gain`; row-major.
    /// Saxe, McClelland, Ganguli: "Exact solutions to the nonlinear dynamics of learning in deep linear networks" (2013).
    let private orthogonal rows columns gain key =
        let count, length = min rows columns, max rows columns
        let normals = Key.normals (count * length) key
        let basis = Array.init count (fun i -> Array.sub normals (i * length) length)

        let dot (a: float[]) (b: float[]) =
            let mutable sum = 0.0

            for i in 0 .. a.Length - 1 do
                sum <- sum + a[i] * b[i]

            sum

        for i in 0 .. count - 1 do
            // Gram–Schmidt, twice: once is not enough for orthogonality to machine precision.
            for _ in 1..2 do
                for j in 0 .. i - 1 do
                    let overlap = dot basis[i] basis[j]

                    for k in 0 .. length - 1 do
                        basis[i][k] <- basis[i][k] - overlap * basis[j][k]

            let scale = 1.0 / sqrt (dot basis[i] basis[i])
            basis[i] <- Array.map (fun x -> scale * x) basis[i]

        Array.init (rows * columns) (fun i ->
            let row, column = i / columns, i % columns
            let entry = if rows <= columns then basis[row][column] else basis[column][row]
            float32 (gain * entry))

    /// A dense layer whose weights start orthogonal with the given gain, and whose biases start at zero.
    let denseWithGain gain outputs activation : LayerBuilder =
        fun inputs ->
            let weightCount = inputs * outputs

            { new Layer with
                member _.Inputs = inputs
                member _.Outputs = outputs
                member _.ParameterCount = weightCount + outputs

                member _.Initialise key =
                    Array.append (orthogonal inputs outputs gain key) (Array.zeroCreate outputs) |> Vector.adopt

                member _.At(parameters, input) =
                    let rows = input.Rows
                    let output = Array.zeroCreate<float32>(rows * outputs)
                    let derivative = Array.zeroCreate<float32>(rows * outputs)

                    DenseLayer.Forward(
                        rows,
                        inputs,
                        outputs,
                        activation,
                        parameters.Span,
                        input.Span,
                        output.AsSpan(),
                        derivative.AsSpan()
                    )

                    let transposedWeights =
                        lazy
                            (let transposed = Array.zeroCreate<float32> weightCount

                             MatrixProduct.Transpose(
                                 inputs,
                                 outputs,
                                 parameters.Span.Slice(0, weightCount),
                                 transposed.AsSpan()
                             )

                             transposed)

                    { new LayerLinearization with
                        member _.Output = Matrix.adopt rows outputs output

                        member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                            DenseLayer.Pushforward(
                                rows,
                                inputs,
                                outputs,
                                parameters.Span,
                                input.Span,
                                ReadOnlySpan derivative,
                                inputTangent,
                                parameterTangent,
                                outputTangent
                            )

                        member _.Pullback(outputCotangent, inputCotangent, parameterCotangent) =
                            DenseLayer.Pullback(
                                rows,
                                inputs,
                                outputs,
                                (if inputCotangent.IsEmpty then
                                     ReadOnlySpan.Empty
                                 else
                                     ReadOnlySpan transposedWeights.Value),
                                input.Span,
                                ReadOnlySpan derivative,
                                outputCotangent,
                                inputCotangent,
                                parameterCotangent
                            ) } }

    /// Each row of `wide` becomes the same row of `narrow`, followed by `tail`.
    let private appendToRows rows (narrow: ReadOnlySpan<float32>) (tail: ReadOnlySpan<float32>) (wide: Span<float32>) =
        let width = narrow.Length / max 1 rows
        let stride = width + tail.Length

        for r in 0 .. rows - 1 do
            narrow.Slice(r * width, width).CopyTo(wide.Slice(r * stride, width))
            tail.CopyTo(wide.Slice(r * stride + width, tail.Length))

    /// Outputs that depend on no input: `count` free parameters that every row repeats after the outputs of `inner`
    /// (the log σ of a Gaussian policy, for instance). They start at `initial`.
    let private withFreeOutputs count (initial: float) (inner: Layer) =
        let width = inner.Outputs + count

        { new Layer with
            member _.Inputs = inner.Inputs
            member _.Outputs = width
            member _.ParameterCount = inner.ParameterCount + count

            member _.Initialise key =
                Vector.concat [ inner.Initialise key; Vector.init count (fun _ -> float32 initial) ]

            member _.At(parameters, input) =
                let innerCount = inner.ParameterCount
                let innerWidth = inner.Outputs
                let rows = input.Rows
                let at = inner.At(parameters.Slice(0, innerCount), input)
                let free = parameters.Slice(innerCount, count)

                let output = Array.zeroCreate<float32>(rows * width)
                appendToRows rows at.Output.Span free.Span (output.AsSpan())

                { new LayerLinearization with
                    member _.Output = Matrix.adopt rows width output

                    member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                        let rented = ArrayPool<float32>.Shared.Rent(rows * innerWidth)
                        let innerTangent = rented.AsSpan(0, rows * innerWidth)
                        at.Pushforward(inputTangent, parameterTangent.Slice(0, innerCount), innerTangent)

                        appendToRows
                            rows
                            (Span.op_Implicit innerTangent)
                            (parameterTangent.Slice innerCount)
                            outputTangent

                        ArrayPool<float32>.Shared.Return rented

                    member _.Pullback(outputCotangent, inputCotangent, parameterCotangent) =
                        let rented = ArrayPool<float32>.Shared.Rent(rows * innerWidth)
                        let innerCotangent = rented.AsSpan(0, rows * innerWidth)
                        let freeCotangent = parameterCotangent.Slice innerCount
                        freeCotangent.Clear()

                        for r in 0 .. rows - 1 do
                            let row = outputCotangent.Slice(r * width, width)
                            row.Slice(0, innerWidth).CopyTo(innerCotangent.Slice(r * innerWidth, innerWidth))

                            for i in 0 .. count - 1 do
                                freeCotangent[i] <- freeCotangent[i] + row[innerWidth + i]

                        at.Pullback(innerCotangent, inputCotangent, parameterCotangent.Slice(0, innerCount))
                        ArrayPool<float32>.Shared.Return rented } }

    /// First `first`, then `second` on its output; the parameters are those of the first, then those of the second.
    let private compose (first: Layer) (second: Layer) =
        let split = first.ParameterCount

        { new Layer with
            member _.Inputs = first.Inputs
            member _.Outputs = second.Outputs
            member _.ParameterCount = split + second.ParameterCount

            member _.Initialise key =
                let struct (firstKey, secondKey) = Key.split key
                Vector.concat [ first.Initialise firstKey; second.Initialise secondKey ]

            member _.At(parameters, input) =
                let atFirst = first.At(parameters.Slice(0, split), input)

                let atSecond = second.At(parameters.Slice(split, second.ParameterCount), atFirst.Output)

                let between = input.Rows * first.Outputs

                { new LayerLinearization with
                    member _.Output = atSecond.Output

                    member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                        let rented = ArrayPool<float32>.Shared.Rent between
                        let hidden = rented.AsSpan(0, between)
                        atFirst.Pushforward(inputTangent, parameterTangent.Slice(0, split), hidden)
                        atSecond.Pushforward(hidden, parameterTangent.Slice split, outputTangent)
                        ArrayPool<float32>.Shared.Return rented

                    member _.Pullback(outputCotangent, inputCotangent, parameterCotangent) =
                        let rented = ArrayPool<float32>.Shared.Rent between
                        let hidden = rented.AsSpan(0, between)
                        atSecond.Pullback(outputCotangent, hidden, parameterCotangent.Slice split)
                        atFirst.Pullback(hidden, inputCotangent, parameterCotangent.Slice(0, split))
                        ArrayPool<float32>.Shared.Return rented } }

    /// A hidden layer: dense, with the gain √2 that keeps the scale of its inputs through a non-linearity.
    let dense outputs activation : LayerBuilder = denseWithGain (sqrt 2.0) outputs activation

    /// A dense layer without a non-linearity, usually the last one.
    let linear outputs : LayerBuilder = denseWithGain 1.0 outputs Activation.Identity

    /// `builder`, followed by `count` outputs that are free parameters and depend on no input; they start at `initial`.
    let andFree count initial (builder: LayerBuilder) : LayerBuilder =
        fun inputs -> withFreeOutputs count initial (builder inputs)

    /// First one layer, then the other.
    let (>=>) (first: LayerBuilder) (second: LayerBuilder) : LayerBuilder =
        fun inputs ->
            let first = first inputs
            compose first (second first.Outputs)

module Network =

    /// The same network, which refuses vectors and matrices of another shape than its own with an ArgumentException.
    let private checkingShapes (network: Network) =
        let requireLength what (v: Vector) =
            if v.Length <> network.ParameterCount then
                invalidArg what $"it has {v.Length} elements, and the network {network.ParameterCount} parameters"

        let requireShape what (m: Matrix) rows columns =
            if m.Rows <> rows || m.Columns <> columns then
                invalidArg what $"it is {m.Rows} × {m.Columns}, and must be {rows} × {columns}"

        { network with
            At =
                fun parameters observations ->
                    requireLength "parameters" parameters
                    requireShape "observations" observations observations.Rows network.Inputs
                    let at = network.At parameters observations

                    { at with
                        Pushforward =
                            fun tangent ->
                                requireLength "tangent" tangent
                                at.Pushforward tangent
                        Pullback =
                            fun cotangent ->
                                requireShape "cotangent" cotangent observations.Rows network.Outputs
                                at.Pullback cotangent } }

    /// The network that a stack of layers makes of observations of the given width:
    ///
    ///     Network.create 4 (dense 64 Activation.Tanh >=> dense 64 Activation.Tanh >=> linear 2)
    let create inputs (builder: LayerBuilder) =
        let layer = builder inputs

        { Inputs = inputs
          Outputs = layer.Outputs
          ParameterCount = layer.ParameterCount
          Initialise = layer.Initialise
          At =
            fun parameters observations ->
                let at = layer.At(parameters, observations)
                let rows = observations.Rows

                { Forward = at.Output
                  Pushforward =
                    fun tangent ->
                        let result = Array.zeroCreate<float32>(rows * layer.Outputs)
                        at.Pushforward(ReadOnlySpan.Empty, tangent.Span, result.AsSpan())
                        Matrix.adopt rows layer.Outputs result
                  Pullback =
                    fun cotangent ->
                        let result = Array.zeroCreate<float32> layer.ParameterCount
                        at.Pullback(cotangent.Span, Span.Empty, result.AsSpan())
                        Vector.adopt result } }
        |> checkingShapes

    /// The same network, worked out block of rows by block of rows on several threads. The blocks are of a fixed size and
    /// their cotangents are added in a fixed order, so the result does not depend on the number of threads.
    let inBlocks blockRows threads (network: Network) =
        let at parameters (observations: Matrix) =
            let rows = observations.Rows
            let blocks = (rows + blockRows - 1) / blockRows
            let countOf block = min blockRows (rows - block * blockRows)
            let slice (m: Matrix) block = m.SliceRows(block * blockRows, countOf block)

            let linearizations =
                Parallel.map threads blocks (fun block -> network.At parameters (slice observations block))

            let stack (part: int -> Matrix) =
                let stacked = Array.zeroCreate<float32>(rows * network.Outputs)

                Parallel.iter threads blocks (fun block ->
                    (part block).Span.CopyTo(stacked.AsSpan(block * blockRows * network.Outputs)))

                Matrix.adopt rows network.Outputs stacked

            { Forward = stack (fun block -> linearizations[block].Forward)
              Pushforward = fun tangent -> stack (fun block -> linearizations[block].Pushforward tangent)
              Pullback =
                fun cotangent ->
                    let parts =
                        Parallel.map threads blocks (fun block -> linearizations[block].Pullback(slice cotangent block))

                    let sum = Array.zeroCreate<float32> network.ParameterCount

                    for part in parts do
                        Reductions.AddScaled(1f, part.Span, ReadOnlySpan sum, sum.AsSpan())

                    Vector.adopt sum }

        checkingShapes { network with At = at }
