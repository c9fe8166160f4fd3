using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Adds P(x)ᵀ·δ to C, and the sums of the columns of δ to the row behind it, for one picture x, where P(x) is the matrix of its patches, one row each (<see cref="Patches"/>). δ has a row for each
/// patch, and C for each number of a patch; both have rows of <see cref="Columns"/> numbers.
/// </summary>
/// <remarks>
/// Each element of C is one chain of fused multiply-adds through the patches in order, and each column sum is a sum in this order. In tiles of one
/// vector, numbers of the upper half of the window are computed together with those of its lower half (<see cref="IHalves"/>).
/// </remarks>
internal unsafe struct TransposedPatchProduct : IKernel
{
    /// <summary>The number of patches.</summary>
    public int Count;

    /// <summary>The first number of each patch.</summary>
    public int* Places;

    /// <summary>The number of numbers of a patch.</summary>
    public int Size;

    /// <summary>The number of numbers of a patch in the upper half of the window.</summary>
    public int Half;

    /// <summary>The numbers of a patch, counted from its first one.</summary>
    public int* Offsets;

    /// <summary>The number of columns: whole vectors.</summary>
    public int Columns;

    public float* X;
    public float* Delta;

    /// <summary>The result: <see cref="Size"/> rows, and one of column sums.</summary>
    public float* C;

    public readonly void Run<TVector>()
        where TVector : unmanaged, ISimdVector<TVector>
    {
        int left = Columns / TVector.Count;
        for (int column = 0; left > 0; )
        {
            int vectors = PatchProduct.VectorsOfTile(left, TVector.Registers);
            switch (vectors)
            {
                case 3:
                    AllRows<ThreeVectors<TVector>, TVector>(column, 0);
                    break;
                case 2:
                    AllRows<TwoVectors<TVector>, TVector>(column, 0);
                    break;
                default:
                    AllRows<OneVector<TVector>, TVector>(column, Halves.RowsOfTiles(Half, TVector.Registers));
                    break;
            }

            column += vectors * TVector.Count;
            left -= vectors;
        }
    }

    /// <summary>
    /// Computes one column of tiles: so many rows of either half together, and then the others. The first tile also sums the columns of δ.
    /// </summary>
    private readonly void AllRows<TRow, TVector>(int column, int together)
        where TRow : unmanaged, IRow<TRow, TVector>
        where TVector : unmanaged, ISimdVector<TVector>
    {
        if (together == 0)
        {
            EightRows<TRow, TVector, OneHalf, WithSums>(column, 0, Math.Min(8, Size));
            EightRows<TRow, TVector, OneHalf, WithoutSums>(column, 8, Size);
            return;
        }

        EightRows<TRow, TVector, BothHalves, WithSums>(column, 0, 8);
        EightRows<TRow, TVector, BothHalves, WithoutSums>(column, 8, together);
        EightRows<TRow, TVector, OneHalf, WithoutSums>(column, together, Half);
        EightRows<TRow, TVector, OneHalf, WithoutSums>(column, Half + together, Size);
    }

