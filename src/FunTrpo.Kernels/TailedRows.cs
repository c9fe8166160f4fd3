namespace FunTrpo.Kernels;

/// <summary>
/// How rows of a vector of numbers or more are laid out: as whole vectors, of which the last one ends with the row and so may begin
/// with numbers that are in the one before it too. Kernels then need neither padding where they read such rows, nor remainders.
/// A row is one or two runs of whole vectors.
/// </summary>
internal readonly struct TailedRows(int length)
{
    /// <summary>How far apart the rows are.</summary>
    public int Stride => Lanes.Pad(length);

    /// <summary>How many runs a row has.</summary>
    public int Runs => length == Whole ? 1 : 2;

    /// <summary>So many of the first numbers fill vectors.</summary>
    public int Whole => length / Lanes.Width * Lanes.Width;

    /// <summary>The first number of a run.</summary>
    public int First(int run) => run == 0 ? 0 : length - Lanes.Width;

    /// <summary>Where that number is in the row.</summary>
    public int Place(int run) => run == 0 ? 0 : Whole;

    /// <summary>How many numbers a run has.</summary>
    public int Count(int run) => run == 0 ? Whole : Lanes.Width;
}
