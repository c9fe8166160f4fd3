namespace FunTrpo

open System
open System.Globalization
open FunTrpo.Kernels

/// Layers for observations that are indices. Each index has its own row of parameters. The output for a sample is f of the sum of the rows
/// of its indices. This equals a dense layer without biases on one-hot inputs, but does not multiply by their zeros. As the only layer of a
/// network, an embedding is a table of outputs.
///
/// The parameters are the rows of the first index of a sample, those of the second index and so on, and then the state-independent
/// parameters (`stateIndependent` of them).
module Embedding =

    /// sum ← sum + x
    let private add (x: ReadOnlySpan<float32>) (sum: Span<float32>) =
        Reductions.AddScaled(1f, x, Span.op_Implicit sum, sum)

    /// The number as an index less than `count`. Throws an `ArgumentException` if it is none.
    let internal indexIn count (number: float32) =
        let index = int number

        if not (float32 index = number && index >= 0 && index < count) then
            let found = number.ToString CultureInfo.InvariantCulture
            invalidArg "observations" $"{found} is not one of the indices 0 … {count - 1}"

        index

    /// The positions of the parameters of each index: one table for each column of the input.
    type private Tables(counts: int list, outputs: int, stateIndependent: int) =
        // In 64 bits, so that the product does not overflow.
        let size = Checked.(*) (int64 outputs) (List.sumBy int64 counts) + int64 stateIndependent

        do
            if size > int64 PooledBuffer.Largest then
                invalidArg
                    (nameof counts)
                    $"tables of {size} parameters are larger than the {PooledBuffer.Largest} that fit"

        let counts = Array.ofList counts
        let firstRows = Array.scan (+) 0 counts
        let tableCount = outputs * Array.last firstRows

        let offsetOf (indices: ReadOnlySpan<float32>) column =
            outputs * (firstRows[column] + indexIn counts[column] indices[column])

        member _.Inputs = counts.Length
        member _.Outputs = outputs + stateIndependent
        member _.Stride = Lanes.Pad(outputs + stateIndependent)
        member _.TableCount = tableCount
        member _.ParameterCount = tableCount + stateIndependent

        /// Writes the sum of the rows of the given indices, and then the state-independent parameters.
        member _.Sum(indices: ReadOnlySpan<float32>, parameters: ReadOnlySpan<float32>, sum: Span<float32>) =
            sum.Clear()
            parameters.Slice(tableCount).CopyTo(sum.Slice outputs)

            for column in 0 .. counts.Length - 1 do
                add (parameters.Slice(offsetOf indices column, outputs)) (sum.Slice(0, outputs))

        /// The transpose of `Sum`: adds a cotangent of the sum to the rows of the indices and to the state-independent parameters.
        member _.Scatter(indices: ReadOnlySpan<float32>, cotangent: ReadOnlySpan<float32>, parameters: Span<float32>) =
            add (cotangent.Slice(outputs, stateIndependent)) (parameters.Slice tableCount)

            for column in 0 .. counts.Length - 1 do
                add (cotangent.Slice(0, outputs)) (parameters.Slice(offsetOf indices column, outputs))

    /// The layer at fixed parameters. Rows of indices are `inputStride` numbers apart.
    type private At(tables: Tables, activation: Activation, parameters: ReadOnlyMemory<float32>) =
        let outputs = tables.Outputs
        let stride = tables.Stride

        /// Writes the outputs, and f′ to `derivatives` if that is not empty. f is also applied to the state-independent outputs. Only linear
        /// layers have such outputs.
        let forward
            rows
            (input: ReadOnlySpan<float32>)
            inputStride
            (output: Span<float32>)
            (derivatives: Span<float32>)
            =
            for row in 0 .. rows - 1 do
                let sum = output.Slice(row * stride, stride)
                tables.Sum(input.Slice(row * inputStride), parameters.Span, sum)

                let derivatives = if derivatives.IsEmpty then derivatives else derivatives.Slice(row * stride, outputs)
                Activations.Apply(activation, sum.Slice(0, outputs), derivatives)

        let linearize rows (input: ReadOnlyMemory<float32>) inputStride =
            let output = PooledBuffer.Rent(rows, stride)
            let derivativeBuffer = PooledBuffer.Rent(rows, stride)
            derivativeBuffer.Span.Fill 1f
            forward rows input.Span inputStride output.Span derivativeBuffer.Span
            let derivatives = ActivationDerivatives(Memory.op_Implicit derivativeBuffer.Memory, false)

            { new PackedLinearization with
                member _.Output = Memory.op_Implicit output.Memory
                member _.ActivationDerivatives = derivatives
                member _.Prefetch() = PrefetchQueue.Add derivatives.Kept

                // Indices are not differentiable, so the input has no tangent.
                member _.Pushforward(_, parameterTangent, outputTangent) =
                    for row in 0 .. rows - 1 do
                        let indices = input.Span.Slice(row * inputStride)
                        tables.Sum(indices, parameterTangent, outputTangent.Slice(row * stride, stride))

                    derivatives.Multiply outputTangent

                member _.Pullback(outputCotangent, _, inputCotangent, parameterCotangent) =
                    inputCotangent.Clear()

                    for row in 0 .. rows - 1 do
                        let rowCotangent = outputCotangent.Slice(row * stride, stride)
                        tables.Scatter(input.Span.Slice(row * inputStride), rowCotangent, parameterCotangent)
              interface IDisposable with
                  member _.Dispose() =
                      output.Dispose()
                      derivativeBuffer.Dispose() }

        interface PackedLayerAt with
            member _.Forward(rows, input, inputStride, output) = forward rows input inputStride output Span.Empty
            member _.Prepare _ = ()
            member _.Linearize(rows, input, inputStride) = linearize rows input inputStride

        interface IDisposable with
            member _.Dispose() = ()

    /// A layer for rows of indices, the i-th of which is less than `counts[i]`. It has an output for each of the `initial` numbers. Those after
    /// the first `outputs` depend on no index. The parameters of the indices are initialised with normal random numbers, scaled so that an
    /// output before f has the standard deviation `gain`. There are no biases, so the initial numbers of the outputs are added to the rows of
    /// the first index. Throws an `ArgumentException` if the tables have more than `PooledBuffer.Largest` parameters. The layer throws one if
    /// an input is not a valid index.
    let startingAt (initial: float[]) (counts: int list) gain outputs activation : LayerBuilder =
        let tables = Tables(counts, outputs, initial.Length - outputs)
        let scale = gain / sqrt (float counts.Length)

        fun inputShape ->
            let inputs = ArrayShape.length inputShape

            if inputs <> tables.Inputs then
                invalidArg
                    (nameof inputShape)
                    $"there are tables for {tables.Inputs} indices, and the input has {inputs}"

            { new PackedLayer(inputShape, [ tables.Outputs ]) with
                member _.ParameterCount = tables.ParameterCount

                member _.Initialise key =
                    let rows = Key.normals tables.TableCount key |> Array.map (fun x -> scale * x)

                    for i in 0 .. outputs * counts.Head - 1 do
                        rows[i] <- rows[i] + initial[i % outputs]

                    Array.append rows initial[outputs..] |> Array.map float32 |> Vector.adopt

                member _.PackedCount = tables.ParameterCount
                member _.Pack(parameters, packed) = parameters.CopyTo packed
                member _.Unpack(packed, parameters) = packed.CopyTo parameters
                member _.At packed = new At(tables, activation, packed) }

    /// The same layer, whose outputs start around 0. After them come `stateIndependent` outputs, whose parameters start at `initial`.
    let layer counts gain outputs activation stateIndependent initial : LayerBuilder =
        startingAt (Dense.initialNumbers outputs stateIndependent initial) counts gain outputs activation
