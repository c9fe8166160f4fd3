using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Computes C = (start + P(x₁)·B₁ + P(x₂)·B₂) ⊙ scale for one picture, where P(x) is the matrix of its patches, one row each
/// (<see cref="Patches"/>). All other matrices are row-major, with rows of <see cref="Columns"/> numbers.
/// </summary>
/// <remarks>
/// As in <see cref="MatrixProduct"/>, tiles of C stay in registers, and each element is one chain of fused multiply-adds, from its start
/// through the patch in order. In tiles of one vector, patches of the upper half of the picture are computed
/// together with those at the same places of its lower half (<see cref="IHalves"/>).
/// </remarks>
internal unsafe struct PatchProduct : IKernel
{
    /// <summary>The number of patches.</summary>
    public int Count;

    /// <summary>The first number of each patch.</summary>
    public int* Places;

    /// <summary>The number of patches in the upper half of the picture. So many patches later, each has one in the lower half.</summary>
    public int Half;

    /// <summary>The number of rows of the window.</summary>
    public int WindowRows;

    /// <summary>The number of numbers in a row of the window.</summary>
    public int RowLength;

    /// <summary>The distance between the rows of the window.</summary>
    public nint RowDistance;

    /// <summary>The number of columns: whole vectors.</summary>
    public int Columns;

    public float* X1;
    public float* B1;

    /// <summary>Null if there is no second product.</summary>
    public float* X2;
    public float* B2;

    /// <summary>One row, the same for all patches; null for 0.</summary>
    public float* Start;

    /// <summary>The factor of each sum; null for 1.</summary>
    public float* Scale;

    /// <summary>Whether the factor is 1 − scale² instead: f′ if scale holds y = tanh.</summary>
    public bool IsTanh;

    /// <summary>The result.</summary>
    public float* C;

    /// <summary>
    /// Returns the width of the next tile of eight rows, in vectors. Three vectors need 28 of 32 registers, and one vector 10 of 16.
    /// </summary>
    public static int VectorsOfTile(int left, int registers) =>
        registers < 32 ? 1
        : left == 4 ? 2
        : left < 3 ? left
        : 3;

    public readonly void Run<TVector>()
        where TVector : unmanaged, ISimdVector<TVector>
    {
        int left = Columns / TVector.Count;
        for (int column = 0; left > 0; )
        {
            int vectors = VectorsOfTile(left, TVector.Registers);
            switch (vectors)
            {
                case 3:
                    EightRows<ThreeVectors<TVector>, TVector, OneHalf>(column, 0, Count);
                    break;
                case 2:
                    EightRows<TwoVectors<TVector>, TVector, OneHalf>(column, 0, Count);
                    break;
                default:
                    int rows = Halves.RowsOfTiles(Half, TVector.Registers);
                    EightRows<OneVector<TVector>, TVector, BothHalves>(column, 0, rows);
                    EightRows<OneVector<TVector>, TVector, OneHalf>(column, rows, Half);
                    EightRows<OneVector<TVector>, TVector, OneHalf>(column, Half + rows, Count);
                    break;
            }

            column += vectors * TVector.Count;
            left -= vectors;
        }
    }

