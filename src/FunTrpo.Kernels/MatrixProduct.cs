using System;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;
using System.Runtime.Intrinsics.Arm;
using System.Runtime.Intrinsics.X86;

namespace FunTrpo.Kernels;

/// <summary>One product A·B in a sum of products: A is read by rows or by columns, B is row-major and padded.</summary>
/// <param name="length">The columns of A, and the rows of B.</param>
/// <param name="a">Element (i, k) of A lies at a[i · row + k · column].</param>
/// <param name="row">How far apart the rows of A are.</param>
/// <param name="column">How far apart the columns of A are.</param>
/// <param name="b">Its rows are as far apart as those of the result.</param>
internal readonly unsafe struct Term(int length, float* a, nint row, nint column, float* b)
{
    public readonly int Length = length;
    public readonly float* A = a;
    public readonly nint Row = row;
    public readonly nint Column = column;
    public readonly float* B = b;

    /// <summary>The part of the sum with the inner indices first … first + count − 1.</summary>
    public Term Part(int first, int count, int stride) =>
        new(count, A + (first * Column), Row, Column, B + ((nint)first * stride));

    /// <summary>The same A with the columns of B from the given one on.</summary>
    public Term FromColumn(int column) => new(Length, A, Row, Column, B + column);
}

/// <summary>
/// C = (start + A₁·B₁ + A₂·B₂) ⊙ scale for float32. B, C and scale are row-major and padded to whole vectors.
/// </summary>
/// <remarks>
/// C is cut into register tiles, the widest of four rows and four vectors. Each element of C is one chain of fused
/// multiply-adds from its start through the inner indices in order, whichever tile it falls in, so a result depends neither on
/// how many rows are computed together nor on the width of the vectors.
/// </remarks>
internal unsafe struct MatrixProduct
{
    /// <summary>So many rows of a tile's part of B stay in the first-level cache while the rows of A pass by.</summary>
    private const int InnerRows = 128;

    /// <summary>So many rows before they are needed, numbers that are read once are asked for from the memory.</summary>
    private const int RowsAhead = 16;

    /// <summary>Whether these are not the first columns, so that A is in the cache.</summary>
    private bool isRight;

    /// <summary>The rows of C.</summary>
    public int Rows;

    /// <summary>The columns of C that are computed: whole vectors.</summary>
    public int Columns;

    /// <summary>How far apart the rows of B, C and scale are.</summary>
    public int Stride;

    /// <summary>A₁·B₁</summary>
    public Term First;

    /// <summary>A₂·B₂, of length 0 where there is none.</summary>
    public Term Second;

    /// <summary>What C starts from, which may be C itself; null for 0.</summary>
    public float* Start;

    /// <summary>How far apart the rows of the start are: 0 where it is one row for all.</summary>
    public nint StartRow;

    /// <summary>What each sum is multiplied by; null for 1.</summary>
    public float* Scale;

    /// <summary>Whether it is multiplied by 1 − scale² instead, which is f′ where the scale is f = tanh.</summary>
    public bool IsTanh;

    /// <summary>The result.</summary>
    public float* C;

    /// <summary>Computes C.</summary>
    public readonly void Compute()
    {
        if (First.Length + Second.Length <= InnerRows)
        {
            ComputeColumns();
            return;
        }

        // Part by part; each goes on from what the one before has left in C.
        MatrixProduct part = this;
        part.Second = default;
        part.Scale = null;
        int last = First.Length + Second.Length;
        for (int done = 0; done < last; done += part.First.Length)
        {
            part.First = done < First.Length ? Part(First, done) : Part(Second, done - First.Length);
            part.Scale = done + part.First.Length == last ? Scale : null;
            part.ComputeColumns();
            part.Start = C;
            part.StartRow = Stride;
        }
    }

    private readonly Term Part(Term term, int first) =>
        term.Part(first, Math.Min(InnerRows, term.Length - first), Stride);

    private readonly void ComputeColumns()
    {
        if (Vector512.IsHardwareAccelerated)
        {
            ComputeColumns<Lane512>(Columns >= 4 * Lane512.Count ? 4 : 2);
        }
        else if (Vector256.IsHardwareAccelerated)
        {
            ComputeColumns<Lane256>(2);
        }
        else
        {
            // The widest tile needs 21 vector registers: Arm has 32, and older processors of the x86 kind 16.
            ComputeColumns<Lane128>(AdvSimd.IsSupported ? 4 : 2);
        }
    }

