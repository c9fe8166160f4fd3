using System;

namespace FunTrpo.Kernels;

/// <summary>Row-major matrices whose rows are padded to whole vectors, and the same ones without the padding.</summary>
public static unsafe class PaddedRows
{
    private const int Square = 16;

    /// <summary>
    /// Copies <paramref name="rows"/> rows of <paramref name="width"/> numbers, each followed by zeros. How far apart the padded
    /// rows are follows from the length of <paramref name="padded"/>.
    /// </summary>
    public static void Pad(int rows, int width, ReadOnlySpan<float> compact, Span<float> padded)
    {
        int stride = Stride(rows, width, compact.Length, padded.Length);
        fixed (
            float* source = compact,
                target = padded
        )
        {
            for (int row = 0; row < rows; row++)
            {
                float* from = source + ((nint)row * width);
                float* to = target + ((nint)row * stride);
                Copy(from, to, width);
                for (int i = width; i < stride; i++)
                {
                    to[i] = 0f;
                }
            }
        }
    }

    /// <summary>Copies the rows without their padding.</summary>
    public static void Unpad(int rows, int width, ReadOnlySpan<float> padded, Span<float> compact) =>
        Copy(rows, width, padded, Stride(rows, width, compact.Length, padded.Length), compact, width);

    /// <summary>
    /// Copies so many columns of rows that are as far apart as their strides say. What lies between their ends and there is not
    /// written.
    /// </summary>
    public static void Copy(
        int rows,
        int columns,
        ReadOnlySpan<float> matrix,
        int stride,
        Span<float> copy,
        int copyStride
    )
    {
        CheckRows(rows, columns, stride, matrix.Length);
        CheckRows(rows, columns, copyStride, copy.Length);
        fixed (
            float* source = matrix,
                target = copy
        )
        {
            for (int row = 0; row < rows; row++)
            {
                Copy(source + ((nint)row * stride), target + ((nint)row * copyStride), columns);
            }
        }
    }

    /// <summary>
    /// The transpose of a matrix of <paramref name="rows"/> rows of <paramref name="columns"/> numbers, the rows of either as far
    /// apart as its stride says. What lies between their ends and there is not written.
    /// </summary>
    public static void Transpose(
        int rows,
        int columns,
        ReadOnlySpan<float> matrix,
        int stride,
        Span<float> transposed,
        int transposedStride
    )
    {
        CheckRows(rows, columns, stride, matrix.Length);
        CheckRows(columns, rows, transposedStride, transposed.Length);
        fixed (
            float* source = matrix,
                target = transposed
        )
        {
            // Square by square, so that the lines of the cache that are read and written are used to the end.
            for (int i = 0; i < rows; i += Square)
            {
                int count = Math.Min(Square, rows - i);
                for (int j = 0; j < columns; j++)
                {
                    float* from = source + ((nint)i * stride) + j;
                    float* to = target + ((nint)j * transposedStride) + i;
                    for (int k = 0; k < count; k++)
                    {
                        to[k] = *from;
                        from += stride;
                    }
                }
            }
        }
    }

    private static void CheckRows(int rows, int columns, int stride, int length)
    {
        if (stride < columns || (rows > 0 && length < ((rows - 1) * stride) + columns))
        {
            throw new ArgumentException($"{length} numbers are not {rows} rows of {columns} that are {stride} apart.");
        }
    }

    private static void Copy(float* source, float* target, int count)
    {
        // A call costs more than a few numbers do.
        if (count >= 16)
        {
            new ReadOnlySpan<float>(source, count).CopyTo(new Span<float>(target, count));
            return;
        }

        for (int i = 0; i < count; i++)
        {
            target[i] = source[i];
        }
    }

    private static int Stride(int rows, int width, int compact, int padded)
    {
        Check.SameLength(compact, rows * width);
        int stride = rows == 0 ? width : padded / rows;
        Check.SameLength(padded, rows * stride);
        return stride >= width
            ? stride
            : throw new ArgumentException($"{width} numbers do not fit into rows of {stride}.");
    }
}
