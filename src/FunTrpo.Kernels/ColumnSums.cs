using System;
using System.Runtime.CompilerServices;

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
            Lanes.Run(
                new Kernel
                {
                    Rows = matrix.Length / sums.Length,
                    Stride = sums.Length,
                    Matrix = pMatrix,
                    Scale = pScale,
                    IsTanh = isTanh,
                    Sums = pSums,
                }
            );
        }
    }

    private struct Kernel : IKernel
    {
        public int Rows;
        public int Stride;
        public float* Matrix;

        /// <summary>Null for 1.</summary>
        public float* Scale;

        public bool IsTanh;
        public float* Sums;

        /// <summary>Four vectors of columns at a time, so that no addition waits for the one before; then those that are left.</summary>
        public readonly void Run<TLane>()
            where TLane : unmanaged, ILane<TLane>
        {
            int column = 0;
            for (; column + (4 * TLane.Count) <= Stride; column += 4 * TLane.Count)
            {
                Run<FourVectors<TLane>, TLane>(column);
            }

            for (; column < Stride; column += TLane.Count)
            {
                Run<OneVector<TLane>, TLane>(column);
            }
        }

        [MethodImpl(Compiled.ByItself)]
        private readonly void Run<TRow, TLane>(int column)
            where TRow : unmanaged, IRow<TRow, TLane>
            where TLane : unmanaged, ILane<TLane>
        {
            TRow sum = TRow.Load(Sums + column);
            float* matrix = Matrix + column;
            if (Scale == null)
            {
                for (int row = 0; row < Rows; row++)
                {
                    sum += TRow.Load(matrix);
                    matrix += Stride;
                }
            }
            else
            {
                float* scale = Scale + column;
                for (int row = 0; row < Rows; row++)
                {
                    TRow scaled = TRow.Load(matrix);
                    scaled.MultiplyBySlope(IsTanh, scale);
                    scaled.Store(matrix);
                    sum += scaled;
                    matrix += Stride;
                    scale += Stride;
                }
            }

            sum.Store(Sums + column);
        }
    }
}
