namespace FunTrpo

open System
open FunTrpo.Kernels

/// A network at fixed parameters θ and on fixed observations: its outputs, and its derivatives in the parameters. J_n is the
/// Jacobian of the outputs of row n. Everything is lent until it is disposed of, and one caller uses it at a time.
type Linearization
    internal (layer: PackedLayer, threads: int, at: PackedLayerAt, ownedParameters: PooledBuffer, observations: Matrix)
    =
    let rows = observations.Rows
    let outputs = layer.Outputs
    let stride = layer.Stride
    let strips = Partition.strips rows layer.PackedCount

    let linearizations =
        strips |> Array.map (fun blocks -> Array.zeroCreate<PackedLinearization> blocks.Length)

    let forward = PooledBuffer.Rent(rows, outputs)
    let mutable factors: PooledBuffer list = []

    let part (block: Partition.Block) (memory: Memory<float32>) =
        memory.Slice(block.First * outputs, block.Count * outputs)

    /// Does `work` with the number of each strip and of each block in it, strip by strip.
    let forEachPlace (work: int -> int -> unit) =
        Parallel.iter threads strips.Length (fun s ->
            for b in 0 .. strips[s].Length - 1 do
                work s b)

    let forEachBlock (work: Partition.Block -> PackedLinearization -> unit) =
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
    let pullback
        (cotangents: Partition.Block -> PackedLinearization -> Memory<float32> -> unit)
        (sum: Memory<float32>)
        =
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
        fun (block: Partition.Block) (_: PackedLinearization) (padded: Memory<float32>) ->
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
