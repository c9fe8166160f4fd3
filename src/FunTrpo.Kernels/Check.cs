using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Refuses spans whose lengths do not fit together, before any pointer is formed. Lengths that are products are computed in 64 bits:
/// in 32 they would wrap around, and fit where nothing does.
/// </summary>
internal static class Check
{
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static void SameLength(
        int actual,
        long expected,
        [CallerArgumentExpression(nameof(actual))] string name = ""
    )
    {
        if (actual != expected)
        {
            throw Different(name, actual, expected);
        }
    }

    /// <summary>How many numbers so many rows of so many are.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Product(int rows, int columns) =>
        (rows | columns) >= 0 ? (long)rows * columns : throw Negative(rows, columns);

    private static ArgumentException Different(string name, int actual, long expected) =>
        new($"{name} is {actual}, but must be {expected}.");

    private static ArgumentOutOfRangeException Negative(int rows, int columns) =>
        new(nameof(rows), $"There are no {rows} rows of {columns} numbers.");
}
