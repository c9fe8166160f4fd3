using System;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FunTrpo.Kernels;

/// <summary>
/// C += A·B for float32, row-major B and C, and an A that may be read by rows or by columns.
/// </summary>
/// <remarks>
/// C is cut into register tiles of four rows: four vectors wide on processors with 512-bit vectors, two elsewhere. Each
/// element of C is one chain of fused multiply-adds in the order of the inner index, whichever tile it falls in, so a
/// result does not depend on how many rows are computed together.
/// </remarks>
public static unsafe class MatrixProduct
{
    private const int TileRows = 4;

    /// <summary>C (m × n) += A (m × k) · B (k × n).</summary>
    public static void AddProduct(int m, int n, int k, ReadOnlySpan<float> a, ReadOnlySpan<float> b, Span<float> c)
    {
        Check.SameLength(a.Length, m * k);
        AddProduct(m, n, k, a, k, 1, b, c);
    }

    /// <summary>C (m × n) += Aᵀ·B, where A is k × m.</summary>
    public static void AddTransposedProduct(
        int m,
        int n,
        int k,
        ReadOnlySpan<float> a,
        ReadOnlySpan<float> b,
        Span<float> c
    )
    {
        Check.SameLength(a.Length, m * k);
        AddProduct(m, n, k, a, 1, m, b, c);
    }

    /// <summary>Aᵀ of a row-major rows × columns matrix.</summary>
    public static void Transpose(int rows, int columns, ReadOnlySpan<float> a, Span<float> transposed)
    {
        Check.SameLength(a.Length, rows * columns);
        Check.SameLength(transposed.Length, rows * columns);
        for (int r = 0; r < rows; r++)
        {
            for (int c = 0; c < columns; c++)
            {
                transposed[(c * rows) + r] = a[(r * columns) + c];
            }
        }
    }

    private static void AddProduct(
        int m,
        int n,
        int k,
        ReadOnlySpan<float> a,
        int aRow,
        int aColumn,
        ReadOnlySpan<float> b,
        Span<float> c
    )
    {
        Check.SameLength(b.Length, k * n);
        Check.SameLength(c.Length, m * n);
        if (m == 0 || n == 0 || k == 0)
        {
            return;
        }

        fixed (
            float* pa = a,
                pb = b,
                pc = c
        )
        {
            int column = 0;
            if (Vector512.IsHardwareAccelerated)
            {
                for (; column + (4 * Vector512<float>.Count) <= n; column += 4 * Vector512<float>.Count)
                {
                    WidePanel(m, k, pa, aRow, aColumn, pb + column, n, pc + column);
                }
            }

            for (; column + (2 * Vector<float>.Count) <= n; column += 2 * Vector<float>.Count)
            {
                Panel(m, k, pa, aRow, aColumn, pb + column, n, pc + column, n);
            }

            if (column < n)
            {
                NarrowPanel(m, n - column, k, pa, aRow, aColumn, pb + column, n, pc + column);
            }
        }
    }

