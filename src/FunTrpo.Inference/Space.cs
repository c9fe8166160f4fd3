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

    /// <summary>Several spaces with names, such as a picture and a speed, one after the other (<see cref="Space.PartsInOrder"/>).</summary>
    Parts,
}

/// <summary>A set of possible observations or actions, each of which has <see cref="Width"/> numbers.</summary>
public sealed class Space
{
    /// <summary>The maximal number of alternatives of a choice, and of numbers in a row: float32 cannot represent all larger indices.</summary>
    internal const int MaxCount = 1 << 24;

    /// <summary>The maximal number of levels of parts of parts.</summary>
    internal const int MaxNesting = 16;

    private readonly float[] low;
    private readonly float[] high;
    private readonly int[] counts;
    private readonly int[] shape;
    private readonly SpacePart[] parts;
    private readonly Place[] leaves;

    /// <summary>Bounds are there for a box, and counts for choices. Switches have neither, so that many of them take no memory.</summary>
    private Space(
        SpaceKind kind,
        int width,
        float[] low,
        float[] high,
        int[] counts,
        int[]? shape = null,
        SpacePart[]? parts = null
    )
    {
        Kind = kind;
        Width = width;
        this.shape = shape ?? new[] { width };
        this.low = low;
        this.high = high;
        this.counts = counts;
        this.parts = parts ?? Array.Empty<SpacePart>();
        leaves = parts is null ? new[] { new Place(0, this) } : LeavesOf(parts);
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
    public IReadOnlyList<float> Low =>
        Kind switch
        {
            SpaceKind.Box => Array.AsReadOnly(low),
            SpaceKind.Parts => parts.SelectMany(part => part.Space.Low).ToArray(),
            _ => new float[Width],
        };

    /// <summary>The highest value of each number: ∞ if it has no upper bound, and the last index if it is an index or a switch.</summary>
    public IReadOnlyList<float> High =>
        Kind switch
        {
            SpaceKind.Box => Array.AsReadOnly(high),
            SpaceKind.Parts => parts.SelectMany(part => part.Space.High).ToArray(),
            _ => Counts.Select(count => count - 1f).ToArray(),
        };

    /// <summary>
    /// The number of alternatives of each number; empty for a box, whose numbers are continuous, and for spaces with parts, which have counts
    /// of their own.
    /// </summary>
    public IReadOnlyList<int> Counts =>
        Kind == SpaceKind.MultiBinary ? Enumerable.Repeat(2, Width).ToArray() : Array.AsReadOnly(counts);

    /// <summary>The parts in the order in which their numbers follow one another; empty if the space has no parts.</summary>
    public IReadOnlyList<SpacePart> PartsInOrder => Array.AsReadOnly(parts);

    /// <summary>
    /// Whether rows hold indices and nothing else, for each of which a network has parameters of its own. For parts see <see cref="Leaves"/>.
    /// </summary>
    internal bool HasIndices => Kind is SpaceKind.Discrete or SpaceKind.MultiDiscrete;

    /// <summary>The spaces without parts that a row consists of: this one, or those of its parts.</summary>
    internal ReadOnlySpan<Place> Leaves => leaves;

    /// <summary>Whether some numbers of a row are indices, which are labels and not quantities.</summary>
    internal bool HasLabels => leaves.Any(leaf => leaf.Space.HasIndices);

    /// <summary>Whether some numbers of a row are continuous.</summary>
    internal bool HasBox => leaves.Any(leaf => leaf.Space.Kind == SpaceKind.Box);

    /// <summary>The numbers of alternatives of all choices of a row; null if it holds anything else.</summary>
    internal IEnumerable<int>? ChoiceCounts =>
        leaves.All(leaf => leaf.Space.HasIndices) ? leaves.SelectMany(leaf => leaf.Space.counts) : null;

    /// <summary>The lower bounds of a box.</summary>
    internal ReadOnlySpan<float> LowSpan => low;

    /// <summary>The upper bounds of a box.</summary>
    internal ReadOnlySpan<float> HighSpan => high;

    /// <summary>The number of alternatives, summed over the choices; 0 for a box.</summary>
    internal long AlternativeCount => Kind == SpaceKind.MultiBinary ? 2L * Width : counts.Sum(count => (long)count);

    /// <summary>The place of a part in an observation or action: <c>observation[space.RangeOf("speed")]</c>.</summary>
    /// <param name="part">The name of a part, or names with <c>/</c> between for a part of a part.</param>
    /// <exception cref="ArgumentException">There is no such part.</exception>
    public Range RangeOf(string part)
    {
        Place found = Find(part);
        return found.First..(found.First + found.Space.Width);
    }

    /// <summary>The space of a part.</summary>
    /// <param name="part">The name of a part, or names with <c>/</c> between for a part of a part.</param>
    /// <exception cref="ArgumentException">There is no such part.</exception>
    public Space Part(string part) => Find(part).Space;

    /// <summary>
    /// Returns the kind and the shape, such as <c>Box(2)</c>, or the numbers of alternatives, such as <c>Discrete(3)</c>, or the parts.
    /// </summary>
    public override string ToString() =>
        HasIndices ? $"{Kind}({string.Join(", ", counts)})"
        : Kind == SpaceKind.Parts ? $"{Kind}({string.Join(", ", parts.Select(part => $"{part.Name}: {part.Space}"))})"
        : $"{Kind}({string.Join(" × ", shape)})";

    /// <summary>The number of alternatives of a choice or switch.</summary>
    internal int Count(int choice) => Kind == SpaceKind.MultiBinary ? 2 : counts[choice];

    internal static Space OfCounts(SpaceKind kind, int[] counts) =>
        new(kind, counts.Length, Array.Empty<float>(), Array.Empty<float>(), counts);

    internal static Space OfSwitches(int count) =>
        new(SpaceKind.MultiBinary, count, Array.Empty<float>(), Array.Empty<float>(), Array.Empty<int>());

    internal static Space OfBounds(float[] low, float[] high, int[] shape) =>
        new(SpaceKind.Box, low.Length, low, high, Array.Empty<int>(), shape);

    internal static Space OfParts(SpacePart[] parts) =>
        new(
            SpaceKind.Parts,
            parts.Sum(part => part.Space.Width),
            Array.Empty<float>(),
            Array.Empty<float>(),
            Array.Empty<int>(),
            null,
            parts
        );

    private static Place[] LeavesOf(SpacePart[] parts)
    {
        List<Place> leaves = new();
        int first = 0;
        foreach (SpacePart part in parts)
        {
            foreach (Place place in part.Space.Leaves)
            {
                leaves.Add(new Place(first + place.First, place.Space));
            }

            first += part.Space.Width;
        }

        return leaves.ToArray();
    }

    /// <summary>The part with this name, or names with slashes between, and the column at which it begins.</summary>
    private Place Find(string path)
    {
        Policy.Require(path, nameof(path));
        int slash = path.IndexOf('/');
        string name = slash < 0 ? path : path.Substring(0, slash);
        int first = 0;
        foreach (SpacePart part in parts)
        {
            if (part.Name == name)
            {
                Place found = slash < 0 ? new Place(0, part.Space) : part.Space.Find(path.Substring(slash + 1));
                return new Place(first + found.First, found.Space);
            }

            first += part.Space.Width;
        }

        throw new ArgumentException($"{this} has no part {name}.", nameof(path));
    }
}
