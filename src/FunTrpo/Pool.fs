namespace FunTrpo

open System
open FunTrpo.Kernels

/// What a pooling layer computes of the numbers under its window.
type Pooling =
    | Max
    | Average

/// Layers without parameters that make a picture smaller: the maximum or the average under a window, channel by channel.
module Pool =

    /// Where `winners` holds the places of the maxima, the maximum; otherwise the average. Rows of output are `Lanes.Pad outputs` apart.
    type private PoolLinearization
        (patches: Patches, rows, inputStride, output: PooledBuffer, winners: PooledBuffer voption) =
        let outputStride = Lanes.Pad(patches.Count * patches.Channels)
        let paddedInputs = Lanes.Pad patches.PictureSize

        interface PackedLinearization with
            member _.Output = Memory.op_Implicit output.Memory
            member _.ActivationDerivatives = ActivationDerivatives.One
            member _.Prefetch() = ()

            member _.Pushforward(inputTangent, _, outputTangent) =
                if inputTangent.IsEmpty then
                    outputTangent.Clear()
                else
                    match winners with
                    | ValueNone ->
                        PatchPooling.Mean(patches, rows, inputTangent, inputStride, outputTangent, outputStride)
                    | ValueSome winners ->
                        PatchPooling.PickWinners(
                            patches,
                            rows,
                            Span.op_Implicit winners.Span,
                            inputTangent,
                            inputStride,
                            outputTangent,
                            outputStride
                        )

            member _.Pullback(outputCotangent, inputDerivatives, inputCotangent, _) =
                if not inputCotangent.IsEmpty then
                    match winners with
                    | ValueNone ->
                        PatchPooling.SpreadMean(
                            patches,
                            rows,
                            outputCotangent,
                            outputStride,
                            inputCotangent,
                            paddedInputs
                        )
                    | ValueSome winners ->
                        PatchPooling.SpreadToWinners(
                            patches,
                            rows,
                            Span.op_Implicit winners.Span,
                            outputCotangent,
                            outputStride,
                            inputCotangent,
                            paddedInputs
                        )

                    inputDerivatives.Multiply inputCotangent

        interface IDisposable with
            member _.Dispose() =
                output.Dispose()
                winners |> ValueOption.iter _.Dispose()

    let private at pooling (patches: Patches) =
        let stride = Lanes.Pad(patches.Count * patches.Channels)

        { new PackedLayerAt with
            member _.Forward(rows, input, inputStride, output) =
                match pooling with
                | Average -> PatchPooling.Mean(patches, rows, input, inputStride, output, stride)
                | Max -> PatchPooling.Max(patches, rows, input, inputStride, output, stride, Span.Empty)

            member _.Prepare _ = ()

            member _.Linearize(rows, input, inputStride) =
                let output = PooledBuffer.Rent(rows, stride)

                match pooling with
                | Average ->
                    PatchPooling.Mean(patches, rows, input.Span, inputStride, output.Span, stride)
                    new PoolLinearization(patches, rows, inputStride, output, ValueNone)
                | Max ->
                    let winners = PooledBuffer.Rent(rows, stride)
                    PatchPooling.Max(patches, rows, input.Span, inputStride, output.Span, stride, winners.Span)
                    new PoolLinearization(patches, rows, inputStride, output, ValueSome winners)
          interface IDisposable with
              member _.Dispose() = () }

    /// A pooling layer. The builder throws an `ArgumentException` if its input is not a picture, or one that is smaller than the window.
    let layer pooling window : LayerBuilder =
        fun inputShape ->
            let patches = Window.patches window inputShape

            { new PackedLayer(inputShape, [ patches.Height; patches.Width; patches.Channels ]) with
                member _.ParameterCount = 0
                member _.Initialise _ = Vector.empty
                member _.PackedCount = 0
                member _.Pack(_, _) = ()
                member _.Unpack(_, _) = ()
                member _.At _ = at pooling patches }
