namespace FunTrpo

open System
open FunTrpo.Kernels

/// Layers with memory, which compute a row from its input and from what they remember of the rows before it. Initial weights are orthogonal,
/// gate by gate.
module Recurrent =

    /// Sequences of one row each, which begin with it.
    let private ofRows rows (memory: Memory<float32>) width : SequenceBlock =
        let begins = Array.create rows true

        { Count = rows; Length = 1; Begins = ReadOnlyMemory begins; Memory = memory; MemoryStride = width }

    /// Copies the memory of each sequence to padded rows, or back.
    let private copyMemory (kernel: GatedLayer) (sequences: SequenceBlock) (padded: Memory<float32>) toPadded =
        for i in 0 .. sequences.Count - 1 do
            for part in 0 .. kernel.MemoryParts - 1 do
                let compact = sequences.Memory.Slice(i * sequences.MemoryStride + part * kernel.Units, kernel.Units)

                let row = padded.Slice(i * kernel.MemoryStride + part * kernel.Stride, kernel.Stride)

                if toPadded then
                    row.Span.Slice(kernel.Units).Clear()
                    compact.CopyTo row
                else
                    row.Slice(0, kernel.Units).CopyTo compact

    let private linearize (kernel: GatedLayer) (packed: ReadOnlyMemory<float32>) (transposed: Transposed) =
        fun (sequences: SequenceBlock) (input: ReadOnlyMemory<float32>) inputStride ->
            let count, length, begins = sequences.Count, sequences.Length, sequences.Begins
            let rows = count * length
            let output = PooledBuffer.Rent(rows, kernel.Stride)

            let before, kept =
                PooledBuffer.Rent(rows, kernel.MemoryStride), PooledBuffer.Rent(rows, kernel.KeptStride)

            do
                use memory = PooledBuffer.Rent(count, kernel.MemoryStride)
                copyMemory kernel sequences memory.Memory true

                kernel.Forward(
                    count,
                    length,
                    begins.Span,
                    packed.Span,
                    input.Span,
                    inputStride,
                    memory.Span,
                    before.Span,
                    kept.Span,
                    output.Span
                )

            { new PackedLinearization with
                member _.Output = Memory.op_Implicit output.Memory
                member _.ActivationDerivatives = ActivationDerivatives.One

                member _.Prefetch() =
                    PrefetchQueue.Add(Span.op_Implicit before.Span)
                    PrefetchQueue.Add(Span.op_Implicit kept.Span)

                member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                    kernel.Pushforward(
                        count,
                        length,
                        begins.Span,
                        packed.Span,
                        input.Span,
                        inputStride,
                        Span.op_Implicit before.Span,
                        Span.op_Implicit kept.Span,
                        inputTangent,
                        parameterTangent,
                        outputTangent
                    )

                member _.Pullback(outputCotangent, inputDerivatives, inputCotangent, parameterCotangent) =
                    kernel.Pullback(
                        count,
                        length,
                        begins.Span,
                        transposed.Span,
                        input.Span,
                        inputStride,
                        Span.op_Implicit before.Span,
                        Span.op_Implicit kept.Span,
                        inputDerivatives,
                        outputCotangent,
                        inputCotangent,
                        parameterCotangent
                    )
              interface IDisposable with
                  member _.Dispose() =
                      output.Dispose()
                      before.Dispose()
                      kept.Dispose() }

    let private at (kernel: GatedLayer) (packed: ReadOnlyMemory<float32>) =
        let transposed =
            new Transposed(kernel.TransposedCount, (fun written -> kernel.Transpose(packed.Span, written.Span)))

        let linearize = linearize kernel packed transposed

        { new RecurrentLayerAt with
            member _.ForwardSequences(sequences, input, inputStride, output) =
                let rows = sequences.Count * sequences.Length
                use memory = PooledBuffer.Rent(sequences.Count, kernel.MemoryStride)
                use before = PooledBuffer.Rent(rows, kernel.MemoryStride)
                use kept = PooledBuffer.Rent(rows, kernel.KeptStride)
                copyMemory kernel sequences memory.Memory true

                kernel.Forward(
                    sequences.Count,
                    sequences.Length,
                    sequences.Begins.Span,
                    packed.Span,
                    input,
                    inputStride,
                    memory.Span,
                    before.Span,
                    kept.Span,
                    output
                )

                copyMemory kernel sequences memory.Memory false

            member _.LinearizeSequences(sequences, input, inputStride) = linearize sequences input inputStride
          interface PackedLayerAt with
              member this.Forward(rows, input, inputStride, output) =
                  use memory = PooledBuffer.RentZeros(rows, kernel.Memory)
                  let sequences = ofRows rows memory.Memory kernel.Memory
                  (this :?> RecurrentLayerAt).ForwardSequences(sequences, input, inputStride, output)

              // The pullback needs the transposed U, even if no input cotangent is wanted.
              member _.Prepare _ = transposed.Prepare()

              member _.Linearize(rows, input, inputStride) =
                  use memory = PooledBuffer.RentZeros(rows, kernel.Memory)
                  linearize (ofRows rows memory.Memory kernel.Memory) input inputStride
          interface IDisposable with
              member _.Dispose() = (transposed :> IDisposable).Dispose() }

    let private layer (kernel: GatedLayer) gates inputShape (bias: int -> float32) : Layer =
        let units = kernel.Units

        /// A matrix whose blocks of columns, one for each gate, are orthogonal.
        let weights rows key =
            let blocks = Array.init gates (fun gate -> Dense.orthogonal rows units 1.0 (Key.at (int64 gate) key))

            Array.init (rows * gates * units) (fun i ->
                let row, column = i / (gates * units), i % (gates * units)
                blocks[column / units][row * units + column % units])

        { new PackedLayer(inputShape, [ units ]) with
            member _.Widest = kernel.Widest
            member _.Memory = kernel.Memory
            member _.ParameterCount = kernel.ParameterCount

            member _.Initialise key =
                let ofInput = weights kernel.Inputs (Key.named "input" key)
                let ofMemory = weights units (Key.named "memory" key)
                let biases = kernel.ParameterCount - ofInput.Length - ofMemory.Length
                Vector.adopt (Array.concat [ ofInput; ofMemory; Array.init biases (fun i -> bias (i / units)) ])

            member _.PackedCount = kernel.PackedCount
            member _.Pack(parameters, packed) = kernel.Pack(parameters, packed)
            member _.Unpack(packed, parameters) = kernel.Unpack(packed, parameters)
            member _.At packed = at kernel packed }

    /// Gated recurrent units (`GruLayer`), with the output h. The parameters are W (inputs × 3 units), U (units × 3 units), b (3 units) and c
    /// (units), with the gates r, z and n.
    let gru units : LayerBuilder =
        fun inputShape -> layer (GruLayer(ArrayShape.length inputShape, units)) 3 inputShape (fun _ -> 0f)

    /// Long short-term memory (`LstmLayer`), with the output h. The parameters are W (inputs × 4 units), U (units × 4 units) and b (4 units),
    /// with the gates i, f, g and o. The biases of f start at 1, so that memory is kept at first (Jozefowicz et al. 2015, "An empirical
    /// exploration of recurrent network architectures").
    let lstm units : LayerBuilder =
        fun inputShape ->
            layer (LstmLayer(ArrayShape.length inputShape, units)) 4 inputShape (fun gate ->
                if gate = 1 then 1f else 0f)
