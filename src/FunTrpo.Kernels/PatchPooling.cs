using System;
using System.Runtime.InteropServices;

namespace FunTrpo.Kernels;

/// <summary>
/// The mean or the maximum of each patch of a picture, channel by channel (<see cref="Patches"/>). Rows of x are <c>xStride</c> apart, and
/// rows of y <c>yStride</c>; the padding of y is 0.
/// </summary>
public static class PatchPooling
{
    /// <summary>Writes the mean of each patch and channel. This is linear, so tangents are pushed forward by the same call.</summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the patches.</exception>
    public static void Mean(Patches patches, int rows, ReadOnlySpan<float> x, int xStride, Span<float> y, int yStride)
    {
        CheckRows(patches, rows, x.Length, xStride, y.Length, yStride);
        float share = Share(patches);
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> picture = x.Slice(row * xStride, patches.PictureSize);
            Span<float> means = y.Slice(row * yStride, yStride);
            means.Clear();
            for (int patch = 0; patch < patches.Count; patch++)
            {
                Span<float> mean = means.Slice(patch * patches.Channels, patches.Channels);
                for (int k = 0; k < patches.Size; k += patches.Channels)
                {
                    ReadOnlySpan<float> pixel = picture.Slice(Place(patches, patch, k), patches.Channels);
                    Reductions.AddScaled(share, pixel, mean, mean);
                }
            }
        }
    }

    /// <summary>The transpose of <see cref="Mean"/>: writes the cotangent of x for one of y.</summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the patches.</exception>
    public static void SpreadMean(
        Patches patches,
        int rows,
        ReadOnlySpan<float> y,
        int yStride,
        Span<float> x,
        int xStride
    )
    {
        CheckRows(patches, rows, x.Length, xStride, y.Length, yStride);
        float share = Share(patches);
        x.Clear();
        for (int row = 0; row < rows; row++)
        {
            Span<float> picture = x.Slice(row * xStride, patches.PictureSize);
            for (int patch = 0; patch < patches.Count; patch++)
            {
                ReadOnlySpan<float> mean = y.Slice((row * yStride) + (patch * patches.Channels), patches.Channels);
                for (int k = 0; k < patches.Size; k += patches.Channels)
                {
                    Span<float> pixel = picture.Slice(Place(patches, patch, k), patches.Channels);
                    Reductions.AddScaled(share, mean, pixel, pixel);
                }
            }
        }
    }

    /// <summary>
    /// Writes the maximum of each patch and channel, and, unless <paramref name="winners"/> is empty, the place of the maximum in its row of x.
    /// Of several equal maxima the first counts. NaN is a maximum, so that the stage that produced it reports it.
    /// </summary>
    /// <param name="patches">The patches.</param>
    /// <param name="rows">The number of pictures.</param>
    /// <param name="x">The pictures.</param>
    /// <param name="xStride">The stride of the pictures.</param>
    /// <param name="y">The maxima.</param>
    /// <param name="yStride">The stride of the maxima.</param>
    /// <param name="winners">An int32 for each number of y, in the memory of a float32.</param>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the patches.</exception>
    public static void Max(
        Patches patches,
        int rows,
        ReadOnlySpan<float> x,
        int xStride,
        Span<float> y,
        int yStride,
        Span<float> winners
    )
    {
        CheckRows(patches, rows, x.Length, xStride, y.Length, yStride);
        Check.SameLength(winners.Length, winners.IsEmpty ? 0 : y.Length);
        Span<int> places = MemoryMarshal.Cast<float, int>(winners);
        y.Clear();
        places.Clear();
        for (int row = 0; row < rows; row++)
        {
            ReadOnlySpan<float> picture = x.Slice(row * xStride, patches.PictureSize);
            for (int i = 0; i < patches.Count * patches.Channels; i++)
            {
                int place = Winner(patches, picture, i / patches.Channels, i % patches.Channels);
                y[(row * yStride) + i] = picture[place];
                if (!places.IsEmpty)
                {
                    places[(row * yStride) + i] = place;
                }
            }
        }
    }

    /// <summary>Writes the numbers at the places of the maxima: pushes a tangent of x forward.</summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the patches.</exception>
    public static void PickWinners(
        Patches patches,
        int rows,
        ReadOnlySpan<float> winners,
        ReadOnlySpan<float> x,
        int xStride,
        Span<float> y,
        int yStride
    )
    {
        CheckRows(patches, rows, x.Length, xStride, y.Length, yStride);
        Check.SameLength(winners.Length, y.Length);
        ReadOnlySpan<int> places = MemoryMarshal.Cast<float, int>(winners);
        y.Clear();
        for (int row = 0; row < rows; row++)
        {
            for (int i = row * yStride; i < (row * yStride) + (patches.Count * patches.Channels); i++)
            {
                y[i] = x[(row * xStride) + places[i]];
            }
        }
    }

    /// <summary>The transpose of <see cref="PickWinners"/>: writes the cotangent of x for one of y.</summary>
    /// <exception cref="ArgumentException">The lengths of the spans do not fit the patches.</exception>
    public static void SpreadToWinners(
        Patches patches,
        int rows,
        ReadOnlySpan<float> winners,
        ReadOnlySpan<float> y,
        int yStride,
        Span<float> x,
        int xStride
    )
    {
        CheckRows(patches, rows, x.Length, xStride, y.Length, yStride);
        Check.SameLength(winners.Length, y.Length);
        ReadOnlySpan<int> places = MemoryMarshal.Cast<float, int>(winners);
        x.Clear();
        for (int row = 0; row < rows; row++)
        {
            for (int i = row * yStride; i < (row * yStride) + (patches.Count * patches.Channels); i++)
            {
                x[(row * xStride) + places[i]] += y[i];
            }
        }
    }

    /// <summary>The place of the maximum of a patch and channel in the picture.</summary>
    private static int Winner(Patches patches, ReadOnlySpan<float> picture, int patch, int channel)
    {
        int winner = Place(patches, patch, channel);
        for (int k = channel + patches.Channels; k < patches.Size; k += patches.Channels)
        {
            int place = Place(patches, patch, k);
            bool isGreater = picture[place] > picture[winner] || float.IsNaN(picture[place]);
            winner = isGreater && !float.IsNaN(picture[winner]) ? place : winner;
        }

        return winner;
    }

    /// <summary>The place of number k of a patch in the picture.</summary>
    private static int Place(Patches patches, int patch, int k) => patches.Places[patch] + patches.Offset(k);

    private static float Share(Patches patches) => (float)patches.Channels / patches.Size;

    private static void CheckRows(Patches patches, int rows, int xLength, int xStride, int yLength, int yStride)
    {
        Check.SameLength(yLength, Check.Product(rows, yStride));
        if (
            xStride < patches.PictureSize
            || yStride < patches.Count * patches.Channels
            || xLength < Check.Product(rows, xStride) - (rows > 0 ? xStride - patches.PictureSize : 0)
        )
        {
            throw new ArgumentException(
                $"{rows} rows of {xStride} and of {yStride} numbers do not hold the pictures and their patches."
            );
        }
    }
}
