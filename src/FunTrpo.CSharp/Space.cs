using System;
using System.Collections.Immutable;
using System.Linq;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.FSharp.Collections;
using static System.FormattableString;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The kinds of <see cref="Space"/>.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<SpaceKind>))]
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

    /// <summary>Several spaces with names, such as a picture and a speed, one after the other (<see cref="Space.Parts"/>).</summary>
    Parts,
}

/// <summary>A set of possible observations or actions, each of which has <see cref="Width"/> numbers.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed class Space : IEquatable<Space>
{
    internal Space(Core.Space value) => Value = value;

    [JsonConstructor]
    private Space(
        SpaceKind kind,
        ImmutableArray<float> low,
        ImmutableArray<float> high,
        ImmutableArray<int> counts,
        ImmutableArray<int> shape,
        ImmutableArray<SpacePart> partsInOrder = default
    )
        : this(
            FromJson(
                kind,
                low.AsSpan(),
                high.AsSpan(),
                counts.AsSpan(),
                shape.AsSpan(),
                partsInOrder.IsDefault ? [] : partsInOrder.AsSpan()
            )
        ) { }

    private Space(Space other)
        : this(other.Value) { }

    /// <summary>The kind of space.</summary>
    public SpaceKind Kind =>
        Value switch
        {
            Core.Space.Discrete => SpaceKind.Discrete,
            Core.Space.Box => SpaceKind.Box,
            Core.Space.MultiDiscrete => SpaceKind.MultiDiscrete,
            Core.Space.Parts => SpaceKind.Parts,
            _ => SpaceKind.MultiBinary,
        };

    /// <summary>The number of numbers in each observation or action of this space.</summary>
    public int Width => SpaceModule.width(Value);

    /// <summary>The lowest value of each number: −∞ if it has no lower bound, and 0 if it is an index or a switch.</summary>
    public ImmutableArray<float> Low =>
        Value switch
        {
            Core.Space.Box box => [.. box.low.Span],
            Core.Space.Parts => [.. PartsInOrder.SelectMany(part => part.Space.Low)],
            _ => [.. Enumerable.Repeat(0f, Width)],
        };

    /// <summary>The highest value of each number: ∞ if it has no upper bound, and the last index if it is an index or a switch.</summary>
    public ImmutableArray<float> High =>
        Value switch
        {
            Core.Space.Box box => [.. box.high.Span],
            Core.Space.Parts => [.. PartsInOrder.SelectMany(part => part.Space.High)],
            _ => [.. Counts.Select(count => count - 1f)],
        };

    /// <summary>
    /// The number of alternatives of each number; empty for a box, whose numbers are continuous, and for spaces with parts, which have
    /// counts of their own.
    /// </summary>
    public ImmutableArray<int> Counts =>
        Value switch
        {
            Core.Space.Discrete discrete => [discrete.count],
            Core.Space.MultiDiscrete choices => [.. choices.counts],
            Core.Space.MultiBinary switches => [.. Enumerable.Repeat(2, switches.count)],
            _ => [],
        };

    /// <summary>
    /// The sizes of the axes of each observation or action, whose numbers are stored one row after another. A picture has a height, a width
    /// and a number of channels; a space that is not a box has one axis.
    /// </summary>
    public ImmutableArray<int> Shape => [.. SpaceModule.shape(Value)];

    /// <summary>The parts in the order in which their numbers follow one another; empty if the space has no parts.</summary>
    [JsonPropertyName("Parts")]
    public ImmutableArray<SpacePart> PartsInOrder =>
        Value is Core.Space.Parts parts
            ? [.. parts.Item.Select(part => new SpacePart(part.Item1, new Space(part.Item2)))]
            : [];

    internal Core.Space Value { get; }

    /// <summary>Creates the space of the indices 0 … <paramref name="count"/> − 1.</summary>
    /// <param name="count">The number of alternatives, from 1 to 2²⁴.</param>
    /// <exception cref="ArgumentOutOfRangeException">The count is less than 1 or more than 2²⁴.</exception>
    public static Space Discrete(int count)
    {
        RequireCount(count, nameof(count));
        return new(FunTrpo.Space.NewDiscrete(count));
    }

    /// <summary>Creates the space of vectors whose coordinates all have the same bounds.</summary>
    /// <param name="dimensions">The number of coordinates, from 1 to 2²⁴.</param>
    /// <param name="low">The lower bound; −∞ for none.</param>
    /// <param name="high">The upper bound; ∞ for none.</param>
    /// <exception cref="ArgumentOutOfRangeException">There are fewer than 1 or more than 2²⁴ coordinates.</exception>
    /// <exception cref="ArgumentException">There is no finite number between the bounds.</exception>
    public static Space Box(int dimensions, float low, float high)
    {
        RequireCount(dimensions, nameof(dimensions));
        return Box(Enumerable.Repeat(low, dimensions).ToArray(), Enumerable.Repeat(high, dimensions).ToArray());
    }

    /// <summary>Creates the space of vectors whose coordinates have bounds of their own.</summary>
    /// <param name="low">The lower bound of each coordinate; −∞ for none.</param>
    /// <param name="high">The upper bound of each coordinate; ∞ for none.</param>
    /// <exception cref="ArgumentException">
    /// The spans are empty or have different lengths, or there is no finite number between the bounds of a coordinate.
    /// </exception>
    /// <exception cref="ArgumentOutOfRangeException">There are more than 2²⁴ coordinates.</exception>
    public static Space Box(ReadOnlySpan<float> low, ReadOnlySpan<float> high)
    {
        if (low.IsEmpty || low.Length != high.Length)
        {
            throw new ArgumentException(
                $"A box has two corners of the same length, at least 1; these have {low.Length} and {high.Length} numbers.",
                nameof(high)
            );
        }

        for (int i = 0; i < low.Length; i++)
        {
            if (!SpaceModule.holdsNumber(low[i], high[i]))
            {
                throw new ArgumentException(
                    Invariant($"[{low[i]}, {high[i]}] (coordinate {i}) holds no finite number."),
                    nameof(high)
                );
            }
        }

        RequireCount(low.Length, nameof(low));
        return new(SpaceModule.between(VectorModule.ofArray(low.ToArray()), VectorModule.ofArray(high.ToArray())));
    }

    /// <summary>Creates the space of arrays whose numbers all have the same bounds, such as pictures of height × width × channels.</summary>
    /// <param name="shape">The sizes of the axes, each at least 1. The last axis is the fastest: the channels of a pixel are neighbours.</param>
    /// <param name="low">The lower bound; −∞ for none.</param>
    /// <param name="high">The upper bound; ∞ for none.</param>
    /// <exception cref="ArgumentOutOfRangeException">A size is less than 1, or there are more than 2²⁴ numbers.</exception>
    /// <exception cref="ArgumentException">There are no axes, or no finite number is between the bounds.</exception>
    public static Space Box(ReadOnlySpan<int> shape, float low, float high)
    {
        if (shape.IsEmpty)
        {
            throw new ArgumentException("There must be at least one axis.", nameof(shape));
        }

        long numbers = 1;
        foreach (int size in shape)
        {
            RequireCount(size, nameof(shape));
            numbers = Math.Min(numbers * size, (long)SpaceModule.maxCount + 1);
        }

        return Box((int)numbers, low, high).WithShape(shape);
    }

    /// <summary>Returns the same box with another shape.</summary>
    /// <param name="shape">The sizes of the axes, whose product is the <see cref="Width"/>.</param>
    /// <exception cref="InvalidOperationException">The space is not a box.</exception>
    /// <exception cref="ArgumentException">Arrays of this shape do not have as many numbers as the box.</exception>
    public Space WithShape(params ReadOnlySpan<int> shape)
    {
        if (Value is not Core.Space.Box box)
        {
            throw new InvalidOperationException($"{this} is not a box, and has no other shape.");
        }

        FSharpList<int> axes = ListModule.OfArray(shape.ToArray());
        return ArrayShapeModule.holds(Width, axes)
            ? new(FunTrpo.Space.NewBox(box.low, box.high, axes))
            : throw new ArgumentException(
                $"{ArrayShapeModule.describe(axes)} is not the shape of {Width} numbers.",
                nameof(shape)
            );
    }

    /// <summary>Creates the space of several independent indices, of which the i-th is in 0 … <c>counts[i]</c> − 1.</summary>
    /// <param name="counts">The number of alternatives of each index, from 1 to 2²⁴.</param>
    /// <exception cref="ArgumentException">There are no counts.</exception>
    /// <exception cref="ArgumentOutOfRangeException">
    /// A count is less than 1 or more than 2²⁴, or there are more than 2²⁴ counts.
    /// </exception>
    public static Space MultiDiscrete(params ReadOnlySpan<int> counts)
    {
        if (counts.IsEmpty)
        {
            throw new ArgumentException("There must be at least one choice.", nameof(counts));
        }

        RequireCount(counts.Length, nameof(counts));
        foreach (int count in counts)
        {
            RequireCount(count, nameof(counts));
        }

        return new(FunTrpo.Space.NewMultiDiscrete(ListModule.OfArray(counts.ToArray())));
    }

    /// <summary>Creates the space of several independent switches, each 0 or 1.</summary>
    /// <param name="count">The number of switches, from 1 to 2²⁴.</param>
    /// <exception cref="ArgumentOutOfRangeException">The count is less than 1 or more than 2²⁴.</exception>
    public static Space MultiBinary(int count)
    {
        RequireCount(count, nameof(count));
        return new(FunTrpo.Space.NewMultiBinary(count));
    }

    /// <summary>
    /// Creates the space of several parts with names, such as a picture and a speed. An observation or action holds the numbers of the first
    /// part, then those of the second, and so on (<see cref="RangeOf"/>). Parts may have parts.
    /// </summary>
    /// <param name="parts">The parts. Names are not empty, and contain no white space and none of <c>/ : ; , { }</c>.</param>
    /// <exception cref="ArgumentException">There are no parts, a name is not valid or appears twice, or there are too many numbers.</exception>
    public static Space Parts(params ReadOnlySpan<SpacePart> parts)
    {
        Tuple<string, Core.Space>[] named = new Tuple<string, Core.Space>[parts.Length];
        for (int i = 0; i < parts.Length; i++)
        {
            ArgumentNullException.ThrowIfNull(parts[i].Name, nameof(parts));
            ArgumentNullException.ThrowIfNull(parts[i].Space, nameof(parts));
            named[i] = new(parts[i].Name, parts[i].Space.Value);
        }

        Core.Space space = Core.Space.NewParts(ListModule.OfArray(named));
        return Microsoft.FSharp.Core.OptionModule.ToObj(SpaceModule.invalidReason(space)) is string reason
            ? throw new ArgumentException($"The space {reason}.", nameof(parts))
            : new(space);
    }

    /// <summary>The place of a part in an observation or action: <c>observation[space.RangeOf("speed")]</c>.</summary>
    /// <param name="part">The name of a part, or names with <c>/</c> between for a part of a part.</param>
    /// <exception cref="ArgumentException">There is no such part.</exception>
    public Range RangeOf(string part)
    {
        ArgumentNullException.ThrowIfNull(part);
        (int first, Core.Space found) = SpaceModule.find(part, Value);
        return first..(first + SpaceModule.width(found));
    }

    /// <summary>The space of a part.</summary>
    /// <param name="part">The name of a part, or names with <c>/</c> between for a part of a part.</param>
    /// <exception cref="ArgumentException">There is no such part.</exception>
    public Space Part(string part)
    {
        ArgumentNullException.ThrowIfNull(part);
        return new(SpaceModule.find(part, Value).Item2);
    }

    /// <summary>Returns whether the numbers are an element of the space.</summary>
    public bool Contains(ReadOnlySpan<float> numbers) => SpaceModule.contains(Value, numbers);

    /// <summary>
    /// Whether a network can take the numbers as an observation: finite elements of the space, but for the bounds of boxes, which are only informative.
    /// </summary>
    internal bool Takes(ReadOnlySpan<float> numbers) => SpaceModule.isValidObservation(Value, numbers);

    /// <inheritdoc/>
    public bool Equals(Space? other) => other is not null && Value.Equals(other.Value);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Space);

    /// <inheritdoc/>
    public override int GetHashCode() => Value.GetHashCode();

    /// <summary>Returns whether both spaces are equal.</summary>
    public static bool operator ==(Space? a, Space? b) => Equals(a, b);

    /// <summary>Returns whether the spaces differ.</summary>
    public static bool operator !=(Space? a, Space? b) => !Equals(a, b);

    /// <summary>Returns the space that the properties in JSON describe. A list that is missing or null is empty here.</summary>
    private static Space FromJson(
        SpaceKind kind,
        ReadOnlySpan<float> low,
        ReadOnlySpan<float> high,
        ReadOnlySpan<int> counts,
        ReadOnlySpan<int> shape,
        ReadOnlySpan<SpacePart> parts
    )
    {
        try
        {
            return kind switch
            {
                SpaceKind.Discrete => counts is [int count]
                    ? Discrete(count)
                    : throw new JsonException($"A discrete space has one count; this has {counts.Length}."),
                SpaceKind.MultiDiscrete => MultiDiscrete(counts),
                SpaceKind.MultiBinary => MultiBinary(counts.Length),
                SpaceKind.Parts => Parts(parts),
                _ => shape.IsEmpty ? Box(low, high) : Box(low, high).WithShape(shape),
            };
        }
        catch (ArgumentException error)
        {
            throw new JsonException(error.Message, error);
        }
    }

    private static void RequireCount(int count, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, SpaceModule.maxCount, name);
    }

    /// <summary>Returns a short description, such as <c>Box(2; [-1, 1])</c> or <c>Box(10 × 10 × 4; [0, 1])</c>.</summary>
    public override string ToString() => SpaceModule.describe(Value);
}
