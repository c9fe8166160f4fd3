using System;

namespace FunTrpo.Kernels;

/// <summary>
/// The dense layer y = f(x W + b) on a block of rows, and its two derivatives. W gives the first <see cref="Weighted"/> of the
/// outputs; the others are biases alone, free parameters that depend on no input.
/// </summary>
/// <remarks>
/// Its parameters are W (inputs × weighted, row-major) followed by b (outputs). The kernels work on a <em>packed</em> form, in
/// which each row of W, and b, is padded with zeros to <see cref="Stride"/> numbers. So are the rows of y and of all that has
/// its shape, one row a sample; the rows of x are as far apart as <c>xStride</c> says.
/// </remarks>
/// <param name="Inputs">The columns of x.</param>
/// <param name="Weighted">The columns of W.</param>
/// <param name="Outputs">The columns of y.</param>
/// <param name="Activation">f</param>
public sealed unsafe record DenseLayer(int Inputs, int Weighted, int Outputs, Activation Activation)
{
    private const int Square = 16;

    /// <summary>How many numbers a parameter vector holds.</summary>
    public int ParameterCount => (Inputs * Weighted) + Outputs;

    /// <summary>How far apart the rows of y are.</summary>
    public int Stride => Lanes.Pad(Outputs);

    /// <summary>How many numbers a packed parameter vector holds.</summary>
    public int PackedCount => (Inputs + 1) * Stride;

    /// <summary>How many numbers Wᵀ holds, its rows padded.</summary>
    public int TransposedCount => Weighted * Lanes.Pad(Inputs);

    /// <summary>Whether f′ is 1 everywhere: then derivatives are not kept, and are empty.</summary>
    public bool IsLinear => Activation == Activation.Identity;

    /// <summary>Packs a parameter vector, or a tangent of one.</summary>
    public void Pack(ReadOnlySpan<float> parameters, Span<float> packed)
    {
        Check.SameLength(parameters.Length, ParameterCount);
        Check.SameLength(packed.Length, PackedCount);
        int weights = Inputs * Weighted;
        PaddedRows.Pad(Inputs, Weighted, parameters[..weights], packed[..(Inputs * Stride)]);
        PaddedRows.Pad(1, Outputs, parameters[weights..], packed[(Inputs * Stride)..]);
    }

    /// <summary>What was packed, or has the same form: the parameters without the padding.</summary>
    public void Unpack(ReadOnlySpan<float> packed, Span<float> parameters)
    {
        Check.SameLength(parameters.Length, ParameterCount);
        Check.SameLength(packed.Length, PackedCount);
        int weights = Inputs * Weighted;
        PaddedRows.Unpad(Inputs, Weighted, packed[..(Inputs * Stride)], parameters[..weights]);
        PaddedRows.Unpad(1, Outputs, packed[(Inputs * Stride)..], parameters[weights..]);
    }

    /// <summary>Wᵀ of packed parameters, which <see cref="Pullback"/> needs.</summary>
    public void Transpose(ReadOnlySpan<float> packed, Span<float> transposed)
    {
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(transposed.Length, TransposedCount);
        int stride = Lanes.Pad(Inputs);
        transposed.Clear();
        fixed (
            float* from = packed,
                to = transposed
        )
        {
            // Square by square, so that the lines of the cache that are read and written are used to the end.
            for (int i = 0; i < Inputs; i += Square)
            {
                for (int j = 0; j < Weighted; j += Square)
                {
                    int bottom = Math.Min(Inputs, i + Square);
                    int right = Math.Min(Weighted, j + Square);
                    for (int column = j; column < right; column++)
                    {
                        for (int row = i; row < bottom; row++)
                        {
                            to[((nint)column * stride) + row] = from[((nint)row * Stride) + column];
                        }
                    }
                }
            }
        }
    }

    /// <summary>y = f(x W + b), and f′ there unless <paramref name="derivative"/> is empty.</summary>
    public void Forward(
        int rows,
        ReadOnlySpan<float> packed,
        ReadOnlySpan<float> x,
        int xStride,
        Span<float> y,
        Span<float> derivative
    )
    {
        CheckInput(rows, x, xStride);
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(y.Length, rows * Stride);
        fixed (
            float* pParameters = packed,
                pX = x,
                pY = y
        )
        {
            new MatrixProduct
            {
                Rows = rows,
                Stride = Stride,
                First = new(Inputs, pX, xStride, 1, pParameters),
                Start = pParameters + (Inputs * Stride),
                C = pY,
            }.Compute();
        }

        Activations.Apply(Activation, y, derivative);
    }

