using System;

namespace FunTrpo.Inference;

/// <summary>The maximum or the average of each patch and channel of a picture.</summary>
internal sealed class PoolingLayer : Layer
{
    private readonly Patches patches;
    private readonly bool isMaximum;

    public PoolingLayer(Patches patches, bool isMaximum)
        : base(patches.Count * patches.Channels)
    {
        this.patches = patches;
        this.isMaximum = isMaximum;
    }

    public override void Forward(ReadOnlySpan<float> input, Span<float> memory, Span<float> output)
    {
        float share = (float)patches.Channels / patches.Size;
        for (int i = 0; i < Outputs; i++)
        {
            int patch = i / patches.Channels;
            int channel = i % patches.Channels;
            float pooled = isMaximum ? input[patches.Place(patch, channel)] : 0f;
            for (int k = channel; k < patches.Size; k += patches.Channels)
            {
                float number = input[patches.Place(patch, k)];
                pooled = isMaximum ? Math.Max(pooled, number) : Activation.MultiplyAdd(share, number, pooled);
            }

            output[i] = pooled;
        }
    }
}
