using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FunTrpo.Kernels;

/// <summary>The sums of the columns of a matrix, taken while its elements are multiplied by others.</summary>
public static unsafe class ColumnSums
{
    /// <summary>
    /// Replaces a padded row-major matrix by matrix ⊙ scale (an empty scale stands for 1), or by matrix ⊙ (1 − scale²), which is f′
    /// where the scale is f = tanh, and adds the sum of each of its columns to <paramref name="sums"/>, row after row. How far apart
    /// the rows are is the length of the sums.
    /// </summary>
    public static void ScaleAndAdd(Span<float> matrix, ReadOnlySpan<float> scale, bool isTanh, Span<float> sums)
    {
        Check.SameLength(sums.Length, Lanes.Pad(sums.Length));
        Check.SameLength(matrix.Length % sums.Length, 0);
        if (!scale.IsEmpty)
        {
            Check.SameLength(scale.Length, matrix.Length);
        }

        fixed (
            float* pMatrix = matrix,
                pScale = scale,
                pSums = sums
        )
        {
            int rows = matrix.Length / sums.Length;
            if (Vector512.IsHardwareAccelerated)
            {
                ScaleAndAdd<Lane512>(rows, sums.Length, pMatrix, pScale, isTanh, pSums);
            }
            else if (Vector256.IsHardwareAccelerated)
            {
                ScaleAndAdd<Lane256>(rows, sums.Length, pMatrix, pScale, isTanh, pSums);
            }
            else
            {
                ScaleAndAdd<Lane128>(rows, sums.Length, pMatrix, pScale, isTanh, pSums);
            }
        }
    }

    /// <summary>Scales a vector of the matrix, unless the scale is null.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static TLane Scaled<TLane>(float* matrix, float* scale, nint offset, bool isTanh)
        where TLane : unmanaged, ILane<TLane>
    {
        TLane value = TLane.Load(matrix + offset);
        if (scale != null)
        {
            value *= Activations.Slope(isTanh, TLane.Load(scale + offset));
            value.Store(matrix + offset);
        }

        return value;
    }

    /// <summary>Four vectors of columns at a time, so that no addition waits for the one before; then those that are left.</summary>
    private static void ScaleAndAdd<TLane>(int rows, int stride, float* matrix, float* scale, bool isTanh, float* sums)
        where TLane : unmanaged, ILane<TLane>
    {
        for (int column = 0; column < stride; )
        {
            float* factors = scale == null ? null : scale + column;
            if (stride - column >= 4 * TLane.Count)
            {
                FourVectors<TLane>(rows, stride, matrix + column, factors, isTanh, sums + column);
                column += 4 * TLane.Count;
            }
            else
            {
                OneVector<TLane>(rows, stride, matrix + column, factors, isTanh, sums + column);
                column += TLane.Count;
            }
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void FourVectors<TLane>(int rows, nint stride, float* matrix, float* scale, bool isTanh, float* sums)
        where TLane : unmanaged, ILane<TLane>
    {
        int w = TLane.Count;
        TLane s0 = TLane.Load(sums);
        TLane s1 = TLane.Load(sums + w);
        TLane s2 = TLane.Load(sums + (2 * w));
        TLane s3 = TLane.Load(sums + (3 * w));
        for (int row = 0; row < rows; row++)
        {
            nint offset = row * stride;
            s0 += Scaled<TLane>(matrix, scale, offset, isTanh);
            s1 += Scaled<TLane>(matrix, scale, offset + w, isTanh);
            s2 += Scaled<TLane>(matrix, scale, offset + (2 * w), isTanh);
            s3 += Scaled<TLane>(matrix, scale, offset + (3 * w), isTanh);
        }

        s0.Store(sums);
        s1.Store(sums + w);
        s2.Store(sums + (2 * w));
        s3.Store(sums + (3 * w));
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void OneVector<TLane>(int rows, nint stride, float* matrix, float* scale, bool isTanh, float* sums)
        where TLane : unmanaged, ILane<TLane>
    {
        TLane sum = TLane.Load(sums);
        for (int row = 0; row < rows; row++)
        {
            sum += Scaled<TLane>(matrix, scale, row * stride, isTanh);
        }

        sum.Store(sums);
    }
}
