using System;

namespace FunTrpo.Inference;

/// <summary>Standard normal random numbers.</summary>
internal static class Normal
{
    /// <summary>Draws one. Box and Muller, "A note on the generation of random normal deviates" (1958).</summary>
    public static double Draw(Random random) =>
        Math.Sqrt(-2.0 * Math.Log(1.0 - random.NextDouble())) * Math.Cos(2.0 * Math.PI * random.NextDouble());
}
