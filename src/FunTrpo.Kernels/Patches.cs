using System;

namespace FunTrpo.Kernels;

/// <summary>
/// The patches of a picture: the parts of it that lie under a window that moves over the picture, down and to the right, by some pixels at
/// a time (the stride). Pixels that no whole window covers are left out.
/// </summary>
/// <remarks>
/// A picture is stored row after row, and the channels of a pixel are neighbours (NHWC, as environments return it). So the number k of patch p is the
/// number <c>Places[p] + Offset(k)</c> of the picture, and the numbers of a row of the window are consecutive. The matrix of all patches
/// (im2col) is never formed.
/// </remarks>
public sealed class Patches
{
    /// <summary>Creates the patches of a picture of this size.</summary>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A size or the stride is less than 1, the window is larger than the picture, or the picture is larger than memory that can be lent.
    /// </exception>
    public Patches(int height, int width, int channels, int windowHeight, int windowWidth, int stride)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(channels, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(windowHeight, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(windowWidth, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(stride, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(windowHeight, height);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(windowWidth, width);
        if (Math.Min((long)height * width, PooledBuffer.Largest) * channels > PooledBuffer.Largest)
        {
            throw new ArgumentOutOfRangeException(
                nameof(height),
                $"A picture of {height} × {width} × {channels} numbers is larger than the {PooledBuffer.Largest} that memory is lent for."
            );
        }

        Channels = channels;
        PictureSize = height * width * channels;
        Rows = windowHeight;
        RowLength = windowWidth * channels;
        RowDistance = width * channels;
        Height = ((height - windowHeight) / stride) + 1;
        Width = ((width - windowWidth) / stride) + 1;
        Places = new int[Height * Width];
        for (int i = 0; i < Places.Length; i++)
        {
            Places[i] = stride * ((i / Width * RowDistance) + (i % Width * channels));
        }
    }

    /// <summary>The number of patches above one another.</summary>
    public int Height { get; }

    /// <summary>The number of patches side by side.</summary>
    public int Width { get; }

    /// <summary>The number of patches.</summary>
    public int Count => Places.Length;

    /// <summary>The number of channels of a pixel.</summary>
    public int Channels { get; }

    /// <summary>The number of numbers of the picture.</summary>
    public int PictureSize { get; }

    /// <summary>The number of numbers of a patch.</summary>
    public int Size => Rows * RowLength;

    /// <summary>The number of rows of the window.</summary>
    internal int Rows { get; }

    /// <summary>The number of consecutive numbers in a row of the window.</summary>
    internal int RowLength { get; }

    /// <summary>The distance between rows of the window, in numbers: a row of the picture.</summary>
    internal int RowDistance { get; }

    /// <summary>The first number of each patch, patch after patch in the order of the rows.</summary>
    internal int[] Places { get; }

    /// <summary>The number k of a patch, counted from its first one.</summary>
    internal int Offset(int k) => (k / RowLength * RowDistance) + (k % RowLength);
}
