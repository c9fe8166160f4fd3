using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>One product A·B in a sum of products. A is row-major or column-major; B is row-major and padded.</summary>
/// <param name="length">The number of columns of A and of rows of B.</param>
/// <param name="a">The first element of A. Element (i, k) is a[i · row + k · column].</param>
/// <param name="row">The stride of the rows of A.</param>
/// <param name="column">The stride of the columns of A.</param>
/// <param name="b">The first row of B.</param>
/// <param name="rowOfB">The stride of the rows of B.</param>
internal readonly unsafe struct Term(int length, float* a, nint row, nint column, float* b, nint rowOfB)
{
    public readonly int Length = length;
    public readonly float* A = a;
    public readonly nint Row = row;
    public readonly nint Column = column;
    public readonly float* B = b;
    public readonly nint RowOfB = rowOfB;

    /// <summary>Returns the part of the product with the inner indices first … first + count − 1.</summary>
    public Term Part(int first, int count) =>
        new(count, A + (first * Column), Row, Column, B + (first * RowOfB), RowOfB);

    /// <summary>Returns the product of A and the columns of B from <paramref name="column"/> on.</summary>
    public Term FromColumn(int column) => new(Length, A, Row, Column, B + column, RowOfB);
}

/// <summary>
/// Computes C = (start + A₁·B₁ + A₂·B₂) ⊙ scale in float32, for columns that fill whole vectors. B, C and scale are row-major.
/// </summary>
/// <remarks>
/// C is divided into tiles that stay in registers, the largest of six rows and four vectors. Each further row reduces the share of loads
/// and loop overhead, most of all if two threads share a core. Each element of C is one chain of fused multiply-adds, from its start
/// through the inner indices in order, in whichever tile it is. So a result depends neither on how many rows are computed together nor on
/// the width of the vectors.
/// </remarks>
internal unsafe struct MatrixProduct : IKernel
{
    /// <summary>The number of rows of B in one part of a long product: a tile's columns of them stay in the first-level cache.</summary>
    private const int InnerRows = 128;

    /// <summary>The number of rows of a tile of two or more vectors.</summary>
    private const int TileRows = 6;

    /// <summary>The number of remaining rows up to which computing one by one is faster than as a tile.</summary>
    private const int FewRows = 2;

    /// <summary>The distance, in rows, at which rows of the scale are prefetched.</summary>
    private const int RowsAhead = 2 * TileRows;

    /// <summary>Whether these are not the first columns, so that A is already in the cache.</summary>
    private bool isRight;

    /// <summary>Whether A₁ (row-major) and the scale are probably not in the cache, so that they are prefetched.</summary>
    public bool IsStreamed;

    /// <summary>The number of rows of C.</summary>
    public int Rows;

    /// <summary>The number of columns of C that are computed: whole vectors.</summary>
    public int Columns;

    /// <summary>The stride of the rows of C and scale.</summary>
    public nint Stride;

    /// <summary>A₁·B₁</summary>
    public Term First;

    /// <summary>A₂·B₂; its length is 0 if there is no second product.</summary>
    public Term Second;

    /// <summary>The values to which the products are added, which may be C itself; null for 0.</summary>
    public float* Start;

    /// <summary>The stride of the rows of the start; 0 if one row is used for all.</summary>
    public nint StartRow;

    /// <summary>The factor of each sum; null for 1.</summary>
    public float* Scale;

    /// <summary>Whether the factor is 1 − scale² instead: f′ if scale holds y = tanh.</summary>
    public bool IsTanh;

    /// <summary>The result.</summary>
    public float* C;

    /// <summary>Adds a product to C.</summary>
    public static void Add(int rows, int columns, Term product, float* c, int stride) =>
        new MatrixProduct
        {
            Rows = rows,
            Columns = columns,
            Stride = stride,
            First = product,
            Start = c,
            StartRow = stride,
            C = c,
        }.Compute();

