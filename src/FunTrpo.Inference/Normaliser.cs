using System;

namespace FunTrpo.Inference;

/// <summary>Observations standardised by the moments of those that training has seen: (x − mean) / √(variance + 10⁻¹²), clipped to ±10, where the root is at least 10⁻¹² |mean|.</summary>
internal sealed class Normaliser
{
    private const float Clip = 10f;
    private const double Epsilon = 1e-12;

    /// <summary>A deviation below this fraction of the mean is rounding error.</summary>
    private const double Rounding = 1e-12;

    private readonly double[] means;
    private readonly double[] scales;

    /// <param name="count">The number of observations seen, more than 0.</param>
    /// <param name="means">The mean of each column.</param>
    /// <param name="squaredDeviations">The sum of squared deviations of each column from its mean.</param>
    public Normaliser(double count, double[] means, double[] squaredDeviations)
    {
        this.means = means;
        scales = new double[means.Length];
        for (int i = 0; i < means.Length; i++)
        {
            double deviation = Math.Sqrt((squaredDeviations[i] / count) + Epsilon);
            scales[i] = 1.0 / Math.Max(deviation, Rounding * Math.Abs(means[i]));
        }
    }

    /// <summary>Writes one normalised observation.</summary>
    public void Apply(ReadOnlySpan<float> observation, Span<float> normalised)
    {
        for (int i = 0; i < observation.Length; i++)
        {
            normalised[i] = Math.Clamp((float)((observation[i] - means[i]) * scales[i]), -Clip, Clip);
        }
    }
}
