namespace FunTrpo

open System
open FunTrpo.Kernels

/// Layers for rows of observations with a mask (`Masked`).
///
/// The layers of a policy see no mask. It acts after them: the logit of an illegal action is replaced by a constant. That is the lowest
/// number of float32, so that e^(logit − largest) is exactly 0, while p · log p is 0 and not NaN, as it would be with −∞. The derivatives of
/// a constant are 0, and the score, the gradient of the entropy and the metric contain the factor p = 0.
module internal MaskedLayers =

    /// The logit of an action that is illegal.
    let illegalLogit = Single.MinValue

    /// Where the mask lies in rows of input, after `observed` numbers, for outputs in rows that are `stride` numbers apart.
    type private Masks(observed: int, outputs: int, stride: int) =

        /// Replaces the numbers of illegal actions in rows of outputs. Rows of input are `inputStride` numbers apart.
        member _.Replace(value, rows, input: ReadOnlySpan<float32>, inputStride, values: Span<float32>) =
            for row in 0 .. rows - 1 do
                let mask = input.Slice(row * inputStride + observed, outputs)
                let ofRow = values.Slice(row * stride, outputs)

                for i in 0 .. outputs - 1 do
                    if mask[i] = 0f then
                        ofRow[i] <- value

    /// A layer with the parameters of `inner`, for rows of another shape.
    let private around (inner: PackedLayer) inputShape at =
        { new PackedLayer(inputShape, inner.OutputShape) with
            member layer.Widest = max inner.Widest layer.Inputs
            member _.InputsRead = inner.InputsRead
            member _.Memory = inner.Memory
            member _.ParameterCount = inner.ParameterCount
            member _.Initialise key = inner.Initialise key
            member _.PackedCount = inner.PackedCount
            member _.Pack(parameters, packed) = inner.Pack(parameters, packed)
            member _.Unpack(packed, parameters) = inner.Unpack(packed, parameters)
            member _.At packed = at (inner.At packed) }

    /// The layer `inner` on rows in which other numbers follow after its inputs, which it does not see. Rows of its inputs are only further
    /// apart.
    let besides (followed: int) (inner: PackedLayer) = around inner [ inner.Inputs + followed ] id

    let private linearize
        (masks: Masks)
        (inner: PackedLinearization)
        rows
        (input: ReadOnlyMemory<float32>)
        inputStride
        =
        let output = PooledBuffer.Rent inner.Output.Length
        inner.Output.Span.CopyTo output.Span
        masks.Replace(illegalLogit, rows, input.Span, inputStride, output.Span)

        { new PackedLinearization with
            member _.Output = Memory.op_Implicit output.Memory
            member _.ActivationDerivatives = inner.ActivationDerivatives
            member _.Prefetch() = inner.Prefetch()

            member _.Pushforward(inputTangent, parameterTangent, outputTangent) =
                inner.Pushforward(inputTangent, parameterTangent, outputTangent)
                masks.Replace(0f, rows, input.Span, inputStride, outputTangent)

            member _.Pullback(outputCotangent, inputDerivatives, inputCotangent, parameterCotangent) =
                use ofLegal = PooledBuffer.Rent outputCotangent.Length
                outputCotangent.CopyTo ofLegal.Span
                masks.Replace(0f, rows, input.Span, inputStride, ofLegal.Span)
                inner.Pullback(Span.op_Implicit ofLegal.Span, inputDerivatives, inputCotangent, parameterCotangent)
          interface IDisposable with
              member _.Dispose() =
                  inner.Dispose()
                  output.Dispose() }

    let private at (masks: Masks) (inner: PackedLayerAt) =
        { new RecurrentLayerAt with
            member _.ForwardSequences(sequences, input, inputStride, output) =
                PackedLayerAt.forwardSequences inner sequences input inputStride output
                masks.Replace(illegalLogit, sequences.Count * sequences.Length, input, inputStride, output)

            member _.LinearizeSequences(sequences, input, inputStride) =
                let atInner = PackedLayerAt.linearizeSequences inner sequences input inputStride
                linearize masks atInner (sequences.Count * sequences.Length) input inputStride
          interface PackedLayerAt with
              member _.Forward(rows, input, inputStride, output) =
                  inner.Forward(rows, input, inputStride, output)
                  masks.Replace(illegalLogit, rows, input, inputStride, output)

              member _.Prepare isInputWanted = inner.Prepare isInputWanted

              member _.Linearize(rows, input, inputStride) =
                  linearize masks (inner.Linearize(rows, input, inputStride)) rows input inputStride
          interface IDisposable with
              member _.Dispose() = inner.Dispose() }

    /// The layer `inner`, whose rows of input end with a mask, with the logits of illegal actions replaced. No cotangent reaches the mask.
    let head (inner: PackedLayer) =
        let masks = Masks(inner.Inputs - inner.Outputs, inner.Outputs, inner.Stride)
        around inner inner.InputShape (fun inner -> at masks inner :> PackedLayerAt)
