using System;
using System.Linq;
using System.Runtime.CompilerServices;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>A caller's batch of environments as a batch of simulators of the pipeline, with checks of the observations.</summary>
/// <param name="batch">The caller's batch.</param>
/// <param name="name">The name of the environments in reports and errors.</param>
internal class BatchOf(IBatchEnvironment batch, string name) : Core.BatchSimulator
{
    private readonly IMaskedBatchEnvironment? masked = batch as IMaskedBatchEnvironment;

    private readonly Space observationSpace =
        batch is IMaskedEnvironment
            ? throw new InvalidOperationException(
                $"a batch of environments says which actions are legal by {nameof(IMaskedBatchEnvironment)}, and not by {nameof(IMaskedEnvironment)}"
            )
            : batch.ObservationSpace ?? throw new InvalidOperationException("it has no observation space");
    private readonly Space actionSpace =
        batch.ActionSpace ?? throw new InvalidOperationException("it has no action space");

    public string Id => name;

    public Core.Space ObservationSpace =>
        masked is null ? observationSpace.Value : Mask.space(observationSpace.Value, actionSpace.Value);

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
            (disposes && batch is IDisposable, batch is ILockstepBatchEnvironment) switch
            {
                (true, true) => new DisposableLockstepBatchOf(batch, name),
                (true, false) => new DisposableBatchOf(batch, name),
                (false, true) => new LockstepBatchOf(batch, name),
                (false, false) => new BatchOf(batch, name),
            };
    }

    public void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations)
    {
        Span<float> observed = Observed(indices.Length, observations);
        try
        {
            batch.Reset(indices, seeds, observed);
        }
        catch (BatchEnvironmentException failed)
        {
            throw new Core.BatchException(failed.Position, failed);
        }

        Check(indices.Length, observed);
        AddMasks(indices, [.. Enumerable.Range(0, indices.Length)], observed, observations);
    }

    public void Step(
        ReadOnlySpan<int> indices,
        ReadOnlySpan<float> actions,
        Span<float> observations,
        Span<Core.SimulatorStep> results
    )
    {
        BatchStepResult[] steps = new BatchStepResult[indices.Length];
        Span<float> observed = Observed(indices.Length, observations);
        try
        {
            batch.Step(indices, actions, observed, steps);
        }
        catch (BatchEnvironmentException failed)
        {
            throw new Core.BatchException(failed.Position, failed);
        }

        Check(indices.Length, observed);
        for (int i = 0; i < steps.Length; i++)
        {
            results[i] = new(steps[i].Reward, steps[i].Terminated, steps[i].Truncated);
        }

        int[] going = [.. Enumerable.Range(0, steps.Length).Where(i => !steps[i].Terminated && !steps[i].Truncated)];
        AddMasks(indices, going, observed, observations);
    }

    /// <summary>The memory for observations alone: that of the pipeline's rows if these have no masks.</summary>
    private Span<float> Observed(int count, Span<float> rows) =>
        masked is null ? rows : new float[count * observationSpace.Width];

    /// <summary>
    /// Writes the observations to the rows of the pipeline and, behind those at the positions of episodes that go on, 1 for each action that
    /// is legal.
    /// </summary>
    private void AddMasks(ReadOnlySpan<int> indices, int[] going, ReadOnlySpan<float> observed, Span<float> rows)
    {
        if (masked is null)
        {
            return;
        }

        int width = observationSpace.Width;
        int maskWidth = (rows.Length / indices.Length) - width;
        for (int i = 0; i < indices.Length; i++)
        {
            observed.Slice(i * width, width).CopyTo(rows[(i * (width + maskWidth))..]);
        }

        bool[] legal = LegalActions(indices, going, maskWidth);
        for (int i = 0; i < legal.Length; i++)
        {
            (int row, int action) = Math.DivRem(i, maskWidth);
            rows[(going[row] * (width + maskWidth)) + width + action] = legal[i] ? 1 : 0;
        }
    }

    /// <summary>Asks which actions are legal in the environments at these positions of the call.</summary>
    private bool[] LegalActions(ReadOnlySpan<int> indices, int[] going, int maskWidth)
    {
        int[] asked = new int[going.Length];
        for (int i = 0; i < going.Length; i++)
        {
            asked[i] = indices[going[i]];
        }

        bool[] legal = new bool[going.Length * maskWidth];
        if (asked.Length == 0)
        {
            return legal;
        }

        try
        {
            masked!.LegalActions(asked, legal);
        }
        catch (BatchEnvironmentException failed) when (failed.Position >= 0 && failed.Position < going.Length)
        {
            throw new Core.BatchException(going[failed.Position], failed);
        }

        return legal;
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
            if (!observationSpace.Takes(observation))
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

/// <summary>The same for environments that only move on together.</summary>
internal class LockstepBatchOf(IBatchEnvironment batch, string name) : BatchOf(batch, name), Core.LockstepBatch
{
    public void Abandon(int index) => ((ILockstepBatchEnvironment)Batch).Abandon(index);
}

/// <summary>The same for environments that only move on together, in a batch that the pipeline disposes of.</summary>
internal sealed class DisposableLockstepBatchOf(IBatchEnvironment batch, string name)
    : LockstepBatchOf(batch, name),
        IDisposable
{
    public void Dispose() => ((IDisposable)Batch).Dispose();
}
