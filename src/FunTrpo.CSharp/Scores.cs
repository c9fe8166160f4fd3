using System.Collections.Generic;
using System.Text.Json.Serialization;
using static System.FormattableString;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>What episodes came to in which a policy took its most probable actions, or a rule its own.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed record Scores
{
    /// <summary>Scores of no episode, to be filled in.</summary>
    public Scores() { }

    internal Scores(Core.Scores core)
    {
        Mean = core.Mean;
        StandardDeviation = core.Std;
        Min = core.Min;
        Max = core.Max;
        Returns = core.Returns;
        Lengths = core.Lengths;
    }

    /// <summary>Mean and spread, in a line.</summary>
    public override string ToString() => Invariant($"{Mean:F2} ± {StandardDeviation:F2} over {Returns.Count} episodes");

    /// <summary>The mean of the returns.</summary>
    public double Mean { get; init; }

    /// <summary>Their population standard deviation.</summary>
    public double StandardDeviation { get; init; }

    /// <summary>The smallest.</summary>
    public double Min { get; init; }

    /// <summary>The largest.</summary>
    public double Max { get; init; }

    /// <summary>The undiscounted returns, episode by episode.</summary>
    public IReadOnlyList<double> Returns
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>How many steps each episode had.</summary>
    public IReadOnlyList<int> Lengths
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<int>([]);
}