    /// <summary>Computes C.</summary>
    public readonly void Compute()
    {
        if (First.Length + Second.Length <= InnerRows)
        {
            Lanes.Run(this);
            return;
        }

        // A long product is computed in parts. Each part starts from the result of the previous one in C.
        MatrixProduct part = this;
        part.Second = default;
        part.Scale = null;
        int last = First.Length + Second.Length;
        for (int done = 0; done < last; done += part.First.Length)
        {
            part.First = done < First.Length ? Part(First, done) : Part(Second, done - First.Length);
            part.Scale = done + part.First.Length == last ? Scale : null;
            Lanes.Run(part);
            part.Start = C;
            part.StartRow = Stride;
        }
    }

    private readonly Term Part(Term term, int first) => term.Part(first, Math.Min(InnerRows, term.Length - first));

    /// <summary>Computes the columns of tiles from left to right.</summary>
    [MethodImpl(Compiled.Separately)]
    public readonly void Run<TVector>()
        where TVector : unmanaged, ISimdVector<TVector>
    {
        MatrixProduct columns = this;
        for (int left = Columns / TVector.Count; left > 0; )
        {
            int vectors = VectorsOfTile(left, TVector.Registers);
            switch (vectors)
            {
                case 4:
                    columns.AllRows<FourVectors<TVector>, TVector>();
                    break;
                case 3:
                    columns.AllRows<ThreeVectors<TVector>, TVector>();
                    break;
                case 2:
                    columns.AllRows<TwoVectors<TVector>, TVector>();
                    break;
                default:
                    columns.EightRows<TVector>();
                    break;
            }

            columns.MoveRight(vectors * TVector.Count);
            left -= vectors;
        }
    }

    /// <summary>
    /// Returns the width of the next tile, in vectors. A tile of six rows and four vectors needs 29 registers, one of two vectors 15. A
    /// wider tile needs fewer loads for its arithmetic, so five vectors are divided into three and two rather than four and one.
    /// </summary>
    private static int VectorsOfTile(int left, int registers) =>
        registers < 32 ? Math.Min(left, 2)
        : left is 5 or 6 ? 3
        : Math.Min(left, 4);

    private void MoveRight(int columns)
    {
        isRight = true;
        First = First.FromColumn(columns);
        Second = Second.FromColumn(columns);
        C += columns;
        Start = Start == null ? null : Start + columns;
        Scale = Scale == null ? null : Scale + columns;
    }

    /// <summary>Computes all rows of one column of tiles, two to four vectors wide.</summary>
    private readonly void AllRows<TRow, TVector>()
        where TRow : unmanaged, IRow<TRow, TVector>
        where TVector : unmanaged, ISimdVector<TVector>
    {
        int rest = Rows % TileRows;
        int inTiles = rest <= FewRows ? Rows - rest : Rows;
        if (IsStreamed && !isRight)
        {
            SixRows<TRow, TVector, Ahead>(inTiles);
        }
        else
        {
            SixRows<TRow, TVector, InCache>(inTiles);
        }

        for (int row = inTiles; row < Rows; row++)
        {
            OneRow<TRow, TVector>(row);
        }
    }

