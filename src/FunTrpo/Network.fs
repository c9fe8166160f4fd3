namespace FunTrpo

open System
open FunTrpo.Kernels

/// A network at fixed parameters. Holds pooled memory until `Dispose`. Several threads may use it at a time.
type NetworkAt internal (layer: PackedLayer, threads: int, at: PackedLayerAt, parameters: PooledBuffer) =

    let blockRows = Partition.blockRowsFor layer.Widest layer.PackedCount

    /// Rows that begin no episode.
    let continuing = Array.zeroCreate<bool>(if layer.Memory > 0 then blockRows else 0)

    let requireUndisposed () = parameters.Memory |> ignore

    let requireNoMemory () =
        if layer.Memory > 0 then
            invalidOp "The network has memory, so its rows must be sequences."

    /// The number of rows. Throws an `ArgumentException` if the last one is incomplete, and an `ObjectDisposedException` after `Dispose`.
    let rowCount (observations: int) =
        requireUndisposed ()

        if observations % layer.Inputs <> 0 then
            invalidArg
                (nameof observations)
                $"{observations} numbers are not whole observations: each has {layer.Inputs}"

        observations / layer.Inputs

    /// The number of rows. Also throws an `ArgumentException` if `outputs` is too short.
    let requireRows (observations: int) (outputs: int) =
        let rows = rowCount observations

        if outputs < rows * layer.Outputs then
            invalidArg (nameof outputs) $"it has {outputs} elements, and must have {rows * layer.Outputs}"

        rows

    let forwardBlock (observations: ReadOnlySpan<float32>) (outputs: Span<float32>) first count =
        use padded = PooledBuffer.Rent(count, layer.Stride)
        let output = outputs.Slice(first * layer.Outputs, count * layer.Outputs)
        at.Forward(count, observations.Slice(first * layer.Inputs, count * layer.Inputs), layer.Inputs, padded.Span)
        PaddedRows.Unpad(count, layer.Outputs, Span.op_Implicit padded.Span, output)

    /// The number of rows in so many numbers. Throws an `ArgumentException` if the last row is incomplete.
    member internal _.RowCount observations = rowCount observations

    /// The length of the memory of a sequence; 0 for networks without memory.
    member _.Memory = layer.Memory

    /// Writes the outputs for rows of observations, both without gaps, on the calling thread. Throws an `ArgumentException` if the last row
    /// is incomplete or `outputs` is too short, an `ObjectDisposedException` after `Dispose`, and an `InvalidOperationException` if the network
    /// has memory.
    member _.Forward(observations: ReadOnlySpan<float32>, outputs: Span<float32>) =
        requireNoMemory ()
        let rows = requireRows observations.Length outputs.Length

        // Not by `Parallel.iterBlocks`: a function cannot capture a span.
        let mutable first = 0

        while first < rows do
            forwardBlock observations outputs first (min blockRows (rows - first))
            first <- first + blockRows

    /// The same, on the threads of the network.
    member _.Forward(observations: ReadOnlyMemory<float32>, outputs: Memory<float32>) =
        requireNoMemory ()
        let rows = requireRows observations.Length outputs.Length

        if 0 < rows && rows <= blockRows then
            forwardBlock observations.Span outputs.Span 0 rows // This is each step of a rollout, and allocates nothing.
        else
            Parallel.iterBlocks threads blockRows rows (fun first count ->
                forwardBlock observations.Span outputs.Span first count)

    /// Writes the outputs of one step of several sequences, a row for each, and the memory after it in place of that before it. `memory` has
    /// `Memory` numbers for each row. On the calling thread. Throws an `ArgumentException` if the lengths do not fit.
    member this.Step(observations: ReadOnlySpan<float32>, memory: Memory<float32>, outputs: Span<float32>) =
        let rows = requireRows observations.Length outputs.Length

        if memory.Length <> rows * layer.Memory then
            invalidArg (nameof memory) $"it has {memory.Length} elements, and must have {rows * layer.Memory}"

        match at with
        | :? RecurrentLayerAt as recurrent when layer.Memory > 0 ->
            let mutable first = 0

            while first < rows do
                let count = min blockRows (rows - first)
                use padded = PooledBuffer.Rent(count, layer.Stride)

                let sequences: SequenceBlock =
                    { Count = count
                      Length = 1
                      Begins = ReadOnlyMemory(continuing, 0, count)
                      Memory = memory.Slice(first * layer.Memory, count * layer.Memory)
                      MemoryStride = layer.Memory }

                let inputs = observations.Slice(first * layer.Inputs, count * layer.Inputs)
                recurrent.ForwardSequences(sequences, inputs, layer.Inputs, padded.Span)
                let written = outputs.Slice(first * layer.Outputs, count * layer.Outputs)
                PaddedRows.Unpad(count, layer.Outputs, Span.op_Implicit padded.Span, written)
                first <- first + count
        | _ -> this.Forward(observations, outputs)

    /// Writes the outputs for the rows of sequences, on the threads of the network. Throws an `ArgumentException` if the lengths do not fit.
    member this.Forward(sequences: Sequences option, observations: ReadOnlyMemory<float32>, outputs: Memory<float32>) =
        match sequences, at with
        | Some sequences, (:? RecurrentLayerAt as recurrent) when layer.Memory > 0 ->
            let rows = requireRows observations.Length outputs.Length
            Sequences.requireFit rows layer.Memory sequences

            let blocks =
                Partition.sequenceStrips sequences.Count sequences.Length layer.PackedCount layer.Widest
                |> Array.concat

            Parallel.iter threads blocks.Length (fun b ->
                let block = blocks[b]
                let ofBlock = SequenceBlock.ofRows block.First block.Count sequences
                use padded = PooledBuffer.Rent(block.Count, layer.Stride)
                use memory = PooledBuffer.Rent(ofBlock.Count, layer.Memory)
                ofBlock.Memory.CopyTo memory.Memory

                recurrent.ForwardSequences(
                    { ofBlock with Memory = memory.Memory },
                    observations.Span.Slice(block.First * layer.Inputs, block.Count * layer.Inputs),
                    layer.Inputs,
                    padded.Span
                )

                PaddedRows.Unpad(
                    block.Count,
                    layer.Outputs,
                    Span.op_Implicit padded.Span,
                    outputs.Span.Slice(block.First * layer.Outputs, block.Count * layer.Outputs)
                ))
        | _ -> this.Forward(observations, outputs)

    interface IDisposable with
        member _.Dispose() =
            at.Dispose()
            parameters.Dispose()

