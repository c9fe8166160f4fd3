using System;
using System.Collections.Generic;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Threading;

namespace FunTrpo.Kernels;

/// <summary>
/// Memory for intermediate results, which is lent by a pool until it is disposed of: training that has reached its steady state
/// allocates none. It starts on a 64-byte boundary, holds whatever was last written to it, and is safe to forget.
/// </summary>
public readonly struct PooledBuffer : IDisposable
{
    private readonly Block? block;
    private readonly int loan;
    private readonly int count;

    private PooledBuffer(Block block, int count)
    {
        this.block = block;
        this.count = count;
        loan = block.Loan;
    }

    /// <summary>The numbers that were asked for.</summary>
    public Memory<float> Memory =>
        block?.Loan == loan
            ? block.Numbers[..count]
            : throw new ObjectDisposedException(nameof(PooledBuffer), "This memory has been given back.");

    /// <summary>The numbers that were asked for.</summary>
    public Span<float> Span => Memory.Span;

    /// <summary>The same memory as float64, where it was rented for such numbers.</summary>
    public Span<double> Doubles => MemoryMarshal.Cast<float, double>(Span);

    /// <summary>Memory for <paramref name="count"/> float64, of unknown content.</summary>
    public static PooledBuffer RentDoubles(int count) => Rent(2, count);

    /// <summary>Memory for <paramref name="rows"/> rows of <paramref name="columns"/> numbers, of unknown content.</summary>
    public static PooledBuffer Rent(int rows, int columns)
    {
        long count = Check.Product(rows, columns);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Largest, nameof(columns));
        return Rent((int)count);
    }

    /// <summary>The most numbers that are lent in one piece, 2³⁰.</summary>
    public static int Largest => Block.Largest;

    /// <summary>Memory for <paramref name="count"/> numbers, of unknown content.</summary>
    public static PooledBuffer Rent(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Largest);
        return new(Block.Take(count), count);
    }

    /// <summary>Memory for <paramref name="rows"/> rows of <paramref name="columns"/> numbers, all 0.</summary>
    public static PooledBuffer RentZeros(int rows, int columns)
    {
        PooledBuffer scratch = Rent(rows, columns);
        scratch.Span.Clear();
        return scratch;
    }

    /// <summary>Gives the memory back; to do so twice is harmless, even where it has been lent anew.</summary>
    public void Dispose() => block?.Return(loan);

    /// <summary>What is lent, time and again.</summary>
    private sealed unsafe class Block
    {
        private const int Alignment = 64;
        private const int LargestPower = 30;
        private const int MostKept = 4;

        /// <summary>The blocks in place i hold 2ⁱ numbers, and nobody uses them.</summary>
        private static readonly Stack<Block>[] Free = MakeStacks();

        /// <summary>
        /// For each power the last few blocks that this thread has given back, a linked list: most blocks are rented where they were
        /// given back, and threads then need not wait for each other.
        /// </summary>
        [ThreadStatic]
        private static Block?[]? Kept;

        private int loan;
        private Block? next;
        private int depth;

        private Block(int capacity)
        {
            // Pinned: the address does not change, so that the boundary stays one.
            float[] array = GC.AllocateUninitializedArray<float>(capacity + (Alignment / sizeof(float)), pinned: true);
            fixed (float* start = array)
            {
                nint beyond = (nint)start % Alignment;
                int skipped = beyond == 0 ? 0 : (int)(Alignment - beyond) / sizeof(float);
                Numbers = array.AsMemory(skipped, capacity);
            }
        }

        public static int Largest => 1 << LargestPower;

        public Memory<float> Numbers { get; }

        /// <summary>Which loan this is, or will be next: that of a <see cref="PooledBuffer"/> has ended where it is another.</summary>
        public int Loan => Volatile.Read(ref loan);

        public static Block Take(int count)
        {
            int power = BitOperations.Log2((uint)Math.Max(1, count) - 1 | 1) + 1;
            Block?[] kept = Kept ??= new Block?[LargestPower + 1];
            if (kept[power] is Block last)
            {
                kept[power] = last.next;
                last.next = null;
                return last;
            }

            lock (Free[power])
            {
                if (Free[power].TryPop(out Block? block))
                {
                    return block;
                }
            }

            return new Block(1 << power);
        }

        public void Return(int ended)
        {
            if (Interlocked.CompareExchange(ref loan, ended + 1, ended) != ended)
            {
                return;
            }

            int power = BitOperations.Log2((uint)Numbers.Length);
            Block?[] kept = Kept ??= new Block?[LargestPower + 1];
            depth = kept[power] is Block below ? below.depth + 1 : 1;
            if (depth <= MostKept)
            {
                next = kept[power];
                kept[power] = this;
                return;
            }

            lock (Free[power])
            {
                Free[power].Push(this);
            }
        }

        private static Stack<Block>[] MakeStacks()
        {
            Stack<Block>[] stacks = new Stack<Block>[LargestPower + 1];
            for (int i = 0; i < stacks.Length; i++)
            {
                stacks[i] = new Stack<Block>();
            }

            return stacks;
        }
    }
}
