using System.Collections.Immutable;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The undiscounted returns of episodes in which the most probable action was always taken.</summary>
public sealed record Scores
{
    internal Scores(Core.Scores core)
    {
        Mean = core.Mean;
        StandardDeviation = core.Std;
        Min = core.Min;
        Max = core.Max;
        Returns = core.Returns;
    }

    /// <summary>Mean and spread, in a line.</summary>
    public override string ToString() => $"{Mean:F2} ± {StandardDeviation:F2} over {Returns.Length} episodes";

    /// <summary>Their mean.</summary>
    public double Mean { get; }

    /// <summary>Their population standard deviation.</summary>
    public double StandardDeviation { get; }

    /// <summary>The smallest.</summary>
    public double Min { get; }

    /// <summary>The largest.</summary>
    public double Max { get; }

    /// <summary>All of them, episode by episode.</summary>
    public ImmutableArray<double> Returns { get; }
}
