namespace FunTrpo

open System
open FunTrpo.Kernels

/// Transposed weights, which only pullbacks need: computed by the first that asks for them.
type internal Transposed(count: int, write: Memory<float32> -> unit) =
    let buffer =
        lazy
            (let transposed = PooledBuffer.Rent count
             write transposed.Memory
             transposed)

    /// Computes them now, before several threads use them.
    member _.Prepare() = buffer.Force() |> ignore

    member _.Span: ReadOnlySpan<float32> = Span.op_Implicit buffer.Value.Span

    interface IDisposable with
        member _.Dispose() =
            if buffer.IsValueCreated then
                buffer.Value.Dispose()

/// Layers whose loops are in a kernel.
module internal KernelLayer =

    let private linearize (kernel: ILayerKernel) (packed: ReadOnlyMemory<float32>) (transposed: Transposed) =
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
                        (if inputCotangent.IsEmpty then ReadOnlySpan.Empty else transposed.Span),
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
            new Transposed(kernel.TransposedCount, (fun written -> kernel.Transpose(packed.Span, written.Span)))

        let linearize = linearize kernel packed transposed

        { new PackedLayerAt with
            member _.Forward(rows, input, inputStride, output) =
                kernel.Forward(rows, packed.Span, input, inputStride, output, Span.Empty)

            member _.Prepare isInputWanted =
                if isInputWanted then
                    transposed.Prepare()

            member _.Linearize(rows, input, inputStride) = linearize rows input inputStride
          interface IDisposable with
              member _.Dispose() = (transposed :> IDisposable).Dispose() }

    /// The layer of a kernel, with these shapes of its rows and these parameters to start from.
    let create (kernel: ILayerKernel) inputShape outputShape initialise : Layer =
        { new PackedLayer(inputShape, outputShape) with
            member _.ParameterCount = kernel.ParameterCount
            member _.Initialise key = initialise key
            member _.PackedCount = kernel.PackedCount
            member _.Pack(parameters, packed) = kernel.Pack(parameters, packed)
            member _.Unpack(packed, parameters) = kernel.Unpack(packed, parameters)
            member _.At packed = at kernel packed }
