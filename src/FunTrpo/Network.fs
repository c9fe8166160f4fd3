namespace FunTrpo

open System
open System.Threading
open FunTrpo.Kernels

type Activation = FunTrpo.Kernels.Activation

/// v ↦ A v: writes the product into memory that the caller owns.
type LinearMap = Vector -> Memory<float32> -> unit

/// A layer at fixed parameters and on a fixed block of rows: its output and its two derivatives, which write into memory that
/// the caller owns. Output, tangents and cotangents have one row a sample: those of the output are `Stride` numbers apart, a tangent
/// of the input as far as the input, and a cotangent of the input `Lanes.Pad` of its columns, which is the `Stride` of layers that
/// others follow.
type LayerLinearization =
    inherit IDisposable

    abstract Output: ReadOnlyMemory<float32>

    /// The derivative of the non-linearity that the layer ends with, at each output.
    abstract ActivationDerivatives: ActivationDerivatives

    /// Has the memory send what the derivatives read, other than the input, while something else is still computed.
    abstract Prefetch: unit -> unit

    /// The tangent of the output for those of the input and of the packed parameters. An empty input tangent is zero.
    abstract Pushforward:
        inputTangent: ReadOnlySpan<float32> * parameterTangent: ReadOnlySpan<float32> * outputTangent: Span<float32> ->
            unit

    /// For a cotangent of what the layer's last non-linearity is applied to: that of the packed parameters, which is added to what is
    /// there, and that of the input, multiplied by the slopes of the layer whose output the input is, so that it is what that layer's own
    /// pullback begins with. An empty input cotangent is not wanted.
    abstract Pullback:
        outputCotangent: ReadOnlySpan<float32> *
        inputSlopes: ActivationDerivatives *
        inputCotangent: Span<float32> *
        parameterCotangent: Span<float32> ->
            unit

/// A layer at fixed parameters.
type LayerAt =
    inherit IDisposable

    /// Writes the output for rows of input that are `inputStride` numbers apart.
    abstract Forward: rows: int * input: ReadOnlySpan<float32> * inputStride: int * output: Span<float32> -> unit

    /// Makes what all linearizations need, before several threads do: with `isInputWanted`, also for cotangents of the input.
    abstract Prepare: isInputWanted: bool -> unit

    abstract Linearize: rows: int * input: ReadOnlyMemory<float32> * inputStride: int -> LayerLinearization

