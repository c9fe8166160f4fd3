using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FunTrpo.Kernels;

/// <summary>
/// C = start + A₁·B₁ᵀ + A₂·B₂ᵀ for so few columns of C that they would leave most of a vector empty: each element is a dot product
/// along the rows of A and B, which are padded to whole vectors.
/// </summary>
internal unsafe struct DotProducts
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

    public readonly void Compute()
    {
        if (Vector512.IsHardwareAccelerated)
        {
            Compute<Lane512>();
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            Compute<Lane256>();
        }
        else
        {
            Compute<Lane128>();
        }
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void Compute<TLane>()
        where TLane : unmanaged, ILane<TLane>
    {
        for (int row = 0; row < Rows; row += 4)
        {
            // Rows beyond the last are the first of the four once more.
            int left = Rows - row;
            nint r1 = left > 1 ? 1 : 0;
            nint r2 = left > 2 ? 2 : 0;
            nint r3 = left > 3 ? 3 : 0;
            float* c = C + ((nint)row * Stride);
            for (int i = 0; i < Stride; i += TLane.Count)
            {
                TLane start = TLane.Load(Start + i);
                start.Store(c + i);
                start.Store(c + (r1 * Stride) + i);
                start.Store(c + (r2 * Stride) + i);
                start.Store(c + (r3 * Stride) + i);
            }

            for (int column = 0; column < Columns; column++)
            {
                TLane s0 = default,
                    s1 = default,
                    s2 = default,
                    s3 = default;
                float* a = A1 + ((nint)row * InnerStride);
                float* b = B1 + ((nint)column * InnerStride);
                for (int product = 0; product < 2; product++)
                {
                    if (a == null)
                    {
                        break;
                    }

                    float* a1 = a + (r1 * InnerStride);
                    float* a2 = a + (r2 * InnerStride);
                    float* a3 = a + (r3 * InnerStride);
                    for (int k = 0; k < InnerStride; k += TLane.Count)
                    {
                        TLane factor = TLane.Load(b + k);
                        s0 = TLane.FusedMultiplyAdd(TLane.Load(a + k), factor, s0);
                        s1 = TLane.FusedMultiplyAdd(TLane.Load(a1 + k), factor, s1);
                        s2 = TLane.FusedMultiplyAdd(TLane.Load(a2 + k), factor, s2);
                        s3 = TLane.FusedMultiplyAdd(TLane.Load(a3 + k), factor, s3);
                    }

                    a = A2 == null ? null : A2 + ((nint)row * InnerStride);
                    b = B2 + ((nint)column * InnerStride);
                }

                float sum0 = Start[column] + TLane.Sum(s0);
                c[(r1 * Stride) + column] = Start[column] + TLane.Sum(s1);
                c[(r2 * Stride) + column] = Start[column] + TLane.Sum(s2);
                c[(r3 * Stride) + column] = Start[column] + TLane.Sum(s3);
                c[column] = sum0;
            }
        }
    }
}
