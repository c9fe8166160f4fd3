using System;
using System.IO;

namespace FunTrpo.Inference;

/// <summary>The distribution of actions in a box.</summary>
internal enum BoxDistribution
{
    Gaussian,
    StateDependentGaussian,
    SquashedGaussian,
    Beta,
}

/// <summary>What a policy's file says about the distribution of actions in a box.</summary>
internal static class BoxDistributions
{
    /// <summary>The distribution for these actions; a Gaussian if the file says nothing.</summary>
    /// <exception cref="InvalidDataException">The distribution is not known, or is not one for these actions.</exception>
    public static BoxDistribution Read(JsonNode root, Space actions)
    {
        string name = root.Has("distribution") ? root.Text("distribution") : "gaussian";
        BoxDistribution distribution = name switch
        {
            "gaussian" => BoxDistribution.Gaussian,
            "state-dependent-gaussian" => BoxDistribution.StateDependentGaussian,
            "squashed-gaussian" => BoxDistribution.SquashedGaussian,
            "beta" => BoxDistribution.Beta,
            _ => throw new InvalidDataException("It names an unknown distribution."),
        };

        return
            distribution == BoxDistribution.Gaussian
            || (actions.HasBox && (!NeedsBounds(distribution) || IsBounded(actions)))
            ? distribution
            : throw new InvalidDataException($"Its distribution {name} is not one for its actions.");
    }

    /// <summary>
    /// The number of outputs of a network for these actions, and of the parameters after those of its layers. In 64 bits, because a network for
    /// them may be impossible.
    /// </summary>
    public static (long Outputs, long StateIndependent) Sizes(Space actions, BoxDistribution distribution)
    {
        long outputs = 0;
        long stateIndependent = 0;
        foreach (Place leaf in actions.Leaves)
        {
            bool isBox = leaf.Space.Kind == SpaceKind.Box;
            bool hasOwn = isBox && HasStateIndependent(distribution);
            outputs +=
                !isBox ? leaf.Space.AlternativeCount
                : hasOwn ? leaf.Space.Width
                : 2L * leaf.Space.Width;
            stateIndependent += hasOwn ? leaf.Space.Width : 0;
        }

        return (outputs, stateIndependent);
    }

    /// <summary>Whether the log σ of each coordinate is a parameter of its own, after those of the layers.</summary>
    private static bool HasStateIndependent(BoxDistribution distribution) =>
        distribution is BoxDistribution.Gaussian or BoxDistribution.SquashedGaussian;

    private static bool NeedsBounds(BoxDistribution distribution) =>
        distribution is BoxDistribution.SquashedGaussian or BoxDistribution.Beta;

    /// <summary>Whether all numbers of the boxes among the parts have finite bounds.</summary>
    private static bool IsBounded(Space space)
    {
        foreach (Place leaf in space.Leaves)
        {
            if (!AreFinite(leaf.Space.LowSpan) || !AreFinite(leaf.Space.HighSpan))
            {
                return false;
            }
        }

        return true;
    }

    private static bool AreFinite(ReadOnlySpan<float> bounds)
    {
        foreach (float bound in bounds)
        {
            if (!float.IsFinite(bound))
            {
                return false;
            }
        }

        return true;
    }
}