/// A differentiable map from parameters and inputs to outputs, of which networks are composed: the seam behind which any
/// differentiation engine can stand. A layer may keep its parameters in an arrangement of its own, the packed one.
type Layer =
    abstract Inputs: int
    abstract Outputs: int

    /// How far apart the rows of its output are.
    abstract Stride: int

    abstract ParameterCount: int
    abstract Initialise: Key -> Vector

    /// How many numbers packed parameters are.
    abstract PackedCount: int

    /// Packs parameters, or a tangent of them.
    abstract Pack: parameters: ReadOnlySpan<float32> * packed: Span<float32> -> unit

    /// Turns a packed cotangent into one of the parameters.
    abstract Unpack: packed: ReadOnlySpan<float32> * parameters: Span<float32> -> unit

    /// The layer at packed parameters, which must not change while it is used.
    abstract At: packed: ReadOnlyMemory<float32> -> LayerAt

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

    let private linearizeDense (kernel: DenseLayer) (packed: ReadOnlyMemory<float32>) (transposed: Lazy<PooledBuffer>) =
        fun rows (input: ReadOnlyMemory<float32>) inputStride ->
            let output = PooledBuffer.Rent(rows, kernel.Stride)
            let isKept = not (kernel.IsLinear || kernel.IsTanh)
            let derivative = PooledBuffer.Rent((if isKept then rows else 0), kernel.Stride)
            kernel.Forward(rows, packed.Span, input.Span, inputStride, output.Span, derivative.Span)

            let slopes () =
                let kept = if kernel.IsTanh then output.Memory else derivative.Memory
                ActivationDerivatives(Memory.op_Implicit kept, kernel.IsTanh)

            { new LayerLinearization with
                member _.Output = Memory.op_Implicit output.Memory
                member _.ActivationDerivatives = slopes ()
                member _.Prefetch() = PrefetchQueue.Add((slopes ()).Kept)

                member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                    kernel.Pushforward(
                        rows,
                        packed.Span,
                        input.Span,
                        inputStride,
                        (slopes ()).Kept,
                        inputTangent,
                        parameterTangent,
                        outputTangent
                    )

                member _.Pullback(outputCotangent, inputSlopes, inputCotangent, parameterCotangent) =
                    kernel.Pullback(
                        rows,
                        (if inputCotangent.IsEmpty then ReadOnlySpan.Empty else Span.op_Implicit transposed.Value.Span),
                        input.Span,
                        inputStride,
                        inputSlopes,
                        outputCotangent,
                        inputCotangent,
                        parameterCotangent
                    )
              interface IDisposable with
                  member _.Dispose() =
                      output.Dispose()
                      derivative.Dispose() }

    let private denseAt (kernel: DenseLayer) (packed: ReadOnlyMemory<float32>) =
        let transposed =
            lazy
                (let transposed = PooledBuffer.Rent kernel.TransposedCount
                 kernel.Transpose(packed.Span, transposed.Span)
                 transposed)

        let linearize = linearizeDense kernel packed transposed

        { new LayerAt with
            member _.Forward(rows, input, inputStride, output) =
                kernel.Forward(rows, packed.Span, input, inputStride, output, Span.Empty)

            member _.Prepare isInputWanted =
                if isInputWanted then
                    transposed.Force() |> ignore

            member _.Linearize(rows, input, inputStride) = linearize rows input inputStride
          interface IDisposable with
              member _.Dispose() =
                  if transposed.IsValueCreated then
                      transposed.Value.Dispose() }

    /// A dense layer whose weights start orthogonal with the given gain, and whose biases start at zero. After its outputs come
    /// `free` more that depend on no input and are parameters themselves: they start at `initial`.
    let denseThenStateIndependent gain outputs activation free (initial: float) : LayerBuilder =
        fun inputs ->
            let kernel = DenseLayer(inputs, outputs, outputs + free, activation)

            { new Layer with
                member _.Inputs = inputs
                member _.Outputs = kernel.Outputs
                member _.Stride = kernel.Stride
                member _.ParameterCount = kernel.ParameterCount

                member _.Initialise key =
                    let biases = Array.append (Array.zeroCreate outputs) (Array.create free (float32 initial))
                    Array.append (orthogonal inputs outputs gain key) biases |> Vector.adopt

                member _.PackedCount = kernel.PackedCount
                member _.Pack(parameters, packed) = kernel.Pack(parameters, packed)
                member _.Unpack(packed, parameters) = kernel.Unpack(packed, parameters)
                member _.At packed = denseAt kernel packed }

    /// The size of two layers together. More numbers than memory is lent for are refused; in 32 bits they would wrap around.
    let private together (first: int) (second: int) =
        let size = int64 first + int64 second

        if size > int64 PooledBuffer.Largest then
            invalidArg
                (nameof second)
                $"layers of {size} parameters are larger than the {PooledBuffer.Largest} that fit"

        int size

    /// First `first`, then `second` on its output; the parameters are those of the first, then those of the second.
    let private compose (first: Layer) (second: Layer) =
        let stride = first.Stride
        let split = first.PackedCount
        let parameterCount = together first.ParameterCount second.ParameterCount
        let packedCount = together split second.PackedCount

        let linearizations rows (atFirst: LayerLinearization) (atSecond: LayerLinearization) =
            { new LayerLinearization with
                member _.Output = atSecond.Output
                member _.ActivationDerivatives = atSecond.ActivationDerivatives

                member _.Prefetch() =
                    atFirst.Prefetch()
                    atSecond.Prefetch()

                member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                    use hidden = PooledBuffer.Rent(rows, stride)
                    atFirst.Pushforward(inputTangent, parameterTangent.Slice(0, split), hidden.Span)
                    atSecond.Pushforward(Span.op_Implicit hidden.Span, parameterTangent.Slice split, outputTangent)

                member _.Pullback(outputCotangent, inputSlopes, inputCotangent, parameterCotangent) =
                    use hidden = PooledBuffer.Rent(rows, stride)

                    atSecond.Pullback(
                        outputCotangent,
                        atFirst.ActivationDerivatives,
                        hidden.Span,
                        parameterCotangent.Slice split
                    )

                    atFirst.Pullback(
                        Span.op_Implicit hidden.Span,
                        inputSlopes,
                        inputCotangent,
                        parameterCotangent.Slice(0, split)
                    )
              interface IDisposable with
                  member _.Dispose() =
                      atFirst.Dispose()
                      atSecond.Dispose() }

        let at (atFirst: LayerAt) (atSecond: LayerAt) =
            { new LayerAt with
                member _.Forward(rows, input, inputStride, output) =
                    use hidden = PooledBuffer.Rent(rows, stride)
                    atFirst.Forward(rows, input, inputStride, hidden.Span)
                    atSecond.Forward(rows, Span.op_Implicit hidden.Span, stride, output)

                member _.Prepare isInputWanted =
                    atFirst.Prepare isInputWanted
                    atSecond.Prepare true

                member _.Linearize(rows, input, inputStride) =
                    let first = atFirst.Linearize(rows, input, inputStride)
                    linearizations rows first (atSecond.Linearize(rows, first.Output, stride))
              interface IDisposable with
                  member _.Dispose() =
                      atFirst.Dispose()
                      atSecond.Dispose() }

        { new Layer with
            member _.Inputs = first.Inputs
            member _.Outputs = second.Outputs
            member _.Stride = second.Stride
            member _.ParameterCount = parameterCount

            member _.Initialise key =
                let struct (firstKey, secondKey) = Key.split key
                Vector.concat [ first.Initialise firstKey; second.Initialise secondKey ]

            member _.PackedCount = packedCount

            member _.Pack(parameters, packed) =
                first.Pack(parameters.Slice(0, first.ParameterCount), packed.Slice(0, split))
                second.Pack(parameters.Slice first.ParameterCount, packed.Slice split)

            member _.Unpack(packed, parameters) =
                first.Unpack(packed.Slice(0, split), parameters.Slice(0, first.ParameterCount))
                second.Unpack(packed.Slice split, parameters.Slice first.ParameterCount)

            member _.At packed = at (first.At(packed.Slice(0, split))) (second.At(packed.Slice split)) }

    /// A dense layer whose weights start orthogonal with the given gain, and whose biases start at zero.
    let denseWithGain gain outputs activation : LayerBuilder = denseThenStateIndependent gain outputs activation 0 0.0

    /// A linear layer with such a gain, and after its outputs `free` more that depend on no input and are parameters themselves
    /// (the log σ of a Gaussian policy, for instance). They start at `initial`.
    let linearThenStateIndependent gain outputs free initial : LayerBuilder =
        denseThenStateIndependent gain outputs Activation.Identity free initial

    /// The gain that keeps the scale of a layer's inputs through a non-linearity.
    let hiddenGain = sqrt 2.0

    /// A hidden layer: dense, with the gain of such.
    let dense outputs activation : LayerBuilder = denseWithGain hiddenGain outputs activation

    /// A dense layer without a non-linearity, usually the last one.
    let linear outputs : LayerBuilder = denseWithGain 1.0 outputs Activation.Identity

    /// First one layer, then the other.
    let (>=>) (first: LayerBuilder) (second: LayerBuilder) : LayerBuilder =
        fun inputs ->
            let first = first inputs
            compose first (second first.Outputs)

