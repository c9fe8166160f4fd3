using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FunTrpo.Kernels;

/// <summary>
/// Computes C = (start + A₁·B₁ + A₂·B₂) ⊙ scale for a few columns, which would leave half of a vector or more empty. A vector holds two
/// or four rows of B, column by column. It is multiplied by the same number of elements of a row of A, repeated to fill a vector. At the
/// end, neighbouring elements of the sum are added.
/// </summary>
internal unsafe struct FewColumns : IKernel
{
    /// <summary>The number of rows of A and C.</summary>
    public int Rows;

    /// <summary>
    /// The number of columns of B. C and scale have a whole vector of columns; the other columns of C are the start, scaled.
    /// </summary>
    public int Columns;

    /// <summary>The number of columns of A and of rows of B.</summary>
    public int Length;

    /// <summary>The stride of the rows of A.</summary>
    public nint RowOfA;

    /// <summary>The stride of the rows of C and scale.</summary>
    public nint Stride;

    public float* A1;

    /// <summary>B₁ᵀ in the layout <see cref="TailedRows"/>.</summary>
    public float* B1;

    /// <summary>Null if there is no second product.</summary>
    public float* A2;
    public float* B2;

    /// <summary>One vector, the same for all rows.</summary>
    public float* Start;

    /// <summary>The factor of each sum; null for 1.</summary>
    public float* Scale;

    /// <summary>Whether the factor is 1 − scale² instead: f′ if scale holds y = tanh.</summary>
    public bool IsTanh;

    public float* C;

    /// <summary>
    /// Returns how many of the last columns are best computed in this way: those beyond whole vectors, if they fill at most half of a
    /// vector and B has at least as many rows as a vector has numbers; otherwise none.
    /// </summary>
    public static int Among(int columns, int length)
    {
        int rest = columns % Lanes.Width;
        return 2 * rest <= Lanes.Width && length >= Lanes.Width ? rest : 0;
    }

    private readonly int RowsOfVector => 4 * Columns <= Lanes.Width ? 4 : 2;

    private readonly int Vectors => (Length + RowsOfVector - 1) / RowsOfVector;

    /// <summary>Computes C.</summary>
    public readonly void Compute()
    {
        using PooledBuffer vectors = PooledBuffer.Rent(2 * Vectors, Lanes.Width);
        fixed (float* b = vectors.Span)
        {
            FewColumns interleaved = this;
            interleaved.B1 = b;
            interleaved.B2 = b + (Vectors * Lanes.Width);
            Interleave(B1, interleaved.B1);
            if (A2 != null)
            {
                Interleave(B2, interleaved.B2);
            }

            Lanes.Run(interleaved);
        }
    }

    /// <summary>
    /// Writes the vectors of rows of B. If the last vector would extend beyond the last row of B, it holds the last rows instead, with 0 in
    /// place of the rows that the previous vector already holds.
    /// </summary>
    private readonly void Interleave(float* transposed, float* vectors)
    {
        TailedRows rows = new(Length);
        int count = RowsOfVector;
        new Span<float>(vectors, Vectors * Lanes.Width).Clear();
        for (int next = 0; next < Length; next += count)
        {
            int first = Math.Min(next, Length - count);
            float* from = transposed + first + (next < rows.Whole ? 0 : rows.Stride - Length);
            for (int column = 0; column < Columns; column++)
            {
                float* to = vectors + (column * count);
                if (first < next)
                {
                    for (int i = next - first; i < count; i++)
                    {
                        to[i] = from[i];
                    }
                }
                else if (count == 4)
                {
                    Vector128.Load(from).Store(to);
                }
                else
                {
                    Vector64.Load(from).Store(to);
                }

                from += rows.Stride;
            }

            vectors += Lanes.Width;
        }
    }

    public readonly void Run<TVector>()
        where TVector : unmanaged, ISimdVector<TVector>
    {
        if (RowsOfVector == 4)
        {
            EightRows<Four<TVector>, TVector>();
        }
        else
        {
            EightRows<Two<TVector>, TVector>();
        }
    }

