namespace FunTrpo.Inference;

/// <summary>A part of a space, with its name.</summary>
public sealed class SpacePart
{
    internal SpacePart(string name, Space space)
    {
        Name = name;
        Space = space;
    }

    /// <summary>The name.</summary>
    public string Name { get; }

    /// <summary>The space of the part.</summary>
    public Space Space { get; }
}

/// <summary>A space that a row of another one contains, and the column at which it begins.</summary>
internal readonly struct Place
{
    public Place(int first, Space space)
    {
        First = first;
        Space = space;
    }

    public int First { get; }

    public Space Space { get; }
}