    /// <summary>Computes the first rows of a column of tiles, six at a time, so that all sums stay in registers.</summary>
    [MethodImpl(Compiled.Separately)]
    private readonly void SixRows<TRow, TVector, TAhead>(int rows)
        where TRow : unmanaged, IRow<TRow, TVector>
        where TVector : unmanaged, ISimdVector<TVector>
        where TAhead : IAhead
    {
        PrefetchQueue.Queue queue = PrefetchQueue.OfThread;
        for (int row = 0; row < rows; row += TileRows)
        {
            if (!TAhead.IsAsked)
            {
                queue.Advance();
            }

            // A row beyond the last one is replaced by the first row of the tile, which is then computed and written again.
            int left = rows - row;
            nint r1 = left > 1 ? 1 : 0;
            nint r2 = left > 2 ? 2 : 0;
            nint r3 = left > 3 ? 3 : 0;
            nint r4 = left > 4 ? 4 : 0;
            nint r5 = left > 5 ? 5 : 0;

            TRow s0 = default,
                s1 = default,
                s2 = default,
                s3 = default,
                s4 = default,
                s5 = default;
            if (Start != null)
            {
                float* start = Start + (row * StartRow);
                s0 = TRow.Load(start);
                s1 = TRow.Load(start + (r1 * StartRow));
                s2 = TRow.Load(start + (r2 * StartRow));
                s3 = TRow.Load(start + (r3 * StartRow));
                s4 = TRow.Load(start + (r4 * StartRow));
                s5 = TRow.Load(start + (r5 * StartRow));
            }

            float* next = First.A + ((row + TileRows) * First.Row);
            nint distance = First.Row;
            Term term = First;
            for (int n = 0; n < 2; n++)
            {
                nint column = term.Column;
                nint stride = term.RowOfB;
                float* a0 = term.A + (row * term.Row);
                float* a1 = a0 + (r1 * term.Row);
                float* a2 = a0 + (r2 * term.Row);
                float* a3 = a0 + (r3 * term.Row);
                float* a4 = a0 + (r4 * term.Row);
                float* a5 = a0 + (r5 * term.Row);
                nint k = 0;
                float* b = term.B;
                float* last = b + (term.Length * stride);
                while (b < last)
                {
                    float* pause = last;
                    if (TAhead.IsAsked || queue.First < queue.End)
                    {
                        // Only a few requests at a time: the cache can wait for a limited number, and more would stall the processor.
                        float* cacheLine = b + (Prefetch.CacheLine * stride);
                        pause = cacheLine < last ? cacheLine : last;
                        if (TAhead.IsAsked)
                        {
                            Prefetch.ThreeRows(next + k, distance);
                            Prefetch.ThreeRows(next + k + (3 * distance), distance);
                        }
                        else
                        {
                            Prefetch.Numbers(queue.First, Prefetch.CacheLine);
                            queue.First += Prefetch.CacheLine;
                        }
                    }

                    do
                    {
                        TRow rowOfB = TRow.Load(b);
                        b += stride;
                        s0.AddProduct(TVector.Create(a0[k]), rowOfB);
                        s1.AddProduct(TVector.Create(a1[k]), rowOfB);
                        s2.AddProduct(TVector.Create(a2[k]), rowOfB);
                        s3.AddProduct(TVector.Create(a3[k]), rowOfB);
                        s4.AddProduct(TVector.Create(a4[k]), rowOfB);
                        s5.AddProduct(TVector.Create(a5[k]), rowOfB);
                        k += column;
                    } while (b < pause);
                }

                term = Second;
                if (Scale != null)
                {
                    next = Scale + ((row + RowsAhead) * Stride);
                    distance = Stride;
                }
            }

            if (Scale != null)
            {
                float* scale = Scale + (row * Stride);
                if (TAhead.IsAsked && Second.Length == 0)
                {
                    for (int n = 0; n < TileRows; n++)
                    {
                        Prefetch.Numbers(scale + ((RowsAhead + n) * Stride), TRow.Count);
                    }
                }

                s0.MultiplyBySlope(IsTanh, scale);
                s1.MultiplyBySlope(IsTanh, scale + (r1 * Stride));
                s2.MultiplyBySlope(IsTanh, scale + (r2 * Stride));
                s3.MultiplyBySlope(IsTanh, scale + (r3 * Stride));
                s4.MultiplyBySlope(IsTanh, scale + (r4 * Stride));
                s5.MultiplyBySlope(IsTanh, scale + (r5 * Stride));
            }

            float* c = C + (row * Stride);
            s0.Store(c);
            s1.Store(c + (r1 * Stride));
            s2.Store(c + (r2 * Stride));
            s3.Store(c + (r3 * Stride));
            s4.Store(c + (r4 * Stride));
            s5.Store(c + (r5 * Stride));
        }
    }

