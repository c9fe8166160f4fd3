using System;
using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>Environments whose answers are awaited.</summary>
public sealed class AsyncFacts
{
    /// <summary>A line that answers later, on another thread.</summary>
    private class AwaitedLine : IAsyncEnvironment, IAsyncDisposable
    {
        private readonly Line line = new();
        private int users;

        public bool IsDisposed { get; private set; }

        public Space ObservationSpace => line.ObservationSpace;

        public Space ActionSpace => line.ActionSpace;

        public async ValueTask<float[]> ResetAsync(int seed, CancellationToken cancellation)
        {
            Assert.Equal(1, Interlocked.Increment(ref users));
            await Before(cancellation);
            Interlocked.Decrement(ref users);
            return line.Reset(seed);
        }

        public async ValueTask<StepResult> StepAsync(ReadOnlyMemory<float> action, CancellationToken cancellation)
        {
            Assert.Equal(1, Interlocked.Increment(ref users));
            await Before(cancellation);
            Interlocked.Decrement(ref users);
            return line.Step((int)action.Span[0]);
        }

        public async ValueTask DisposeAsync()
        {
            await Task.Yield();
            Assert.False(IsDisposed);
            IsDisposed = true;
        }

        protected virtual async Task Before(CancellationToken cancellation) => await Task.Yield();
    }

    /// <summary>A line that falls silent when so many calls have been made, until it is cancelled.</summary>
    private sealed class SilentLine(int calls, TaskCompletionSource silent) : AwaitedLine
    {
        private int made;

        protected override async Task Before(CancellationToken cancellation)
        {
            if (made++ == calls)
            {
                silent.TrySetResult();
                await Task.Delay(Timeout.Infinite, cancellation);
            }
        }
    }

    /// <summary>A line each of whose steps waits until all of the others are waiting, too.</summary>
    private sealed class MeetingLine(Meeting meeting) : AwaitedLine
    {
        protected override Task Before(CancellationToken cancellation) => meeting.Join();
    }

    private sealed class Meeting(int parties)
    {
        private readonly Lock gate = new();
        private TaskCompletionSource all = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int here;

        public Task Join()
        {
            lock (gate)
            {
                TaskCompletionSource mine = all;
                if (++here == parties)
                {
                    here = 0;
                    all = new(TaskCreationOptions.RunContinuationsAsynchronously);
                    mine.SetResult();
                }

                return mine.Task.WaitAsync(TimeSpan.FromSeconds(60));
            }
        }
    }

    /// <summary>A context to which nothing can come back.</summary>
    private sealed class DeadContext : SynchronizationContext
    {
        public override void Post(SendOrPostCallback d, object? state) { }
    }

    private static TrainingPlan Plan(Func<AwaitedLine> make) => Trpo.ForAsync(make, "Line").Short();

    public void Training_has_the_bits_of_the_same_environment_without_waiting()
    {
        ConcurrentBag<AwaitedLine> made = [];
        TrainingPlan plan = Plan(() =>
        {
            AwaitedLine line = new();
            made.Add(line);
            return line;
        });
        TrainingState expected = Plans.ShortLine().Train().State;
        Assert.Equal(expected, plan.Train().State);
        Assert.All(made, line => Assert.True(line.IsDisposed));
        Assert.Equal(expected, plan.With(options => options with { InFlight = 2 }).Train().State);
        Assert.Equal(
            Plans.ShortLine().Evaluate(expected.Policy, 20),
            Trpo.ForAsync(() => new AwaitedLine()).Evaluate(expected.Policy, 20)
        );
    }

    public void All_are_awaited_at_the_same_time()
    {
        int parties = 4 * Environment.ProcessorCount;
        Meeting meeting = new(parties);
        TrainingPlan plan = Plan(() => new MeetingLine(meeting))
            .With(options => options with { Environments = parties, TotalSteps = parties * 30, Horizon = 30 });
        Assert.Equal(1, plan.Train().State.Iteration);
    }

    public void Works_where_a_synchronisation_context_sleeps()
    {
        SynchronizationContext? before = SynchronizationContext.Current;
        SynchronizationContext.SetSynchronizationContext(new DeadContext());
        try
        {
            Assert.Equal(Plans.ShortLine().Train().State, Plan(() => new AwaitedLine()).Train().State);
            Assert.IsType<DeadContext>(SynchronizationContext.Current);
        }
        finally
        {
            SynchronizationContext.SetSynchronizationContext(before);
        }
    }

    public async Task A_cancellation_ends_training_while_an_environment_does_not_answer()
    {
        foreach (int? inFlight in new int?[] { null, 1, 3 })
        {
            int made = 0;
            TaskCompletionSource silent = new();
            ConcurrentBag<AwaitedLine> lines = [];
            TrainingPlan plan = Plan(() =>
                {
                    // The line falls silent in the third iteration.
                    AwaitedLine line = made++ == 0 ? new SilentLine(125, silent) : new AwaitedLine();
                    lines.Add(line);
                    return line;
                })
                .With(options => options with { InFlight = inFlight })
                .WithCancellationTimeout(Timeout.InfiniteTimeSpan);
            using CancellationTokenSource stop = new();
            Task<TrainingResult> training = plan.TrainAsync(stop.Token);
            await silent.Task;
            Stopwatch clock = Stopwatch.StartNew();
            await stop.CancelAsync();
            TrainingResult result = await training.WaitAsync(TimeSpan.FromSeconds(60));
            Assert.Equal(StopReason.Cancelled, result.Reason);
            Assert.Equal(Plans.ShortLine().States(3)[2].Policy, result.Policy);
            Assert.All(lines, line => Assert.True(line.IsDisposed));

            // Training goes on from the state, with another environment in place of the silent one.
            Assert.Equal(Plans.ShortLine().States(4)[3].Policy, result.State.Next().State.Policy);
            result.State.ReleaseEnvironments();
        }
    }

    public async Task A_cancellation_ends_streams_evaluations_and_starts()
    {
        TaskCompletionSource silent = new();
        using CancellationTokenSource stop = new();
        TrainingPlan plan = Plan(() => new SilentLine(60, silent)).WithCancellationTimeout(Timeout.InfiniteTimeSpan);
        _ = silent.Task.ContinueWith(_ => stop.Cancel(), TaskScheduler.Default);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (TrainingStep step in plan.IterateAsync(stop.Token)) { }
        });
        await Throws(new(), silence => Plan(() => new SilentLine(30, silence)).EvaluateAsync);
        await Throws(new(), silence => (_, _, _, token) => Plan(() => new SilentLine(0, silence)).TrainAsync(token));

        static async Task Throws(
            TaskCompletionSource silence,
            Func<TaskCompletionSource, Func<Policy, int, long, CancellationToken, Task>> run
        )
        {
            using CancellationTokenSource stop = new();
            Task running = run(silence)(Plans.ShortLine().Start().Policy, 4, 0, stop.Token);
            await silence.Task;
            await stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running.WaitAsync(TimeSpan.FromMinutes(1)));
        }
    }

    public void A_factory_that_returns_the_same_environment_twice_is_refused()
    {
        AwaitedLine line = new();
        TrainingException error = Assert.ThrowsAny<TrainingException>(() => Plan(() => line).Train());
        Assert.Contains("the same instance a second time", error.Message, StringComparison.Ordinal);
    }
}