    [MethodImpl(Compiled.Separately)]
    private readonly void EightRows<TGroup, TVector>()
        where TGroup : IGroup<TVector>
        where TVector : unmanaged, ISimdVector<TVector>
    {
        for (int row = 0; row < Rows; row += 8)
        {
            // A row beyond the last one is replaced by the first row of the tile, which is then computed and written again.
            int left = Rows - row;
            nint r1 = left > 1 ? 1 : 0;
            nint r2 = left > 2 ? 2 : 0;
            nint r3 = left > 3 ? 3 : 0;
            nint r4 = left > 4 ? 4 : 0;
            nint r5 = left > 5 ? 5 : 0;
            nint r6 = left > 6 ? 6 : 0;
            nint r7 = left > 7 ? 7 : 0;
            TVector s0 = default,
                s1 = default,
                s2 = default,
                s3 = default,
                s4 = default,
                s5 = default,
                s6 = default,
                s7 = default;
            float* a = A1;
            float* b = B1;
            for (int n = A2 == null ? 1 : 0; n < 2; n++)
            {
                float* a0 = a + (row * RowOfA);
                float* a1 = a0 + (r1 * RowOfA);
                float* a2 = a0 + (r2 * RowOfA);
                float* a3 = a0 + (r3 * RowOfA);
                float* a4 = a0 + (r4 * RowOfA);
                float* a5 = a0 + (r5 * RowOfA);
                float* a6 = a0 + (r6 * RowOfA);
                float* a7 = a0 + (r7 * RowOfA);
                nint last = Length - TGroup.Size;
                for (nint next = 0; next < Length; next += TGroup.Size)
                {
                    nint k = Math.Min(next, last);
                    TVector factor = TVector.Load(b);
                    s0.AddProduct(factor, TGroup.Load(a0 + k));
                    s1.AddProduct(factor, TGroup.Load(a1 + k));
                    s2.AddProduct(factor, TGroup.Load(a2 + k));
                    s3.AddProduct(factor, TGroup.Load(a3 + k));
                    s4.AddProduct(factor, TGroup.Load(a4 + k));
                    s5.AddProduct(factor, TGroup.Load(a5 + k));
                    s6.AddProduct(factor, TGroup.Load(a6 + k));
                    s7.AddProduct(factor, TGroup.Load(a7 + k));
                    b += TVector.Count;
                }

                a = A2;
                b = B2;
            }

            Finish<TGroup, TVector>(row, s0);
            Finish<TGroup, TVector>(row + r1, s1);
            Finish<TGroup, TVector>(row + r2, s2);
            Finish<TGroup, TVector>(row + r3, s3);
            Finish<TGroup, TVector>(row + r4, s4);
            Finish<TGroup, TVector>(row + r5, s5);
            Finish<TGroup, TVector>(row + r6, s6);
            Finish<TGroup, TVector>(row + r7, s7);
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private readonly void Finish<TGroup, TVector>(nint row, TVector sums)
        where TGroup : IGroup<TVector>
        where TVector : unmanaged, ISimdVector<TVector>
    {
        TVector c = TGroup.Sums(sums);
        if (Start != null)
        {
            c += TVector.Load(Start);
        }

        if (Scale != null)
        {
            c *= Activations.Slope(IsTanh, TVector.Load(Scale + (row * Stride)));
        }

        c.Store(C + (row * Stride));
    }

    /// <summary>The number of rows of B in a vector: two or four.</summary>
    private interface IGroup<TVector>
    {
        static abstract int Size { get; }

        /// <summary>Loads <see cref="Size"/> numbers, repeated to fill a vector.</summary>
        static abstract TVector Load(float* source);

        /// <summary>Returns the sums of each <see cref="Size"/> neighbouring numbers, followed by zeros.</summary>
        static abstract TVector Sums(TVector x);
    }

    private readonly struct Two<TVector> : IGroup<TVector>
        where TVector : unmanaged, ISimdVector<TVector>
    {
        public static int Size => 2;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Load(float* source) => TVector.RepeatTwo(source);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Sums(TVector x) => TVector.PairSums(x);
    }

    private readonly struct Four<TVector> : IGroup<TVector>
        where TVector : unmanaged, ISimdVector<TVector>
    {
        public static int Size => 4;

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Load(float* source) => TVector.RepeatFour(source);

        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        public static TVector Sums(TVector x) => TVector.PairSums(TVector.PairSums(x));
    }
}
