using System;
using System.Collections.Generic;

namespace FunTrpo.Inference;

/// <summary>
/// The distribution of actions that a policy has for one observation: a probability for each alternative or, for continuous actions, a
/// normal distribution, a squashed normal distribution or a Beta distribution for each coordinate.
/// </summary>
public sealed class ActionDistribution
{
    internal ActionDistribution() { }

    /// <summary>
    /// The probability of each alternative, by its index. If an action consists of several choices or switches, the probabilities of the
    /// first come first, then those of the second, and so on; <see cref="Space.Counts"/> gives the number of each. Empty if actions are
    /// continuous.
    /// </summary>
    public IReadOnlyList<double> Probabilities { get; internal set; } = Array.Empty<double>();

    /// <summary>
    /// The mean of each coordinate of a continuous action, in the unit of that coordinate. The most probable action of a normal distribution is
    /// the mean, clipped to the action space. Empty if actions are not continuous, or if the distribution is squashed.
    /// </summary>
    public IReadOnlyList<double> Mean { get; internal set; } = Array.Empty<double>();

    /// <summary>
    /// The standard deviation of each coordinate of a continuous action, in the unit of that coordinate, before a sampled action is clipped
    /// to the action space. Empty where <see cref="Mean"/> is.
    /// </summary>
    public IReadOnlyList<double> StandardDeviation { get; internal set; } = Array.Empty<double>();

    /// <summary>
    /// The mean of a normally distributed u for each coordinate, if the distribution is a squashed Gaussian. The action is the middle of the
    /// coordinate's bounds, plus tanh u times half their distance. Empty for other distributions.
    /// </summary>
    public IReadOnlyList<double> LatentMean { get; internal set; } = Array.Empty<double>();

    /// <summary>The standard deviation of u, for <see cref="LatentMean"/>.</summary>
    public IReadOnlyList<double> LatentStandardDeviation { get; internal set; } = Array.Empty<double>();

    /// <summary>
    /// The α of the Beta distribution of each coordinate between its bounds, which is above 1. Empty for other distributions.
    /// </summary>
    public IReadOnlyList<double> Alpha { get; internal set; } = Array.Empty<double>();

    /// <summary>
    /// The β of the Beta distribution of each coordinate between its bounds, which is above 1. Empty for other distributions.
    /// </summary>
    public IReadOnlyList<double> Beta { get; internal set; } = Array.Empty<double>();

    /// <summary>The independent distributions of the parts of an action. Empty if actions have no parts.</summary>
    public IReadOnlyList<PartDistribution> Parts { get; internal set; } = Array.Empty<PartDistribution>();
}

/// <summary>The distribution of a part of an action.</summary>
public sealed class PartDistribution
{
    internal PartDistribution(string name, ActionDistribution distribution)
    {
        Name = name;
        Distribution = distribution;
    }

    /// <summary>The name of the part.</summary>
    public string Name { get; }

    /// <summary>Its distribution.</summary>
    public ActionDistribution Distribution { get; }
}