/// How the rows of a batch are cut: into strips, whose sums are added in order, and strips into blocks, whose activations stay
/// in the cache. It depends on the rows and the size of the network alone, so the rounding does not depend on the threads.
module private Partition =

    [<Struct>]
    type Block = { First: int; Count: int }

    /// The items first … first + total − 1 in so many parts of about the same size, which begin at multiples of eight.
    let private evenly parts { First = first; Count = total } =
        let start part = if part = parts then total else int (int64 part * int64 total / int64 parts) / 8 * 8

        Array.init parts (fun part -> { First = first + start part; Count = start (part + 1) - start part })

    let blockRows = 256
    let private mostStrips = 16

    /// The sums of all strips together hold no more than so many numbers, if two of them do not.
    let private mostSums = 1 <<< 20

    let private partLength = 1 <<< 14

    /// Does work first count with the parts of a vector that is so long, if that is long enough to be shared out.
    let forEachPart threads length (work: int -> int -> unit) =
        Parallel.iter threads ((length + partLength - 1) / partLength) (fun part ->
            let first = part * partLength
            work first (min partLength (length - first)))

    /// The blocks of each strip.
    let strips rows packedCount =
        let most = min mostStrips (max 2 (mostSums / max 1 packedCount))
        let strips = Math.Clamp(rows / blockRows, 1, most)

        { First = 0; Count = rows }
        |> evenly strips
        |> Array.map (fun strip -> evenly (max 1 ((strip.Count + blockRows - 1) / blockRows)) strip)

