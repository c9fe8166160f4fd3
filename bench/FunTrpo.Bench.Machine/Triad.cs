using System;
using System.Numerics;
using System.Runtime.InteropServices;

namespace FunTrpo.Bench.Machine;

/// <summary>The triad of the STREAM benchmark (McCalpin, 1995): a ← b + s·c.</summary>
public static class Triad
{
    /// <summary>The bytes that are moved for one element, as STREAM counts them: b and c are read, and a is written.</summary>
    public const int BytesPerElement = 3 * sizeof(float);

    /// <summary>Computes a ← b + s·c. The spans have the same length, a multiple of the vector width.</summary>
    public static void Run(Span<float> a, ReadOnlySpan<float> b, float s, ReadOnlySpan<float> c)
    {
        Span<Vector<float>> sums = MemoryMarshal.Cast<float, Vector<float>>(a);
        ReadOnlySpan<Vector<float>> first = MemoryMarshal.Cast<float, Vector<float>>(b);
        ReadOnlySpan<Vector<float>> second = MemoryMarshal.Cast<float, Vector<float>>(c);
        Vector<float> factor = new(s);
        for (int i = 0; i < sums.Length; i++)
        {
            sums[i] = first[i] + (factor * second[i]);
        }
    }
}
