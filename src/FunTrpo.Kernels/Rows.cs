using System;

namespace FunTrpo.Kernels;

/// <summary>Selects rows of a row-major matrix.</summary>
public static unsafe class Rows
{
    /// <summary>The distance, in numbers, at which rows are prefetched.</summary>
    private const int NumbersAhead = 16384;

    /// <summary>
    /// Copies the rows with the given indices, of <paramref name="width"/> numbers each, one after another to <paramref name="gathered"/>.
    /// </summary>
    /// <exception cref="ArgumentOutOfRangeException">An index is not that of a row.</exception>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit.</exception>
    public static void Gather(ReadOnlySpan<int> indices, int width, ReadOnlySpan<float> matrix, Span<float> gathered)
    {
        Check.SameLength(gathered.Length, Check.Product(indices.Length, width));
        Check.SameLength(matrix.Length % Math.Max(1, width), 0);
        int rows = width == 0 ? int.MaxValue : matrix.Length / width;
        foreach (int index in indices)
        {
            ArgumentOutOfRangeException.ThrowIfNegative(index, nameof(indices));
            ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(index, rows, nameof(indices));
        }

        int rowsAhead = 1 + (NumbersAhead / Math.Max(1, width));
        fixed (
            float* source = matrix,
                target = gathered
        )
        {
            for (int i = 0; i < indices.Length; i++)
            {
                if (i + rowsAhead < indices.Length)
                {
                    Prefetch.Numbers(source + ((nint)indices[i + rowsAhead] * width), width);
                }

                ReadOnlySpan<float> row = new(source + ((nint)indices[i] * width), width);
                row.CopyTo(new(target + ((nint)i * width), width));
            }
        }
    }
}