    /// <summary>Tile after tile from left to right, each as wide as the columns that are left allow.</summary>
    private readonly void ComputeColumns<TLane>(int widest)
        where TLane : unmanaged, ILane<TLane>
    {
        MatrixProduct columns = this;
        for (int left = Columns / TLane.Count; left > 0; )
        {
            int vectors =
                left >= 4 && widest >= 4 ? 4
                : left >= 2 ? 2
                : 1;
            switch (vectors)
            {
                case 4:
                    columns.FourVectors<TLane>();
                    break;
                case 2:
                    columns.TwoVectors<TLane>();
                    break;
                default:
                    columns.OneVector<TLane>();
                    break;
            }

            columns.MoveRight(vectors * TLane.Count);
            left -= vectors;
        }
    }

    private void MoveRight(int columns)
    {
        isRight = true;
        First = First.FromColumn(columns);
        Second = Second.FromColumn(columns);
        C += columns;
        Start = Start == null ? null : Start + columns;
        Scale = Scale == null ? null : Scale + columns;
    }

    /// <summary>
    /// Asks for numbers that will soon be read: the processor's own guesses stop where a row ends. They need not exist.
    /// </summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    private static void Prefetch(float* numbers, int count)
    {
        const int cacheLine = 64 / sizeof(float);
        if (Sse.IsSupported)
        {
            for (int i = 0; i < count; i += cacheLine)
            {
                Sse.Prefetch0(numbers + i);
            }
        }
    }

