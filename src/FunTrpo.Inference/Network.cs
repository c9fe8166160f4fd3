using System;
using System.Buffers;

namespace FunTrpo.Inference;

/// <summary>The layers of a policy, with the normaliser of its observations.</summary>
internal sealed class Network
{
    private readonly Normaliser? normaliser;
    private readonly Layer[] layers;
    private readonly int inputs;
    private readonly int widest;

    public Network(int inputs, Normaliser? normaliser, Layer[] layers)
    {
        this.inputs = inputs;
        this.normaliser = normaliser;
        this.layers = layers;
        widest = inputs;
        foreach (Layer layer in layers)
        {
            widest = Math.Max(widest, layer.Outputs);
            Memory += layer.Memory;
        }
    }

    /// <summary>The number of outputs.</summary>
    public int Outputs => layers[layers.Length - 1].Outputs;

    /// <summary>The length of what the network remembers of an episode: one layer after another.</summary>
    public int Memory { get; }

    /// <summary>Writes the outputs for one raw observation, and replaces the memory of the episode.</summary>
    public void Forward(ReadOnlySpan<float> observation, Span<float> memory, Span<float> outputs)
    {
        float[] current = ArrayPool<float>.Shared.Rent(widest);
        float[] next = ArrayPool<float>.Shared.Rent(widest);
        observation.CopyTo(current);
        normaliser?.Apply(observation, current);
        int width = inputs;
        foreach (Layer layer in layers)
        {
            layer.Forward(current.AsSpan(0, width), memory.Slice(0, layer.Memory), next);
            memory = memory.Slice(layer.Memory);
            width = layer.Outputs;
            (current, next) = (next, current);
        }

        current.AsSpan(0, width).CopyTo(outputs);
        ArrayPool<float>.Shared.Return(current);
        ArrayPool<float>.Shared.Return(next);
    }
}
