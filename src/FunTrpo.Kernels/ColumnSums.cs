using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FunTrpo.Kernels;

/// <summary>The sums of the columns of a matrix, taken while its elements are multiplied by others.</summary>
public static unsafe class ColumnSums
{
    /// <summary>
    /// Replaces a padded row-major matrix by matrix ⊙ scale (an empty scale stands for 1), or by matrix ⊙ (1 − scale²), which is f′ where
    /// the scale is f = tanh, and adds the sum of each of its columns
    /// to <paramref name="sums"/>, row after row. How far apart the rows are is the length of the sums.
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
            int stride = sums.Length;
            int rows = matrix.Length / stride;
            for (int column = 0; column < stride; column += Lanes.Width)
            {
                float* factors = pScale == null ? null : pScale + column;
                if (Vector512.IsHardwareAccelerated)
                {
                    ScaleAndAdd<Lane512>(rows, stride, pMatrix + column, factors, isTanh, pSums + column);
                }
                else if (Vector256.IsHardwareAccelerated)
                {
                    ScaleAndAdd<Lane256>(rows, stride, pMatrix + column, factors, isTanh, pSums + column);
                }
                else
                {
                    ScaleAndAdd<Lane128>(rows, stride, pMatrix + column, factors, isTanh, pSums + column);
                }
            }
        }
    }

    /// <summary>One vector of columns, from the first row to the last.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private static void ScaleAndAdd<TLane>(int rows, nint stride, float* matrix, float* scale, bool isTanh, float* sums)
        where TLane : unmanaged, ILane<TLane>
    {
        TLane sum = TLane.Load(sums);
        if (scale == null)
        {
            for (int row = 0; row < rows; row++)
            {
                sum += TLane.Load(matrix);
                matrix += stride;
            }
        }
        else
        {
            for (int row = 0; row < rows; row++)
            {
                TLane value = TLane.Load(matrix) * Activations.Slope(isTanh, TLane.Load(scale));
                value.Store(matrix);
                sum += value;
                matrix += stride;
                scale += stride;
            }
        }

        sum.Store(sums);
    }
}
