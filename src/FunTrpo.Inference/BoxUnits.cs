using System;

namespace FunTrpo.Inference;

/// <summary>
/// The units in which the numbers of a head count actions of a box, and its bounds. Scaled actions count in half the width of a coordinate,
/// from its middle. In float64, because the width of a coordinate may exceed float32.
/// </summary>
internal sealed class BoxUnits
{
    private readonly Space space;
    private readonly double[] middle;
    private readonly double[] half;

    public BoxUnits(Space space, bool isScaled)
    {
        this.space = space;
        middle = new double[space.Width];
        half = new double[space.Width];
        for (int i = 0; i < space.Width; i++)
        {
            double low = space.LowSpan[i];
            double high = space.HighSpan[i];
            bool hasUnits = isScaled && double.IsFinite(low) && double.IsFinite(high);
            middle[i] = hasUnits ? 0.5 * (low + high) : 0.0;
            half[i] = hasUnits ? 0.5 * (high - low) : 1.0;
        }
    }

    /// <summary>A number in the units of its coordinate.</summary>
    public float Number(int coordinate, float counted) => (float)(middle[coordinate] + (half[coordinate] * counted));

    /// <summary>A distance, such as a standard deviation, in the units of its coordinate.</summary>
    public double Distance(int coordinate, double counted) => half[coordinate] * counted;

    /// <summary>The action for a drawn number, clipped to the box.</summary>
    public float Action(int coordinate, float drawn) =>
        Math.Clamp(Number(coordinate, drawn), space.LowSpan[coordinate], space.HighSpan[coordinate]);

    /// <summary>The action for a drawn number whose tanh counts in half the width of its coordinate.</summary>
    public float SquashedAction(int coordinate, float drawn) => Action(coordinate, (float)Math.Tanh(drawn));
}
