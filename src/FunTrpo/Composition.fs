namespace FunTrpo

open System
open FunTrpo.Kernels

/// Composes layers: a stack of layers is a layer.
[<AutoOpen>]
module Composition =

    /// The size of two layers together. More numbers than memory is lent for are refused; in 32 bits they would wrap around.
    let private together (first: int) (second: int) =
        let size = int64 first + int64 second

        if size > int64 PooledBuffer.Largest then
            invalidArg
                (nameof second)
                $"layers of {size} parameters are larger than the {PooledBuffer.Largest} that fit"

        int size

    /// First `first`, then `second` on its output; the parameters are those of the first, then those of the second.
    let private compose (first: PackedLayer) (second: PackedLayer) =
        let stride = first.Stride
        let split = first.PackedCount
        let parameterCount = together first.ParameterCount second.ParameterCount
        let packedCount = together split second.PackedCount

        let linearizations rows (atFirst: PackedLinearization) (atSecond: PackedLinearization) =
            { new PackedLinearization with
                member _.Output = atSecond.Output
                member _.ActivationDerivatives = atSecond.ActivationDerivatives

                member _.Prefetch() =
                    atFirst.Prefetch()
                    atSecond.Prefetch()

                member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                    use hidden = PooledBuffer.Rent(rows, stride)
                    atFirst.Pushforward(inputTangent, parameterTangent.Slice(0, split), hidden.Span)
                    atSecond.Pushforward(Span.op_Implicit hidden.Span, parameterTangent.Slice split, outputTangent)

                member _.Pullback(outputCotangent, inputDerivatives, inputCotangent, parameterCotangent) =
                    use hidden = PooledBuffer.Rent(rows, stride)

                    atSecond.Pullback(
                        outputCotangent,
                        atFirst.ActivationDerivatives,
                        hidden.Span,
                        parameterCotangent.Slice split
                    )

                    atFirst.Pullback(
                        Span.op_Implicit hidden.Span,
                        inputDerivatives,
                        inputCotangent,
                        parameterCotangent.Slice(0, split)
                    )
              interface IDisposable with
                  member _.Dispose() =
                      atFirst.Dispose()
                      atSecond.Dispose() }

        let at (atFirst: PackedLayerAt) (atSecond: PackedLayerAt) =
            { new PackedLayerAt with
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

        { new PackedLayer() with
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

    /// First one layer, then the other, on as many inputs as the first one has outputs. The parameters are those of the first, then those of
    /// the second.
    let (>=>) (first: LayerBuilder) (second: LayerBuilder) : LayerBuilder =
        fun inputs ->
            let first = first inputs
            compose (PackedLayer.ofLayer first) (PackedLayer.ofLayer (second first.Outputs))
