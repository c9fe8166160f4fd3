using System;
using System.Collections.Generic;
using System.Linq;

namespace FunTrpo.Inference;

/// <summary>The kinds of <see cref="Space"/>.</summary>
public enum SpaceKind
{
    /// <summary>One index of a finite number of alternatives.</summary>
    Discrete,

    /// <summary>A vector of numbers, each between a lower and an upper bound.</summary>
    Box,

    /// <summary>Several independent indices.</summary>
    MultiDiscrete,

    /// <summary>Several independent switches, each 0 or 1.</summary>
    MultiBinary,
}

/// <summary>A set of possible observations or actions, each of which has <see cref="Width"/> numbers.</summary>
public sealed class Space
{
    /// <summary>The maximal number of alternatives of a choice, and of numbers in a row: float32 cannot represent all larger indices.</summary>
    internal const int MaxCount = 1 << 24;

    private readonly float[] low;
    private readonly float[] high;
    private readonly int[] counts;
    private readonly int[] shape;

    /// <summary>Bounds are there for a box, and counts for choices. Switches have neither, so that many of them take no memory.</summary>
    private Space(SpaceKind kind, int width, float[] low, float[] high, int[] counts, int[]? shape = null)
    {
        Kind = kind;
        Width = width;
        this.shape = shape ?? new[] { width };
        this.low = low;
        this.high = high;
        this.counts = counts;
    }

    /// <summary>The kind of space.</summary>
    public SpaceKind Kind { get; }

    /// <summary>The number of numbers in each observation or action of this space.</summary>
    public int Width { get; }

    /// <summary>
    /// The sizes of the axes of each observation or action. A picture has a height, a width and a number of channels; a space that is not a box
    /// has one axis.
    /// </summary>
    public IReadOnlyList<int> Shape => Array.AsReadOnly(shape);

    /// <summary>The lowest value of each number: −∞ if it has no lower bound, and 0 if it is an index or a switch.</summary>
    public IReadOnlyList<float> Low => Kind == SpaceKind.Box ? Array.AsReadOnly(low) : new float[Width];

    /// <summary>The highest value of each number: ∞ if it has no upper bound, and the last index if it is an index or a switch.</summary>
    public IReadOnlyList<float> High =>
        Kind == SpaceKind.Box ? Array.AsReadOnly(high) : Counts.Select(count => count - 1f).ToArray();

    /// <summary>The number of alternatives of each number; empty for a box, whose numbers are continuous.</summary>
    public IReadOnlyList<int> Counts =>
        Kind == SpaceKind.MultiBinary ? Enumerable.Repeat(2, Width).ToArray() : Array.AsReadOnly(counts);

    /// <summary>Whether rows hold indices, for each of which a network has parameters of its own.</summary>
    internal bool HasIndices => Kind is SpaceKind.Discrete or SpaceKind.MultiDiscrete;

    /// <summary>The lower bounds of a box.</summary>
    internal ReadOnlySpan<float> LowSpan => low;

    /// <summary>The upper bounds of a box.</summary>
    internal ReadOnlySpan<float> HighSpan => high;

    /// <summary>The number of alternatives, summed over the choices; 0 for a box.</summary>
    internal long AlternativeCount => Kind == SpaceKind.MultiBinary ? 2L * Width : counts.Sum(count => (long)count);

    /// <summary>Returns the kind and the shape, such as <c>Box(2)</c>, or the numbers of alternatives, such as <c>Discrete(3)</c>.</summary>
    public override string ToString() =>
        HasIndices ? $"{Kind}({string.Join(", ", counts)})" : $"{Kind}({string.Join(" × ", shape)})";

    /// <summary>The number of alternatives of a choice or switch.</summary>
    internal int Count(int choice) => Kind == SpaceKind.MultiBinary ? 2 : counts[choice];

    internal static Space OfCounts(SpaceKind kind, int[] counts) =>
        new(kind, counts.Length, Array.Empty<float>(), Array.Empty<float>(), counts);

    internal static Space OfSwitches(int count) =>
        new(SpaceKind.MultiBinary, count, Array.Empty<float>(), Array.Empty<float>(), Array.Empty<int>());

    internal static Space OfBounds(float[] low, float[] high, int[] shape) =>
        new(SpaceKind.Box, low.Length, low, high, Array.Empty<int>(), shape);
}
