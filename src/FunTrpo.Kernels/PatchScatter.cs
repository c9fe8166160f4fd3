using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Adds the rows of δ·Bᵀ, which are patches, to a picture, each at its place (<see cref="Patches"/>): the transpose of taking patches.
/// δ has a row for each patch.
/// </summary>
/// <remarks>
/// Patches are computed eight at a time in registers, and added from the last of the eight to the first. Then each number of the picture is a
/// sum in the same order for all widths of vectors.
/// </remarks>
internal unsafe struct PatchScatter : IKernel
{
    /// <summary>The number of patches.</summary>
    public int Count;

    /// <summary>The first number of each patch.</summary>
    public int* Places;

    /// <summary>The number of rows of the window.</summary>
    public int WindowRows;

    /// <summary>The numbers in a row of the window, padded to whole vectors. The padding of Bᵀ is 0, so 0 is added to what follows the row.</summary>
    public int PaddedRowLength;

    /// <summary>The distance between the rows of the window.</summary>
    public nint RowDistance;

    /// <summary>The number of columns of δ that count, and of rows of Bᵀ.</summary>
    public int Length;

    public float* Delta;

    /// <summary>The stride of the rows of δ.</summary>
    public nint DeltaStride;

    /// <summary>Bᵀ: rows of <see cref="WindowRows"/> · <see cref="PaddedRowLength"/> numbers.</summary>
    public float* Transposed;

    /// <summary>The picture, followed by room for a vector if the rows of the window are padded.</summary>
    public float* Picture;

    public readonly void Run<TVector>()
        where TVector : unmanaged, ISimdVector<TVector>
    {
        for (int row = 0; row < Count; row += 8)
        {
            for (int windowRow = 0; windowRow < WindowRows; windowRow++)
            {
                int left = PaddedRowLength / TVector.Count;
                for (int column = 0; left > 0; )
                {
                    int vectors = PatchProduct.VectorsOfTile(left, TVector.Registers);
                    switch (vectors)
                    {
                        case 3:
                            AddTile<ThreeVectors<TVector>, TVector>(row, windowRow, column);
                            break;
                        case 2:
                            AddTile<TwoVectors<TVector>, TVector>(row, windowRow, column);
                            break;
                        default:
                            AddTile<OneVector<TVector>, TVector>(row, windowRow, column);
                            break;
                    }

                    column += vectors * TVector.Count;
                    left -= vectors;
                }
            }
        }
    }

    /// <summary>Computes some columns of eight patches, all in one row of the window, and adds them to the picture.</summary>
    [MethodImpl(Compiled.Separately)]
    private readonly void AddTile<TRow, TVector>(int row, int windowRow, int column)
        where TRow : unmanaged, IRow<TRow, TVector>
        where TVector : unmanaged, ISimdVector<TVector>
    {
        // A row beyond the last one is replaced by the first row of the tile, and is not added.
        int left = Count - row;
        nint r1 = left > 1 ? 1 : 0;
        nint r2 = left > 2 ? 2 : 0;
        nint r3 = left > 3 ? 3 : 0;
        nint r4 = left > 4 ? 4 : 0;
        nint r5 = left > 5 ? 5 : 0;
        nint r6 = left > 6 ? 6 : 0;
        nint r7 = left > 7 ? 7 : 0;

        TRow s0 = default,
            s1 = default,
            s2 = default,
            s3 = default,
            s4 = default,
            s5 = default,
            s6 = default,
            s7 = default;
        float* d0 = Delta + (row * DeltaStride);
        float* d1 = d0 + (r1 * DeltaStride);
        float* d2 = d0 + (r2 * DeltaStride);
        float* d3 = d0 + (r3 * DeltaStride);
        float* d4 = d0 + (r4 * DeltaStride);
        float* d5 = d0 + (r5 * DeltaStride);
        float* d6 = d0 + (r6 * DeltaStride);
        float* d7 = d0 + (r7 * DeltaStride);
        nint stride = (nint)WindowRows * PaddedRowLength;
        float* b = Transposed + ((nint)windowRow * PaddedRowLength) + column;
        for (nint k = 0; k < Length; k++)
        {
            TRow rowOfB = TRow.Load(b);
            b += stride;
            s0.AddProduct(TVector.Create(d0[k]), rowOfB);
            s1.AddProduct(TVector.Create(d1[k]), rowOfB);
            s2.AddProduct(TVector.Create(d2[k]), rowOfB);
            s3.AddProduct(TVector.Create(d3[k]), rowOfB);
            s4.AddProduct(TVector.Create(d4[k]), rowOfB);
            s5.AddProduct(TVector.Create(d5[k]), rowOfB);
            s6.AddProduct(TVector.Create(d6[k]), rowOfB);
            s7.AddProduct(TVector.Create(d7[k]), rowOfB);
        }

        float* picture = Picture + (windowRow * RowDistance) + column;
        int* places = Places + row;
        Add<TRow, TVector>(left > 7, picture + places[r7], s7);
        Add<TRow, TVector>(left > 6, picture + places[r6], s6);
        Add<TRow, TVector>(left > 5, picture + places[r5], s5);
        Add<TRow, TVector>(left > 4, picture + places[r4], s4);
        Add<TRow, TVector>(left > 3, picture + places[r3], s3);
        Add<TRow, TVector>(left > 2, picture + places[r2], s2);
        Add<TRow, TVector>(left > 1, picture + places[r1], s1);
        Add<TRow, TVector>(true, picture + places[0], s0);
    }

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Add<TRow, TVector>(bool counts, float* target, TRow summand)
        where TRow : unmanaged, IRow<TRow, TVector>
        where TVector : unmanaged, ISimdVector<TVector>
    {
        if (counts)
        {
            (TRow.Load(target) + summand).Store(target);
        }
    }
}
