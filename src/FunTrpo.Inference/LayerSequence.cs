using System;
using System.Buffers;
using System.Linq;

namespace FunTrpo.Inference;

/// <summary>Layers one after another: each reads the outputs of the one before. Without layers, the outputs are the inputs.</summary>
internal sealed class LayerSequence : Layer
{
    private readonly Layer[] layers;
    private readonly int widest;

    public LayerSequence(int inputs, Layer[] layers)
        : base(layers.Length == 0 ? inputs : layers[layers.Length - 1].Outputs, layers.Sum(layer => layer.Memory))
    {
        this.layers = layers;
        widest = layers.Select(layer => layer.Outputs).DefaultIfEmpty().Max();
    }

    public override void Forward(ReadOnlySpan<float> input, Span<float> memory, Span<float> output)
    {
        if (layers.Length == 0)
        {
            input.CopyTo(output);
            return;
        }

        float[] spare = ArrayPool<float>.Shared.Rent(widest);
        float[] next = ArrayPool<float>.Shared.Rent(widest);
        ReadOnlySpan<float> current = input;
        for (int i = 0; i < layers.Length; i++)
        {
            Layer layer = layers[i];
            Span<float> target = i == layers.Length - 1 ? output : next;
            layer.Forward(current, memory.Slice(0, layer.Memory), target.Slice(0, layer.Outputs));
            memory = memory.Slice(layer.Memory);
            current = target.Slice(0, layer.Outputs);
            (spare, next) = (next, spare);
        }

        ArrayPool<float>.Shared.Return(spare);
        ArrayPool<float>.Shared.Return(next);
    }
}

/// <summary>Layers side by side: each reads its part of the inputs, and their outputs follow one another.</summary>
internal sealed class PartsLayer : Layer
{
    private readonly int[] inputs;
    private readonly LayerSequence[] parts;

    /// <param name="inputs">The number of inputs of each part.</param>
    /// <param name="parts">The layers of each part.</param>
    public PartsLayer(int[] inputs, LayerSequence[] parts)
        : base(parts.Sum(part => part.Outputs), parts.Sum(part => part.Memory))
    {
        this.inputs = inputs;
        this.parts = parts;
    }

    public override void Forward(ReadOnlySpan<float> input, Span<float> memory, Span<float> output)
    {
        for (int i = 0; i < parts.Length; i++)
        {
            LayerSequence part = parts[i];
            part.Forward(input.Slice(0, inputs[i]), memory.Slice(0, part.Memory), output.Slice(0, part.Outputs));
            input = input.Slice(inputs[i]);
            memory = memory.Slice(part.Memory);
            output = output.Slice(part.Outputs);
        }
    }
}

/// <summary>For each index of a row, as many numbers as it has alternatives: 1 for its own, and 0 for the others.</summary>
internal sealed class OneHotLayer : Layer
{
    private readonly Space indices;

    public OneHotLayer(Space indices)
        : base((int)indices.AlternativeCount)
    {
        this.indices = indices;
    }

    public override void Forward(ReadOnlySpan<float> input, Span<float> memory, Span<float> output)
    {
        output.Clear();
        for (int i = 0; i < input.Length; i++)
        {
            output[(int)input[i]] = 1f;
            output = output.Slice(indices.Count(i));
        }
    }
}
