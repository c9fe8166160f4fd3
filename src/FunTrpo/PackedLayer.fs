namespace FunTrpo

open System
open System.Runtime.InteropServices
open FunTrpo.Kernels

// What a layer can do beyond its contract, to be fast:
//
// * It packs its parameters once into the order and padding that its kernels read.
// * Its rows are padded to whole vectors: they lie `Stride` = `Lanes.Pad Outputs` numbers apart.
// * It keeps its activations in a linearization, so that products need not compute them again.
// * Its pullback takes the cotangent of z, where y = f(z). It returns the cotangent of the previous layer's z, that is, already multiplied
//   by the previous layer's f′. This saves a pass over memory.
// * It reports the memory that its derivatives will read, for prefetching.

/// A packed layer at fixed parameters and on a fixed block of rows: its output and its two derivatives, which write into memory that the
/// caller owns. Rows of outputs, their tangents and cotangents are `Stride` numbers apart. Rows of an input tangent are as far apart as
/// those of the input, and rows of an input cotangent `Lanes.Pad InputsRead`.
type internal PackedLinearization =
    inherit IDisposable

    abstract Output: ReadOnlyMemory<float32>

    /// The derivative of the non-linearity that the layer ends with, at each output.
    abstract ActivationDerivatives: ActivationDerivatives

    /// Adds what the derivatives read, other than the input, to the prefetch queue.
    abstract Prefetch: unit -> unit

    /// Writes the tangent of the output, for tangents of the input and of the packed parameters. An empty input tangent stands for zero.
    abstract Pushforward:
        inputTangent: ReadOnlySpan<float32> * parameterTangent: ReadOnlySpan<float32> * outputTangent: Span<float32> ->
            unit

    /// The output cotangent is that of the last non-linearity's argument: the caller has multiplied it by `ActivationDerivatives`.
    /// Adds to the packed parameter cotangent. Writes the input cotangent, multiplied by `inputDerivatives`, unless it is empty.
    abstract Pullback:
        outputCotangent: ReadOnlySpan<float32> *
        inputDerivatives: ActivationDerivatives *
        inputCotangent: Span<float32> *
        parameterCotangent: Span<float32> ->
            unit

/// A packed layer at fixed parameters.
type internal PackedLayerAt =
    inherit IDisposable

    /// Writes the output for rows of input that are `inputStride` numbers apart.
    abstract Forward: rows: int * input: ReadOnlySpan<float32> * inputStride: int * output: Span<float32> -> unit

    /// Computes what all linearizations share, before several threads use them. With `isInputWanted`, also for input cotangents.
    abstract Prepare: isInputWanted: bool -> unit

    abstract Linearize: rows: int * input: ReadOnlyMemory<float32> * inputStride: int -> PackedLinearization

/// The sequences of a block of rows, for layers with memory. Memory is that of the whole network; a layer has its part of each row of it.
[<Struct; NoComparison; NoEquality; RequireQualifiedAccess>]
type internal SequenceBlock =
    {
        Count: int
        Length: int
        /// Whether memory is 0 before each row.
        Begins: ReadOnlyMemory<bool>
        /// The memory before the first row of each sequence.
        Memory: Memory<float32>
        /// The distance from the memory of a sequence to that of the next.
        MemoryStride: int
    }

module internal SequenceBlock =

    /// The sequences of some rows, from the first row of one to the last row of another. The memory must not be written to.
    let ofRows first rows (sequences: Sequences) : SequenceBlock =
        let length = sequences.Length
        let memory = sequences.Memory.SliceRows(first / length, rows / length)

        { Count = rows / length
          Length = length
          Begins = sequences.Begins.AsMemory().Slice(first, rows)
          Memory = MemoryMarshal.AsMemory memory.Memory
          MemoryStride = sequences.Memory.Columns }

/// A packed layer with memory at fixed parameters. As a `PackedLayerAt`, it takes each row for the first one of an episode.
type internal RecurrentLayerAt =
    inherit PackedLayerAt

    /// Writes the output for sequences of rows, and the memory after their last rows in place of that before the first ones.
    abstract ForwardSequences:
        sequences: SequenceBlock * input: ReadOnlySpan<float32> * inputStride: int * output: Span<float32> -> unit

    /// The memory is a constant, and stays as it is.
    abstract LinearizeSequences:
        sequences: SequenceBlock * input: ReadOnlyMemory<float32> * inputStride: int -> PackedLinearization

/// A packed layer on sequences of rows. One without memory takes each row by itself.
module internal PackedLayerAt =

    let forwardSequences (at: PackedLayerAt) (sequences: SequenceBlock) input inputStride output =
        match at with
        | :? RecurrentLayerAt as recurrent -> recurrent.ForwardSequences(sequences, input, inputStride, output)
        | _ -> at.Forward(sequences.Count * sequences.Length, input, inputStride, output)

    let linearizeSequences (at: PackedLayerAt) (sequences: SequenceBlock) input inputStride =
        match at with
        | :? RecurrentLayerAt as recurrent -> recurrent.LinearizeSequences(sequences, input, inputStride)
        | _ -> at.Linearize(sequences.Count * sequences.Length, input, inputStride)

