using System;
using System.Buffers;

namespace FunTrpo.Kernels;

/// <summary>
/// The dense layer y = f(x W + b) on a block of rows, and its two derivatives. Its parameters are W (inputs × outputs,
/// row-major) followed by b (outputs). All matrices are row-major, one row a sample.
/// </summary>
public static class DenseLayer
{
    /// <summary>y = f(x W + b), and f′ there, which both derivatives of the layer need.</summary>
    public static void Forward(
        int rows,
        int inputs,
        int outputs,
        Activation activation,
        ReadOnlySpan<float> parameters,
        ReadOnlySpan<float> x,
        Span<float> y,
        Span<float> derivative
    )
    {
        ReadOnlySpan<float> weights = parameters[..(inputs * outputs)];
        FillRows(rows, parameters[(inputs * outputs)..], y);
        MatrixProduct.AddProduct(rows, outputs, inputs, x, weights, y);
        Activations.Apply(activation, y, derivative);
    }

    /// <summary>
    /// The tangent of y for the tangents of x and of the parameters: ẏ = (ẋ W + x Ẇ + ḃ) ⊙ f′. An empty
    /// <paramref name="inputTangent"/> stands for zero.
    /// </summary>
    public static void Pushforward(
        int rows,
        int inputs,
        int outputs,
        ReadOnlySpan<float> parameters,
        ReadOnlySpan<float> x,
        ReadOnlySpan<float> derivative,
        ReadOnlySpan<float> inputTangent,
        ReadOnlySpan<float> parameterTangent,
        Span<float> outputTangent
    )
    {
        int weights = inputs * outputs;
        FillRows(rows, parameterTangent[weights..], outputTangent);
        MatrixProduct.AddProduct(rows, outputs, inputs, x, parameterTangent[..weights], outputTangent);
        if (!inputTangent.IsEmpty)
        {
            MatrixProduct.AddProduct(rows, outputs, inputs, inputTangent, parameters[..weights], outputTangent);
        }

        Reductions.Multiply(outputTangent, derivative, outputTangent);
    }

    /// <summary>
    /// The cotangents of x and of the parameters for a cotangent u of y: with δ = u ⊙ f′ they are δ Wᵀ, xᵀ δ and the
    /// column sums of δ. An empty <paramref name="inputCotangent"/> is not computed.
    /// </summary>
    public static void Pullback(
        int rows,
        int inputs,
        int outputs,
        ReadOnlySpan<float> transposedWeights,
        ReadOnlySpan<float> x,
        ReadOnlySpan<float> derivative,
        ReadOnlySpan<float> outputCotangent,
        Span<float> inputCotangent,
        Span<float> parameterCotangent
    )
    {
        int weights = inputs * outputs;
        float[] rented = ArrayPool<float>.Shared.Rent(rows * outputs);
        Span<float> delta = rented.AsSpan(0, rows * outputs);
        Reductions.Multiply(outputCotangent, derivative, delta);

        parameterCotangent.Clear();
        MatrixProduct.AddTransposedProduct(inputs, outputs, rows, x, delta, parameterCotangent[..weights]);
        Reductions.AddColumnSums(rows, outputs, delta, parameterCotangent[weights..]);
        if (!inputCotangent.IsEmpty)
        {
            inputCotangent.Clear();
            MatrixProduct.AddProduct(rows, inputs, outputs, delta, transposedWeights, inputCotangent);
        }

        ArrayPool<float>.Shared.Return(rented);
    }

    private static void FillRows(int rows, ReadOnlySpan<float> row, Span<float> matrix)
    {
        Check.SameLength(matrix.Length, rows * row.Length);
        for (int r = 0; r < rows; r++)
        {
            row.CopyTo(matrix.Slice(r * row.Length, row.Length));
        }
    }
}
