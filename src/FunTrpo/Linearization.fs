namespace FunTrpo

open System
open FunTrpo.Kernels

/// A network at fixed parameters θ and on fixed observations: its outputs, and its derivatives in the parameters. J_n is the
/// Jacobian of the outputs of row n.
///
/// Its memory returns to a pool on `Dispose`: `Outputs` and `Curvature` must not be used afterwards. Not thread-safe.
type Linearization
    internal
    (
        layer: PackedLayer,
        threads: int,
        at: PackedLayerAt,
        ownedParameters: PooledBuffer voption,
        sequences: Sequences option,
        observations: Matrix
    ) =
    let rows = observations.Rows
    let outputs = layer.Outputs
    let stride = layer.Stride

    let strips =
        match sequences with
        | Some sequences -> Partition.sequenceStrips sequences.Count sequences.Length layer.PackedCount layer.Widest
        | None -> Partition.strips rows layer.PackedCount layer.Widest

    let linearizations =
        strips |> Array.map (fun blocks -> Array.zeroCreate<PackedLinearization> blocks.Length)

    let outputBuffer = PooledBuffer.Rent(rows, outputs)
    let mutable factorBuffers: PooledBuffer list = []

    let part (block: Partition.Block) (memory: Memory<float32>) =
        memory.Slice(block.First * outputs, block.Count * outputs)

    /// Calls `work s b` for every block b of every strip s. Strips run in parallel.
    let forEachIndex (work: int -> int -> unit) =
        Parallel.iter threads strips.Length (fun s ->
            for b in 0 .. strips[s].Length - 1 do
                work s b)

    let forEachBlock (work: Partition.Block -> PackedLinearization -> unit) =
        forEachIndex (fun s b -> work (strips[s][b]) (linearizations[s][b]))

    do
        at.Prepare false

        forEachIndex (fun s b ->
            let block = strips[s][b]
            let slice = observations.SliceRows(block.First, block.Count)

            let linearization =
                match sequences with
                | Some sequences ->
                    let block = SequenceBlock.ofRows block.First block.Count sequences
                    (at :?> RecurrentLayerAt).LinearizeSequences(block, slice.Memory, observations.Columns)
                | None -> at.Linearize(block.Count, slice.Memory, observations.Columns)

            linearizations[s][b] <- linearization
            PaddedRows.Unpad(block.Count, outputs, linearization.Output.Span, (part block outputBuffer.Memory).Span))

    /// Queues for prefetching what the derivatives of block b read. Empties the queue if there is no such block.
    let prefetch s b =
        PrefetchQueue.Clear()

        if b < strips[s].Length then
            (linearizations[s][b]).Prefetch()
            let block = strips[s][b]
            let rows = observations.SliceRows(block.First, block.Count)
            PrefetchQueue.Add(rows.Span)

    /// Writes the cotangents of the rows of a block of observations, which are padded.
    let unpadInputs (block: Partition.Block) (padded: PooledBuffer) (ofInputs: Memory<float32>) =
        let target = ofInputs.Slice(block.First * layer.Inputs, block.Count * layer.Inputs)
        layer.UnpadInputs(block.Count, Span.op_Implicit padded.Span, target.Span)

    /// Writes the packed Σ_n J_nᵀ u_n, where `cotangents` writes the rows u_n of a block; and the cotangents of the observations to
    /// `ofInputs`, one row for each, unless it is empty.
    let pullbackBoth
        (ofInputs: Memory<float32>)
        (cotangents: Partition.Block -> PackedLinearization -> Memory<float32> -> unit)
        (sum: Memory<float32>)
        =
        let isInputWanted = not ofInputs.IsEmpty
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

                use ofInput = PooledBuffer.Rent((if isInputWanted then block.Count else 0), Lanes.Pad layer.InputsRead)

                linearization.Pullback(
                    Span.op_Implicit cotangent.Span,
                    ActivationDerivatives.One,
                    ofInput.Span,
                    sum.Span
                )

                if isInputWanted then
                    unpadInputs block ofInput ofInputs)

        // Strips are added in order, so the rounding does not depend on the threads.
        Partition.forEachPart threads packedCount (fun first count ->
            let total = sum.Span.Slice(first, count)

            for strip in 1 .. strips.Length - 1 do
                let part = (sumOf strip).Span.Slice(first, count)
                Reductions.AddScaled(1f, Span.op_Implicit part, Span.op_Implicit total, total))

    /// Writes the packed Σ_n J_nᵀ u_n.
    let pullbackPacked cotangents sum = pullbackBoth Memory.Empty cotangents sum

    /// Writes Σ_n J_nᵀ u_n as a parameter vector.
    let pullbackTo (sum: Memory<float32>) cotangents =
        use packed = PooledBuffer.Rent layer.PackedCount
        pullbackPacked cotangents packed.Memory
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

    /// The outputs, one row for each row of observations. Their memory is pooled: it is used for something else after `Dispose`.
    member _.Outputs = Matrix(rows, outputs, Memory.op_Implicit outputBuffer.Memory)

    /// J v (JVP): from a tangent of the parameters to those of the outputs, one row for each row of observations. Throws an
    /// `ArgumentException` if the tangent does not have as many elements as the network has parameters.
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

    /// Writes the packed Jᵀ u. Throws as `Pullback` does.
    member internal _.PullbackPacked(cotangents: Matrix, sum: Memory<float32>) =
        requireCotangents cotangents
        pullbackPacked (padded cotangents) sum

    /// Writes Jᵀ u = Σ_n J_nᵀ u_n (VJP): from a cotangent of each row of outputs to that of the parameters. Throws an `ArgumentException` if
    /// the cotangents do not have the shape of `Outputs`, or `sum` not the length of the parameters.
    member _.Pullback(cotangents: Matrix, sum: Memory<float32>) =
        requireCotangents cotangents
        requireLength "sum" layer.ParameterCount sum.Length
        padded cotangents |> pullbackTo sum

    /// Jᵀ u as a new vector. Throws an `ArgumentException` if the cotangents do not have the shape of `Outputs`.
    member this.Pullback cotangents =
        let sum = Array.zeroCreate layer.ParameterCount
        this.Pullback(cotangents, sum.AsMemory())
        Vector.adopt sum

    /// Writes the cotangents of the observations, as `PullbackInputs` returns them.
    member internal _.PullbackInputsTo(cotangents: Matrix, ofInputs: Memory<float32>) =
        requireCotangents cotangents
        requireLength "ofInputs" (Size.product rows layer.Inputs) ofInputs.Length
        use sum = PooledBuffer.Rent layer.PackedCount
        pullbackBoth ofInputs (padded cotangents) sum.Memory

    /// The pullback to the observations: from a cotangent u_n of each row of outputs to (∂y_n/∂x_n)ᵀ u_n, one row for each row x_n of
    /// observations. Indices among them have cotangents of 0. Throws an `ArgumentException` if the cotangents do not have the shape of
    /// `Outputs`.
    member this.PullbackInputs cotangents =
        let ofInputs = Array.zeroCreate<float32>(Size.product rows layer.Inputs)
        this.PullbackInputsTo(cotangents, ofInputs.AsMemory())
        Matrix.adopt rows layer.Inputs ofInputs

    /// v ↦ Σ_n J_nᵀ M_n J_n v, with the metric M_n at the outputs of row n. Each block of rows is pushed forward, multiplied and
    /// pulled back before the next is begun. The factors of the metric are in pooled memory, so the map must not be used after `Dispose`. It
    /// throws an `ArgumentException` if v or the product does not have the length of the parameters.
    member _.Curvature(metric: Metric) : LinearMap =
        let ofRows = PooledBuffer.RentZeros(rows, stride)
        factorBuffers <- ofRows :: factorBuffers
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
            ownedParameters |> ValueOption.iter _.Dispose()
            outputBuffer.Dispose()

            for buffer in factorBuffers do
                buffer.Dispose()
