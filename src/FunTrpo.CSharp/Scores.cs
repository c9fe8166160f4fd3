using System;
using System.Collections.Generic;
using System.Text.Json.Serialization;
using static System.FormattableString;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// The returns and lengths of the episodes of an evaluation. A policy takes its most probable actions, or a rule chooses the actions.
/// </summary>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed record Scores
{
    /// <summary>Creates empty scores, for object initialisers and deserialisation.</summary>
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

    /// <summary>Returns the mean and the standard deviation in one line.</summary>
    public override string ToString() => Invariant($"{Mean:F2} ± {StandardDeviation:F2} over {Returns.Count} episodes");

    /// <summary>The mean of the returns.</summary>
    public double Mean { get; init; }

    /// <summary>The population standard deviation of the returns.</summary>
    public double StandardDeviation { get; init; }

    /// <summary>The median of the returns.</summary>
    /// <exception cref="ArgumentException">There are no returns.</exception>
    public double Median() => Core.Statistics.median([.. Returns]);

    /// <summary>
    /// The interquartile mean: the mean of the returns without the lowest and the highest quarter. It depends less on outliers than the
    /// mean, and less on single episodes than the median.
    /// </summary>
    /// <exception cref="ArgumentException">There are no returns.</exception>
    public double InterquartileMean() => Core.Statistics.interquartileMean([.. Returns]);

    /// <summary>The 95 % confidence interval of the mean, by the bootstrap. It depends on the returns alone.</summary>
    /// <exception cref="ArgumentException">There are no returns.</exception>
    public ConfidenceInterval MeanInterval()
    {
        Core.Interval interval = Core.Statistics.meanInterval([.. Returns]);
        return new(interval.Low, interval.High);
    }

    /// <summary>The smallest return.</summary>
    public double Min { get; init; }

    /// <summary>The largest return.</summary>
    public double Max { get; init; }

    /// <summary>The undiscounted return of each episode.</summary>
    public IReadOnlyList<double> Returns
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>The number of steps of each episode, in the order of <see cref="Returns"/>.</summary>
    public IReadOnlyList<int> Lengths
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<int>([]);
}

/// <summary>A confidence interval.</summary>
/// <param name="Low">The lower end.</param>
/// <param name="High">The upper end.</param>
public sealed record ConfidenceInterval(double Low, double High);
