using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FunTrpo.Kernels;

/// <summary>
/// C = start + A₁·B₁ᵀ + A₂·B₂ᵀ for so few columns of C that they would leave much of a vector empty: each element is a dot product
/// along the rows of A and B, which are padded to whole vectors.
/// </summary>
internal unsafe struct DotProducts : IKernel
{
    /// <summary>The rows of A and C.</summary>
    public int Rows;

    /// <summary>The rows of B, and the columns of C that are dot products; the others are those of the start.</summary>
    public int Columns;

    /// <summary>How far apart the rows of A and B are: what lies between their ends and there is 0 in one of the two.</summary>
    public int InnerStride;

    /// <summary>How far apart the rows of C are.</summary>
    public int Stride;

    public float* A1;
    public float* B1;

    /// <summary>Null where there is no second product.</summary>
    public float* A2;
    public float* B2;

    /// <summary>One row for all, as long as the rows of C.</summary>
    public float* Start;

    public float* C;

    public readonly void Compute() => Lanes.Run(this);

    /// <summary>Two rows and four columns at a time: eight sums in registers, of which the four of a row are added up together.</summary>
    [MethodImpl(Compiled.ByItself)]
    public readonly void Run<TLane>()
        where TLane : unmanaged, ILane<TLane>
    {
        for (int row = 0; row < Rows; row += 2)
        {
            // The row after the last, and columns after the last, are the first of the tile once more.
            nint r1 = row + 1 < Rows ? 1 : 0;
            float* c = C + ((nint)row * Stride);
            for (int i = 0; i < Stride; i += TLane.Count)
            {
                TLane start = TLane.Load(Start + i);
                start.Store(c + i);
                start.Store(c + (r1 * Stride) + i);
            }

            for (int column = 0; column < Columns; column += 4)
            {
                int left = Columns - column;
                nint c1 = left > 1 ? InnerStride : 0;
                nint c2 = left > 2 ? 2 * InnerStride : 0;
                nint c3 = left > 3 ? 3 * InnerStride : 0;
                TLane s00 = default,
                    s01 = default,
                    s02 = default,
                    s03 = default;
                TLane s10 = default,
                    s11 = default,
                    s12 = default,
                    s13 = default;
                float* a0 = A1 + ((nint)row * InnerStride);
                float* b = B1 + ((nint)column * InnerStride);
                for (int product = A2 == null ? 1 : 0; product < 2; product++)
                {
                    float* a1 = a0 + (r1 * InnerStride);
                    for (int k = 0; k < InnerStride; k += TLane.Count)
                    {
                        TLane x0 = TLane.Load(a0 + k);
                        TLane x1 = TLane.Load(a1 + k);
                        TLane factor = TLane.Load(b + k);
                        s00 = TLane.FusedMultiplyAdd(x0, factor, s00);
                        s10 = TLane.FusedMultiplyAdd(x1, factor, s10);
                        factor = TLane.Load(b + c1 + k);
                        s01 = TLane.FusedMultiplyAdd(x0, factor, s01);
                        s11 = TLane.FusedMultiplyAdd(x1, factor, s11);
                        factor = TLane.Load(b + c2 + k);
                        s02 = TLane.FusedMultiplyAdd(x0, factor, s02);
                        s12 = TLane.FusedMultiplyAdd(x1, factor, s12);
                        factor = TLane.Load(b + c3 + k);
                        s03 = TLane.FusedMultiplyAdd(x0, factor, s03);
                        s13 = TLane.FusedMultiplyAdd(x1, factor, s13);
                    }

                    a0 = A2 + ((nint)row * InnerStride);
                    b = B2 + ((nint)column * InnerStride);
                }

                Vector128<float> isColumn = Vector128
                    .LessThan(Vector128.Create(0, 1, 2, 3), Vector128.Create(left))
                    .AsSingle();
                Vector128<float> sums0 = TLane.Sums(s00, s01, s02, s03) & isColumn;
                Vector128<float> sums1 = TLane.Sums(s10, s11, s12, s13) & isColumn;
                Vector128<float> startOfFour = Vector128.Load(Start + column);
                (startOfFour + sums0).Store(c + column);
                (startOfFour + sums1).Store(c + (r1 * Stride) + column);
            }
        }
    }
}