    /// <summary>Columns four vectors wide, four rows at a time: 16 sums in registers.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void FourVectors<TLane>()
        where TLane : unmanaged, ILane<TLane>
    {
        int w = TLane.Count;
        for (int row = 0; row < Rows; row += 4)
        {
            // Rows beyond the last are the first of the tile once more, and write the same numbers once more.
            int left = Rows - row;
            nint r1 = left > 1 ? 1 : 0;
            nint r2 = left > 2 ? 2 : 0;
            nint r3 = left > 3 ? 3 : 0;

            float* c = C + ((nint)row * Stride);
            TLane s00,
                s01,
                s02,
                s03;
            TLane s10,
                s11,
                s12,
                s13;
            TLane s20,
                s21,
                s22,
                s23;
            TLane s30,
                s31,
                s32,
                s33;
            if (Start == null)
            {
                s00 = s01 = s02 = s03 = default;
                s10 = s11 = s12 = s13 = default;
                s20 = s21 = s22 = s23 = default;
                s30 = s31 = s32 = s33 = default;
            }
            else
            {
                float* start = Start + (row * StartRow);
                s00 = TLane.Load(start);
                s01 = TLane.Load(start + w);
                s02 = TLane.Load(start + 2 * w);
                s03 = TLane.Load(start + 3 * w);
                s10 = TLane.Load(start + (r1 * StartRow));
                s11 = TLane.Load(start + (r1 * StartRow) + w);
                s12 = TLane.Load(start + (r1 * StartRow) + 2 * w);
                s13 = TLane.Load(start + (r1 * StartRow) + 3 * w);
                s20 = TLane.Load(start + (r2 * StartRow));
                s21 = TLane.Load(start + (r2 * StartRow) + w);
                s22 = TLane.Load(start + (r2 * StartRow) + 2 * w);
                s23 = TLane.Load(start + (r2 * StartRow) + 3 * w);
                s30 = TLane.Load(start + (r3 * StartRow));
                s31 = TLane.Load(start + (r3 * StartRow) + w);
                s32 = TLane.Load(start + (r3 * StartRow) + 2 * w);
                s33 = TLane.Load(start + (r3 * StartRow) + 3 * w);
            }

            if (!isRight && First.Column == 1)
            {
                float* next = First.A + ((row + 4) * First.Row);
                for (int n = 0; n < 4; n++)
                {
                    Prefetch(next, First.Length);
                    next += First.Row;
                }
            }

            Term term = First;
            for (int n = 0; n < 2; n++)
            {
                float* a0 = term.A + (row * term.Row);
                float* a1 = a0 + (r1 * term.Row);
                float* a2 = a0 + (r2 * term.Row);
                float* a3 = a0 + (r3 * term.Row);
                float* b = term.B;
                nint k = 0;
                for (int i = 0; i < term.Length; i++)
                {
                    TLane b0 = TLane.Load(b);
                    TLane b1 = TLane.Load(b + w);
                    TLane b2 = TLane.Load(b + (2 * w));
                    TLane b3 = TLane.Load(b + (3 * w));
                    TLane a = TLane.Create(a0[k]);
                    s00 = TLane.FusedMultiplyAdd(a, b0, s00);
                    s01 = TLane.FusedMultiplyAdd(a, b1, s01);
                    s02 = TLane.FusedMultiplyAdd(a, b2, s02);
                    s03 = TLane.FusedMultiplyAdd(a, b3, s03);
                    a = TLane.Create(a1[k]);
                    s10 = TLane.FusedMultiplyAdd(a, b0, s10);
                    s11 = TLane.FusedMultiplyAdd(a, b1, s11);
                    s12 = TLane.FusedMultiplyAdd(a, b2, s12);
                    s13 = TLane.FusedMultiplyAdd(a, b3, s13);
                    a = TLane.Create(a2[k]);
                    s20 = TLane.FusedMultiplyAdd(a, b0, s20);
                    s21 = TLane.FusedMultiplyAdd(a, b1, s21);
                    s22 = TLane.FusedMultiplyAdd(a, b2, s22);
                    s23 = TLane.FusedMultiplyAdd(a, b3, s23);
                    a = TLane.Create(a3[k]);
                    s30 = TLane.FusedMultiplyAdd(a, b0, s30);
                    s31 = TLane.FusedMultiplyAdd(a, b1, s31);
                    s32 = TLane.FusedMultiplyAdd(a, b2, s32);
                    s33 = TLane.FusedMultiplyAdd(a, b3, s33);
                    b += Stride;
                    k += term.Column;
                }

                term = Second;
            }

            if (Scale != null)
            {
                float* scale = Scale + ((nint)row * Stride);
                float* next = scale + (RowsAhead * (nint)Stride);
                Prefetch(next, 4 * w);
                Prefetch(next + Stride, 4 * w);
                Prefetch(next + (2 * Stride), 4 * w);
                Prefetch(next + (3 * Stride), 4 * w);
                s00 *= Activations.Slope(IsTanh, TLane.Load(scale));
                s01 *= Activations.Slope(IsTanh, TLane.Load(scale + w));
                s02 *= Activations.Slope(IsTanh, TLane.Load(scale + 2 * w));
                s03 *= Activations.Slope(IsTanh, TLane.Load(scale + 3 * w));
                s10 *= Activations.Slope(IsTanh, TLane.Load(scale + (r1 * Stride)));
                s11 *= Activations.Slope(IsTanh, TLane.Load(scale + (r1 * Stride) + w));
                s12 *= Activations.Slope(IsTanh, TLane.Load(scale + (r1 * Stride) + 2 * w));
                s13 *= Activations.Slope(IsTanh, TLane.Load(scale + (r1 * Stride) + 3 * w));
                s20 *= Activations.Slope(IsTanh, TLane.Load(scale + (r2 * Stride)));
                s21 *= Activations.Slope(IsTanh, TLane.Load(scale + (r2 * Stride) + w));
                s22 *= Activations.Slope(IsTanh, TLane.Load(scale + (r2 * Stride) + 2 * w));
                s23 *= Activations.Slope(IsTanh, TLane.Load(scale + (r2 * Stride) + 3 * w));
                s30 *= Activations.Slope(IsTanh, TLane.Load(scale + (r3 * Stride)));
                s31 *= Activations.Slope(IsTanh, TLane.Load(scale + (r3 * Stride) + w));
                s32 *= Activations.Slope(IsTanh, TLane.Load(scale + (r3 * Stride) + 2 * w));
                s33 *= Activations.Slope(IsTanh, TLane.Load(scale + (r3 * Stride) + 3 * w));
            }

            s00.Store(c);
            s01.Store(c + w);
            s02.Store(c + 2 * w);
            s03.Store(c + 3 * w);
            s10.Store(c + (r1 * Stride));
            s11.Store(c + (r1 * Stride) + w);
            s12.Store(c + (r1 * Stride) + 2 * w);
            s13.Store(c + (r1 * Stride) + 3 * w);
            s20.Store(c + (r2 * Stride));
            s21.Store(c + (r2 * Stride) + w);
            s22.Store(c + (r2 * Stride) + 2 * w);
            s23.Store(c + (r2 * Stride) + 3 * w);
            s30.Store(c + (r3 * Stride));
            s31.Store(c + (r3 * Stride) + w);
            s32.Store(c + (r3 * Stride) + 2 * w);
            s33.Store(c + (r3 * Stride) + 3 * w);
        }
    }

