using System;

namespace FunTrpo.Inference;

/// <summary>
/// Independent normal distributions for the coordinates of a box. The outputs are the means of drawn numbers, and perhaps their log σ. An
/// action outside the box is clipped to it; or the drawn numbers are squashed, and their tanh counts in half-widths.
/// </summary>
internal sealed class GaussianHead : Head
{
    private const float LowestLogSigma = -20f;
    private const float HighestLogSigma = 10f;

    private readonly BoxUnits units;
    private readonly int width;

    /// <summary>The standard deviations of drawn numbers; none if they depend on the observation.</summary>
    private readonly float[] deviations;
    private readonly bool isSquashed;

    /// <summary>Creates the head. Without state-independent log σ, they are the second half of the outputs.</summary>
    public GaussianHead(Space space, float[] logSigmas, bool isScaled, bool isSquashed)
    {
        units = new BoxUnits(space, isScaled || isSquashed);
        width = space.Width;
        deviations = Array.ConvertAll(logSigmas, DeviationOf);
        this.isSquashed = isSquashed;
    }

    public override void Mode(ReadOnlySpan<float> outputs, Span<float> action)
    {
        for (int i = 0; i < action.Length; i++)
        {
            action[i] = Action(i, outputs[i]);
        }
    }

    public override void Sample(ReadOnlySpan<float> outputs, Random random, Span<float> action)
    {
        for (int i = 0; i < action.Length; i++)
        {
            action[i] = Action(i, outputs[i] + (Deviation(outputs, i) * (float)Normal.Draw(random)));
        }
    }

    public override ActionDistribution Distribution(ReadOnlySpan<float> outputs)
    {
        double[] mean = new double[width];
        double[] standardDeviation = new double[width];
        for (int i = 0; i < width; i++)
        {
            mean[i] = isSquashed ? outputs[i] : units.Number(i, outputs[i]);
            float deviation = Deviation(outputs, i);
            standardDeviation[i] = isSquashed ? deviation : units.Distance(i, deviation);
        }

        return isSquashed
            ? new ActionDistribution
            {
                LatentMean = Array.AsReadOnly(mean),
                LatentStandardDeviation = Array.AsReadOnly(standardDeviation),
            }
            : new ActionDistribution
            {
                Mean = Array.AsReadOnly(mean),
                StandardDeviation = Array.AsReadOnly(standardDeviation),
            };
    }

    private float Action(int coordinate, float drawn) =>
        isSquashed ? units.SquashedAction(coordinate, drawn) : units.Action(coordinate, drawn);

    private float Deviation(ReadOnlySpan<float> outputs, int coordinate) =>
        deviations.Length > 0 ? deviations[coordinate] : DeviationOf(outputs[width + coordinate]);

    private static float DeviationOf(float logSigma) =>
        (float)Math.Exp(Math.Clamp(logSigma, LowestLogSigma, HighestLogSigma));
}