    /// <summary>
    /// The tangent of y for the tangents of x and of the (packed) parameters: ẏ = (ẋ W + x Ẇ + ḃ) ⊙ f′. An empty
    /// <paramref name="xTangent"/> stands for zero.
    /// </summary>
    public void Pushforward(
        int rows,
        ReadOnlySpan<float> packed,
        ReadOnlySpan<float> x,
        int xStride,
        ReadOnlySpan<float> derivative,
        ReadOnlySpan<float> xTangent,
        ReadOnlySpan<float> packedTangent,
        Span<float> yTangent
    )
    {
        CheckInput(rows, x, xStride);
        CheckDerivative(rows, derivative);
        Check.SameLength(packed.Length, PackedCount);
        Check.SameLength(packedTangent.Length, PackedCount);
        Check.SameLength(yTangent.Length, rows * Stride);
        if (!xTangent.IsEmpty)
        {
            CheckInput(rows, xTangent, xStride);
        }

        fixed (
            float* pParameters = packed,
                pX = x,
                pDerivative = derivative,
                pXTangent = xTangent,
                pTangent = packedTangent,
                pYTangent = yTangent
        )
        {
            new MatrixProduct
            {
                Rows = rows,
                Stride = Stride,
                First = new(xTangent.IsEmpty ? 0 : Inputs, pXTangent, xStride, 1, pParameters),
                Second = new(Inputs, pX, xStride, 1, pTangent),
                Start = pTangent + (Inputs * Stride),
                Scale = pDerivative,
                C = pYTangent,
            }.Compute();
        }
    }

    /// <summary>
    /// The cotangents of x and of the parameters for a cotangent u of y: with δ = u ⊙ f′ they are δ Wᵀ, and xᵀ δ and the
    /// column sums of δ, which are <em>added</em> to <paramref name="packedCotangent"/>. u becomes δ. An empty
    /// <paramref name="xCotangent"/> is not computed; its rows are padded.
    /// </summary>
    public void Pullback(
        int rows,
        ReadOnlySpan<float> transposed,
        ReadOnlySpan<float> x,
        int xStride,
        ReadOnlySpan<float> derivative,
        Span<float> yCotangent,
        Span<float> xCotangent,
        Span<float> packedCotangent
    )
    {
        CheckInput(rows, x, xStride);
        CheckDerivative(rows, derivative);
        Check.SameLength(yCotangent.Length, rows * Stride);
        Check.SameLength(packedCotangent.Length, PackedCount);
        Reductions.ScaleAndAddColumnSums(yCotangent, derivative, packedCotangent[(Inputs * Stride)..]);
        fixed (
            float* pX = x,
                pDelta = yCotangent,
                pCotangent = packedCotangent
        )
        {
            new MatrixProduct
            {
                Rows = Inputs,
                Stride = Stride,
                First = new(rows, pX, 1, xStride, pDelta),
                Start = pCotangent,
                StartRow = Stride,
                C = pCotangent,
            }.Compute();
        }

        if (xCotangent.IsEmpty)
        {
            return;
        }

        Check.SameLength(transposed.Length, TransposedCount);
        Check.SameLength(xCotangent.Length, rows * Lanes.Pad(Inputs));
        fixed (
            float* pTransposed = transposed,
                pDelta = yCotangent,
                pXCotangent = xCotangent
        )
        {
            new MatrixProduct
            {
                Rows = rows,
                Stride = Lanes.Pad(Inputs),
                First = new(Weighted, pDelta, Stride, 1, pTransposed),
                C = pXCotangent,
            }.Compute();
        }
    }

    private void CheckInput(int rows, ReadOnlySpan<float> x, int xStride)
    {
        if (xStride < Inputs || x.Length < rows * xStride)
        {
            throw new ArgumentException(
                $"{x.Length} numbers are not {rows} rows of {Inputs} that are {xStride} apart."
            );
        }
    }

    private void CheckDerivative(int rows, ReadOnlySpan<float> derivative) =>
        Check.SameLength(derivative.Length, IsLinear ? 0 : rows * Stride);
}
