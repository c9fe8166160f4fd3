using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// A queue of the memory that the calling thread will read next. The thread's matrix products prefetch it while they compute, a few cache
/// lines at a time: if it were requested all at once, or only when needed, the processor would wait. The queue affects speed, not results.
/// </summary>
public static unsafe class PrefetchQueue
{
    private const int Most = 256;

    [ThreadStatic]
    private static Queue? queue;

    /// <summary>The queue of the calling thread.</summary>
    internal static Queue OfThread => queue ??= new();

    /// <summary>Removes all entries from the queue of the calling thread.</summary>
    public static void Clear() => OfThread.Clear();

    /// <summary>Appends numbers to the queue of the calling thread. A full queue (256 entries) ignores further entries.</summary>
    public static void Add(ReadOnlySpan<float> numbers)
    {
        // Only the address is kept. If the garbage collector moves the numbers, prefetching the old address does no harm.
        fixed (float* first = numbers)
        {
            OfThread.Add(first, numbers.Length);
        }
    }

    internal sealed class Queue
    {
        private readonly nint[] first = new nint[Most];
        private readonly int[] length = new int[Most];
        private int next;
        private int count;

        /// <summary>The first number of the current entry that has not been prefetched.</summary>
        public float* First;

        /// <summary>The end of the current entry.</summary>
        public float* End;

        public void Clear()
        {
            next = 0;
            count = 0;
            First = null;
            End = null;
        }

        public void Add(float* numbers, int howMany)
        {
            if (count < Most)
            {
                first[count] = (nint)numbers;
                length[count] = howMany;
                count++;
            }
        }

        /// <summary>Moves to the next entry if the current one has been prefetched completely.</summary>
        [MethodImpl(MethodImplOptions.NoInlining)]
        public void Advance()
        {
            if (First >= End && next < count)
            {
                First = (float*)first[next];
                End = First + length[next];
                next++;
            }
        }
    }
}
