using System;
using System.Collections.Generic;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Threading;

namespace FunTrpo.Kernels;

/// <summary>
/// Memory for intermediate results that is rented from a pool and returned by <see cref="Dispose"/>, so that training in its steady state
/// allocates none. It starts on a 64-byte boundary and has arbitrary content. A buffer that is never disposed of is garbage collected.
/// </summary>
public readonly struct PooledBuffer : IDisposable
{
    private readonly Block? block;
    private readonly int generation;
    private readonly int count;

    private PooledBuffer(Block block, int count)
    {
        this.block = block;
        this.count = count;
        generation = block.Generation;
    }

    /// <summary>The rented numbers.</summary>
    /// <exception cref="ObjectDisposedException">The buffer has been disposed of.</exception>
    public Memory<float> Memory =>
        block?.Generation == generation
            ? block.Numbers[..count]
            : throw new ObjectDisposedException(nameof(PooledBuffer), "This buffer has been disposed of.");

    /// <summary>The rented numbers.</summary>
    /// <exception cref="ObjectDisposedException">The buffer has been disposed of.</exception>
    public Span<float> Span => Memory.Span;

    /// <summary>The memory as float64, if it was rented by <see cref="RentDoubles"/>.</summary>
    /// <exception cref="ObjectDisposedException">The buffer has been disposed of.</exception>
    public Span<double> Doubles => MemoryMarshal.Cast<float, double>(Span);

    /// <summary>Rents memory for <paramref name="count"/> float64, of arbitrary content.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The count is negative or too large.</exception>
    public static PooledBuffer RentDoubles(int count) => Rent(2, count);

    /// <summary>Rents memory for <paramref name="rows"/> rows of <paramref name="columns"/> float32, of arbitrary content.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative, or the memory is larger than <see cref="Largest"/>.</exception>
    public static PooledBuffer Rent(int rows, int columns)
    {
        long count = Check.Product(rows, columns);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Largest, nameof(columns));
        return Rent((int)count);
    }

    /// <summary>The most numbers that one buffer can hold, 2³⁰.</summary>
    public static int Largest => Block.Largest;

    /// <summary>Rents memory for <paramref name="count"/> float32, of arbitrary content.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The count is negative, or larger than <see cref="Largest"/>.</exception>
    public static PooledBuffer Rent(int count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, Largest);
        return new(Block.Take(count), count);
    }

    /// <summary>Rents memory for <paramref name="rows"/> rows of <paramref name="columns"/> float32, all 0.</summary>
    /// <exception cref="ArgumentOutOfRangeException">A size is negative, or the memory is larger than <see cref="Largest"/>.</exception>
    public static PooledBuffer RentZeros(int rows, int columns)
    {
        PooledBuffer scratch = Rent(rows, columns);
        scratch.Span.Clear();
        return scratch;
    }

    /// <summary>Returns the memory to the pool. A second call does nothing, even if the memory has been rented again.</summary>
    public void Dispose() => block?.Return(generation);

    /// <summary>A block of memory of the pool, which is rented many times.</summary>
    private sealed unsafe class Block
    {
        private const int Alignment = 64;
        private const int LargestPower = 30;
        private const int MostKept = 4;

        /// <summary>The free blocks. Stack i holds the blocks of 2ⁱ numbers.</summary>
        private static readonly Stack<Block>[] Free = MakeStacks();

        /// <summary>
        /// For each power of two, a linked list of the last few blocks that this thread returned. Most blocks are rented again by the
        /// thread that returned them, and that needs no lock.
        /// </summary>
        [ThreadStatic]
        private static Block?[]? Kept;

        private int generation;
        private Block? next;
        private int depth;

        private Block(int capacity)
        {
            // The array is pinned so that its address, and so the alignment of the block, does not change.
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

        /// <summary>
        /// The number of times that the block has been returned. If it differs from that in a <see cref="PooledBuffer"/>, the buffer has
        /// been disposed of.
        /// </summary>
        public int Generation => Volatile.Read(ref generation);

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
            if (Interlocked.CompareExchange(ref generation, ended + 1, ended) != ended)
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
