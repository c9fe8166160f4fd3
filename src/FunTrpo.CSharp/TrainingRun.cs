using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Threading;

namespace FunTrpo.CSharp;

/// <summary>
/// Training from a state until the steps are made, the goal is reached or the caller cancels. One thread runs it. Another thread may abandon
/// it if a simulator does not answer.
/// </summary>
/// <param name="first">The state to start from.</param>
/// <param name="evaluator">Evaluates the policy after the iterations where that is due.</param>
/// <param name="notify">Is called after every iteration.</param>
/// <param name="cancellation">Ends training after the current iteration.</param>
internal sealed class TrainingRun(
    TrainingState first,
    Evaluator evaluator,
    Action<TrainingStep> notify,
    CancellationToken cancellation
)
{
    private readonly Lock gate = new();
    private readonly Stopwatch clock = Stopwatch.StartNew();
    private readonly List<IterationReport> reports = [];
    private readonly List<TrainingEvaluation> evaluations = [];
    private TrainingState state = first;
    private BestPolicy? best;

    /// <summary>The result, as soon as training has ended or has been abandoned.</summary>
    private TrainingResult? result;

    /// <summary>Trains, releases the environments unless training has been abandoned, and returns the result.</summary>
    public TrainingResult Train()
    {
        return Release.Afterwards(() => Cancelling.By(cancellation, Run), ReleaseUnlessAbandoned);

        TrainingResult Run()
        {
            using IEnumerator<TrainingStep> iterations = state.Iterations().GetEnumerator();
            StopReason? reason = null;
            while (reason is null)
            {
                reason =
                    cancellation.IsCancellationRequested ? StopReason.Cancelled
                    : state.HasReachedGoal ? StopReason.GoalReached
                    : evaluator.Ends ?? Advance(iterations);
            }

            return End(reason.Value);
        }
    }

    /// <summary>
    /// Ends training while its thread waits for a simulator, and returns the result of the last complete iteration. The environments are
    /// not released, because one of them is in use.
    /// </summary>
    public TrainingResult Abandon() => End(StopReason.Abandoned);

    /// <summary>Returns whether the error comes from code that observes the same token, such as an environment, and threw first.</summary>
    public static bool IsCancelled(TrainingException error, CancellationToken cancellation) =>
        cancellation.IsCancellationRequested && error.InnerException is OperationCanceledException;

    /// <summary>Makes the result, or returns the one of the thread that came first.</summary>
    private TrainingResult End(StopReason reason)
    {
        lock (gate)
        {
            return result ??= new(state, reason, reports, clock.Elapsed) { Evaluations = evaluations, Best = best };
        }
    }

    private void ReleaseUnlessAbandoned()
    {
        if (End(StopReason.Cancelled).Reason != StopReason.Abandoned)
        {
            state.ReleaseEnvironments();
        }
    }

    private StopReason? Advance(IEnumerator<TrainingStep> iterations)
    {
        try
        {
            if (!iterations.MoveNext())
            {
                return StopReason.TotalStepsReached;
            }

            TrainingStep step = evaluator.After(iterations.Current);
            if (!Keep(step))
            {
                return StopReason.Abandoned;
            }

            notify(step);
            return null;
        }
        catch (TrainingException error) when (IsCancelled(error, cancellation))
        {
            return StopReason.Cancelled;
        }
    }

    /// <summary>Keeps the state and the report of an iteration. Returns false if training has been abandoned.</summary>
    private bool Keep(TrainingStep step)
    {
        lock (gate)
        {
            if (result is null)
            {
                state = step.State;
                reports.Add(step.Report);
                best = evaluator.Best;
                if (step.Evaluation is not null)
                {
                    evaluations.Add(step.Evaluation);
                }
            }

            return result is null;
        }
    }
}
