using System;

namespace FunTrpo.Inference;

/// <summary>
/// Independent normal distributions for the coordinates of a box. The outputs are the means of drawn actions. Scaled actions count in half
/// the width of a coordinate, from its middle; an action outside the box is clipped to it.
/// </summary>
internal sealed class GaussianHead : Head
{
    private const float LowestLogSigma = -20f;
    private const float HighestLogSigma = 10f;

    private readonly Space space;
    private readonly float[] deviations;
    private readonly double[] middle;
    private readonly double[] half;

    public GaussianHead(Space space, float[] logSigmas, bool isScaled)
    {
        this.space = space;
        middle = new double[space.Width];
        half = new double[space.Width];
        deviations = new float[space.Width];
        for (int i = 0; i < space.Width; i++)
        {
            // In float64, because the width of a coordinate may exceed float32.
            double low = space.LowSpan[i];
            double high = space.HighSpan[i];
            bool hasUnits = isScaled && double.IsFinite(low) && double.IsFinite(high);
            middle[i] = hasUnits ? 0.5 * (low + high) : 0.0;
            half[i] = hasUnits ? 0.5 * (high - low) : 1.0;
            deviations[i] = (float)Math.Exp(Math.Clamp(logSigmas[i], LowestLogSigma, HighestLogSigma));
        }
    }

    public override void Mode(ReadOnlySpan<float> outputs, Span<float> action)
    {
        for (int i = 0; i < action.Length; i++)
        {
            action[i] = Clip(i, InUnits(i, outputs[i]));
        }
    }

    public override void Sample(ReadOnlySpan<float> outputs, Random random, Span<float> action)
    {
        for (int i = 0; i < action.Length; i++)
        {
            action[i] = Clip(i, InUnits(i, outputs[i] + (deviations[i] * (float)Normal(random))));
        }
    }

    public override ActionDistribution Distribution(ReadOnlySpan<float> outputs)
    {
        double[] mean = new double[outputs.Length];
        double[] standardDeviation = new double[outputs.Length];
        for (int i = 0; i < outputs.Length; i++)
        {
            mean[i] = InUnits(i, outputs[i]);
            standardDeviation[i] = half[i] * deviations[i];
        }

        return new ActionDistribution(Array.Empty<double>(), mean, standardDeviation);
    }

    /// <summary>A drawn number in the units of its coordinate.</summary>
    private float InUnits(int coordinate, float drawn) => (float)(middle[coordinate] + (half[coordinate] * drawn));

    private float Clip(int coordinate, float number) =>
        Math.Clamp(number, space.LowSpan[coordinate], space.HighSpan[coordinate]);

    /// <summary>A standard normal random number. Box and Muller, "A note on the generation of random normal deviates" (1958).</summary>
    private static double Normal(Random random) =>
        Math.Sqrt(-2.0 * Math.Log(1.0 - random.NextDouble())) * Math.Cos(2.0 * Math.PI * random.NextDouble());
}
