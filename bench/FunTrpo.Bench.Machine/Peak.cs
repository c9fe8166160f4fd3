using System;
using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.Intrinsics;

namespace FunTrpo.Bench.Machine;

/// <summary>
/// Measures the peak rate of float32 operations of one core, in registers alone. A fused multiply-add counts as two operations.
/// </summary>
public static class Peak
{
    // There must be enough independent chains to hide the latency of an operation, which is 4 or 5 cycles on two units. With the factor
    // and the addend they fit into the 16 vector registers of the older instruction sets.
    private const int Chains = 12;

    /// <summary>The width of this processor's widest vectors, in bits.</summary>
    public static int VectorBits =>
        Vector512.IsHardwareAccelerated ? 512
        : Vector256.IsHardwareAccelerated ? 256
        : 128;

    /// <summary>
    /// Returns the operations per second of the calling thread. Several threads may measure at the same time.
    /// </summary>
    /// <param name="bits">The width of the vectors: 128, 256 or 512.</param>
    /// <param name="rounds">The number of rounds of the measured loop.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are no vectors of this width.</exception>
    public static double Measure(int bits, long rounds) =>
        bits switch
        {
            512 => Measure<Fused512>(rounds),
            256 => Measure<Fused256>(rounds),
            128 => Measure<Fused128>(rounds),
            _ => throw new ArgumentOutOfRangeException(nameof(bits), bits, "vectors have 128, 256 or 512 bits"),
        };

    private static double Measure<T>(long rounds)
        where T : IFused<T>
    {
        long start = Stopwatch.GetTimestamp();
        float result = Run<T>(rounds);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        // The result is used, so that the compiler cannot remove the work.
        return float.IsNaN(result) ? double.NaN : 2.0 * Chains * T.Count * rounds / seconds;
    }

    [MethodImpl(MethodImplOptions.AggressiveOptimization | MethodImplOptions.NoInlining)]
    private static float Run<T>(long rounds)
        where T : IFused<T>
    {
        T factor = T.Create(0.5f);
        T addend = T.Create(1f);
        T a0 = addend,
            a1 = addend,
            a2 = addend,
            a3 = addend,
            a4 = addend,
            a5 = addend;
        T b0 = addend,
            b1 = addend,
            b2 = addend,
            b3 = addend,
            b4 = addend,
            b5 = addend;
        for (long round = 0; round < rounds; round++)
        {
            a0 = T.MultiplyAdd(a0, factor, addend);
            a1 = T.MultiplyAdd(a1, factor, addend);
            a2 = T.MultiplyAdd(a2, factor, addend);
            a3 = T.MultiplyAdd(a3, factor, addend);
            a4 = T.MultiplyAdd(a4, factor, addend);
            a5 = T.MultiplyAdd(a5, factor, addend);
            b0 = T.MultiplyAdd(b0, factor, addend);
            b1 = T.MultiplyAdd(b1, factor, addend);
            b2 = T.MultiplyAdd(b2, factor, addend);
            b3 = T.MultiplyAdd(b3, factor, addend);
            b4 = T.MultiplyAdd(b4, factor, addend);
            b5 = T.MultiplyAdd(b5, factor, addend);
        }

        T a = T.Add(T.Add(T.Add(a0, a1), T.Add(a2, a3)), T.Add(a4, a5));
        T b = T.Add(T.Add(T.Add(b0, b1), T.Add(b2, b3)), T.Add(b4, b5));
        return T.Add(a, b).First;
    }
}
