using System;

namespace FunTrpo.Inference;

/// <summary>y = g ⊙ (x − μ) / √(σ² + 10⁻⁵) + b, with the mean and the variance of the row. The parameters are g and then b.</summary>
internal sealed class LayerNormLayer : Layer
{
    private const double Epsilon = 1e-5;

    private readonly float[] parameters;
    private readonly int gains;

    public LayerNormLayer(float[] parameters, int offset, int width)
        : base(width)
    {
        this.parameters = parameters;
        gains = offset;
    }

    public override void Forward(ReadOnlySpan<float> input, Span<float> memory, Span<float> output)
    {
        double sum = 0.0;
        for (int i = 0; i < Outputs; i++)
        {
            sum += input[i];
        }

        float mean = (float)(sum / Outputs);
        double squares = 0.0;
        for (int i = 0; i < Outputs; i++)
        {
            float deviation = input[i] - mean;
            squares += (double)deviation * deviation;
        }

        float scale = (float)(1.0 / Math.Sqrt((squares / Outputs) + Epsilon));
        for (int i = 0; i < Outputs; i++)
        {
            float normalised = (input[i] - mean) * scale;
            output[i] = Activation.MultiplyAdd(parameters[gains + i], normalised, parameters[gains + Outputs + i]);
        }
    }
}
