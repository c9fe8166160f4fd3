using System;
using System.Collections.Immutable;
using System.Linq;
using System.Text.Json.Serialization;
using Microsoft.FSharp.Collections;
using static System.FormattableString;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The kinds of <see cref="Space"/>.</summary>
[NameInJson]
public enum SpaceKind
{
    /// <summary>One of a number of alternatives.</summary>
    Discrete,

    /// <summary>A point between two corners.</summary>
    Box,

    /// <summary>Several independent choices.</summary>
    MultiDiscrete,

    /// <summary>Several independent switches.</summary>
    MultiBinary,
}

/// <summary>What an observation or an action can be. Each is <see cref="Width"/> numbers.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed class Space : IEquatable<Space>
{
    internal Space(Core.Space value) => Value = value;

    [JsonConstructor]
    private Space(SpaceKind kind, ImmutableArray<float> low, ImmutableArray<float> high, ImmutableArray<int> counts)
        : this(
            kind switch
            {
                SpaceKind.Discrete => Discrete(counts[0]),
                SpaceKind.MultiDiscrete => MultiDiscrete(counts.AsSpan()),
                SpaceKind.MultiBinary => MultiBinary(counts.Length),
                _ => Box(low.AsSpan(), high.AsSpan()),
            }
        ) { }

    private Space(Space other)
        : this(other.Value) { }

    /// <summary>Which kind of space this is.</summary>
    public SpaceKind Kind =>
        Value switch
        {
            Core.Space.Discrete => SpaceKind.Discrete,
            Core.Space.Box => SpaceKind.Box,
            Core.Space.MultiDiscrete => SpaceKind.MultiDiscrete,
            _ => SpaceKind.MultiBinary,
        };

    /// <summary>How many numbers an observation or action of this space is.</summary>
    public int Width => SpaceModule.width(Value);

    /// <summary>The lowest value of each number: −∞ where there is none, and 0 for what is counted.</summary>
    public ImmutableArray<float> Low =>
        Value is Core.Space.Box box ? [.. box.low.Span] : [.. Enumerable.Repeat(0f, Width)];

    /// <summary>The highest value of each number: ∞ where there is none, and the last index for what is counted.</summary>
    public ImmutableArray<float> High =>
        Value is Core.Space.Box box ? [.. box.high.Span] : [.. Counts.Select(count => count - 1f)];

    /// <summary>How many alternatives each number has; empty for a box, which has no end of them.</summary>
    public ImmutableArray<int> Counts =>
        Value switch
        {
            Core.Space.Discrete discrete => [discrete.count],
            Core.Space.MultiDiscrete choices => [.. choices.counts],
            Core.Space.MultiBinary switches => [.. Enumerable.Repeat(2, switches.count)],
            _ => [],
        };

    internal Core.Space Value { get; }

    /// <summary>One of 0 … <paramref name="count"/> − 1; no more than 2²⁴, as in all spaces, and for the numbers of one, too.</summary>
    public static Space Discrete(int count)
    {
        RequireCount(count, nameof(count));
        return new(FunTrpo.Space.NewDiscrete(count));
    }

    /// <summary>A point whose coordinates lie between the same two bounds, either of which may be infinite.</summary>
    public static Space Box(int dimensions, float low, float high)
    {
        RequireCount(dimensions, nameof(dimensions));
        return Box(Enumerable.Repeat(low, dimensions).ToArray(), Enumerable.Repeat(high, dimensions).ToArray());
    }

    /// <summary>A point whose coordinates lie between two corners; bounds may be infinite, but not both on the same side.</summary>
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
            if (!(low[i] <= high[i] && low[i] < float.PositiveInfinity && high[i] > float.NegativeInfinity))
            {
                throw new ArgumentException(
                    Invariant($"[{low[i]}, {high[i]}] (coordinate {i}) holds no finite number."),
                    nameof(high)
                );
            }
        }

        RequireCount(low.Length, nameof(low));
        return new(FunTrpo.Space.NewBox(VectorModule.ofArray(low.ToArray()), VectorModule.ofArray(high.ToArray())));
    }

    /// <summary>Several independent choices, the i-th one of 0 … <c>counts[i]</c> − 1.</summary>
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

    /// <summary>Several independent switches, each 0 or 1.</summary>
    public static Space MultiBinary(int count)
    {
        RequireCount(count, nameof(count));
        return new(FunTrpo.Space.NewMultiBinary(count));
    }

    /// <summary>Whether the numbers are an element of the space.</summary>
    public bool Contains(ReadOnlySpan<float> numbers) => SpaceModule.contains(Value, numbers);

    /// <inheritdoc/>
    public bool Equals(Space? other) => other is not null && Value.Equals(other.Value);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Space);

    /// <inheritdoc/>
    public override int GetHashCode() => Value.GetHashCode();

    /// <summary>Whether both have the same elements.</summary>
    public static bool operator ==(Space? a, Space? b) => Equals(a, b);

    /// <summary>Whether they differ.</summary>
    public static bool operator !=(Space? a, Space? b) => !Equals(a, b);

    private static void RequireCount(int count, string name)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1, name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(count, SpaceModule.most, name);
    }

    /// <summary>As a person would write it: <c>Box(2; [-1, 1])</c>.</summary>
    public override string ToString() => SpaceModule.describe(Value);
}
