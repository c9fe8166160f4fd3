using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// The distribution of actions that a policy has for one observation: a probability for each alternative or, for continuous actions, a
/// normal distribution, a squashed normal distribution or a Beta distribution for each coordinate.
/// </summary>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed record ActionDistribution
{
    /// <summary>Creates an empty distribution, for object initialisers and deserialisation.</summary>
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
        else if (core is Core.ActionDistribution.Parts parts)
        {
            Parts = [.. parts.Item.Select(part => new PartDistribution(part.Item1, new(part.Item2)))];
        }
        else if (core is Core.ActionDistribution.SquashedNormals squashed)
        {
            LatentMean = squashed.means;
            LatentStandardDeviation = squashed.deviations;
        }
        else if (core is Core.ActionDistribution.Betas betas)
        {
            Alpha = betas.alphas;
            Beta = betas.betas;
            Mean = betas.means;
            StandardDeviation = betas.deviations;
        }
    }

    /// <summary>
    /// The probability of each alternative, by its index. If an action consists of several choices or switches, the probabilities of the
    /// first come first, then those of the second, and so on; <see cref="Space.Counts"/> gives the number of each. The probabilities of
    /// one choice sum to 1. Empty if actions are continuous.
    /// </summary>
    public IReadOnlyList<double> Probabilities
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>
    /// The mean of each coordinate of a continuous action, in the unit of that coordinate. The most probable action of a normal distribution is
    /// the mean, clipped to the action space. Empty if actions are not continuous, or if the distribution is squashed.
    /// </summary>
    public IReadOnlyList<double> Mean
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>
    /// The standard deviation of each coordinate of a continuous action, in the unit of that coordinate, before a sampled action is clipped
    /// to the action space. Empty where <see cref="Mean"/> is.
    /// </summary>
    public IReadOnlyList<double> StandardDeviation
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>
    /// The mean of a normally distributed u for each coordinate, if the distribution is
    /// <see cref="ActionDistributionKind.SquashedGaussian"/>. The action is the middle of the coordinate's bounds, plus tanh u times half
    /// their distance. Empty for other distributions.
    /// </summary>
    public IReadOnlyList<double> LatentMean
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>The standard deviation of u, for <see cref="LatentMean"/>.</summary>
    public IReadOnlyList<double> LatentStandardDeviation
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>
    /// The α of each coordinate's distribution between its bounds, which is above 1, if the distribution is
    /// <see cref="ActionDistributionKind.Beta"/>. Empty for other distributions.
    /// </summary>
    public IReadOnlyList<double> Alpha
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>
    /// The β of each coordinate's distribution between its bounds, which is above 1, if the distribution is
    /// <see cref="ActionDistributionKind.Beta"/>. Empty for other distributions.
    /// </summary>
    public IReadOnlyList<double> Beta
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>The independent distributions of the parts of an action. Empty if actions have no parts.</summary>
    public IReadOnlyList<PartDistribution> Parts
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<PartDistribution>([]);
}

/// <summary>The distribution of a part of an action.</summary>
/// <param name="Name">The name of the part.</param>
/// <param name="Distribution">Its distribution.</param>
public sealed record PartDistribution(string Name, ActionDistribution Distribution);
