namespace FunTrpo.Kernels;

/// <summary>
/// The layout of rows that have at least as many numbers as a vector. A row is stored as whole vectors. The last vector ends with the row,
/// so its first numbers may repeat numbers of the previous vector. Kernels that read such rows then need neither padding nor code for
/// remainders. A row is stored as one or two runs of whole vectors.
/// </summary>
internal readonly struct TailedRows(int length)
{
    /// <summary>The stride of the rows.</summary>
    public int Stride => Lanes.Pad(length);

    /// <summary>The number of runs of a row.</summary>
    public int Runs => length == Whole ? 1 : 2;

    /// <summary>The number of first numbers that fill whole vectors.</summary>
    public int Whole => length / Lanes.Width * Lanes.Width;

    /// <summary>Returns the index, in the row, of the first number of a run.</summary>
    public int First(int run) => run == 0 ? 0 : length - Lanes.Width;

    /// <summary>Returns the position, in the stored row, at which a run begins.</summary>
    public int Place(int run) => run == 0 ? 0 : Whole;

    /// <summary>Returns the number of numbers of a run.</summary>
    public int Count(int run) => run == 0 ? Whole : Lanes.Width;
}
