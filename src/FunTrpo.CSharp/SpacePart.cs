namespace FunTrpo.CSharp;

/// <summary>A part of a space, with its name (<see cref="Space.Parts"/>).</summary>
/// <param name="Name">The name.</param>
/// <param name="Space">The space of the part.</param>
public readonly record struct SpacePart(string Name, Space Space)
{
    /// <summary>Converts a pair of a name and a space, so that parts can be written as pairs.</summary>
    public static implicit operator SpacePart((string Name, Space Space) pair) => new(pair.Name, pair.Space);
}