/// A network at fixed parameters θ and on fixed observations: its outputs, and its derivatives in the parameters. J_n is the
/// Jacobian of the outputs of row n. Everything is lent until it is disposed of, and one caller uses it at a time.
type Linearization
    internal (layer: Layer, threads: int, at: LayerAt, ownedParameters: PooledBuffer, observations: Matrix) =
    let rows = observations.Rows
    let outputs = layer.Outputs
    let stride = layer.Stride
    let strips = Partition.strips rows layer.PackedCount

    let linearizations =
        strips |> Array.map (fun blocks -> Array.zeroCreate<LayerLinearization> blocks.Length)

    let forward = PooledBuffer.Rent(rows, outputs)
    let mutable factors: PooledBuffer list = []

    let part (block: Partition.Block) (memory: Memory<float32>) =
        memory.Slice(block.First * outputs, block.Count * outputs)

    /// Does `work` with the number of each strip and of each block in it, strip by strip.
    let forEachPlace (work: int -> int -> unit) =
        Parallel.iter threads strips.Length (fun s ->
            for b in 0 .. strips[s].Length - 1 do
                work s b)

    let forEachBlock (work: Partition.Block -> LayerLinearization -> unit) =
        forEachPlace (fun s b -> work (strips[s][b]) (linearizations[s][b]))

    do
        at.Prepare false

        forEachPlace (fun s b ->
            let block = strips[s][b]
            let slice = observations.SliceRows(block.First, block.Count)
            let linearization = at.Linearize(block.Count, slice.Memory, observations.Columns)
            linearizations[s][b] <- linearization
            PaddedRows.Unpad(block.Count, outputs, linearization.Output.Span, (part block forward.Memory).Span))

    /// Has the memory send what the derivatives of a block read, if there is such a block, and nothing else.
    let prefetch s b =
        PrefetchQueue.Clear()

        if b < strips[s].Length then
            (linearizations[s][b]).Prefetch()
            let block = strips[s][b]
            let rows = observations.SliceRows(block.First, block.Count)
            PrefetchQueue.Add(rows.Span)

    /// Writes the packed Σ_n J_nᵀ u_n, where `cotangents` writes the rows u_n of a block.
    let pullback (cotangents: Partition.Block -> LayerLinearization -> Memory<float32> -> unit) (sum: Memory<float32>) =
        let packedCount = layer.PackedCount
        use others = PooledBuffer.Rent(strips.Length - 1, packedCount)
        let sumOf strip = if strip = 0 then sum else others.Memory.Slice((strip - 1) * packedCount, packedCount)

        Parallel.iter threads strips.Length (fun s ->
            let sum = sumOf s
            sum.Span.Clear()

            for b in 0 .. strips[s].Length - 1 do
                let block, linearization = strips[s][b], linearizations[s][b]
                use cotangent = PooledBuffer.Rent(block.Count, stride)
                prefetch s (b + 1)
                cotangents block linearization cotangent.Memory
                linearization.ActivationDerivatives.Multiply cotangent.Span

                linearization.Pullback(
                    Span.op_Implicit cotangent.Span,
                    ActivationDerivatives.One,
                    Span.Empty,
                    sum.Span
                ))

        // Every element's sum goes through the strips in order, whoever adds it up.
        Partition.forEachPart threads packedCount (fun first count ->
            let total = sum.Span.Slice(first, count)

            for strip in 1 .. strips.Length - 1 do
                let part = (sumOf strip).Span.Slice(first, count)
                Reductions.AddScaled(1f, Span.op_Implicit part, Span.op_Implicit total, total))

    /// As `pullback`, unpacked.
    let pullbackTo (sum: Memory<float32>) cotangents =
        use packed = PooledBuffer.Rent layer.PackedCount
        pullback cotangents packed.Memory
        layer.Unpack(Span.op_Implicit packed.Span, sum.Span)

    let requireLength what expected actual =
        if actual <> expected then
            invalidArg what $"it has {actual} elements, and must have {expected}"

    let pack (tangent: Vector) =
        requireLength "tangent" layer.ParameterCount tangent.Length
        let packed = PooledBuffer.Rent layer.PackedCount
        layer.Pack(tangent.Span, packed.Span)
        packed

    let requireCotangents (cotangents: Matrix) =
        if cotangents.Rows <> rows || cotangents.Columns <> outputs then
            invalidArg
                (nameof cotangents)
                $"they are {cotangents.Rows} × {cotangents.Columns}, and must be {rows} × {outputs}"

    /// Writes the rows of a block.
    let padded (cotangents: Matrix) =
        fun (block: Partition.Block) (_: LayerLinearization) (padded: Memory<float32>) ->
            PaddedRows.Pad(block.Count, outputs, cotangents.SliceRows(block.First, block.Count).Span, padded.Span)

    /// The outputs, one row a sample.
    member _.Forward = Matrix(rows, outputs, Memory.op_Implicit forward.Memory)

    /// J v: from a tangent of the parameters to those of the outputs.
    member _.Pushforward(tangent: Vector) =
        use packed = pack tangent
        let tangents = Array.zeroCreate<float32>(Size.product rows outputs)

        forEachBlock (fun block linearization ->
            use padded = PooledBuffer.Rent(block.Count, stride)
            linearization.Pushforward(ReadOnlySpan.Empty, Span.op_Implicit packed.Span, padded.Span)

            PaddedRows.Unpad(
                block.Count,
                outputs,
                Span.op_Implicit padded.Span,
                (part block (tangents.AsMemory())).Span
            ))

        Matrix.adopt rows outputs tangents

    /// Writes the packed Jᵀ u.
    member internal _.PullbackPacked(cotangents: Matrix, sum: Memory<float32>) =
        requireCotangents cotangents
        pullback (padded cotangents) sum

    /// Writes Jᵀ u = Σ_n J_nᵀ u_n: from a cotangent of each row of outputs to that of the parameters.
    member _.Pullback(cotangents: Matrix, sum: Memory<float32>) =
        requireCotangents cotangents
        requireLength "sum" layer.ParameterCount sum.Length
        padded cotangents |> pullbackTo sum

    /// Jᵀ u as a new vector.
    member this.Pullback cotangents =
        let sum = Array.zeroCreate layer.ParameterCount
        this.Pullback(cotangents, sum.AsMemory())
        Vector.adopt sum

    /// v ↦ Σ_n J_nᵀ M_n J_n v, with the metric M_n at the outputs of row n. Each block of rows is pushed forward, multiplied and
    /// pulled back before the next is begun.
    member _.Curvature(metric: Metric) : LinearMap =
        let ofRows = PooledBuffer.RentZeros(rows, stride)
        factors <- ofRows :: factors
        let factorsOf (block: Partition.Block) = ofRows.Memory.Slice(block.First * stride, block.Count * stride)

        forEachBlock (fun block linearization ->
            metric.Factors(block.Count, stride, linearization.Output.Span, (factorsOf block).Span))

        fun tangent product ->
            requireLength "product" layer.ParameterCount product.Length
            use packed = pack tangent

            pullbackTo product (fun block linearization tangents ->
                linearization.Pushforward(ReadOnlySpan.Empty, Span.op_Implicit packed.Span, tangents.Span)
                metric.Apply(block.Count, stride, Span.op_Implicit (factorsOf block).Span, tangents.Span))

    interface IDisposable with
        member _.Dispose() =
            for blocks in linearizations do
                for linearization in blocks do
                    linearization.Dispose()

            at.Dispose()
            ownedParameters.Dispose()
            forward.Dispose()

            for scratch in factors do
                scratch.Dispose()

