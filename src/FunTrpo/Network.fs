namespace FunTrpo

open System
open FunTrpo.Kernels

/// A network at fixed parameters. Holds pooled memory until `Dispose`. Several threads may use it at a time.
type NetworkAt internal (layer: PackedLayer, threads: int, at: PackedLayerAt, parameters: PooledBuffer) =

    let blockRows = Partition.blockRowsFor layer.Widest layer.PackedCount

    let requireUndisposed () = parameters.Memory |> ignore

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

    /// Writes the outputs for rows of observations, both without gaps, on the calling thread. Throws an `ArgumentException` if the last row
    /// is incomplete or `outputs` is too short, and an `ObjectDisposedException` after `Dispose`.
    member _.Forward(observations: ReadOnlySpan<float32>, outputs: Span<float32>) =
        let rows = requireRows observations.Length outputs.Length

        // Not by `Parallel.iterBlocks`: a function cannot capture a span.
        let mutable first = 0

        while first < rows do
            forwardBlock observations outputs first (min blockRows (rows - first))
            first <- first + blockRows

    /// The same, on the threads of the network.
    member _.Forward(observations: ReadOnlyMemory<float32>, outputs: Memory<float32>) =
        let rows = requireRows observations.Length outputs.Length

        Parallel.iterBlocks threads blockRows rows (fun first count ->
            forwardBlock observations.Span outputs.Span first count)

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

    /// The outputs at parameters θ, one row for each row of observations. Throws an `ArgumentException` if the network has another number of
    /// parameters or inputs.
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

    /// The network at parameters θ and on observations of one row a sample, with its derivatives. Throws as `forward` does.
    let linearize (network: Network) parameters (observations: Matrix) =
        let packed = pack network parameters
        linearizeAt network (Memory.op_Implicit packed.Memory) (ValueSome packed) observations

    /// Packed parameters and packed vectors of the same layout (Adam's moments), which an optimiser updates in place.
    type internal Packed(network: Network, parameters: Vector, moments: Vector list) =
        let packed = pack network parameters
        let packedMoments = moments |> List.map (pack network) |> Array.ofList

        let unpack (packed: PooledBuffer) =
            let values = Array.zeroCreate<float32> network.ParameterCount
            network.Layer.Unpack(Span.op_Implicit packed.Span, values.AsSpan())
            Vector.adopt values

        member _.Count = network.Layer.PackedCount

        /// The network there, on observations of one row a sample.
        member _.Linearize observations = linearizeAt network (Memory.op_Implicit packed.Memory) ValueNone observations

        /// Calls `work first count` for consecutive parts of the packed vectors, in parallel.
        member _.ForEachPart work = Partition.forEachPart network.Threads network.Layer.PackedCount work

        member _.Parameters = packed.Memory
        member _.Moment i = packedMoments[i].Memory
        member _.UnpackParameters() = unpack packed
        member _.UnpackMoment i = unpack packedMoments[i]

        interface IDisposable with
            member _.Dispose() =
                packed.Dispose()

                for moment in packedMoments do
                    moment.Dispose()
