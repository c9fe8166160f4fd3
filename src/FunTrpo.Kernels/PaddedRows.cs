using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace FunTrpo.Kernels;

/// <summary>Row-major matrices whose rows are padded to whole vectors, and the same ones without the padding.</summary>
public static unsafe class PaddedRows
{
    /// <summary>The rows and columns that are transposed in registers.</summary>
    private const int Square = 4;

    /// <summary>So many rows are transposed together that the lines of the cache are written to the end.</summary>
    private const int Block = 16;

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
            int wholeRows = rows / Square * Square;
            int wholeColumns = columns / Square * Square;
            for (int block = 0; block < wholeRows; block += Block)
            {
                int end = Math.Min(block + Block, wholeRows);
                for (int column = 0; column < wholeColumns; column += Square)
                {
                    for (int row = block; row < end; row += Square)
                    {
                        float* from = source + ((nint)row * stride) + column;
                        float* to = target + ((nint)column * transposedStride) + row;
                        TransposeSquare(from, stride, to, transposedStride);
                    }
                }
            }

            for (int row = 0; row < rows; row++)
            {
                for (int column = row < wholeRows ? wholeColumns : 0; column < columns; column++)
                {
                    target[((nint)column * transposedStride) + row] = source[((nint)row * stride) + column];
                }
            }
        }
    }

    /// <summary>Four rows of four numbers, in registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void TransposeSquare(float* source, nint stride, float* target, nint transposedStride)
    {
        Vector128<float> row0 = Vector128.Load(source);
        Vector128<float> row1 = Vector128.Load(source + stride);
        Vector128<float> row2 = Vector128.Load(source + (2 * stride));
        Vector128<float> row3 = Vector128.Load(source + (3 * stride));
        Vector128<float> low01 = InterleaveLow(row0, row1);
        Vector128<float> low23 = InterleaveLow(row2, row3);
        Vector128<float> high01 = InterleaveHigh(row0, row1);
        Vector128<float> high23 = InterleaveHigh(row2, row3);
        JoinLow(low01, low23).Store(target);
        JoinHigh(low01, low23).Store(target + transposedStride);
        JoinLow(high01, high23).Store(target + (2 * transposedStride));
        JoinHigh(high01, high23).Store(target + (3 * transposedStride));
    }

    /// <summary>The first two numbers of either, in turn.</summary>
    private static Vector128<float> InterleaveLow(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackLow(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b)
        : Vector128.Create(a[0], b[0], a[1], b[1]);

    /// <summary>The last two numbers of either, in turn.</summary>
    private static Vector128<float> InterleaveHigh(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackHigh(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b)
        : Vector128.Create(a[2], b[2], a[3], b[3]);

    /// <summary>The first two numbers of one and then of the other.</summary>
    private static Vector128<float> JoinLow(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.MoveLowToHigh(a, b) : Vector128.Create(a.GetLower(), b.GetLower());

    /// <summary>The last two numbers of one and then of the other.</summary>
    private static Vector128<float> JoinHigh(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.MoveHighToLow(b, a) : Vector128.Create(a.GetUpper(), b.GetUpper());

    private static void CheckRows(int rows, int columns, int stride, int length)
    {
        if (rows < 0 || columns < 0 || stride < columns || (rows > 0 && length < ((long)(rows - 1) * stride) + columns))
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
        Check.SameLength(compact, Check.Product(rows, width));
        int stride = rows == 0 ? width : padded / rows;
        Check.SameLength(padded, Check.Product(rows, stride));
        return stride >= width
            ? stride
            : throw new ArgumentException($"{width} numbers do not fit into rows of {stride}.");
    }
}