/// A network at fixed parameters, which are lent until it is disposed of. Several threads may use it at a time.
type NetworkAt internal (layer: Layer, threads: int, at: LayerAt, parameters: PooledBuffer) =

    /// The rows of observations, where there is room for their outputs.
    let requireRows (observations: int) (outputs: int) =
        let rows = observations / layer.Inputs
        parameters.Memory |> ignore // Refuses if it has been given back.

        if observations <> rows * layer.Inputs then
            invalidArg (nameof observations) $"{observations} numbers are not rows of {layer.Inputs}"

        if outputs < rows * layer.Outputs then
            invalidArg (nameof outputs) $"it has {outputs} elements, and must have {rows * layer.Outputs}"

        rows

    let forwardBlock (observations: ReadOnlySpan<float32>) (outputs: Span<float32>) first count =
        use padded = PooledBuffer.Rent(count, layer.Stride)
        let output = outputs.Slice(first * layer.Outputs, count * layer.Outputs)
        at.Forward(count, observations.Slice(first * layer.Inputs, count * layer.Inputs), layer.Inputs, padded.Span)
        PaddedRows.Unpad(count, layer.Outputs, Span.op_Implicit padded.Span, output)

    /// Writes the outputs for rows of observations, both without gaps, on the calling thread.
    member _.Forward(observations: ReadOnlySpan<float32>, outputs: Span<float32>) =
        let rows = requireRows observations.Length outputs.Length
        let mutable first = 0

        while first < rows do
            forwardBlock observations outputs first (min Partition.blockRows (rows - first))
            first <- first + Partition.blockRows

    /// The same, on the threads of the network.
    member _.Forward(observations: ReadOnlyMemory<float32>, outputs: Memory<float32>) =
        let rows = requireRows observations.Length outputs.Length
        let blocks = (rows + Partition.blockRows - 1) / Partition.blockRows

        if blocks = 1 then
            forwardBlock observations.Span outputs.Span 0 rows
        else
            Parallel.iter threads blocks (fun block ->
                let first = block * Partition.blockRows
                forwardBlock observations.Span outputs.Span first (min Partition.blockRows (rows - first)))

    interface IDisposable with
        member _.Dispose() =
            at.Dispose()
            parameters.Dispose()

