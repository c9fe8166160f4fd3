using System;
using System.Collections.Generic;

namespace FunTrpo.Inference;

/// <summary>
/// The distribution of actions that a policy has for one observation: a probability for each alternative or, for continuous actions, a
/// normal distribution for each coordinate.
/// </summary>
public sealed class ActionDistribution
{
    internal ActionDistribution(double[] probabilities, double[] mean, double[] standardDeviation)
    {
        Probabilities = Array.AsReadOnly(probabilities);
        Mean = Array.AsReadOnly(mean);
        StandardDeviation = Array.AsReadOnly(standardDeviation);
    }

    /// <summary>
    /// The probability of each alternative, by its index. If an action consists of several choices or switches, the probabilities of the
    /// first come first, then those of the second, and so on; <see cref="Space.Counts"/> gives the number of each. Empty if actions are
    /// continuous.
    /// </summary>
    public IReadOnlyList<double> Probabilities { get; }

    /// <summary>
    /// The mean of each coordinate of a continuous action, in the unit of that coordinate. The most probable action is the mean, clipped to
    /// the action space. Empty if actions are not continuous.
    /// </summary>
    public IReadOnlyList<double> Mean { get; }

    /// <summary>
    /// The standard deviation of each coordinate of a continuous action, in the unit of that coordinate, before a sampled action is clipped
    /// to the action space. Empty if actions are not continuous.
    /// </summary>
    public IReadOnlyList<double> StandardDeviation { get; }
}