    /// <summary>Columns two vectors wide, four rows at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void TwoVectors<TLane>()
        where TLane : unmanaged, ILane<TLane>
    {
        int w = TLane.Count;
        for (int row = 0; row < Rows; row += 4)
        {
            // Rows beyond the last are the first of the tile once more, and write the same numbers once more.
            int left = Rows - row;
            nint r1 = left > 1 ? 1 : 0;
            nint r2 = left > 2 ? 2 : 0;
            nint r3 = left > 3 ? 3 : 0;

            float* c = C + ((nint)row * Stride);
            TLane s00,
                s01;
            TLane s10,
                s11;
            TLane s20,
                s21;
            TLane s30,
                s31;
            if (Start == null)
            {
                s00 = s01 = default;
                s10 = s11 = default;
                s20 = s21 = default;
                s30 = s31 = default;
            }
            else
            {
                float* start = Start + (row * StartRow);
                s00 = TLane.Load(start);
                s01 = TLane.Load(start + w);
                s10 = TLane.Load(start + (r1 * StartRow));
                s11 = TLane.Load(start + (r1 * StartRow) + w);
                s20 = TLane.Load(start + (r2 * StartRow));
                s21 = TLane.Load(start + (r2 * StartRow) + w);
                s30 = TLane.Load(start + (r3 * StartRow));
                s31 = TLane.Load(start + (r3 * StartRow) + w);
            }

            Term term = First;
            for (int n = 0; n < 2; n++)
            {
                float* a0 = term.A + (row * term.Row);
                float* a1 = a0 + (r1 * term.Row);
                float* a2 = a0 + (r2 * term.Row);
                float* a3 = a0 + (r3 * term.Row);
                float* b = term.B;
                nint k = 0;
                for (int i = 0; i < term.Length; i++)
                {
                    TLane b0 = TLane.Load(b);
                    TLane b1 = TLane.Load(b + w);
                    TLane a = TLane.Create(a0[k]);
                    s00 = TLane.FusedMultiplyAdd(a, b0, s00);
                    s01 = TLane.FusedMultiplyAdd(a, b1, s01);
                    a = TLane.Create(a1[k]);
                    s10 = TLane.FusedMultiplyAdd(a, b0, s10);
                    s11 = TLane.FusedMultiplyAdd(a, b1, s11);
                    a = TLane.Create(a2[k]);
                    s20 = TLane.FusedMultiplyAdd(a, b0, s20);
                    s21 = TLane.FusedMultiplyAdd(a, b1, s21);
                    a = TLane.Create(a3[k]);
                    s30 = TLane.FusedMultiplyAdd(a, b0, s30);
                    s31 = TLane.FusedMultiplyAdd(a, b1, s31);
                    b += Stride;
                    k += term.Column;
                }

                term = Second;
            }

            if (Scale != null)
            {
                float* scale = Scale + ((nint)row * Stride);
                s00 *= Activations.Slope(IsTanh, TLane.Load(scale));
                s01 *= Activations.Slope(IsTanh, TLane.Load(scale + w));
                s10 *= Activations.Slope(IsTanh, TLane.Load(scale + (r1 * Stride)));
                s11 *= Activations.Slope(IsTanh, TLane.Load(scale + (r1 * Stride) + w));
                s20 *= Activations.Slope(IsTanh, TLane.Load(scale + (r2 * Stride)));
                s21 *= Activations.Slope(IsTanh, TLane.Load(scale + (r2 * Stride) + w));
                s30 *= Activations.Slope(IsTanh, TLane.Load(scale + (r3 * Stride)));
                s31 *= Activations.Slope(IsTanh, TLane.Load(scale + (r3 * Stride) + w));
            }

            s00.Store(c);
            s01.Store(c + w);
            s10.Store(c + (r1 * Stride));
            s11.Store(c + (r1 * Stride) + w);
            s20.Store(c + (r2 * Stride));
            s21.Store(c + (r2 * Stride) + w);
            s30.Store(c + (r3 * Stride));
            s31.Store(c + (r3 * Stride) + w);
        }
    }