/// A differentiable map from parameters and observations to outputs.
[<NoComparison; NoEquality>]
type Network =
    private
        {
            Layer: Layer
            /// How many threads work on a batch; the results do not depend on it.
            Threads: int
        }

    member this.Inputs = this.Layer.Inputs
    member this.Outputs = this.Layer.Outputs
    member this.ParameterCount = this.Layer.ParameterCount

    /// Parameters to start from.
    member this.Initialise key = this.Layer.Initialise key

module Network =

    /// The network that a stack of layers makes of observations of the given width:
    ///
    ///     Network.create 4 (dense 64 Activation.Tanh >=> dense 64 Activation.Tanh >=> linear 2)
    let create inputs (builder: LayerBuilder) = { Layer = builder inputs; Threads = 1 }

    /// The same network, on whose batches several threads work.
    let onThreads threads (network: Network) = { network with Threads = threads }

    let private pack (network: Network) (parameters: Vector) =
        if parameters.Length <> network.ParameterCount then
            invalidArg
                (nameof parameters)
                $"it has {parameters.Length} elements, and the network {network.ParameterCount} parameters"

        let packed = PooledBuffer.Rent network.Layer.PackedCount
        network.Layer.Pack(parameters.Span, packed.Span)
        packed

    let private requireInputs (network: Network) (observations: Matrix) =
        if observations.Columns <> network.Inputs then
            invalidArg
                (nameof observations)
                $"it is {observations.Rows} × {observations.Columns}, and must be {observations.Rows} × {network.Inputs}"

    /// The network at parameters θ, to be evaluated many times.
    let at (network: Network) parameters =
        let packed = pack network parameters
        new NetworkAt(network.Layer, network.Threads, network.Layer.At(Memory.op_Implicit packed.Memory), packed)

    /// The outputs at parameters θ, one row for each row of observations.
    let forward (network: Network) parameters (observations: Matrix) =
        requireInputs network observations
        use at = at network parameters
        let outputs = Array.zeroCreate<float32>(Size.product observations.Rows network.Outputs)
        at.Forward(observations.Memory, outputs.AsMemory())
        Matrix.adopt observations.Rows network.Outputs outputs

    /// The network at packed parameters, which must not change while it is used, and on observations of one row a sample.
    let private linearizeAt (network: Network) (packed: ReadOnlyMemory<float32>) owned (observations: Matrix) =
        requireInputs network observations
        new Linearization(network.Layer, network.Threads, network.Layer.At packed, owned, observations)

    /// The network at parameters θ and on observations of one row a sample, with its derivatives.
    let linearize (network: Network) parameters (observations: Matrix) =
        let packed = pack network parameters
        linearizeAt network (Memory.op_Implicit packed.Memory) packed observations

    /// Parameters that are changed many times in a row and stay packed meanwhile, with what goes along with each of them.
    type internal Packed(network: Network, parameters: Vector, companions: Vector list) =
        let packed = pack network parameters
        let others = companions |> List.map (pack network) |> Array.ofList

        let unpack (packed: PooledBuffer) =
            let values = Array.zeroCreate<float32> network.ParameterCount
            network.Layer.Unpack(Span.op_Implicit packed.Span, values.AsSpan())
            Vector.adopt values

        member _.Count = network.Layer.PackedCount

        /// The network there, on observations of one row a sample.
        member _.Linearize observations =
            linearizeAt network (Memory.op_Implicit packed.Memory) Unchecked.defaultof<PooledBuffer> observations

        /// Does `work` with part after part of them: first, count.
        member _.ForEachPart work = Partition.forEachPart network.Threads network.Layer.PackedCount work

        member _.Parameters = packed.Memory
        member _.Companion i = others[i].Memory
        member _.UnpackParameters() = unpack packed
        member _.UnpackCompanion i = unpack others[i]

        interface IDisposable with
            member _.Dispose() =
                packed.Dispose()

                for other in others do
                    other.Dispose()
