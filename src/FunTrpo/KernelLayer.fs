namespace FunTrpo

open System
open FunTrpo.Kernels

/// Layers whose loops are in a kernel.
module internal KernelLayer =

    let private linearize (kernel: ILayerKernel) (packed: ReadOnlyMemory<float32>) (transposed: Lazy<PooledBuffer>) =
        fun rows (input: ReadOnlyMemory<float32>) inputStride ->
            let output = PooledBuffer.Rent(rows, kernel.Stride)

            // f′ of a linear layer is 1, and that of tanh follows from the output.
            let storesDerivative = not (kernel.IsLinear || kernel.IsTanh)
            let derivative = PooledBuffer.Rent((if storesDerivative then rows else 0), kernel.Stride)
            kernel.Forward(rows, packed.Span, input.Span, inputStride, output.Span, derivative.Span)

            let activationDerivatives () =
                let kept = if kernel.IsTanh then output.Memory else derivative.Memory
                ActivationDerivatives(Memory.op_Implicit kept, kernel.IsTanh)

            { new PackedLinearization with
                member _.Output = Memory.op_Implicit output.Memory
                member _.ActivationDerivatives = activationDerivatives ()
                member _.Prefetch() = PrefetchQueue.Add((activationDerivatives ()).Kept)

                member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                    kernel.Pushforward(
                        rows,
                        packed.Span,
                        input.Span,
                        inputStride,
                        (activationDerivatives ()).Kept,
                        inputTangent,
                        parameterTangent,
                        outputTangent
                    )

                member _.Pullback(outputCotangent, inputDerivatives, inputCotangent, parameterCotangent) =
                    kernel.Pullback(
                        rows,
                        (if inputCotangent.IsEmpty then ReadOnlySpan.Empty else Span.op_Implicit transposed.Value.Span),
                        input.Span,
                        inputStride,
                        inputDerivatives,
                        outputCotangent,
                        inputCotangent,
                        parameterCotangent
                    )
              interface IDisposable with
                  member _.Dispose() =
                      output.Dispose()
                      derivative.Dispose() }

    let private at (kernel: ILayerKernel) (packed: ReadOnlyMemory<float32>) =
        let transposed =
            lazy
                (let transposed = PooledBuffer.Rent kernel.TransposedCount
                 kernel.Transpose(packed.Span, transposed.Span)
                 transposed)

        let linearize = linearize kernel packed transposed

        { new PackedLayerAt with
            member _.Forward(rows, input, inputStride, output) =
                kernel.Forward(rows, packed.Span, input, inputStride, output, Span.Empty)

            member _.Prepare isInputWanted =
                if isInputWanted then
                    transposed.Force() |> ignore

            member _.Linearize(rows, input, inputStride) = linearize rows input inputStride
          interface IDisposable with
              member _.Dispose() =
                  if transposed.IsValueCreated then
                      transposed.Value.Dispose() }

    /// The layer of a kernel, with these shapes of its rows and these parameters to start from.
    let create (kernel: ILayerKernel) inputShape outputShape initialise : Layer =
        { new PackedLayer(inputShape, outputShape) with
            member _.ParameterCount = kernel.ParameterCount
            member _.Initialise key = initialise key
            member _.PackedCount = kernel.PackedCount
            member _.Pack(parameters, packed) = kernel.Pack(parameters, packed)
            member _.Unpack(packed, parameters) = kernel.Unpack(packed, parameters)
            member _.At packed = at kernel packed }
