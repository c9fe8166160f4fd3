using System;
using System.Runtime.CompilerServices;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>A caller's batch of environments as a batch of simulators of the pipeline, with checks of the observations.</summary>
/// <param name="batch">The caller's batch.</param>
/// <param name="name">The name of the environments in reports and errors.</param>
internal class BatchOf(IBatchEnvironment batch, string name) : Core.BatchSimulator
{
    private readonly Space observationSpace =
        batch is IMaskedEnvironment
            ? throw new InvalidOperationException(
                $"a batch of environments cannot have masks ({nameof(IMaskedEnvironment)})"
            )
            : batch.ObservationSpace ?? throw new InvalidOperationException("it has no observation space");
    private readonly Space actionSpace =
        batch.ActionSpace ?? throw new InvalidOperationException("it has no action space");

    public string Id => name;

    public Core.Space ObservationSpace => observationSpace.Value;

    public Core.Space ActionSpace => actionSpace.Value;

    public int Count => batch.Count;

    protected IBatchEnvironment Batch => batch;

    /// <summary>Returns a factory of batches for the pipeline. A batch that is returned twice gives the same one twice.</summary>
    /// <param name="make">The caller's factory.</param>
    /// <param name="name">The name of the environments in reports and errors.</param>
    /// <param name="disposes">Whether the pipeline disposes of the batches.</param>
    public static Func<Core.BatchSimulator> Factory(Func<IBatchEnvironment> make, string name, bool disposes)
    {
        ConditionalWeakTable<IBatchEnvironment, BatchOf> made = [];
        return () => make() is { } batch ? made.GetValue(batch, Wrap) : null!;

        BatchOf Wrap(IBatchEnvironment batch) =>
            disposes && batch is IDisposable ? new DisposableBatchOf(batch, name) : new BatchOf(batch, name);
    }

    public void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations)
    {
        try
        {
            batch.Reset(indices, seeds, observations);
        }
        catch (BatchEnvironmentException failed)
        {
            throw new Core.BatchException(failed.Position, failed);
        }

        Check(indices.Length, observations);
    }

    public void Step(
        ReadOnlySpan<int> indices,
        ReadOnlySpan<float> actions,
        Span<float> observations,
        Span<Core.SimulatorStep> results
    )
    {
        BatchStepResult[] steps = new BatchStepResult[indices.Length];
        try
        {
            batch.Step(indices, actions, observations, steps);
        }
        catch (BatchEnvironmentException failed)
        {
            throw new Core.BatchException(failed.Position, failed);
        }

        Check(indices.Length, observations);
        for (int i = 0; i < steps.Length; i++)
        {
            results[i] = new(steps[i].Reward, steps[i].Terminated, steps[i].Truncated);
        }
    }

    /// <summary>Throws an exception for the first observation that is not in its space. The bounds of a box are only informative.</summary>
    private void Check(int count, ReadOnlySpan<float> observations)
    {
        if (observationSpace.Kind == SpaceKind.Box)
        {
            return;
        }

        for (int i = 0; i < count; i++)
        {
            ReadOnlySpan<float> observation = observations.Slice(i * observationSpace.Width, observationSpace.Width);
            if (!observationSpace.Contains(observation))
            {
                string numbers = ValueList.Print(observation.ToArray());
                throw new Core.BatchException(
                    i,
                    new InvalidOperationException($"the observation {numbers} is not in its space, {observationSpace}")
                );
            }
        }
    }
}

/// <summary>The same for a batch that the pipeline disposes of.</summary>
internal sealed class DisposableBatchOf(IBatchEnvironment batch, string name) : BatchOf(batch, name), IDisposable
{
    public void Dispose() => ((IDisposable)Batch).Dispose();
}
