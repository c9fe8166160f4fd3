using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// What a thread will read soon. Its matrix products ask the memory for it while they calculate, a few cache lines at a time: asked for all
/// at once, or only when it is needed, it would keep the processor waiting. A hint: nothing depends on it but time.
/// </summary>
public static unsafe class PrefetchQueue
{
    private const int Most = 256;

    [ThreadStatic]
    private static Queue? queue;

    /// <summary>What the calling thread still has to ask for.</summary>
    internal static Queue OfThread => queue ??= new();

    /// <summary>Nothing is wanted any more of what was.</summary>
    public static void Clear() => OfThread.Clear();

    /// <summary>These numbers will be read, after those that were named before. Beyond 256 such calls they are not asked for.</summary>
    public static void Add(ReadOnlySpan<float> numbers)
    {
        // An address is all that is kept: wherever the numbers are by then, asking for them does no harm.
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

        /// <summary>The first number that has not been asked for.</summary>
        public float* First;

        /// <summary>The end of the numbers of which that is one.</summary>
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

        /// <summary>Goes on to the next numbers, where all up to here have been asked for.</summary>
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
