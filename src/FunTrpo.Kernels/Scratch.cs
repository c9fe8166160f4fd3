using System;
using System.Collections.Generic;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Threading;

namespace FunTrpo.Kernels;

/// <summary>
/// Memory for intermediate results, which goes back to a pool when it is disposed of: training that has reached its steady
/// state allocates none. It starts on a 64-byte boundary, holds whatever was last written to it, and is safe to forget.
/// </summary>
public sealed unsafe class Scratch : IDisposable
{
    private const int Alignment = 64;

    /// <summary>Free blocks; those in place i hold 2ⁱ numbers.</summary>
    private static readonly Stack<Scratch>[] Free = MakeStacks();

    private readonly Memory<float> whole;
    private Memory<float> used;
    private int isFree;

    private Scratch(int capacity)
    {
        // Pinned: the address does not change, so that the boundary stays one.
        float[] array = GC.AllocateUninitializedArray<float>(capacity + (Alignment / sizeof(float)), pinned: true);
        fixed (float* start = array)
        {
            nint beyond = (nint)start % Alignment;
            int skipped = beyond == 0 ? 0 : (int)(Alignment - beyond) / sizeof(float);
            whole = array.AsMemory(skipped, capacity);
        }
    }

    /// <summary>The numbers that were asked for.</summary>
    public Memory<float> Memory =>
        isFree == 0 ? used : throw new ObjectDisposedException(nameof(Scratch), "This memory has been given back.");

    /// <summary>The numbers that were asked for.</summary>
    public Span<float> Span => Memory.Span;

    /// <summary>The same memory as float64, where it was rented for such numbers.</summary>
    public Span<double> Doubles => MemoryMarshal.Cast<float, double>(Span);

    /// <summary>Memory for <paramref name="count"/> float64, of unknown content.</summary>
    public static Scratch RentDoubles(int count) => Rent(2 * count);

    /// <summary>Memory for <paramref name="count"/> numbers, of unknown content.</summary>
    public static Scratch Rent(int count)
    {
        int size = BitOperations.Log2((uint)Math.Max(1, count) - 1 | 1) + 1;
        Scratch? scratch = null;
        lock (Free[size])
        {
            Free[size].TryPop(out scratch);
        }

        scratch ??= new Scratch(1 << size);
        scratch.isFree = 0;
        scratch.used = scratch.whole[..count];
        return scratch;
    }

    /// <summary>Memory for <paramref name="count"/> numbers, all 0.</summary>
    public static Scratch RentZeros(int count)
    {
        Scratch scratch = Rent(count);
        scratch.used.Span.Clear();
        return scratch;
    }

    /// <summary>Gives the memory back; to do so twice is harmless.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref isFree, 1) == 0)
        {
            Stack<Scratch> stack = Free[BitOperations.Log2((uint)whole.Length)];
            lock (stack)
            {
                stack.Push(this);
            }
        }
    }

    private static Stack<Scratch>[] MakeStacks()
    {
        Stack<Scratch>[] stacks = new Stack<Scratch>[31];
        for (int i = 0; i < stacks.Length; i++)
        {
            stacks[i] = new Stack<Scratch>();
        }

        return stacks;
    }
}