    /// <summary>
    /// Computes the patches <paramref name="first"/> … <paramref name="end"/> − 1 of one column of tiles, eight at a time, so that all sums stay
    /// in registers.
    /// </summary>
    [MethodImpl(Compiled.Separately)]
    private readonly void EightRows<TRow, TVector, THalves>(int column, int first, int end)
        where TRow : unmanaged, IRow<TRow, TVector>
        where TVector : unmanaged, ISimdVector<TVector>
        where THalves : IHalves
    {
        nint columns = Columns;
        nint lower = THalves.AreBoth ? Places[Half] : 0;
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

            TRow s0 = Start == null ? default : TRow.Load(Start + column);
            TRow s1 = s0,
                s2 = s0,
                s3 = s0,
                s4 = s0,
                s5 = s0,
                s6 = s0,
                s7 = s0;

            // The sums of the patches in the lower half.
            TRow t0 = s0,
                t1 = s0,
                t2 = s0,
                t3 = s0,
                t4 = s0,
                t5 = s0,
                t6 = s0,
                t7 = s0;

            float* x = X1;
            float* b = B1 + column;
            int* places = Places + row;
            for (int n = 0; n < 2 && x != null; n++)
            {
                float* a0 = x + places[0];
                float* a1 = x + places[r1];
                float* a2 = x + places[r2];
                float* a3 = x + places[r3];
                float* a4 = x + places[r4];
                float* a5 = x + places[r5];
                float* a6 = x + places[r6];
                float* a7 = x + places[r7];
                nint start = 0;
                for (int windowRow = 0; windowRow < WindowRows; windowRow++)
                {
                    nint last = start + RowLength;
                    nint below = start + lower;
                    for (nint k = start; k < last; k++)
                    {
                        TRow rowOfB = TRow.Load(b);
                        b += columns;
                        s0.AddProduct(TVector.Create(a0[k]), rowOfB);
                        s1.AddProduct(TVector.Create(a1[k]), rowOfB);
                        s2.AddProduct(TVector.Create(a2[k]), rowOfB);
                        s3.AddProduct(TVector.Create(a3[k]), rowOfB);
                        s4.AddProduct(TVector.Create(a4[k]), rowOfB);
                        s5.AddProduct(TVector.Create(a5[k]), rowOfB);
                        s6.AddProduct(TVector.Create(a6[k]), rowOfB);
                        s7.AddProduct(TVector.Create(a7[k]), rowOfB);
                        if (THalves.AreBoth)
                        {
                            t0.AddProduct(TVector.Create(a0[below]), rowOfB);
                            t1.AddProduct(TVector.Create(a1[below]), rowOfB);
                            t2.AddProduct(TVector.Create(a2[below]), rowOfB);
                            t3.AddProduct(TVector.Create(a3[below]), rowOfB);
                            t4.AddProduct(TVector.Create(a4[below]), rowOfB);
                            t5.AddProduct(TVector.Create(a5[below]), rowOfB);
                            t6.AddProduct(TVector.Create(a6[below]), rowOfB);
                            t7.AddProduct(TVector.Create(a7[below]), rowOfB);
                            below++;
                        }
                    }

                    start += RowDistance;
                }

                x = X2;
                b = B2 + column;
            }

            for (int place = row; ; place += Half)
            {
                if (Scale != null)
                {
                    float* scale = Scale + (place * columns) + column;
                    s0.MultiplyBySlope(IsTanh, scale);
                    s1.MultiplyBySlope(IsTanh, scale + (r1 * columns));
                    s2.MultiplyBySlope(IsTanh, scale + (r2 * columns));
                    s3.MultiplyBySlope(IsTanh, scale + (r3 * columns));
                    s4.MultiplyBySlope(IsTanh, scale + (r4 * columns));
                    s5.MultiplyBySlope(IsTanh, scale + (r5 * columns));
                    s6.MultiplyBySlope(IsTanh, scale + (r6 * columns));
                    s7.MultiplyBySlope(IsTanh, scale + (r7 * columns));
                }

                float* c = C + (place * columns) + column;
                s0.Store(c);
                s1.Store(c + (r1 * columns));
                s2.Store(c + (r2 * columns));
                s3.Store(c + (r3 * columns));
                s4.Store(c + (r4 * columns));
                s5.Store(c + (r5 * columns));
                s6.Store(c + (r6 * columns));
                s7.Store(c + (r7 * columns));
                if (!THalves.AreBoth || place != row)
                {
                    break;
                }

                s0 = t0;
                s1 = t1;
                s2 = t2;
                s3 = t3;
                s4 = t4;
                s5 = t5;
                s6 = t6;
                s7 = t7;
            }
        }
    }
}