/// A layer that keeps its parameters packed. It is a `Layer` as well, by way of the packed derivatives.
[<AbstractClass>]
type internal PackedLayer(inputShape: ArrayShape, outputShape: ArrayShape) =
    let inputs, outputs = ArrayShape.length inputShape, ArrayShape.length outputShape

    member _.InputShape = inputShape
    member _.OutputShape = outputShape
    member _.Inputs = inputs
    member _.Outputs = outputs

    /// How many numbers of an input row the layer reads, from its beginning on. Rows of input cotangents have as many.
    abstract InputsRead: int
    default _.InputsRead = inputs

    /// The distance between rows of the output.
    member _.Stride = Lanes.Pad outputs

    /// The length of the longest row that the layer computes or reads.
    abstract Widest: int
    default _.Widest = max inputs outputs

    /// The length of the memory of a sequence; 0 if a row depends on no other. Layers with memory are `RecurrentLayerAt`s at parameters.
    abstract Memory: int
    default _.Memory = 0

    abstract ParameterCount: int
    abstract Initialise: Key -> Vector

    /// The length of packed parameters.
    abstract PackedCount: int

    /// Packs parameters, or a tangent of them.
    abstract Pack: parameters: ReadOnlySpan<float32> * packed: Span<float32> -> unit

    /// Turns a packed cotangent into a cotangent of the parameters.
    abstract Unpack: packed: ReadOnlySpan<float32> * parameters: Span<float32> -> unit

    /// The layer at packed parameters, which must not change while it is used.
    abstract At: packed: ReadOnlyMemory<float32> -> PackedLayerAt

    /// Writes input cotangents without padding, with zeros for the inputs that are not read.
    member this.UnpadInputs(rows, padded: ReadOnlySpan<float32>, compact: Span<float32>) =
        if this.InputsRead < inputs then
            compact.Clear()

        PaddedRows.Copy(rows, this.InputsRead, padded, Lanes.Pad this.InputsRead, compact, inputs)

    member private this.RentPacked(parameters: ReadOnlySpan<float32>) =
        let packed = PooledBuffer.Rent this.PackedCount
        this.Pack(parameters, packed.Span)
        packed

    /// A copy of the input, since a linearization needs memory and not a span.
    static member private CopyOf(input: ReadOnlySpan<float32>) =
        let copy = PooledBuffer.Rent input.Length
        input.CopyTo copy.Span
        copy

    interface Layer with
        member this.InputShape = this.InputShape
        member this.OutputShape = this.OutputShape
        member this.ParameterCount = this.ParameterCount
        member this.Initialise key = this.Initialise key

        member this.Forward(parameters, rows, input, output) =
            use packed = this.RentPacked parameters
            use at = this.At(Memory.op_Implicit packed.Memory)
            use padded = PooledBuffer.Rent(rows, this.Stride)
            at.Forward(rows, input, this.Inputs, padded.Span)
            PaddedRows.Unpad(rows, this.Outputs, Span.op_Implicit padded.Span, output)

        member this.Pushforward(parameters, rows, input, inputTangent, parameterTangent, outputTangent) =
            use packed = this.RentPacked parameters
            use at = this.At(Memory.op_Implicit packed.Memory)
            use copy = PackedLayer.CopyOf input
            use linearization = at.Linearize(rows, Memory.op_Implicit copy.Memory, this.Inputs)
            use tangent = this.RentPacked parameterTangent
            use padded = PooledBuffer.Rent(rows, this.Stride)
            linearization.Pushforward(inputTangent, Span.op_Implicit tangent.Span, padded.Span)
            PaddedRows.Unpad(rows, this.Outputs, Span.op_Implicit padded.Span, outputTangent)

        member this.Pullback(parameters, rows, input, outputCotangent, inputCotangent, parameterCotangent) =
            use packed = this.RentPacked parameters
            use at = this.At(Memory.op_Implicit packed.Memory)
            let isInputWanted = not inputCotangent.IsEmpty
            at.Prepare isInputWanted
            use copy = PackedLayer.CopyOf input
            use linearization = at.Linearize(rows, Memory.op_Implicit copy.Memory, this.Inputs)
            use padded = PooledBuffer.Rent(rows, this.Stride)
            PaddedRows.Pad(rows, this.Outputs, outputCotangent, padded.Span)
            linearization.ActivationDerivatives.Multiply padded.Span

            use ofInput = PooledBuffer.Rent((if isInputWanted then rows else 0), Lanes.Pad this.InputsRead)
            use sum = PooledBuffer.RentZeros(1, this.PackedCount)
            linearization.Pullback(Span.op_Implicit padded.Span, ActivationDerivatives.One, ofInput.Span, sum.Span)

            if isInputWanted then
                this.UnpadInputs(rows, Span.op_Implicit ofInput.Span, inputCotangent)

            use unpacked = PooledBuffer.Rent this.ParameterCount
            this.Unpack(Span.op_Implicit sum.Span, unpacked.Span)

            Reductions.AddScaled(
                1f,
                Span.op_Implicit unpacked.Span,
                Span.op_Implicit parameterCotangent,
                parameterCotangent
            )

