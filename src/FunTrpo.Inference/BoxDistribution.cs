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
            || (actions.Kind == SpaceKind.Box && (!NeedsBounds(distribution) || IsBounded(actions)))
            ? distribution
            : throw new InvalidDataException($"Its distribution {name} is not one for its actions.");
    }

    /// <summary>Whether the log σ of each coordinate is a parameter of its own, after those of the layers.</summary>
    public static bool HasStateIndependent(BoxDistribution distribution) =>
        distribution is BoxDistribution.Gaussian or BoxDistribution.SquashedGaussian;

    private static bool NeedsBounds(BoxDistribution distribution) =>
        distribution is BoxDistribution.SquashedGaussian or BoxDistribution.Beta;

    private static bool IsBounded(Space space)
    {
        for (int i = 0; i < space.Width; i++)
        {
            if (!float.IsFinite(space.LowSpan[i]) || !float.IsFinite(space.HighSpan[i]))
            {
                return false;
            }
        }

        return true;
    }
}
