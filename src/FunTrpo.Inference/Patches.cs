using System.Globalization;
using System.IO;

namespace FunTrpo.Inference;

/// <summary>A window that moves over a picture, down and to the right, by <c>Stride</c> pixels at a time.</summary>
internal sealed class Window
{
    public Window(int height, int width, int stride)
    {
        Height = height;
        Width = width;
        Stride = stride;
    }

    public int Height { get; }

    public int Width { get; }

    public int Stride { get; }

    /// <summary>The shape of a picture with a pixel for each place of the window, and this many channels.</summary>
    public int[] OutputShape(int channels, int[] input)
    {
        if (input.Length != 3 || Height > input[0] || Width > input[1])
        {
            throw new InvalidDataException(
                $"Its architecture moves a window of {Height} × {Width} over {string.Join(" × ", input)} numbers."
            );
        }

        return new[] { ((input[0] - Height) / Stride) + 1, ((input[1] - Width) / Stride) + 1, channels };
    }

    /// <summary>The window of words such as <c>3x3 stride 1</c>, or null.</summary>
    public static Window? OfWords(string size, string stride, string step)
    {
        string[] sides = size.Split('x');
        return
            sides.Length == 2
            && stride == "stride"
            && IsPositive(sides[0], out int height)
            && IsPositive(sides[1], out int width)
            && IsPositive(step, out int pixels)
            ? new Window(height, width, pixels)
            : null;
    }

    /// <summary>Whether a word is a positive integer.</summary>
    public static bool IsPositive(string word, out int number) =>
        int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out number) && number > 0;
}

/// <summary>The patches of a picture of height × width × channels under a window.</summary>
internal sealed class Patches
{
    private readonly int rowLength;
    private readonly int rowDistance;
    private readonly int stepRight;
    private readonly int stepDown;
    private readonly int width;

    public Patches(Window window, int[] picture)
    {
        int[] output = window.OutputShape(1, picture);
        Channels = picture[2];
        width = output[1];
        Count = output[0] * output[1];
        rowLength = window.Width * Channels;
        rowDistance = picture[1] * Channels;
        stepRight = window.Stride * Channels;
        stepDown = window.Stride * rowDistance;
        Size = window.Height * rowLength;
    }

    /// <summary>The number of patches.</summary>
    public int Count { get; }

    /// <summary>The number of numbers of a patch.</summary>
    public int Size { get; }

    /// <summary>The number of channels of the picture.</summary>
    public int Channels { get; }

    /// <summary>The place of number k of a patch in the picture.</summary>
    public int Place(int patch, int k) =>
        (patch / width * stepDown) + (patch % width * stepRight) + (k / rowLength * rowDistance) + (k % rowLength);
}
