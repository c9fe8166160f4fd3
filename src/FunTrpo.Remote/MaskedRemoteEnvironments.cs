using System;
using System.Collections.Generic;
using FunTrpo.CSharp;

namespace FunTrpo.Remote;

/// <summary>Environments elsewhere that say which actions are legal. Their masks come with the observations, and are kept until they are asked for.</summary>
internal sealed class MaskedRemoteEnvironments(RemoteSimulators simulators)
    : RemoteEnvironments(simulators),
        IMaskedBatchEnvironment
{
    private readonly int maskWidth =
        SpaceModule.width(simulators.ObservationSpace)
        - SpaceModule.width(SpaceModule.observed(simulators.ObservationSpace));

    /// <summary>The masks of the last observation of each environment.</summary>
    private readonly Dictionary<int, float[]> masks = [];

    public override void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations)
    {
        float[] rows = Rows(indices.Length);
        base.Reset(indices, seeds, rows);
        Part(indices, rows, observations);
    }

    public override void Step(
        ReadOnlySpan<int> indices,
        ReadOnlySpan<float> actions,
        Span<float> observations,
        Span<BatchStepResult> results
    )
    {
        float[] rows = Rows(indices.Length);
        base.Step(indices, actions, rows, results);
        Part(indices, rows, observations);
    }

    /// <inheritdoc/>
    /// <exception cref="BatchEnvironmentException">A mask has other numbers than 0 and 1.</exception>
    public void LegalActions(ReadOnlySpan<int> indices, Span<bool> legal)
    {
        for (int i = 0; i < indices.Length; i++)
        {
            float[] mask = masks[indices[i]];
            for (int action = 0; action < maskWidth; action++)
            {
                legal[(i * maskWidth) + action] = mask[action] switch
                {
                    0f => false,
                    1f => true,
                    float other => throw new BatchEnvironmentException(
                        i,
                        FormattableString.Invariant($"{Id} gave a mask with the number {other}, and not only 0 and 1")
                    ),
                };
            }
        }
    }

    private float[] Rows(int count) => new float[count * (ObservationSpace.Width + maskWidth)];

    /// <summary>Parts rows into observations and masks.</summary>
    private void Part(ReadOnlySpan<int> indices, ReadOnlySpan<float> rows, Span<float> observations)
    {
        int width = ObservationSpace.Width;
        for (int i = 0; i < indices.Length; i++)
        {
            ReadOnlySpan<float> row = rows.Slice(i * (width + maskWidth), width + maskWidth);
            row[..width].CopyTo(observations[(i * width)..]);
            masks[indices[i]] = row[width..].ToArray();
        }
    }
}
