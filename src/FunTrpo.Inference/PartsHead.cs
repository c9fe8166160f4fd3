using System;
using System.Linq;

namespace FunTrpo.Inference;

/// <summary>
/// Independent distributions of the parts of an action. The outputs are those of the first part, then those of the second, and so on.
/// </summary>
internal sealed class PartsHead : Head
{
    private readonly string[] names;
    private readonly Head[] heads;
    private readonly int[] outputCounts;
    private readonly int[] widths;

    /// <summary>Creates the head. The log σ of the parts follow one another, too.</summary>
    public PartsHead(Space actions, BoxDistribution distribution, float[] logSigmas, bool isScaled)
    {
        names = actions.PartsInOrder.Select(part => part.Name).ToArray();
        widths = actions.PartsInOrder.Select(part => part.Space.Width).ToArray();
        heads = new Head[names.Length];
        outputCounts = new int[names.Length];
        int first = 0;
        for (int i = 0; i < heads.Length; i++)
        {
            Space part = actions.PartsInOrder[i].Space;
            (long outputs, long own) = BoxDistributions.Sizes(part, distribution);
            float[] ownLogSigmas = logSigmas.AsSpan(first, (int)own).ToArray();
            outputCounts[i] = (int)outputs;
            heads[i] = For(part, distribution, ownLogSigmas, isScaled);
            first += (int)own;
        }
    }

    public override void Mode(ReadOnlySpan<float> outputs, Span<float> action)
    {
        for (int i = 0; i < heads.Length; i++)
        {
            heads[i].Mode(Outputs(ref outputs, i), Action(ref action, i));
        }
    }

    public override void Sample(ReadOnlySpan<float> outputs, Random random, Span<float> action)
    {
        for (int i = 0; i < heads.Length; i++)
        {
            heads[i].Sample(Outputs(ref outputs, i), random, Action(ref action, i));
        }
    }

    public override ActionDistribution Distribution(ReadOnlySpan<float> outputs)
    {
        PartDistribution[] parts = new PartDistribution[heads.Length];
        for (int i = 0; i < heads.Length; i++)
        {
            ActionDistribution distribution = heads[i].Distribution(Outputs(ref outputs, i));
            parts[i] = new PartDistribution(names[i], distribution);
        }

        return new ActionDistribution { Parts = Array.AsReadOnly(parts) };
    }

    /// <summary>Returns the outputs of a part, which are the first of the rest, and removes them from the rest.</summary>
    private ReadOnlySpan<float> Outputs(ref ReadOnlySpan<float> rest, int part)
    {
        ReadOnlySpan<float> own = rest.Slice(0, outputCounts[part]);
        rest = rest.Slice(outputCounts[part]);
        return own;
    }

    /// <summary>Does the same with the numbers of an action.</summary>
    private Span<float> Action(ref Span<float> rest, int part)
    {
        Span<float> own = rest.Slice(0, widths[part]);
        rest = rest.Slice(widths[part]);
        return own;
    }
}
