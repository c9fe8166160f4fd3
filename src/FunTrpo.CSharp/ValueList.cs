using System;
using System.Collections;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;

namespace FunTrpo.CSharp;

/// <summary>
/// An immutable list that is equal to another if their items are equal, and that prints its items. The records of the facade copy the
/// lists that they receive into such lists.
/// </summary>
internal sealed class ValueList<T>(IEnumerable<T> items) : IReadOnlyList<T>, IEquatable<ValueList<T>>
{
    private readonly T[] items = [.. items];

    public int Count => items.Length;

    public T this[int index] => items[index];

    public bool Equals(ValueList<T>? other) => other is not null && items.AsSpan().SequenceEqual(other.items);

    public override bool Equals(object? obj) => Equals(obj as ValueList<T>);

    public override int GetHashCode()
    {
        HashCode code = default;
        foreach (T item in items)
        {
            code.Add(item);
        }

        return code.ToHashCode();
    }

    public override string ToString() => ValueList.Print(items);

    public IEnumerator<T> GetEnumerator() => items.AsEnumerable().GetEnumerator();

    IEnumerator IEnumerable.GetEnumerator() => items.GetEnumerator();
}

/// <summary>Creates and prints value lists.</summary>
internal static class ValueList
{
    private const int MostPrinted = 20;

    /// <summary>Returns the items as a value list. Null, which JSON may contain in place of a list, gives an empty one.</summary>
    public static ValueList<T> Of<T>(IEnumerable<T>? items) => items as ValueList<T> ?? new(items ?? []);

    /// <summary>
    /// Returns the items in brackets. If there are more than 20, only the first 20 and the count are printed. The culture has no influence.
    /// </summary>
    public static string Print<T>(IReadOnlyCollection<T> items)
    {
        IEnumerable<string> first = items
            .Take(MostPrinted)
            .Select(item => Convert.ToString(item, CultureInfo.InvariantCulture) ?? "");
        string rest = items.Count > MostPrinted ? $", … {items.Count} in all" : "";
        return $"[{string.Join(", ", first)}{rest}]";
    }
}
