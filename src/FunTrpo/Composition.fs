namespace FunTrpo

open System
open FunTrpo.Kernels

/// Composes layers: a stack of layers is a layer.
[<AutoOpen>]
module Composition =

    /// first + second. Throws an `ArgumentException` if the sum exceeds the largest pooled buffer. Computed in 64 bits to avoid overflow.
    let private checkedSum (first: int) (second: int) =
        let size = int64 first + int64 second

        if size > int64 PooledBuffer.Largest then
            invalidArg
                (nameof second)
                $"layers of {size} parameters are larger than the {PooledBuffer.Largest} that fit"

        int size

    /// The linearization of the composition: the chain rule, forwards for tangents and backwards for cotangents. `stride` is the row length
    /// of the first layer's output, and `split` the number of its packed parameters.
    let private composeLinearizations rows stride split (first: PackedLinearization) (second: PackedLinearization) =
        { new PackedLinearization with
            member _.Output = second.Output
            member _.ActivationDerivatives = second.ActivationDerivatives

            member _.Prefetch() =
                first.Prefetch()
                second.Prefetch()

            member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                use hidden = PooledBuffer.Rent(rows, stride)
                first.Pushforward(inputTangent, parameterTangent.Slice(0, split), hidden.Span)
                second.Pushforward(Span.op_Implicit hidden.Span, parameterTangent.Slice split, outputTangent)

            member _.Pullback(outputCotangent, inputDerivatives, inputCotangent, parameterCotangent) =
                use hidden = PooledBuffer.Rent(rows, stride)

                second.Pullback(
                    outputCotangent,
                    first.ActivationDerivatives,
                    hidden.Span,
                    parameterCotangent.Slice split
                )

                first.Pullback(
                    Span.op_Implicit hidden.Span,
                    inputDerivatives,
                    inputCotangent,
                    parameterCotangent.Slice(0, split)
                )
          interface IDisposable with
              member _.Dispose() =
                  first.Dispose()
                  second.Dispose() }

    /// The composition with packed parameters. `stride` and `split` are as in `composeLinearizations`. The memory of the first layer comes
    /// first, and `memory` is its length.
    let private composeAt stride split memory (first: PackedLayerAt) (second: PackedLayerAt) =
        let ofSecond (sequences: SequenceBlock) = { sequences with Memory = sequences.Memory.Slice memory }

        { new RecurrentLayerAt with
            member _.ForwardSequences(sequences, input, inputStride, output) =
                use hidden = PooledBuffer.Rent(sequences.Count * sequences.Length, stride)
                PackedLayerAt.forwardSequences first sequences input inputStride hidden.Span

                PackedLayerAt.forwardSequences second (ofSecond sequences) (Span.op_Implicit hidden.Span) stride output

            member _.LinearizeSequences(sequences, input, inputStride) =
                let rows = sequences.Count * sequences.Length
                let atFirst = PackedLayerAt.linearizeSequences first sequences input inputStride
                let atSecond = PackedLayerAt.linearizeSequences second (ofSecond sequences) atFirst.Output stride
                composeLinearizations rows stride split atFirst atSecond
          interface PackedLayerAt with
              member _.Forward(rows, input, inputStride, output) =
                  use hidden = PooledBuffer.Rent(rows, stride)
                  first.Forward(rows, input, inputStride, hidden.Span)
                  second.Forward(rows, Span.op_Implicit hidden.Span, stride, output)

              member _.Prepare isInputWanted =
                  first.Prepare isInputWanted
                  second.Prepare true

              member _.Linearize(rows, input, inputStride) =
                  let atFirst = first.Linearize(rows, input, inputStride)
                  composeLinearizations rows stride split atFirst (second.Linearize(rows, atFirst.Output, stride))
          interface IDisposable with
              member _.Dispose() =
                  first.Dispose()
                  second.Dispose() }

    /// First `first`, then `second` on its output. The parameters are those of the first, then those of the second.
    let private compose (first: PackedLayer) (second: PackedLayer) =
        let split = first.PackedCount
        let parameterCount = checkedSum first.ParameterCount second.ParameterCount
        let packedCount = checkedSum split second.PackedCount

        { new PackedLayer(first.InputShape, second.OutputShape) with
            member _.Widest = max first.Widest second.Widest
            member _.InputsRead = first.InputsRead
            member _.Memory = first.Memory + second.Memory
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

            member _.At packed =
                composeAt
                    first.Stride
                    split
                    first.Memory
                    (first.At(packed.Slice(0, split)))
                    (second.At(packed.Slice split)) }

    /// First one layer, then the other, on inputs of the shape of the first one's outputs. The parameters are those of the first, then those of
    /// the second. The builder throws an `ArgumentException` if they are more than `PooledBuffer.Largest`.
    let (>=>) (first: LayerBuilder) (second: LayerBuilder) : LayerBuilder =
        fun inputShape ->
            let first = first inputShape
            compose (PackedLayer.ofLayer first) (PackedLayer.ofLayer (second first.OutputShape))
