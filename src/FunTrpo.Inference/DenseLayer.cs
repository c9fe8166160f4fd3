using System;

namespace FunTrpo.Inference;

/// <summary>
/// y = f(W x + b) or, for indices, y = f(Σ rows of a table). The weights are stored input by input, so that those of an input, or of an
/// index, are consecutive; the biases follow them.
/// </summary>
internal sealed class DenseLayer : Layer
{
    private readonly float[] parameters;
    private readonly int weights;
    private readonly int biases;
    private readonly int[]? firstRows;
    private readonly Func<float, float> activation;

    /// <param name="parameters">The parameters of the whole network.</param>
    /// <param name="offset">Where those of the layer begin.</param>
    /// <param name="inputs">The number of rows of weights: one for each input, or for each index.</param>
    /// <param name="outputs">The number of outputs.</param>
    /// <param name="firstRows">For indices: the row of the table at which the indices of each column begin.</param>
    /// <param name="activation">f.</param>
    public DenseLayer(
        float[] parameters,
        int offset,
        int inputs,
        int outputs,
        int[]? firstRows,
        Func<float, float> activation
    )
        : base(outputs)
    {
        this.parameters = parameters;
        this.firstRows = firstRows;
        this.activation = activation;
        weights = offset;
        biases = offset + (inputs * outputs);
    }

    public override void Forward(ReadOnlySpan<float> input, Span<float> memory, Span<float> output)
    {
        output = output.Slice(0, Outputs);
        if (firstRows is null)
        {
            parameters.AsSpan(biases, Outputs).CopyTo(output);
        }
        else
        {
            output.Clear();
        }

        for (int i = 0; i < input.Length; i++)
        {
            int row = firstRows is null ? i : firstRows[i] + (int)input[i];
            float factor = firstRows is null ? input[i] : 1f;
            AddRow(factor, parameters.AsSpan(weights + (row * Outputs), Outputs), output);
        }

        Apply(activation, output);
    }
}
