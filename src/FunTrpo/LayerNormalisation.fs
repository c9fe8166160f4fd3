namespace FunTrpo

open System
open FunTrpo.Kernels

/// Layers y = g ⊙ x̂ + b, where x̂ = (x − μ) / √(σ² + 10⁻⁵) is a row with mean 0 and variance 1 (Ba, Kiros, Hinton, "Layer normalization",
/// 2016). The mean μ and the variance σ² are those of all numbers of the row, whatever its shape. The parameters are g, which starts at 1, and
/// then b, which starts at 0.
module LayerNormalisation =

    let private linearize (parameters: ReadOnlyMemory<float32>) rows (input: ReadOnlyMemory<float32>) inputStride =
        let stride = Lanes.Pad(parameters.Length / 2)
        let output, normalised = PooledBuffer.Rent(rows, stride), PooledBuffer.Rent(rows, stride)
        let scales = PooledBuffer.Rent rows
        LayerNorm.Forward(rows, parameters.Span, input.Span, inputStride, output.Span, normalised.Span, scales.Span)

        { new PackedLinearization with
            member _.Output = Memory.op_Implicit output.Memory
            member _.ActivationDerivatives = ActivationDerivatives.One
            member _.Prefetch() = PrefetchQueue.Add(Span.op_Implicit normalised.Span)

            member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                LayerNorm.Pushforward(
                    rows,
                    parameters.Span,
                    Span.op_Implicit normalised.Span,
                    Span.op_Implicit scales.Span,
                    inputTangent,
                    inputStride,
                    parameterTangent,
                    outputTangent
                )

            member _.Pullback(outputCotangent, inputDerivatives, inputCotangent, parameterCotangent) =
                LayerNorm.Pullback(
                    rows,
                    parameters.Span,
                    Span.op_Implicit normalised.Span,
                    Span.op_Implicit scales.Span,
                    outputCotangent,
                    inputCotangent,
                    parameterCotangent
                )

                if not inputCotangent.IsEmpty then
                    inputDerivatives.Multiply inputCotangent
          interface IDisposable with
              member _.Dispose() =
                  output.Dispose()
                  normalised.Dispose()
                  scales.Dispose() }

    let private at (parameters: ReadOnlyMemory<float32>) =
        { new PackedLayerAt with
            member _.Forward(rows, input, inputStride, output) =
                use normalised = PooledBuffer.Rent output.Length
                use scales = PooledBuffer.Rent rows
                LayerNorm.Forward(rows, parameters.Span, input, inputStride, output, normalised.Span, scales.Span)

            member _.Prepare _ = ()
            member _.Linearize(rows, input, inputStride) = linearize parameters rows input inputStride
          interface IDisposable with
              member _.Dispose() = () }

    /// The layer for rows of any shape, which it keeps.
    let layer: LayerBuilder =
        fun inputShape ->
            let inputs = ArrayShape.length inputShape

            { new PackedLayer(inputShape, inputShape) with
                member _.ParameterCount = 2 * inputs
                member _.Initialise _ = Vector.init (2 * inputs) (fun i -> if i < inputs then 1f else 0f)
                member _.PackedCount = 2 * inputs
                member _.Pack(parameters, packed) = parameters.CopyTo packed
                member _.Unpack(packed, parameters) = packed.CopyTo parameters
                member _.At packed = at packed }
