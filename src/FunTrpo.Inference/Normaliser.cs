using System;

namespace FunTrpo.Inference;

/// <summary>Observations standardised by the moments of those that training has seen: (x − mean) / √(variance + 10⁻¹²), clipped to ±10, where the root is at least 10⁻¹² |mean|. Columns of labels are not changed.</summary>
internal sealed class Normaliser
{
    private const float Clip = 10f;
    private const double Epsilon = 1e-12;

    /// <summary>A deviation below this fraction of the mean is rounding error.</summary>
    private const double Rounding = 1e-12;

    private readonly double[] means;
    private readonly double[] scales;
    private readonly bool[] areLabels;

    /// <param name="count">The number of observations seen, more than 0.</param>
    /// <param name="means">The mean of each column.</param>
    /// <param name="squaredDeviations">The sum of squared deviations of each column from its mean.</param>
    /// <param name="observations">The space of the observations.</param>
    public Normaliser(double count, double[] means, double[] squaredDeviations, Space observations)
    {
        this.means = means;
        areLabels = LabelsOf(observations);
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
            normalised[i] = areLabels[i]
                ? observation[i]
                : Math.Clamp((float)((observation[i] - means[i]) * scales[i]), -Clip, Clip);
        }
    }

    /// <summary>Whether each column of a row holds an index.</summary>
    private static bool[] LabelsOf(Space space)
    {
        bool[] areLabels = new bool[space.Width];
        foreach (Place leaf in space.Leaves)
        {
            if (leaf.Space.HasIndices)
            {
                areLabels.AsSpan(leaf.First, leaf.Space.Width).Fill(true);
            }
        }

        return areLabels;
    }
}
