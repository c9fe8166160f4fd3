using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>The sums of the columns of a matrix.</summary>
public static unsafe class ColumnSums
{
    /// <summary>
    /// Adds the sum of each column of a padded row-major matrix to <paramref name="sums"/>, in the order of the rows. The length of
    /// <paramref name="sums"/> is also the stride of the rows.
    /// </summary>
    /// <exception cref="ArgumentException">The length of the sums is not padded, or does not divide that of the matrix.</exception>
    public static void Add(ReadOnlySpan<float> matrix, Span<float> sums)
    {
        Check.SameLength(sums.Length, Lanes.Pad(sums.Length));
        Check.SameLength(sums.IsEmpty ? matrix.Length : matrix.Length % sums.Length, 0);
        if (sums.IsEmpty)
        {
            return;
        }

        fixed (
            float* pMatrix = matrix,
                pSums = sums
        )
        {
            Lanes.Run(
                new Kernel
                {
                    Rows = matrix.Length / sums.Length,
                    Stride = sums.Length,
                    Matrix = pMatrix,
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
        public float* Sums;

        /// <summary>
        /// Sums four vectors of columns at a time, so that an addition does not wait for the previous one, and then the remaining columns.
        /// </summary>
        public readonly void Run<TVector>()
            where TVector : unmanaged, ISimdVector<TVector>
        {
            int column = 0;
            for (; column + (4 * TVector.Count) <= Stride; column += 4 * TVector.Count)
            {
                Run<FourVectors<TVector>, TVector>(column);
            }

            for (; column < Stride; column += TVector.Count)
            {
                Run<OneVector<TVector>, TVector>(column);
            }
        }

        [MethodImpl(Compiled.Separately)]
        private readonly void Run<TRow, TVector>(int column)
            where TRow : unmanaged, IRow<TRow, TVector>
            where TVector : unmanaged, ISimdVector<TVector>
        {
            TRow sum = TRow.Load(Sums + column);
            float* matrix = Matrix + column;
            for (int row = 0; row < Rows; row++)
            {
                sum += TRow.Load(matrix);
                matrix += Stride;
            }

            sum.Store(Sums + column);
        }
    }
}
