namespace FunTrpo.Kernels;

/// <summary>Selects whether a tile also has the rows at the same places of the other half.</summary>
/// <remarks>
/// A tile of eight rows of one vector has eight chains of additions, too few to keep the multipliers busy: each waits for the one before it. The
/// rows of the other half are read with the same eight addresses, at a constant distance, and need no further ones.
/// </remarks>
internal interface IHalves
{
    /// <summary>Whether it has them.</summary>
    static abstract bool AreBoth { get; }
}

internal readonly struct BothHalves : IHalves
{
    public static bool AreBoth => true;
}

internal readonly struct OneHalf : IHalves
{
    public static bool AreBoth => false;
}

internal static class Halves
{
    /// <summary>
    /// Returns how many rows of a half are computed together with those of the other half, in tiles of one vector: whole tiles, if the processor
    /// has the 18 registers that a tile needs.
    /// </summary>
    public static int RowsOfTiles(int half, int registers) => registers < 32 ? 0 : half / 8 * 8;
}
