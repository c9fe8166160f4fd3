using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>What a cancellation does while an environment does not answer, and at any other moment.</summary>
public sealed class CancellationFacts
{
    /// <summary>Lines of which the first does not answer at its 120th step, in the third iteration of a short training.</summary>
    private sealed class Silence : IDisposable
    {
        private readonly ManualResetEventSlim end = new();
        private readonly ManualResetEventSlim begun = new();
        private readonly List<StoppableLine> made = [];

        public TrainingPlan Plan(int threads) =>
            Trpo.For(Make, "Line")
                .Short()
                .With(options => options with { Threads = threads })
                .WithCancellationTimeout(TimeSpan.FromMilliseconds(20));

        public int Disposed => made.Count(line => line.IsDisposed);

        public int Made => made.Count;

        /// <summary>Cancels as soon as the line does not answer.</summary>
        public CancellationToken CancelWhenSilent()
        {
            CancellationTokenSource source = new();
            _ = Task.Run(() =>
            {
                begun.Wait();
                source.Cancel();
            });
            return source.Token;
        }

        public void End() => end.Set();

        public void Dispose()
        {
            end.Set();
            begun.Set();
        }

        private StoppableLine Make()
        {
            StoppableLine line = new(made.Count == 0 ? Wait : () => { });
            made.Add(line);
            return line;
        }

        private void Wait()
        {
            begun.Set();
            end.Wait();
        }
    }

    private sealed class StoppableLine(Action before) : Line, IDisposable
    {
        private int steps;

        public bool IsDisposed { get; private set; }

        public override StepResult Step(AgentAction action)
        {
            ObjectDisposedException.ThrowIf(IsDisposed, this);
            if (++steps == 120)
            {
                before();
            }

            return base.Step(action);
        }

        public void Dispose() => IsDisposed = true;
    }

    public async Task Training_ends_without_an_environment_that_does_not_answer()
    {
        List<TrainingState> undisturbed = Plans.ShortLine().States(4);
        foreach (int threads in new[] { 1, 2 })
        {
            using Silence silence = new();
            List<int> reported = [];
            TrainingResult result = await silence
                .Plan(threads)
                .OnIteration(report => reported.Add(report.Iteration))
                .TrainAsync(silence.CancelWhenSilent());
            Assert.Equal(StopReason.Abandoned, result.Reason);
            Assert.Equal(2, result.Reports.Count);
            Assert.Equal(undisturbed[2].Policy, result.Policy);

            // Nothing is released, for the environment is in use; and training can go on with others.
            Assert.Equal(0, silence.Disposed);
            Assert.Equal(undisturbed[3].Policy, result.State.Next().State.Policy);

            // An answer that comes too late changes nothing.
            silence.End();
            await Task.Delay(50);
            Assert.Equal([1, 2], reported);
            Assert.Equal(2, result.Reports.Count);
            result.State.ReleaseEnvironments();
            Assert.Equal(silence.Made, silence.Disposed);
        }
    }

    public async Task Streams_and_evaluations_throw_without_an_environment_that_does_not_answer()
    {
        using Silence silence = new();
        TrainingState? last = null;
        OperationCanceledException error = await Assert.ThrowsAsync<OperationCanceledException>(async () =>
        {
            await foreach (TrainingStep step in silence.Plan(1).IterateAsync(silence.CancelWhenSilent()))
            {
                last = step.State;
            }
        });
        Assert.Contains("Line did not answer within 0.02 s", error.Message, StringComparison.Ordinal);
        Assert.Equal(Plans.ShortLine().States(3)[2].Policy, last!.Policy);
        Assert.Equal(0, silence.Disposed);

        using Silence evaluation = new();
        CancellationToken token = evaluation.CancelWhenSilent();
        error = await Assert.ThrowsAsync<OperationCanceledException>(() =>
            evaluation.Plan(1).EvaluateAsync(_ => 1, cancellation: token)
        );
        Assert.Equal(token, error.CancellationToken);
    }

    public async Task A_factory_that_does_not_answer_is_left_alone()
    {
        using ManualResetEventSlim end = new();
        using CancellationTokenSource soon = new(TimeSpan.FromMilliseconds(20));
        TrainingPlan plan = Trpo.For(() =>
            {
                end.Wait();
                return new Line();
            })
            .WithCancellationTimeout(TimeSpan.FromMilliseconds(20));
        await Assert.ThrowsAsync<OperationCanceledException>(() => plan.TrainAsync(soon.Token));
        end.Set();
    }

    public async Task An_answer_within_the_time_ends_the_iteration()
    {
        using Silence silence = new();
        CancellationToken token = silence.CancelWhenSilent();
        Task<TrainingResult> training = silence
            .Plan(1)
            .WithCancellationTimeout(Timeout.InfiniteTimeSpan)
            .TrainAsync(token);
        token.WaitHandle.WaitOne();
        await Task.Delay(50);
        Assert.False(training.IsCompleted);
        silence.End();
        TrainingResult result = await training;
        Assert.Equal(StopReason.Cancelled, result.Reason);
        Assert.Equal(3, result.State.Iteration);
        Assert.Equal(silence.Made, silence.Disposed);
    }

    public async Task A_cancellation_at_any_moment_gives_a_state_of_the_undisturbed_training()
    {
        TrainingPlan plan = Plans.ShortLine();
        List<TrainingState> undisturbed = plan.States(6);
        Random random = new(1);
        int trials = int.Parse(
            Environment.GetEnvironmentVariable("FUNTRPO_TESTS_CANCELLATIONS") ?? "50",
            CultureInfo.InvariantCulture
        );
        for (int i = 0; i < trials; i++)
        {
            using CancellationTokenSource soon = new();
            Task<TrainingResult> training = plan.With(options => options with { Threads = 1 + (i % 2) })
                .TrainAsync(soon.Token);
            Thread.SpinWait(random.Next(100_000));
            await soon.CancelAsync();
            TrainingResult result = await training;
            Assert.Equal(undisturbed[result.State.Iteration].Policy, result.Policy);
            Assert.Equal(result.State.Iteration, result.Reports.Count);
        }
    }

    public void The_time_to_answer_is_no_negative_time()
    {
        TrainingPlan plan = Plans.ShortLine();
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.WithCancellationTimeout(TimeSpan.FromSeconds(-2)));
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.WithCancellationTimeout(TimeSpan.MaxValue));
    }
}
