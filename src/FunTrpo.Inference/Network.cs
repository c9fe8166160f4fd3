using System;
using System.Buffers;

namespace FunTrpo.Inference;

/// <summary>The layers of a policy, with the normaliser of its observations.</summary>
internal sealed class Network
{
    private readonly Normaliser? normaliser;
    private readonly LayerSequence layers;
    private readonly int inputs;

    public Network(int inputs, Normaliser? normaliser, LayerSequence layers)
    {
        this.inputs = inputs;
        this.normaliser = normaliser;
        this.layers = layers;
    }

    /// <summary>The number of outputs.</summary>
    public int Outputs => layers.Outputs;

    /// <summary>The length of what the network remembers of an episode: one layer after another.</summary>
    public int Memory => layers.Memory;

    /// <summary>Writes the outputs for one raw observation, and replaces the memory of the episode.</summary>
    public void Forward(ReadOnlySpan<float> observation, Span<float> memory, Span<float> outputs)
    {
        if (normaliser is null)
        {
            layers.Forward(observation, memory, outputs);
            return;
        }

        float[] rented = ArrayPool<float>.Shared.Rent(inputs);
        Span<float> normalised = rented.AsSpan(0, inputs);
        normaliser.Apply(observation, normalised);
        layers.Forward(normalised, memory, outputs);
        ArrayPool<float>.Shared.Return(rented);
    }
}
