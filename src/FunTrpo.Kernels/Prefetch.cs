using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace FunTrpo.Kernels;

/// <summary>
/// Prefetches memory into the cache before it is needed. The prefetcher of the processor does not predict the jump to the next row.
/// </summary>
internal static unsafe class Prefetch
{
    /// <summary>The number of float32 in a cache line.</summary>
    public const int CacheLine = 64 / sizeof(float);

    /// <summary>Prefetches <paramref name="count"/> numbers. The address need not be valid.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void Numbers(float* first, int count)
    {
        if (Sse.IsSupported)
        {
            for (int i = 0; i < count; i += CacheLine)
            {
                Sse.Prefetch0(first + i);
            }
        }
    }

    /// <summary>Prefetches one cache line of each of three rows with stride <paramref name="distance"/>.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void ThreeRows(float* first, nint distance)
    {
        if (Sse.IsSupported)
        {
            Sse.Prefetch0(first);
            Sse.Prefetch0(first + distance);
            Sse.Prefetch0(first + (2 * distance));
        }
    }
}
