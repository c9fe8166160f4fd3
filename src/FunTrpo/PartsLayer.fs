namespace FunTrpo

open System
open FunTrpo.Kernels

/// Layers side by side: each reads its part of a row of inputs, and their outputs follow one another in a row of outputs.
module internal PartsLayer =

    /// The same row. It is for parts of numbers that no other layer reads.
    let asItIs: LayerBuilder =
        fun shape ->
            { new Layer with
                member _.InputShape = shape
                member _.OutputShape = shape
                member _.ParameterCount = 0
                member _.Initialise _ = Vector.zero 0
                member _.Forward(_, _, input, output) = input.CopyTo output

                member _.Pushforward(_, _, _, inputTangent, _, outputTangent) =
                    if inputTangent.IsEmpty then outputTangent.Clear() else inputTangent.CopyTo outputTangent

                member _.Pullback(_, _, _, outputCotangent, inputCotangent, _) =
                    if not inputCotangent.IsEmpty then
                        outputCotangent.CopyTo inputCotangent }

    /// For each index of a row, as many numbers as it has alternatives: 1 for its own, and 0 for the others. It is for indices that no other
    /// layer reads.
    let oneHot (counts: int list) : LayerBuilder =
        let counts = Array.ofList counts
        let firsts = Array.scan (+) 0 counts

        fun shape ->
            { new Layer with
                member _.InputShape = shape
                member _.OutputShape = [ Array.last firsts ]
                member _.ParameterCount = 0
                member _.Initialise _ = Vector.zero 0

                member layer.Forward(_, rows, input, output) =
                    output.Clear()

                    for row in 0 .. rows - 1 do
                        for choice in 0 .. counts.Length - 1 do
                            let index = Embedding.indexIn counts[choice] input[row * counts.Length + choice]
                            output[row * layer.Outputs + firsts[choice] + index] <- 1f

                // Indices are not differentiable.
                member _.Pushforward(_, _, _, _, _, outputTangent) = outputTangent.Clear()
                member _.Pullback(_, _, _, _, inputCotangent, _) = inputCotangent.Clear() }

    /// A layer with the places of its input and output in rows, of its parameters, and of its memory.
    [<NoComparison; NoEquality>]
    type private Part =
        { Layer: PackedLayer
          Input: int
          Output: int
          Parameters: int
          Packed: int
          Memory: int }

        /// Copies rows of the part's output, or of what belongs to it, to their place in rows of all outputs.
        member this.Join(rows, own: ReadOnlySpan<float32>, stride, joined: Span<float32>) =
            PaddedRows.Copy(rows, this.Layer.Outputs, own, this.Layer.Stride, joined.Slice this.Output, stride)

        /// The reverse of `Join`. The padding becomes 0.
        member this.Split(rows, joined: ReadOnlySpan<float32>, stride, own: Span<float32>) =
            own.Clear()
            PaddedRows.Copy(rows, this.Layer.Outputs, joined.Slice this.Output, stride, own, this.Layer.Stride)

        /// The sequences with the part's memory at the beginning of theirs.
        member this.OfSequences(sequences: SequenceBlock) : SequenceBlock =
            { sequences with Memory = sequences.Memory.Slice this.Memory }

    let private linearizations (parts: Part[]) (inner: PackedLinearization[]) inputs stride rows =
        let output = PooledBuffer.RentZeros(rows, stride)

        for i in 0 .. parts.Length - 1 do
            parts[i].Join(rows, inner[i].Output.Span, stride, output.Span)

        { new PackedLinearization with
            member _.Output = Memory.op_Implicit output.Memory

            // Each part multiplies by its own f′.
            member _.ActivationDerivatives = ActivationDerivatives.One
            member _.Prefetch() = inner |> Array.iter _.Prefetch()

            member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                outputTangent.Clear()

                for i in 0 .. parts.Length - 1 do
                    let part = parts[i]
                    use own = PooledBuffer.Rent(rows, part.Layer.Stride)
                    let ofInput = if inputTangent.IsEmpty then inputTangent else inputTangent.Slice part.Input
                    inner[i].Pushforward(ofInput, parameterTangent.Slice(part.Packed, part.Layer.PackedCount), own.Span)
                    part.Join(rows, Span.op_Implicit own.Span, stride, outputTangent)

            member _.Pullback(outputCotangent, inputDerivatives, inputCotangent, parameterCotangent) =
                let isInputWanted = not inputCotangent.IsEmpty
                inputCotangent.Clear()

                for i in 0 .. parts.Length - 1 do
                    let part = parts[i]
                    use own = PooledBuffer.Rent(rows, part.Layer.Stride)
                    part.Split(rows, outputCotangent, stride, own.Span)
                    inner[i].ActivationDerivatives.Multiply own.Span
                    let ownStride = Lanes.Pad part.Layer.Inputs
                    use ofInput = PooledBuffer.Rent((if isInputWanted then rows else 0), ownStride)

                    inner[i]
                        .Pullback(
                            Span.op_Implicit own.Span,
                            ActivationDerivatives.One,
                            ofInput.Span,
                            parameterCotangent.Slice(part.Packed, part.Layer.PackedCount)
                        )

                    if isInputWanted then
                        let target = inputCotangent.Slice part.Input
                        let source: ReadOnlySpan<float32> = Span.op_Implicit ofInput.Span
                        PaddedRows.Copy(rows, part.Layer.Inputs, source, ownStride, target, Lanes.Pad inputs)

                if isInputWanted then
                    inputDerivatives.Multiply inputCotangent
          interface IDisposable with
              member _.Dispose() =
                  inner |> Array.iter _.Dispose()
                  output.Dispose() }

    let private at (parts: Part[]) inputs stride (inner: PackedLayerAt[]) =
        { new RecurrentLayerAt with
            member _.ForwardSequences(sequences, input, inputStride, output) =
                let rows = sequences.Count * sequences.Length
                output.Clear()

                for i in 0 .. parts.Length - 1 do
                    let part = parts[i]
                    use own = PooledBuffer.Rent(rows, part.Layer.Stride)
                    let sequences = part.OfSequences sequences
                    PackedLayerAt.forwardSequences inner[i] sequences (input.Slice part.Input) inputStride own.Span
                    part.Join(rows, Span.op_Implicit own.Span, stride, output)

            member _.LinearizeSequences(sequences, input, inputStride) =
                let ofPart (part: Part) inner =
                    PackedLayerAt.linearizeSequences
                        inner
                        (part.OfSequences sequences)
                        (input.Slice part.Input)
                        inputStride

                linearizations parts (Array.map2 ofPart parts inner) inputs stride (sequences.Count * sequences.Length)
          interface PackedLayerAt with
              member _.Forward(rows, input, inputStride, output) =
                  output.Clear()

                  for i in 0 .. parts.Length - 1 do
                      use own = PooledBuffer.Rent(rows, parts[i].Layer.Stride)
                      inner[i].Forward(rows, input.Slice parts[i].Input, inputStride, own.Span)
                      parts[i].Join(rows, Span.op_Implicit own.Span, stride, output)

              member _.Prepare isInputWanted = inner |> Array.iter _.Prepare(isInputWanted)

              member _.Linearize(rows, input, inputStride) =
                  let ofPart (part: Part) (inner: PackedLayerAt) =
                      inner.Linearize(rows, input.Slice part.Input, inputStride)

                  linearizations parts (Array.map2 ofPart parts inner) inputs stride rows
          interface IDisposable with
              member _.Dispose() = inner |> Array.iter _.Dispose() }

    let private join (layers: PackedLayer list) =
        let firsts length = layers |> List.map length |> List.scan Checked.(+) 0

        let inputs, outputs = firsts _.Inputs, firsts _.Outputs
        let parameters, packed, memory = firsts _.ParameterCount, firsts _.PackedCount, firsts _.Memory

        let parts =
            layers
            |> List.mapi (fun i layer ->
                { Layer = layer
                  Input = inputs[i]
                  Output = outputs[i]
                  Parameters = parameters[i]
                  Packed = packed[i]
                  Memory = memory[i] })
            |> Array.ofList

        let count = List.last inputs

        { new PackedLayer([ count ], [ List.last outputs ]) with
            member layer.Widest =
                parts |> Array.fold (fun widest part -> max widest part.Layer.Widest) (max count layer.Outputs)

            member _.Memory = List.last memory
            member _.ParameterCount = List.last parameters

            member _.Initialise key =
                parts
                |> Seq.mapi (fun i part -> part.Layer.Initialise(Key.at (int64 i) key))
                |> List.ofSeq
                |> Vector.concat

            member _.PackedCount = List.last packed

            member _.Pack(parameters, packed) =
                for part in parts do
                    part.Layer.Pack(
                        parameters.Slice(part.Parameters, part.Layer.ParameterCount),
                        packed.Slice(part.Packed, part.Layer.PackedCount)
                    )

            member _.Unpack(packed, parameters) =
                for part in parts do
                    part.Layer.Unpack(
                        packed.Slice(part.Packed, part.Layer.PackedCount),
                        parameters.Slice(part.Parameters, part.Layer.ParameterCount)
                    )

            member layer.At packed =
                parts
                |> Array.map (fun part -> part.Layer.At(packed.Slice(part.Packed, part.Layer.PackedCount)))
                |> at parts count layer.Stride
                :> PackedLayerAt }

    /// The layers side by side, each for a part of this shape. The parameters are those of the first, then those of the second, and so on.
    /// Throws an `OverflowException` if they are more than 2³¹.
    let create (parts: (ArrayShape * LayerBuilder) list) : LayerBuilder =
        fun inputShape ->
            let layers = parts |> List.map (fun (shape, builder) -> PackedLayer.ofLayer (builder shape))
            let width = layers |> List.sumBy _.Inputs

            if width <> ArrayShape.length inputShape then
                invalidArg
                    (nameof inputShape)
                    $"the parts have {width} numbers, and the input {ArrayShape.length inputShape}"

            join layers