/// A differentiable map from parameters and observations to outputs.
[<NoComparison; NoEquality>]
type Network =
    private
        {
            Layer: PackedLayer
            /// The number of threads that work on a batch. The results do not depend on it.
            Threads: int
        }

    member this.Inputs = this.Layer.Inputs
    member this.Outputs = this.Layer.Outputs
    member this.ParameterCount = this.Layer.ParameterCount

    /// The length of the memory of a sequence; 0 for networks without memory.
    member this.Memory = this.Layer.Memory

    /// The length of the longest row that a layer computes or reads.
    member internal this.Widest = this.Layer.Widest

    /// Parameters to start from.
    member this.Initialise key = this.Layer.Initialise key

module Network =

    /// The network that a stack of layers makes of observations of the given shape:
    ///
    ///     Network.create [ 4 ] (Dense.hidden 64 Activation.Tanh >=> Dense.hidden 64 Activation.Tanh >=> Dense.linear 2)
    let create inputShape (builder: LayerBuilder) = { Layer = PackedLayer.ofLayer (builder inputShape); Threads = 1 }

    /// The network with another layer in place of its own.
    let internal mapLayer change (network: Network) = { network with Layer = change network.Layer }

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

    /// The network at parameters θ, to be evaluated many times. Throws an `ArgumentException` if the network has another number of parameters.
    let at (network: Network) parameters =
        let packed = pack network parameters
        new NetworkAt(network.Layer, network.Threads, network.Layer.At(Memory.op_Implicit packed.Memory), packed)

    /// The outputs at parameters θ for observations that are the rows of sequences, one row for each. Networks without memory take each row by
    /// itself, and need no sequences. Throws an `ArgumentException` if the network has another number of parameters or inputs, or the sequences
    /// do not fit.
    let forwardSequences (network: Network) parameters sequences (observations: Matrix) =
        requireInputs network observations
        use at = at network parameters
        let outputs = Array.zeroCreate<float32>(Size.product observations.Rows network.Outputs)
        at.Forward(sequences, observations.Memory, outputs.AsMemory())
        Matrix.adopt observations.Rows network.Outputs outputs

    /// The outputs at parameters θ, one row for each row of observations. Throws an `ArgumentException` if the network has another number of
    /// parameters or inputs, and an `InvalidOperationException` if it has memory.
    let forward network parameters observations = forwardSequences network parameters None observations

    /// The network at packed parameters, which must not change while it is used, and on observations of one row a sample.
    let private linearizeAt
        (network: Network)
        (packed: ReadOnlyMemory<float32>)
        owned
        sequences
        (observations: Matrix)
        =
        requireInputs network observations

        let sequences =
            match sequences with
            | Some sequences when network.Memory > 0 ->
                Sequences.requireFit observations.Rows network.Memory sequences
                Some sequences
            | None when network.Memory > 0 -> invalidOp "The network has memory, so its rows must be sequences."
            | _ -> None

        new Linearization(network.Layer, network.Threads, network.Layer.At packed, owned, sequences, observations)

    /// The network at parameters θ and on observations that are the rows of sequences, with its derivatives. Networks without memory take
    /// each row by itself, and need no sequences. Throws as `forward` does, and an `ArgumentException` if the sequences do not fit.
    let linearizeSequences (network: Network) parameters sequences (observations: Matrix) =
        let packed = pack network parameters
        linearizeAt network (Memory.op_Implicit packed.Memory) (ValueSome packed) sequences observations

    /// The network at parameters θ and on observations of one row a sample, with its derivatives. Throws as `forward` does.
    let linearize (network: Network) parameters (observations: Matrix) =
        linearizeSequences network parameters None observations

    /// Packed parameters and packed vectors of the same layout (Adam's moments), which an optimiser updates in place.
    type internal Packed(network: Network, parameters: Vector, moments: Vector list) =
        let packed = pack network parameters
        let packedMoments = moments |> List.map (pack network) |> Array.ofList
        let unpacked = PooledBuffer.Rent network.ParameterCount

        let unpack (packed: PooledBuffer) =
            let values = Array.zeroCreate<float32> network.ParameterCount
            network.Layer.Unpack(Span.op_Implicit packed.Span, values.AsSpan())
            Vector.adopt values

        member _.Count = network.Layer.PackedCount

        /// The network there, on observations of one row a sample.
        member _.Linearize(sequences, observations) =
            linearizeAt network (Memory.op_Implicit packed.Memory) ValueNone sequences observations

        /// Writes 0 to the places of a packed vector that hold no parameter, such as the weights of outputs that depend on no input. A packed
        /// gradient may have other numbers there, and parameters that were moved by them would be those of another network.
        member _.ClearGaps(packed: Memory<float32>) =
            network.Layer.Unpack(Span.op_Implicit packed.Span, unpacked.Span)
            packed.Span.Clear()
            network.Layer.Pack(Span.op_Implicit unpacked.Span, packed.Span)

        /// Calls `work first count` for consecutive parts of the packed vectors, in parallel.
        member _.ForEachPart work = Partition.forEachPart network.Threads network.Layer.PackedCount work

        member _.Parameters = packed.Memory
        member _.Moment i = packedMoments[i].Memory
        member _.UnpackParameters() = unpack packed
        member _.UnpackMoment i = unpack packedMoments[i]

        interface IDisposable with
            member _.Dispose() =
                packed.Dispose()
                unpacked.Dispose()

                for moment in packedMoments do
                    moment.Dispose()
