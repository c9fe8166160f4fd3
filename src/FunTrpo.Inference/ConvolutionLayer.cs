using System;

namespace FunTrpo.Inference;

/// <summary>y = f(W p + b) for each patch p of a picture. The weights are stored number by number of a patch; the biases follow them.</summary>
internal sealed class ConvolutionLayer : Layer
{
    private readonly float[] parameters;
    private readonly int weights;
    private readonly Patches patches;
    private readonly int filters;
    private readonly Func<float, float> activation;

    public ConvolutionLayer(float[] parameters, int offset, Patches patches, int filters, Func<float, float> activation)
        : base(patches.Count * filters)
    {
        this.parameters = parameters;
        weights = offset;
        this.patches = patches;
        this.filters = filters;
        this.activation = activation;
    }

    public override void Forward(ReadOnlySpan<float> input, Span<float> memory, Span<float> output)
    {
        for (int patch = 0; patch < patches.Count; patch++)
        {
            Span<float> sums = output.Slice(patch * filters, filters);
            parameters.AsSpan(weights + (patches.Size * filters), filters).CopyTo(sums);
            for (int k = 0; k < patches.Size; k++)
            {
                ReadOnlySpan<float> row = parameters.AsSpan(weights + (k * filters), filters);
                AddRow(input[patches.Place(patch, k)], row, sums);
            }

            Apply(activation, sums);
        }
    }
}