    /// <summary>Computes one row of a column of tiles.</summary>
    [MethodImpl(Compiled.Separately)]
    private readonly void OneRow<TRow, TVector>(int row)
        where TRow : unmanaged, IRow<TRow, TVector>
        where TVector : unmanaged, ISimdVector<TVector>
    {
        TRow sum = Start == null ? default : TRow.Load(Start + (row * StartRow));
        Term term = First;
        for (int n = 0; n < 2; n++)
        {
            float* a = term.A + (row * term.Row);
            float* b = term.B;
            for (int k = 0; k < term.Length; k++)
            {
                sum.AddProduct(TVector.Create(*a), TRow.Load(b));
                a += term.Column;
                b += term.RowOfB;
            }

            term = Second;
        }

        if (Scale != null)
        {
            sum.MultiplyBySlope(IsTanh, Scale + (row * Stride));
        }

        sum.Store(C + (row * Stride));
    }

    /// <summary>
    /// Computes columns one vector wide, eight rows at a time. With only four sums, the multiply-adds would have to wait for each other.
    /// </summary>
    [MethodImpl(Compiled.Separately)]
    private readonly void EightRows<TVector>()
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
            if (Start != null)
            {
                float* start = Start + (row * StartRow);
                s0 = TVector.Load(start);
                s1 = TVector.Load(start + (r1 * StartRow));
                s2 = TVector.Load(start + (r2 * StartRow));
                s3 = TVector.Load(start + (r3 * StartRow));
                s4 = TVector.Load(start + (r4 * StartRow));
                s5 = TVector.Load(start + (r5 * StartRow));
                s6 = TVector.Load(start + (r6 * StartRow));
                s7 = TVector.Load(start + (r7 * StartRow));
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
                    TVector rowOfB = TVector.Load(b);
                    s0.AddProduct(TVector.Create(a0[k]), rowOfB);
                    s1.AddProduct(TVector.Create(a1[k]), rowOfB);
                    s2.AddProduct(TVector.Create(a2[k]), rowOfB);
                    s3.AddProduct(TVector.Create(a3[k]), rowOfB);
                    s4.AddProduct(TVector.Create(a4[k]), rowOfB);
                    s5.AddProduct(TVector.Create(a5[k]), rowOfB);
                    s6.AddProduct(TVector.Create(a6[k]), rowOfB);
                    s7.AddProduct(TVector.Create(a7[k]), rowOfB);
                    b += term.RowOfB;
                    k += term.Column;
                }

                term = Second;
            }

            if (Scale != null)
            {
                float* scale = Scale + (row * Stride);
                s0 *= Activations.Slope(IsTanh, TVector.Load(scale));
                s1 *= Activations.Slope(IsTanh, TVector.Load(scale + (r1 * Stride)));
                s2 *= Activations.Slope(IsTanh, TVector.Load(scale + (r2 * Stride)));
                s3 *= Activations.Slope(IsTanh, TVector.Load(scale + (r3 * Stride)));
                s4 *= Activations.Slope(IsTanh, TVector.Load(scale + (r4 * Stride)));
                s5 *= Activations.Slope(IsTanh, TVector.Load(scale + (r5 * Stride)));
                s6 *= Activations.Slope(IsTanh, TVector.Load(scale + (r6 * Stride)));
                s7 *= Activations.Slope(IsTanh, TVector.Load(scale + (r7 * Stride)));
            }

            float* c = C + (row * Stride);
            s0.Store(c);
            s1.Store(c + (r1 * Stride));
            s2.Store(c + (r2 * Stride));
            s3.Store(c + (r3 * Stride));
            s4.Store(c + (r4 * Stride));
            s5.Store(c + (r5 * Stride));
            s6.Store(c + (r6 * Stride));
            s7.Store(c + (r7 * Stride));
        }
    }

    /// <summary>
    /// Selects what the loop prefetches: the next rows of A and of the scale (true), or the memory in the <see cref="PrefetchQueue"/>
    /// (false).
    /// </summary>
    private interface IAhead
    {
        static abstract bool IsAsked { get; }
    }

    private readonly struct Ahead : IAhead
    {
        public static bool IsAsked => true;
    }

    private readonly struct InCache : IAhead
    {
        public static bool IsAsked => false;
    }
}