    /// <summary>Columns that do not fill a panel: B's are padded with zeros, C's go through a tile of their own.</summary>
    private static void NarrowPanel(
        int m,
        int columns,
        int k,
        float* a,
        int aRow,
        int aColumn,
        float* b,
        int n,
        float* c
    )
    {
        int width = 2 * Vector<float>.Count;
        float[] rented = System.Buffers.ArrayPool<float>.Shared.Rent(k * width);
        float* tile = stackalloc float[TileRows * width];
        fixed (float* padded = rented)
        {
            for (int i = 0; i < k; i++)
            {
                for (int j = 0; j < width; j++)
                {
                    padded[(i * width) + j] = j < columns ? b[((nint)i * n) + j] : 0f;
                }
            }

            for (int row = 0; row < m; row += TileRows)
            {
                int rows = Math.Min(TileRows, m - row);
                for (int r = 0; r < rows; r++)
                {
                    for (int j = 0; j < width; j++)
                    {
                        tile[(r * width) + j] = j < columns ? c[((nint)(row + r) * n) + j] : 0f;
                    }
                }

                Panel(rows, k, a + ((nint)row * aRow), aRow, aColumn, padded, width, tile, width);

                for (int r = 0; r < rows; r++)
                {
                    for (int j = 0; j < columns; j++)
                    {
                        c[((nint)(row + r) * n) + j] = tile[(r * width) + j];
                    }
                }
            }
        }

        System.Buffers.ArrayPool<float>.Shared.Return(rented);
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void Panel(int m, int k, float* a, int aRow, int aColumn, float* b, int bRow, float* c, int cRow)
    {
        int w = Vector<float>.Count;
        int row = 0;
        for (; row + TileRows <= m; row += TileRows)
        {
            float* a0 = a + ((nint)row * aRow);
            float* a1 = a0 + aRow;
            float* a2 = a1 + aRow;
            float* a3 = a2 + aRow;
            float* c0 = c + ((nint)row * cRow);
            float* c1 = c0 + cRow;
            float* c2 = c1 + cRow;
            float* c3 = c2 + cRow;
            Vector<float> s00 = Vector.Load(c0);
            Vector<float> s01 = Vector.Load(c0 + w);
            Vector<float> s10 = Vector.Load(c1);
            Vector<float> s11 = Vector.Load(c1 + w);
            Vector<float> s20 = Vector.Load(c2);
            Vector<float> s21 = Vector.Load(c2 + w);
            Vector<float> s30 = Vector.Load(c3);
            Vector<float> s31 = Vector.Load(c3 + w);
            float* bi = b;
            nint ai = 0;
            for (int i = 0; i < k; i++)
            {
                Vector<float> b0 = Vector.Load(bi);
                Vector<float> b1 = Vector.Load(bi + w);
                Vector<float> x = new(a0[ai]);
                s00 = Vector.FusedMultiplyAdd(x, b0, s00);
                s01 = Vector.FusedMultiplyAdd(x, b1, s01);
                x = new(a1[ai]);
                s10 = Vector.FusedMultiplyAdd(x, b0, s10);
                s11 = Vector.FusedMultiplyAdd(x, b1, s11);
                x = new(a2[ai]);
                s20 = Vector.FusedMultiplyAdd(x, b0, s20);
                s21 = Vector.FusedMultiplyAdd(x, b1, s21);
                x = new(a3[ai]);
                s30 = Vector.FusedMultiplyAdd(x, b0, s30);
                s31 = Vector.FusedMultiplyAdd(x, b1, s31);
                bi += bRow;
                ai += aColumn;
            }

            s00.Store(c0);
            s01.Store(c0 + w);
            s10.Store(c1);
            s11.Store(c1 + w);
            s20.Store(c2);
            s21.Store(c2 + w);
            s30.Store(c3);
            s31.Store(c3 + w);
        }

        for (; row < m; row++)
        {
            float* a0 = a + ((nint)row * aRow);
            float* c0 = c + ((nint)row * cRow);
            Vector<float> s0 = Vector.Load(c0);
            Vector<float> s1 = Vector.Load(c0 + w);
            float* bi = b;
            nint ai = 0;
            for (int i = 0; i < k; i++)
            {
                Vector<float> x = new(a0[ai]);
                s0 = Vector.FusedMultiplyAdd(x, Vector.Load(bi), s0);
                s1 = Vector.FusedMultiplyAdd(x, Vector.Load(bi + w), s1);
                bi += bRow;
                ai += aColumn;
            }

            s0.Store(c0);
            s1.Store(c0 + w);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void WidePanel(int m, int k, float* a, int aRow, int aColumn, float* b, int n, float* c)
    {
        const int w = 16;
        int row = 0;
        for (; row + TileRows <= m; row += TileRows)
        {
            float* a0 = a + ((nint)row * aRow);
            float* a1 = a0 + aRow;
            float* a2 = a1 + aRow;
            float* a3 = a2 + aRow;
            float* c0 = c + ((nint)row * n);
            float* c1 = c0 + n;
            float* c2 = c1 + n;
            float* c3 = c2 + n;
            Vector512<float> s00 = Vector512.Load(c0);
            Vector512<float> s01 = Vector512.Load(c0 + w);
            Vector512<float> s02 = Vector512.Load(c0 + (2 * w));
            Vector512<float> s03 = Vector512.Load(c0 + (3 * w));
            Vector512<float> s10 = Vector512.Load(c1);
            Vector512<float> s11 = Vector512.Load(c1 + w);
            Vector512<float> s12 = Vector512.Load(c1 + (2 * w));
            Vector512<float> s13 = Vector512.Load(c1 + (3 * w));
            Vector512<float> s20 = Vector512.Load(c2);
            Vector512<float> s21 = Vector512.Load(c2 + w);
            Vector512<float> s22 = Vector512.Load(c2 + (2 * w));
            Vector512<float> s23 = Vector512.Load(c2 + (3 * w));
            Vector512<float> s30 = Vector512.Load(c3);
            Vector512<float> s31 = Vector512.Load(c3 + w);
            Vector512<float> s32 = Vector512.Load(c3 + (2 * w));
            Vector512<float> s33 = Vector512.Load(c3 + (3 * w));
            float* bi = b;
            nint ai = 0;
            for (int i = 0; i < k; i++)
            {
                Vector512<float> b0 = Vector512.Load(bi);
                Vector512<float> b1 = Vector512.Load(bi + w);
                Vector512<float> b2 = Vector512.Load(bi + (2 * w));
                Vector512<float> b3 = Vector512.Load(bi + (3 * w));
                Vector512<float> x = Vector512.Create(a0[ai]);
                s00 = Vector512.FusedMultiplyAdd(x, b0, s00);
                s01 = Vector512.FusedMultiplyAdd(x, b1, s01);
                s02 = Vector512.FusedMultiplyAdd(x, b2, s02);
                s03 = Vector512.FusedMultiplyAdd(x, b3, s03);
                x = Vector512.Create(a1[ai]);
                s10 = Vector512.FusedMultiplyAdd(x, b0, s10);
                s11 = Vector512.FusedMultiplyAdd(x, b1, s11);
                s12 = Vector512.FusedMultiplyAdd(x, b2, s12);
                s13 = Vector512.FusedMultiplyAdd(x, b3, s13);
                x = Vector512.Create(a2[ai]);
                s20 = Vector512.FusedMultiplyAdd(x, b0, s20);
                s21 = Vector512.FusedMultiplyAdd(x, b1, s21);
                s22 = Vector512.FusedMultiplyAdd(x, b2, s22);
                s23 = Vector512.FusedMultiplyAdd(x, b3, s23);
                x = Vector512.Create(a3[ai]);
                s30 = Vector512.FusedMultiplyAdd(x, b0, s30);
                s31 = Vector512.FusedMultiplyAdd(x, b1, s31);
                s32 = Vector512.FusedMultiplyAdd(x, b2, s32);
                s33 = Vector512.FusedMultiplyAdd(x, b3, s33);
                bi += n;
                ai += aColumn;
            }

            s00.Store(c0);
            s01.Store(c0 + w);
            s02.Store(c0 + (2 * w));
            s03.Store(c0 + (3 * w));
            s10.Store(c1);
            s11.Store(c1 + w);
            s12.Store(c1 + (2 * w));
            s13.Store(c1 + (3 * w));
            s20.Store(c2);
            s21.Store(c2 + w);
            s22.Store(c2 + (2 * w));
            s23.Store(c2 + (3 * w));
            s30.Store(c3);
            s31.Store(c3 + w);
            s32.Store(c3 + (2 * w));
            s33.Store(c3 + (3 * w));
        }

        for (; row < m; row++)
        {
            float* a0 = a + ((nint)row * aRow);
            float* c0 = c + ((nint)row * n);
            Vector512<float> s0 = Vector512.Load(c0);
            Vector512<float> s1 = Vector512.Load(c0 + w);
            Vector512<float> s2 = Vector512.Load(c0 + (2 * w));
            Vector512<float> s3 = Vector512.Load(c0 + (3 * w));
            float* bi = b;
            nint ai = 0;
            for (int i = 0; i < k; i++)
            {
                Vector512<float> x = Vector512.Create(a0[ai]);
                s0 = Vector512.FusedMultiplyAdd(x, Vector512.Load(bi), s0);
                s1 = Vector512.FusedMultiplyAdd(x, Vector512.Load(bi + w), s1);
                s2 = Vector512.FusedMultiplyAdd(x, Vector512.Load(bi + (2 * w)), s2);
                s3 = Vector512.FusedMultiplyAdd(x, Vector512.Load(bi + (3 * w)), s3);
                bi += n;
                ai += aColumn;
            }

            s0.Store(c0);
            s1.Store(c0 + w);
            s2.Store(c0 + (2 * w));
            s3.Store(c0 + (3 * w));
        }
    }
}