    /// <summary>
    /// Computes the rows <paramref name="first"/> … <paramref name="end"/> − 1 of one column of tiles, eight numbers of a patch at a time, so
    /// that all sums stay in registers.
    /// </summary>
    [MethodImpl(Compiled.Separately)]
    private readonly void EightRows<TRow, TVector, THalves, TSums>(int column, int first, int end)
        where TRow : unmanaged, IRow<TRow, TVector>
        where TVector : unmanaged, ISimdVector<TVector>
        where THalves : IHalves
        where TSums : ISums
    {
        nint columns = Columns;
        float* sums = C + (Size * columns) + column;
        nint lower = THalves.AreBoth ? Offsets[Half] : 0;
        for (int row = first; row < end; row += 8)
        {
            // A row beyond the last one is replaced by the first row of the tile, which is then computed and written again.
            int left = end - row;
            nint r1 = left > 1 ? 1 : 0;
            nint r2 = left > 2 ? 2 : 0;
            nint r3 = left > 3 ? 3 : 0;
            nint r4 = left > 4 ? 4 : 0;
            nint r5 = left > 5 ? 5 : 0;
            nint r6 = left > 6 ? 6 : 0;
            nint r7 = left > 7 ? 7 : 0;

            float* c = C + (row * columns) + column;
            TRow s0 = TRow.Load(c);
            TRow s1 = TRow.Load(c + (r1 * columns));
            TRow s2 = TRow.Load(c + (r2 * columns));
            TRow s3 = TRow.Load(c + (r3 * columns));
            TRow s4 = TRow.Load(c + (r4 * columns));
            TRow s5 = TRow.Load(c + (r5 * columns));
            TRow s6 = TRow.Load(c + (r6 * columns));
            TRow s7 = TRow.Load(c + (r7 * columns));

            // The rows of the lower half.
            float* d = THalves.AreBoth ? c + (Half * columns) : c;
            TRow t0 = TRow.Load(d);
            TRow t1 = TRow.Load(d + (r1 * columns));
            TRow t2 = TRow.Load(d + (r2 * columns));
            TRow t3 = TRow.Load(d + (r3 * columns));
            TRow t4 = TRow.Load(d + (r4 * columns));
            TRow t5 = TRow.Load(d + (r5 * columns));
            TRow t6 = TRow.Load(d + (r6 * columns));
            TRow t7 = TRow.Load(d + (r7 * columns));
            TRow sum = TSums.AreAsked ? TRow.Load(sums) : default;

            int* offsets = Offsets + row;
            float* a0 = X + offsets[0];
            float* a1 = X + offsets[r1];
            float* a2 = X + offsets[r2];
            float* a3 = X + offsets[r3];
            float* a4 = X + offsets[r4];
            float* a5 = X + offsets[r5];
            float* a6 = X + offsets[r6];
            float* a7 = X + offsets[r7];
            float* delta = Delta + column;
            int* next = Places;
            int* last = Places + Count;
            while (next < last)
            {
                nint place = *next++;
                TRow rowOfDelta = TRow.Load(delta);
                delta += columns;
                if (TSums.AreAsked)
                {
                    sum += rowOfDelta;
                }

                s0.AddProduct(TVector.Create(a0[place]), rowOfDelta);
                s1.AddProduct(TVector.Create(a1[place]), rowOfDelta);
                s2.AddProduct(TVector.Create(a2[place]), rowOfDelta);
                s3.AddProduct(TVector.Create(a3[place]), rowOfDelta);
                s4.AddProduct(TVector.Create(a4[place]), rowOfDelta);
                s5.AddProduct(TVector.Create(a5[place]), rowOfDelta);
                s6.AddProduct(TVector.Create(a6[place]), rowOfDelta);
                s7.AddProduct(TVector.Create(a7[place]), rowOfDelta);
                if (THalves.AreBoth)
                {
                    place += lower;
                    t0.AddProduct(TVector.Create(a0[place]), rowOfDelta);
                    t1.AddProduct(TVector.Create(a1[place]), rowOfDelta);
                    t2.AddProduct(TVector.Create(a2[place]), rowOfDelta);
                    t3.AddProduct(TVector.Create(a3[place]), rowOfDelta);
                    t4.AddProduct(TVector.Create(a4[place]), rowOfDelta);
                    t5.AddProduct(TVector.Create(a5[place]), rowOfDelta);
                    t6.AddProduct(TVector.Create(a6[place]), rowOfDelta);
                    t7.AddProduct(TVector.Create(a7[place]), rowOfDelta);
                }
            }

            s0.Store(c);
            s1.Store(c + (r1 * columns));
            s2.Store(c + (r2 * columns));
            s3.Store(c + (r3 * columns));
            s4.Store(c + (r4 * columns));
            s5.Store(c + (r5 * columns));
            s6.Store(c + (r6 * columns));
            s7.Store(c + (r7 * columns));
            if (THalves.AreBoth)
            {
                t0.Store(d);
                t1.Store(d + (r1 * columns));
                t2.Store(d + (r2 * columns));
                t3.Store(d + (r3 * columns));
                t4.Store(d + (r4 * columns));
                t5.Store(d + (r5 * columns));
                t6.Store(d + (r6 * columns));
                t7.Store(d + (r7 * columns));
            }

            if (TSums.AreAsked)
            {
                sum.Store(sums);
            }
        }
    }

    /// <summary>Selects whether a tile also sums the columns of δ.</summary>
    private interface ISums
    {
        static abstract bool AreAsked { get; }
    }

    private readonly struct WithSums : ISums
    {
        public static bool AreAsked => true;
    }

    private readonly struct WithoutSums : ISums
    {
        public static bool AreAsked => false;
    }
}
