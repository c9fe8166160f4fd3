using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Refuses spans whose lengths do not fit together, before any pointer is formed. Lengths that are products are computed in 64 bits:
/// in 32 they would wrap around, and fit where nothing does.
/// </summary>
internal static class Check
{
    public static void SameLength(
        int actual,
        long expected,
        [CallerArgumentExpression(nameof(actual))] string name = ""
    )
    {
        if (actual != expected)
        {
            throw new ArgumentException($"{name} is {actual}, but must be {expected}.");
        }
    }

    /// <summary>How many numbers so many rows of so many are.</summary>
    public static long Product(int rows, int columns)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(rows);
        ArgumentOutOfRangeException.ThrowIfNegative(columns);
        return (long)rows * columns;
    }
}
