using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics.X86;

namespace FunTrpo.Kernels;

/// <summary>Asks the memory for numbers before they are needed: the processor's own guesses end where a row does.</summary>
internal static unsafe class Prefetch
{
    /// <summary>So many numbers come at once.</summary>
    public const int CacheLine = 64 / sizeof(float);

    /// <summary>Asks for so many numbers, which need not exist.</summary>
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

    /// <summary>Asks for a cache line of each of three rows, so far apart.</summary>
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
