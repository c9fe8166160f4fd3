using System.Collections.Generic;
using System.Text.Json.Serialization;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// What a policy does where it sees something: how probable each alternative is or, of continuous actions, the normal distributions
/// from which they are drawn.
/// </summary>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed record ActionDistribution
{
    /// <summary>A distribution of nothing, to be filled in.</summary>
    public ActionDistribution() { }

    internal ActionDistribution(Core.ActionDistribution core)
    {
        if (core is Core.ActionDistribution.Choices choices)
        {
            Probabilities = choices.probabilities;
        }
        else if (core is Core.ActionDistribution.Normals normals)
        {
            Mean = normals.means;
            StandardDeviation = normals.deviations;
        }
    }

    /// <summary>
    /// The probability of each alternative of a discrete action, by its index; of several choices or switches, those of each one after
    /// another, as many as <see cref="Space.Counts"/> says. Those of a choice sum to 1. Empty where actions are continuous.
    /// </summary>
    public IReadOnlyList<double> Probabilities
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>
    /// The mean of each coordinate of a continuous action, in its own unit. The most probable action is the mean, clipped to the action
    /// space. Empty where actions are counted.
    /// </summary>
    public IReadOnlyList<double> Mean
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>
    /// The standard deviation of each coordinate, in its own unit, before what is drawn is clipped to the action space. Empty where
    /// actions are counted.
    /// </summary>
    public IReadOnlyList<double> StandardDeviation
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);
}
