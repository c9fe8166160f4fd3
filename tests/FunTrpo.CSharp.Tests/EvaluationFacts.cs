using System;
using System.Diagnostics;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class EvaluationFacts
{
    private static readonly TrainingPlan Plan = Plans.ShortLine();
    private static readonly Policy Trained = Plan.Train().Policy;

    public void A_rule_plays_the_episodes_that_a_policy_plays()
    {
        foreach (int threads in new[] { 1, 3 })
        {
            TrainingPlan plan = Plan.With(o => o with { Threads = threads });
            Scores ofPolicy = plan.Evaluate(Trained, 20, seed: 4);
            Assert.Equal(ofPolicy, plan.Evaluate(seen => Trained.Act(seen), 20, seed: 4));
            Assert.NotEqual(ofPolicy, plan.Evaluate(_ => 0, 20, seed: 4));
            Assert.NotEqual(ofPolicy, plan.Evaluate(seen => Trained.Act(seen), 20, seed: 5));
        }

        TrainingPlan pushed = Trpo.For(() => new PushedLine());
        Policy pusher = pushed.Start().Policy;
        Assert.Equal(
            pushed.Evaluate(pusher, 7),
            pushed.Evaluate(
                seen =>
                {
                    float[] action = new float[2];
                    pusher.Act(seen, action);
                    return action;
                },
                7
            )
        );
        TrainingPlan cartPole = Trpo.For("CartPole-v1");
        Scores balanced = cartPole.Evaluate(seen => seen[2] + seen[3] > 0 ? 1 : 0, 20);
        Assert.InRange(balanced.Mean, 150, 500);
    }

    public void What_a_rule_gives_is_an_action_or_is_refused()
    {
        Refused(_ => 2);
        Refused(_ => -1);
        Refused(_ => new[] { 0f, 1f });
        Refused(_ => new[] { 0.5f });
        TrainingPlan pushed = Trpo.For(() => new PushedLine());
        Assert.Throws<ArgumentException>(() => pushed.Evaluate(_ => new[] { 1f }));
        Assert.Throws<ArgumentException>(() => pushed.Evaluate(_ => new[] { 1f, float.NaN }));
        Assert.Equal(
            pushed.Evaluate(_ => new[] { 1f, -1f }),
            pushed.Evaluate(_ => new[] { 7f, float.NegativeInfinity })
        );
        TimeoutException own = new();
        Assert.Same(own, Assert.Throws<TimeoutException>(() => Plan.Evaluate(_ => throw own)));

        static void Refused(Func<ReadOnlySpan<float>, AgentAction> rule) =>
            Assert.Contains(
                "Discrete(2)",
                Assert.Throws<ArgumentException>(() => Plan.Evaluate(rule)).Message,
                StringComparison.Ordinal
            );
    }

    public void Counts_the_steps_of_each_episode()
    {
        // In CartPole each step is worth 1.
        Scores scores = Trpo.For("CartPole-v1").Evaluate(_ => 1, 20);
        Assert.Equal(scores.Returns, scores.Lengths.Select(length => (double)length));
        Assert.Equal(Enumerable.Repeat(5, 3), Plan.WithTimeLimit(5).Evaluate(Trained, 3).Lengths);
    }

    public async Task Runs_on_another_thread_too()
    {
        Assert.Equal(Plan.Evaluate(Trained, 9, seed: 2), await Plan.EvaluateAsync(Trained, 9, seed: 2));
        Assert.Equal(Plan.Evaluate(_ => 1, 9, seed: 2), await Plan.EvaluateAsync(_ => 1, 9, seed: 2));
    }

    public async Task Can_be_cancelled_where_an_episode_never_ends()
    {
        Watch watch = new();
        TrainingPlan endless = Trpo.For(() => new Endless(watch)).With(o => o with { Threads = 2 });
        Stopwatch clock = Stopwatch.StartNew();
        using CancellationTokenSource soon = new(TimeSpan.FromMilliseconds(50));
        OperationCanceledException cancelled = await Assert.ThrowsAnyAsync<OperationCanceledException>(() =>
            endless.EvaluateAsync(_ => 1, cancellation: soon.Token)
        );
        Assert.Equal(soon.Token, cancelled.CancellationToken);
        Assert.Throws<OperationCanceledException>(() => endless.Evaluate(_ => 1, 1, cancellation: soon.Token));
        Assert.True(clock.Elapsed < TimeSpan.FromSeconds(30), $"{clock.Elapsed}");
        Assert.Equal(watch.Made, watch.Disposed.Distinct().Count());
    }

    public void Is_cancelled_where_the_environment_notices_first()
    {
        using CancellationTokenSource stop = new();
        TrainingPlan plan = Trpo.For(() =>
            new Accident(
                0,
                5,
                result =>
                {
                    stop.Cancel();
                    stop.Token.ThrowIfCancellationRequested();
                    return result;
                }
            )
        );
        Assert.Throws<OperationCanceledException>(() => plan.Evaluate(_ => 1, cancellation: stop.Token));

        // Where nobody asked for it, it is a failure like others.
        TrainingPlan failing = Trpo.For(() => new Accident(0, 5, _ => throw new OperationCanceledException()));
        Assert.Throws<EnvironmentException>(() => failing.Evaluate(_ => 1));
    }

    private sealed class Endless(Watch watch) : IEnvironment, IDisposable
    {
        private readonly Watched counted = watch.Make();

        public Space ObservationSpace => Space.Box(1, -1, 1);

        public Space ActionSpace => Space.Discrete(2);

        public float[] Reset(int seed) => [0];

        public StepResult Step(AgentAction action) => new([0], 1);

        public void Dispose() => counted.Dispose();
    }

    public void Scores_have_robust_statistics()
    {
        Scores scores = new() { Returns = [0, 0, 1, 2, 3, 4, 9, 9] };
        Assert.Equal(2.5, scores.Median());
        Assert.Equal(2.5, scores.InterquartileMean());
        ConfidenceInterval interval = scores.MeanInterval();
        Assert.InRange(interval.Low, 0.5, 2);
        Assert.InRange(interval.High, 5, 7);
        Assert.Throws<ArgumentException>(() => new Scores().Median());
    }
}
