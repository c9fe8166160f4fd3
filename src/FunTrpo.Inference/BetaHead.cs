using System;

namespace FunTrpo.Inference;

/// <summary>
/// Independent Beta distributions between the bounds of a box. The outputs are one number for each α and then one for each β, which are
/// 1 + log(1 + e^output).
/// </summary>
internal sealed class BetaHead : Head
{
    private const float LowestOutput = -20f;
    private const float HighestOutput = 1e6f;

    private readonly BoxUnits units;
    private readonly int width;

    public BetaHead(Space space)
    {
        units = new BoxUnits(space, true);
        width = space.Width;
    }

    public override void Mode(ReadOnlySpan<float> outputs, Span<float> action)
    {
        for (int i = 0; i < action.Length; i++)
        {
            double excessAlpha = Excess(outputs[i]);
            double excessBeta = Excess(outputs[width + i]);
            action[i] = units.SquashedAction(i, (float)(0.5 * (Math.Log(excessAlpha) - Math.Log(excessBeta))));
        }
    }

    public override void Sample(ReadOnlySpan<float> outputs, Random random, Span<float> action)
    {
        for (int i = 0; i < action.Length; i++)
        {
            double logAlpha = LogGamma(1.0 + Excess(outputs[i]), random);
            double logBeta = LogGamma(1.0 + Excess(outputs[width + i]), random);
            action[i] = units.SquashedAction(i, (float)(0.5 * (logAlpha - logBeta)));
        }
    }

    public override ActionDistribution Distribution(ReadOnlySpan<float> outputs)
    {
        double[] alpha = new double[width];
        double[] beta = new double[width];
        double[] mean = new double[width];
        double[] standardDeviation = new double[width];
        for (int i = 0; i < width; i++)
        {
            alpha[i] = 1.0 + Excess(outputs[i]);
            beta[i] = 1.0 + Excess(outputs[width + i]);
            double total = alpha[i] + beta[i];
            double variance = alpha[i] / total * (beta[i] / total) / (total + 1.0);
            mean[i] = units.Number(i, (float)((alpha[i] - beta[i]) / total));
            standardDeviation[i] = units.Distance(i, 2.0 * Math.Sqrt(variance));
        }

        return new ActionDistribution
        {
            Alpha = Array.AsReadOnly(alpha),
            Beta = Array.AsReadOnly(beta),
            Mean = Array.AsReadOnly(mean),
            StandardDeviation = Array.AsReadOnly(standardDeviation),
        };
    }

    /// <summary>α − 1 or β − 1.</summary>
    private static double Excess(float output)
    {
        double bound = Math.Clamp(output, LowestOutput, HighestOutput);
        return Math.Max(bound, 0.0) + Log1P(Math.Exp(-Math.Abs(bound)));
    }

    /// <summary>log(1 + x), also where 1 + x rounds to 1. W. Kahan's formula.</summary>
    private static double Log1P(double x)
    {
        double sum = 1.0 + x;
        return sum == 1.0 ? x : Math.Log(sum) * (x / (sum - 1.0));
    }

    /// <summary>
    /// The logarithm of a number with the Γ distribution, for a shape of at least 1. Marsaglia and Tsang, "A simple method for generating gamma
    /// variables" (2000).
    /// </summary>
    private static double LogGamma(double shape, Random random)
    {
        double d = shape - (1.0 / 3.0);
        double c = 1.0 / Math.Sqrt(9.0 * d);
        while (true)
        {
            double z = Normal.Draw(random);
            double root = 1.0 + (c * z);
            if (root > 0.0)
            {
                double logV = 3.0 * Math.Log(root);
                double v = root * root * root;
                if (Math.Log(1.0 - random.NextDouble()) < (0.5 * z * z) + (d * (1.0 - v + logV)))
                {
                    return Math.Log(d) + logV;
                }
            }
        }
    }
}
