using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace FunTrpo.Kernels;

/// <summary>Copies and transposes row-major matrices whose rows may be padded to whole vectors.</summary>
public static unsafe class PaddedRows
{
    /// <summary>The number of rows and columns that are transposed in registers.</summary>
    private const int Square = 4;

    /// <summary>The number of rows that are transposed together, so that whole cache lines are written.</summary>
    private const int Block = 16;

    /// <summary>
    /// Copies <paramref name="rows"/> rows of <paramref name="width"/> numbers and fills the padding after each row with zeros. The
    /// stride of the padded rows is the length of <paramref name="padded"/> divided by the number of rows.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit.</exception>
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

    /// <summary>Copies <paramref name="rows"/> rows of <paramref name="width"/> numbers without their padding.</summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit.</exception>
    public static void Unpad(int rows, int width, ReadOnlySpan<float> padded, Span<float> compact) =>
        Copy(rows, width, padded, Stride(rows, width, compact.Length, padded.Length), compact, width);

    /// <summary>
    /// Copies a matrix of <paramref name="rows"/> rows of <paramref name="columns"/> numbers to another stride. The padding of the copy is
    /// not written.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit.</exception>
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
    /// Writes the transpose of a matrix of <paramref name="rows"/> rows of <paramref name="columns"/> numbers. Each of the two matrices has
    /// its own stride. The padding of the transpose is not written.
    /// </summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit.</exception>
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

    /// <summary>Transposes four rows of four numbers, in registers.</summary>
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

    /// <summary>Returns a₀, b₀, a₁, b₁.</summary>
    private static Vector128<float> InterleaveLow(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackLow(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipLow(a, b)
        : Vector128.Create(a[0], b[0], a[1], b[1]);

    /// <summary>Returns a₂, b₂, a₃, b₃.</summary>
    private static Vector128<float> InterleaveHigh(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.UnpackHigh(a, b)
        : AdvSimd.Arm64.IsSupported ? AdvSimd.Arm64.ZipHigh(a, b)
        : Vector128.Create(a[2], b[2], a[3], b[3]);

    /// <summary>Returns a₀, a₁, b₀, b₁.</summary>
    private static Vector128<float> JoinLow(Vector128<float> a, Vector128<float> b) =>
        Sse.IsSupported ? Sse.MoveLowToHigh(a, b) : Vector128.Create(a.GetLower(), b.GetLower());

    /// <summary>Returns a₂, a₃, b₂, b₃.</summary>
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
        // For a few numbers, a call of CopyTo takes longer than a loop.
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
