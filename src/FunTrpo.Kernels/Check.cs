using System;
using System.Runtime.CompilerServices;

namespace FunTrpo.Kernels;

/// <summary>
/// Throws if the lengths of spans do not fit together. Kernels call this before they take pointers. Products of lengths are computed in
/// 64 bits, because in 32 bits they could overflow and seem to fit.
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

    /// <summary>Returns rows · columns, and throws if either is negative.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static long Product(int rows, int columns) =>
        (rows | columns) >= 0 ? (long)rows * columns : throw Negative(rows, columns);

    /// <summary>
    /// Throws unless so many numbers hold so many rows of <paramref name="columns"/> numbers that are a stride apart. The last row may end
    /// after its columns.
    /// </summary>
    public static void Rows(int length, int rows, int columns, int stride)
    {
        if (stride < columns || length < Product(rows, stride) - (rows > 0 ? stride - columns : 0))
        {
            throw new ArgumentException($"{length} numbers are not {rows} rows of {columns} that are {stride} apart.");
        }
    }

    private static ArgumentException Different(string name, int actual, long expected) =>
        new($"{name} is {actual}, but must be {expected}.");

    private static ArgumentOutOfRangeException Negative(int rows, int columns) =>
        new(nameof(rows), $"There are no {rows} rows of {columns} numbers.");
}