/// Adapts a plain `Layer` to `PackedLayer`. Parameters are not reordered; rows are padded and unpadded around each call.
module internal PackedLayer =

    /// A copy of the rows without padding. Input rows are `stride` numbers apart.
    let private unpadded rows width stride (input: ReadOnlySpan<float32>) =
        let compact = PooledBuffer.Rent(rows, width)

        if stride = width then
            input.Slice(0, rows * width).CopyTo compact.Span
        else
            PaddedRows.Copy(rows, width, input, stride, compact.Span, width)

        compact

    let private linearize
        (layer: Layer)
        (parameters: ReadOnlyMemory<float32>)
        rows
        (input: ReadOnlyMemory<float32>)
        stride
        =
        let inputs, outputs = layer.Inputs, layer.Outputs
        let compact = unpadded rows inputs stride input.Span
        let output = PooledBuffer.RentZeros(rows, Lanes.Pad outputs)

        do
            use compactOutput = PooledBuffer.Rent(rows, outputs)
            layer.Forward(parameters.Span, rows, Span.op_Implicit compact.Span, compactOutput.Span)
            PaddedRows.Pad(rows, outputs, Span.op_Implicit compactOutput.Span, output.Span)

        { new PackedLinearization with
            member _.Output = Memory.op_Implicit output.Memory

            // The layer's own pullback already includes f′.
            member _.ActivationDerivatives = ActivationDerivatives.One
            member _.Prefetch() = ()

            member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                let hasInput = not inputTangent.IsEmpty
                use ofInput = unpadded (if hasInput then rows else 0) inputs stride inputTangent
                use tangent = PooledBuffer.Rent(rows, outputs)

                layer.Pushforward(
                    parameters.Span,
                    rows,
                    Span.op_Implicit compact.Span,
                    Span.op_Implicit ofInput.Span,
                    parameterTangent,
                    tangent.Span
                )

                PaddedRows.Pad(rows, outputs, Span.op_Implicit tangent.Span, outputTangent)

            member _.Pullback(outputCotangent, inputDerivatives, inputCotangent, parameterCotangent) =
                use cotangent = unpadded rows outputs (Lanes.Pad outputs) outputCotangent
                use ofInput = PooledBuffer.Rent((if inputCotangent.IsEmpty then 0 else rows), inputs)

                layer.Pullback(
                    parameters.Span,
                    rows,
                    Span.op_Implicit compact.Span,
                    Span.op_Implicit cotangent.Span,
                    ofInput.Span,
                    parameterCotangent
                )

                if not inputCotangent.IsEmpty then
                    PaddedRows.Pad(rows, inputs, Span.op_Implicit ofInput.Span, inputCotangent)
                    inputDerivatives.Multiply inputCotangent
          interface IDisposable with
              member _.Dispose() =
                  compact.Dispose()
                  output.Dispose() }

    let private at (layer: Layer) (parameters: ReadOnlyMemory<float32>) =
        { new PackedLayerAt with
            member _.Forward(rows, input, inputStride, output) =
                use compact = unpadded rows layer.Inputs inputStride input
                use compactOutput = PooledBuffer.Rent(rows, layer.Outputs)
                layer.Forward(parameters.Span, rows, Span.op_Implicit compact.Span, compactOutput.Span)
                PaddedRows.Pad(rows, layer.Outputs, Span.op_Implicit compactOutput.Span, output)

            member _.Prepare _ = ()
            member _.Linearize(rows, input, inputStride) = linearize layer parameters rows input inputStride
          interface IDisposable with
              member _.Dispose() = () }

    /// The layer itself if it is packed already.
    let ofLayer (layer: Layer) =
        match layer with
        | :? PackedLayer as packed -> packed
        | _ ->
            { new PackedLayer(layer.InputShape, layer.OutputShape) with
                member _.ParameterCount = layer.ParameterCount
                member _.Initialise key = layer.Initialise key
                member _.PackedCount = layer.ParameterCount
                member _.Pack(parameters, packed) = parameters.CopyTo packed
                member _.Unpack(packed, parameters) = packed.CopyTo parameters
                member _.At packed = at layer packed }
