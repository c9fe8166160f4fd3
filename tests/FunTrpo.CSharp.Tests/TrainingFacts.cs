using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class TrainingFacts
{
    public async Task Trains_saves_loads_and_acts()
    {
        List<IterationReport> seen = [];
        TrainingResult result = await Trpo.For("CartPole-v1")
            .With(options => options with { Seed = 7, TotalSteps = 20_000 })
            .OnIteration(seen.Add)
            .TrainAsync();

        Assert.Equal(StopReason.TotalStepsReached, result.Reason);
        Assert.Equal(20_000, result.State.Steps, 8.0);
        Assert.Equal(result.Reports, seen);
        Assert.Equal(result.State.Iteration, seen.Count);
        Assert.True(result.State.MeanReturn > 100, $"it learned: {result.State.MeanReturn}");
        Assert.Equal("CartPole-v1", result.Policy.EnvironmentName);
        Scores scores = Trpo.For("CartPole-v1").Evaluate(result.Policy, episodes: 20, seed: 1);
        Assert.Equal(20, scores.Returns.Count);
        Assert.True(scores.Mean > 100, $"it plays: {scores.Mean}");
    }

    public void Reports_everything_that_an_iteration_knows()
    {
        TrainingResult result = Plans.ShortLine().Train();
        foreach (IterationReport report in result.Reports)
        {
            Assert.Equal(StepOutcome.Moved, report.Outcome);
            Assert.True(report.IsWithinTrustRegion);
            Assert.InRange(report.MeanKl, 0, report.Delta);
            Assert.InRange(report.MaxKl, report.MeanKl, 10);
            Assert.Equal(0.01, report.Delta);
            Assert.True(report.SurrogateGain > 0);
            Assert.InRange(report.Entropy, 0, Math.Log(2) + 1e-6);
            Assert.True(report.GradientNorm > 0);
            Assert.InRange(report.StepFraction, 0.01, 1);
            Assert.InRange(report.LineSearchTries, 1, 10);
            Assert.Equal(report.CgIterations, report.CgResiduals.Count - 1);
            Assert.Equal(report.CgIterations, report.CgCurvatures.Count);
            Assert.NotEqual(ConjugateGradientStop.NotUsed, report.CgStop);
            Assert.All(report.CgCurvatures, curvature => Assert.True(curvature > 0));
        }

        Assert.Null(Plans.ShortLine().With(o => o with { Horizon = 3 }).Start().Next().Report.MeanReturn);
    }

    public void Reinforce_has_no_trust_region_and_no_conjugate_gradient()
    {
        IterationReport report = Plans
            .ShortLine()
            .With(o => o with { Direction = StepDirection.Gradient, Step = StepLength.Fixed, LearningRate = 1 })
            .Start()
            .Next()
            .Report;
        Assert.Equal(double.PositiveInfinity, report.Delta);
        Assert.False(report.IsWithinTrustRegion);
        Assert.Equal(ConjugateGradientStop.NotUsed, report.CgStop);
        Assert.Empty(report.CgResiduals);
    }

    public void Ppo_learns_without_a_trust_region_and_without_a_line_search()
    {
        TrainingPlan plan = Plans
            .ShortLine()
            .With(o => o with { Rule = PolicyRule.Ppo, Epochs = 4, MinibatchSize = 32, TargetKl = 0.05 });
        TrainingResult result = plan.Train();
        foreach (IterationReport report in result.Reports)
        {
            Assert.Equal(StepOutcome.Moved, report.Outcome);
            Assert.Equal(double.PositiveInfinity, report.Delta);
            Assert.False(report.IsWithinTrustRegion);
            Assert.InRange(report.StepFraction, 0.01, 1);
            Assert.Equal(0, report.LineSearchTries);
            Assert.Equal(ConjugateGradientStop.NotUsed, report.CgStop);
        }

        Assert.NotEqual(Plans.ShortLine().Train().Policy, result.Policy);
        Assert.True(plan.Evaluate(result.Policy, 20).Mean > plan.Evaluate(plan.Start().Policy, 20).Mean);
    }

    public void Stops_at_the_goal()
    {
        TrainingResult result = Trpo.For("CartPole-v1")
            .With(options => options with { TotalSteps = 1_000_000, StopAtReturn = 60 })
            .Train();
        Assert.Equal(StopReason.GoalReached, result.Reason);
        Assert.True(result.State.MeanReturn >= 60);
        Assert.True(result.State.HasReachedGoal);
        Assert.True(result.State.Steps < 100_000);
    }

    public void Needs_a_hundred_episodes_for_a_goal()
    {
        // Any return is better, but episodes of 40 steps are few in 1,000 steps.
        TrainingPlan plan = Plans.ShortLine().With(options => options with { StopAtReturn = -1e6 });
        TrainingResult few = plan.Train();
        Assert.Equal(StopReason.TotalStepsReached, few.Reason);
        Assert.False(few.State.HasReachedGoal);
        TrainingResult enough = plan.With(options => options with { TotalSteps = 10_000 }).Train();
        Assert.Equal(StopReason.GoalReached, enough.Reason);
        Assert.InRange(enough.State.Episodes, 100, 110);
    }

    public async Task Cancelled_training_has_a_result_that_can_be_gone_on_from()
    {
        using CancellationTokenSource cancellation = new();
        TrainingPlan plan = Plans.ShortLine();
        TrainingResult result = await plan.OnIteration(report =>
            {
                if (report.Iteration == 3)
                {
                    cancellation.Cancel();
                }
            })
            .TrainAsync(cancellation.Token);

        Assert.Equal(StopReason.Cancelled, result.Reason);
        Assert.Equal(3, result.State.Iteration);
        TrainingState whole = plan.Train().State;
        Assert.Equal(whole, result.State.Iterations().Last().State);

        using CancellationTokenSource early = new();
        early.Cancel();
        TrainingResult nothing = await plan.TrainAsync(early.Token);
        Assert.Equal(StopReason.Cancelled, nothing.Reason);
        Assert.Empty(nothing.Reports);
        Assert.InRange(nothing.Policy.Act([0f, 0f]), 0, 1);
    }

    public async Task Is_cancelled_where_an_environment_notices_first()
    {
        List<TrainingState> undisturbed = Plans.ShortLine().States(4);
        foreach (int threads in new[] { 1, 2, 4 })
        {
            // In its third iteration, in the middle of a step of the first instance.
            TrainingResult result = Disturbed(threads, out CancellationTokenSource stop).Train(stop.Token);
            Assert.Equal(StopReason.Cancelled, result.Reason);
            Assert.Equal(2, result.Reports.Count);
            Assert.Equal(undisturbed[2].Policy, result.Policy);
            Assert.Equal(undisturbed[3].Policy, result.State.Next().State.Policy);
            stop.Dispose();

            TrainingPlan streamed = Disturbed(threads, out CancellationTokenSource other);
            TrainingState? last = null;
            await Assert.ThrowsAsync<OperationCanceledException>(async () =>
            {
                await foreach (TrainingStep step in streamed.IterateAsync(other.Token))
                {
                    last = step.State;
                }
            });
            Assert.Equal(undisturbed[2].Policy, last!.Policy);
            other.Dispose();
        }

        // Where nobody asked for it, it is a failure like others.
        int made = 0;
        Assert.Throws<EnvironmentException>(() =>
            Trpo.For(() => new Accident(made++, 120, _ => throw new OperationCanceledException())).Short().Train()
        );

        static TrainingPlan Disturbed(int threads, out CancellationTokenSource stop)
        {
            CancellationTokenSource source = new();
            int made = 0;
            stop = source;
            return Trpo.For(
                    () =>
                        new Accident(
                            made++,
                            120,
                            result =>
                            {
                                source.Cancel();
                                source.Token.ThrowIfCancellationRequested();
                                return result;
                            }
                        ),
                    "Line"
                )
                .Short()
                .With(o => o with { Threads = threads });
        }
    }

    public async Task What_is_called_after_an_iteration_may_fail_and_the_state_is_there()
    {
        TimeoutException own = new("no display");
        TrainingPlan plan = Plans
            .ShortLine()
            .OnIteration(report =>
            {
                if (report.Iteration == 3)
                {
                    throw own;
                }
            });
        TrainingState third = Plans.ShortLine().States(4)[3];
        TrainingException error = Assert.Throws<TrainingException>(() => plan.Train());
        Assert.Same(own, error.InnerException);
        Assert.Contains("no display", error.Message, StringComparison.Ordinal);
        Assert.Equal(third, error.State);
        error = await Assert.ThrowsAsync<TrainingException>(async () =>
        {
            await foreach (TrainingStep _ in plan.IterateAsync()) { }
        });
        Assert.Equal(third, error.State);

        // What observes the token may say so in its own way.
        using CancellationTokenSource stop = new();
        TrainingResult result = Plans
            .ShortLine()
            .OnIteration(_ =>
            {
                stop.Cancel();
                stop.Token.ThrowIfCancellationRequested();
            })
            .Train(stop.Token);
        Assert.Equal(StopReason.Cancelled, result.Reason);
        Assert.Equal(1, result.State.Iteration);
        Assert.Single(result.Reports);
    }

    public void Says_how_many_threads_there_are()
    {
        foreach (int threads in new[] { 1, 2, 32, 1024 })
        {
            TrainingOptions options = new() { Threads = threads };
            Assert.Equal(Math.Min(threads, Environment.ProcessorCount), options.EffectiveThreads);
            Assert.Contains($"EffectiveThreads = {options.EffectiveThreads}", $"{options}", StringComparison.Ordinal);
        }
    }

    public async Task Is_a_stream_of_iterations()
    {
        TrainingPlan plan = Plans.ShortLine();
        List<TrainingStep> steps = [];
        await foreach (TrainingStep step in plan.IterateAsync())
        {
            steps.Add(step);
        }

        Assert.Equal(5, steps.Count);
        Assert.Equal(plan.Train().State, steps[^1].State);

        int count = 0;
        await foreach (TrainingStep _ in plan.IterateAsync())
        {
            if (++count == 2)
            {
                break;
            }
        }

        Assert.Equal(2, count);
        using CancellationTokenSource cancellation = new();
        TrainingState? last = null;
        await Assert.ThrowsAnyAsync<OperationCanceledException>(async () =>
        {
            await foreach (TrainingStep step in plan.IterateAsync(cancellation.Token))
            {
                last = step.State;
                await cancellation.CancelAsync();
            }
        });
        Assert.Equal(steps[0].State, last);
    }

    public void Reports_to_a_progress()
    {
        Progress seen = new();
        TrainingResult result = Plans.ShortLine().ReportTo(seen).ReportTo(seen).Train();
        Assert.Equal(2 * result.Reports.Count, seen.Reports.Count);
    }

    public void Does_not_depend_on_the_threads()
    {
        TrainingState one = Plans.ShortLine().With(o => o with { Threads = 1 }).Train().State;
        TrainingState three = Plans.ShortLine().With(o => o with { Threads = 3 }).Train().State;
        TrainingState inFlight = Plans.ShortLine().With(o => o with { InFlight = 5 }).Train().State;
        Assert.Equal(one, inFlight);
        Assert.Throws<ArgumentOutOfRangeException>(() => Plans.ShortLine().With(o => o with { InFlight = 0 }).Train());
        Assert.Equal(one.Policy.ToJson(), three.Policy.ToJson());
    }

    public void Refuses_bad_options_by_their_names()
    {
        Assert.Multiple(
            () => Refused("Gamma", o => o with { Gamma = 2 }),
            () => Refused("Delta", o => o with { Delta = double.NaN }),
            () => Refused("Threads", o => o with { Threads = 0 }),
            () => Refused("TotalSteps", o => o with { TotalSteps = 0 }),
            () => Refused("StopAtReturn", o => o with { StopAtReturn = double.NaN }),
            () => Refused("Rule", o => o with { Rule = (PolicyRule)7 }),
            () => Refused("ClipRange", o => o with { ClipRange = 0 }),
            () => Refused("Direction", o => o with { Direction = (StepDirection)7 }),
            () => Refused("Activation", o => o with { Activation = (Activation)99 }),
            () => Refused("Hidden", o => o with { Hidden = [64, 0] }),
            () => Refused("Architecture", o => o with { Architecture = "dens 64 tanh" }),
            () => Refused("CriticArchitecture", o => o with { CriticArchitecture = "dense 0 tanh" }),
            () => Refused("Horizon", o => o with { Horizon = -1 }),
            () => Refused("Branches", o => o with { Branches = 1 })
        );

        static void Refused(string name, Func<TrainingOptions, TrainingOptions> change)
        {
            var error = Assert.Throws<ArgumentOutOfRangeException>(() => Plans.ShortLine().With(change).Train());
            Assert.Equal(name, error.ParamName);
            Assert.Contains(name, error.Message, StringComparison.Ordinal);
        }
    }

    public void Refuses_an_unknown_environment_and_names_those_there_are()
    {
        ArgumentException error = Assert.Throws<ArgumentException>(() => Trpo.For("CartPole-v7"));
        Assert.Contains("CartPole-v7", error.Message, StringComparison.Ordinal);
        Assert.Contains("CartPole-v1", error.Message, StringComparison.Ordinal);
        Assert.Contains("Pendulum-v1", error.Message, StringComparison.Ordinal);
        Assert.Contains(
            "did you mean CartPole-v1?",
            Assert.Throws<ArgumentException>(() => Trpo.For("CartPol")).Message,
            StringComparison.Ordinal
        );
    }

    public void Refuses_null()
    {
        TrainingPlan plan = Plans.ShortLine();
        Policy policy = plan.Start().Policy;
        Assert.Throws<ArgumentNullException>(() => Trpo.For(null!));
        Assert.Throws<ArgumentNullException>(() => Trpo.For<Line>(null!));
        Assert.Throws<ArgumentNullException>(() => plan.With(null!));
        Assert.Throws<ArgumentException>(() => plan.With(_ => null!));
        Assert.Throws<ArgumentNullException>(() => plan.OnIteration(null!));
        Assert.Throws<ArgumentNullException>(() => plan.ReportTo(null!));
        Assert.Throws<ArgumentNullException>(() => plan.StartingFrom(null!));
        Assert.Throws<ArgumentNullException>(() => plan.Evaluate((Policy)null!));
        Assert.Throws<ArgumentNullException>(() => plan.Evaluate((Func<ReadOnlySpan<float>, AgentAction>)null!));
        Assert.Throws<ArgumentNullException>(() => plan.Start().With(null!));
        Assert.Throws<ArgumentNullException>(() => Policy.Load(null!));
        Assert.Throws<ArgumentNullException>(() => Policy.FromJson(null!));
        Assert.Throws<ArgumentNullException>(() => policy.Save(null!));
        Assert.Throws<ArgumentNullException>(() => policy.Sample([0f, 0f], null!));
    }

    public void Begins_with_a_trained_policy()
    {
        TrainingPlan plan = Plans.ShortLine();
        Policy trained = plan.With(o => o with { Hidden = [5], NormaliseObservations = true }).Train().Policy;
        plan = plan.With(o => o with { Hidden = new TrainingOptions().Hidden });
        Assert.Equal([5], plan.StartingFrom(trained).Options.Hidden);
        TrainingState start = plan.StartingFrom(trained).Start();
        Assert.Equal(trained.ToJson(), start.Policy.ToJson());
        Assert.Equal(1, start.Next().Report.Iteration);
        ArgumentException error = Assert.Throws<ArgumentException>(() =>
            Trpo.For("CartPole-v1").StartingFrom(trained).Start()
        );
        Assert.Contains("observations Box(4;", error.Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => Trpo.For("CartPole-v1").Evaluate(trained));
    }

    public void Refuses_options_that_are_not_those_of_the_policy_to_start_from()
    {
        TrainingPlan plan = Trpo.For(() => new PushedLine()).With(o => o with { Environments = 2, Horizon = 10 });
        Policy policy = plan.With(o => o with { Hidden = [4, 6], Activation = Activation.Relu }).Start().Policy;
        (string Name, Func<TrainingOptions, TrainingOptions> Change)[] changes =
        [
            ("Architecture", o => o with { Architecture = "dense 4 relu, dense 6 tanh" }),
            ("Hidden", o => o with { Hidden = [6, 4] }),
            ("Activation", o => o with { Activation = Activation.Sigmoid }),
            ("ScaleActions", o => o with { ScaleActions = false }),
            ("Distribution", o => o with { Distribution = ActionDistributionKind.StateDependentGaussian }),
            ("NormaliseObservations", o => o with { NormaliseObservations = false }),
            ("InitialLogSigma", o => o with { InitialLogSigma = -1 }),
        ];
        foreach (var (name, change) in changes)
        {
            Refuses(name, plan.With(change).StartingFrom(policy));
            Refuses(name, plan.StartingFrom(policy).With(change));
        }

        // What agrees is taken in either order, and another policy in place of the first one.
        TrainingOptions Same(TrainingOptions o) => o with { Hidden = [4, 6], Activation = Activation.Relu };
        Assert.Equal(policy.ToJson(), plan.With(Same).StartingFrom(policy).Start().Policy.ToJson());
        Assert.Equal(policy.ToJson(), plan.StartingFrom(policy).With(Same).Start().Policy.ToJson());
        Policy other = plan.With(o => o with { Hidden = [3], ScaleActions = false }).Start().Policy;
        TrainingState start = plan.StartingFrom(policy).StartingFrom(other).With(o => o with { Seed = 9 }).Start();
        Assert.Equal(other.ToJson(), start.Policy.ToJson());
        Assert.Equal(other.ToJson(), plan.StartingFrom(start.Policy).Start().Policy.ToJson());
        Policy mixed = plan.With(o => o with { Architecture = "dense 4 relu, dense 6 tanh" }).Start().Policy;
        Assert.Equal("dense 4 relu; dense 6 tanh", plan.StartingFrom(mixed).Options.Architecture);
        Assert.Equal(mixed.ToJson(), plan.StartingFrom(mixed).Start().Policy.ToJson());

        static void Refuses(string name, TrainingPlan plan) =>
            Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(() => plan.Start()).ParamName);
    }

    public void Presets_of_the_library_are_the_options_to_begin_with()
    {
        Assert.Equal(50_000, Trpo.For("MountainCarContinuous-v0").Options.TotalSteps);
        Assert.Equal(new TrainingOptions(), Trpo.For(() => new Line()).Options);
        Assert.NotEqual(new TrainingOptions(), new TrainingOptions { Hidden = [64] });
        Assert.Equal(new TrainingOptions { Hidden = [3, 4] }, new TrainingOptions { Hidden = [3, 4] });
    }

    private sealed class Progress : IProgress<IterationReport>
    {
        public List<IterationReport> Reports { get; } = [];

        public void Report(IterationReport value) => Reports.Add(value);
    }
}
