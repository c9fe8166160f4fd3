namespace FunTrpo.CSharp;

/// <summary>A part of a space, with its name (<see cref="Space.Parts"/>).</summary>
/// <param name="Name">The name.</param>
/// <param name="Space">The space of the part.</param>
public readonly record struct SpacePart(string Name, Space Space);