    /// <summary>Columns one vector wide, eight rows at a time.</summary>
    [MethodImpl(MethodImplOptions.AggressiveOptimization)]
    private readonly void OneVector<TLane>()
        where TLane : unmanaged, ILane<TLane>
    {
        for (int row = 0; row < Rows; row += 8)
        {
            // Rows beyond the last are the first of the tile once more, and write the same numbers once more.
            int left = Rows - row;
            nint r1 = left > 1 ? 1 : 0;
            nint r2 = left > 2 ? 2 : 0;
            nint r3 = left > 3 ? 3 : 0;
            nint r4 = left > 4 ? 4 : 0;
            nint r5 = left > 5 ? 5 : 0;
            nint r6 = left > 6 ? 6 : 0;
            nint r7 = left > 7 ? 7 : 0;

            float* c = C + ((nint)row * Stride);
            TLane s00;
            TLane s10;
            TLane s20;
            TLane s30;
            TLane s40;
            TLane s50;
            TLane s60;
            TLane s70;
            if (Start == null)
            {
                s00 = default;
                s10 = default;
                s20 = default;
                s30 = default;
                s40 = default;
                s50 = default;
                s60 = default;
                s70 = default;
            }
            else
            {
                float* start = Start + (row * StartRow);
                s00 = TLane.Load(start);
                s10 = TLane.Load(start + (r1 * StartRow));
                s20 = TLane.Load(start + (r2 * StartRow));
                s30 = TLane.Load(start + (r3 * StartRow));
                s40 = TLane.Load(start + (r4 * StartRow));
                s50 = TLane.Load(start + (r5 * StartRow));
                s60 = TLane.Load(start + (r6 * StartRow));
                s70 = TLane.Load(start + (r7 * StartRow));
            }

            Term term = First;
            for (int n = 0; n < 2; n++)
            {
                float* a0 = term.A + (row * term.Row);
                float* a1 = a0 + (r1 * term.Row);
                float* a2 = a0 + (r2 * term.Row);
                float* a3 = a0 + (r3 * term.Row);
                float* a4 = a0 + (r4 * term.Row);
                float* a5 = a0 + (r5 * term.Row);
                float* a6 = a0 + (r6 * term.Row);
                float* a7 = a0 + (r7 * term.Row);
                float* b = term.B;
                nint k = 0;
                for (int i = 0; i < term.Length; i++)
                {
                    TLane b0 = TLane.Load(b);
                    TLane a = TLane.Create(a0[k]);
                    s00 = TLane.FusedMultiplyAdd(a, b0, s00);
                    a = TLane.Create(a1[k]);
                    s10 = TLane.FusedMultiplyAdd(a, b0, s10);
                    a = TLane.Create(a2[k]);
                    s20 = TLane.FusedMultiplyAdd(a, b0, s20);
                    a = TLane.Create(a3[k]);
                    s30 = TLane.FusedMultiplyAdd(a, b0, s30);
                    a = TLane.Create(a4[k]);
                    s40 = TLane.FusedMultiplyAdd(a, b0, s40);
                    a = TLane.Create(a5[k]);
                    s50 = TLane.FusedMultiplyAdd(a, b0, s50);
                    a = TLane.Create(a6[k]);
                    s60 = TLane.FusedMultiplyAdd(a, b0, s60);
                    a = TLane.Create(a7[k]);
                    s70 = TLane.FusedMultiplyAdd(a, b0, s70);
                    b += Stride;
                    k += term.Column;
                }

                term = Second;
            }

            if (Scale != null)
            {
                float* scale = Scale + ((nint)row * Stride);
                s00 *= Activations.Slope(IsTanh, TLane.Load(scale));
                s10 *= Activations.Slope(IsTanh, TLane.Load(scale + (r1 * Stride)));
                s20 *= Activations.Slope(IsTanh, TLane.Load(scale + (r2 * Stride)));
                s30 *= Activations.Slope(IsTanh, TLane.Load(scale + (r3 * Stride)));
                s40 *= Activations.Slope(IsTanh, TLane.Load(scale + (r4 * Stride)));
                s50 *= Activations.Slope(IsTanh, TLane.Load(scale + (r5 * Stride)));
                s60 *= Activations.Slope(IsTanh, TLane.Load(scale + (r6 * Stride)));
                s70 *= Activations.Slope(IsTanh, TLane.Load(scale + (r7 * Stride)));
            }

            s00.Store(c);
            s10.Store(c + (r1 * Stride));
            s20.Store(c + (r2 * Stride));
            s30.Store(c + (r3 * Stride));
            s40.Store(c + (r4 * Stride));
            s50.Store(c + (r5 * Stride));
            s60.Store(c + (r6 * Stride));
            s70.Store(c + (r7 * Stride));
        }
    }
}
