namespace FunTrpo

open System
open FunTrpo.Kernels

/// A network at fixed parameters, which are lent until it is disposed of. Several threads may use it at a time.
type NetworkAt internal (layer: PackedLayer, threads: int, at: PackedLayerAt, parameters: PooledBuffer) =

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
            Layer: PackedLayer
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
    ///     Network.create 4 (Dense.hidden 64 Activation.Tanh >=> Dense.hidden 64 Activation.Tanh >=> Dense.linear 2)
    let create inputs (builder: LayerBuilder) = { Layer = PackedLayer.ofLayer (builder inputs); Threads = 1 }

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
