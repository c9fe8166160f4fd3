using System;
using System.Collections.Generic;
using System.Linq;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>Environments that are stepped several in one call.</summary>
public sealed class BatchFacts
{
    /// <summary>Several lines in one object, which may fail.</summary>
    private sealed class Lines(int count, Action<int> before) : IBatchEnvironment, IDisposable
    {
        private readonly Line[] lines = [.. Enumerable.Range(0, count).Select(_ => new Line())];
        private int steps;

        public bool IsDisposed { get; private set; }

        public Space ObservationSpace => lines[0].ObservationSpace;

        public Space ActionSpace => lines[0].ActionSpace;

        public int Count => count;

        public void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations)
        {
            for (int i = 0; i < indices.Length; i++)
            {
                lines[indices[i]].Reset(seeds[i]).CopyTo(observations[(2 * i)..]);
            }
        }

        public void Step(
            ReadOnlySpan<int> indices,
            ReadOnlySpan<float> actions,
            Span<float> observations,
            Span<BatchStepResult> results
        )
        {
            Assert.False(IsDisposed);
            before(++steps);
            for (int i = 0; i < indices.Length; i++)
            {
                StepResult result = lines[indices[i]].Step((int)actions[i]);
                result.Observation.CopyTo(observations[(2 * i)..]);
                results[i] = new(result.Reward, result.Terminated, result.Truncated);
            }
        }

        public void Dispose() => IsDisposed = true;
    }

    /// <summary>An environment whose observation is no element of its space after the first step.</summary>
    private sealed class Stray : IBatchEnvironment
    {
        public Space ObservationSpace { get; } = Space.Discrete(3);

        public Space ActionSpace { get; } = Space.Discrete(2);

        public int Count => 4;

        public void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations) =>
            observations.Fill(2);

        public void Step(
            ReadOnlySpan<int> indices,
            ReadOnlySpan<float> actions,
            Span<float> observations,
            Span<BatchStepResult> results
        ) => observations[^1] = 3;
    }

    private static TrainingPlan Plan(int count, List<Lines> made, Action<int> before) =>
        Trpo.ForBatch(
                () =>
                {
                    Lines lines = new(count, before);
                    made.Add(lines);
                    return lines;
                },
                "Line"
            )
            .Short();

    public void Training_has_the_bits_of_single_environments()
    {
        TrainingState expected = Plans.ShortLine().Train().State;
        foreach (int count in new[] { 1, 3, 4, 20 })
        {
            List<Lines> made = [];
            TrainingPlan plan = Plan(count, made, _ => { });
            Assert.Equal(expected, plan.Train().State);
            Assert.Equal(expected, plan.With(options => options with { InFlight = 3 }).Train().State);
            Assert.Equal(Plans.ShortLine().Evaluate(expected.Policy, 15), plan.Evaluate(expected.Policy, 15));
            Assert.All(made, lines => Assert.True(lines.IsDisposed));
        }
    }

    public void A_failure_names_its_environment_and_step()
    {
        List<Lines> made = [];
        TimeoutException cause = new("no answer");
        TrainingPlan plan = Plan(
                4,
                made,
                step =>
                {
                    if (step == 70)
                    {
                        throw new BatchEnvironmentException(2, "it has no answer", cause);
                    }
                }
            )
            .With(options => options with { Threads = 1 });
        EnvironmentException error = Assert.Throws<EnvironmentException>(() => plan.Train());
        Assert.Equal(2, error.Instance);
        Assert.Equal(70, error.Step);
        Assert.Contains("it has no answer", error.Message, StringComparison.Ordinal);
        Assert.Same(cause, error.InnerException!.InnerException);
        Assert.Equal(1, error.State!.Iteration);
        Assert.All(made, lines => Assert.True(lines.IsDisposed));
    }

    public void Environments_that_fail_are_replaced_so_many_times()
    {
        TrainingState expected = Plans.ShortLine().Train().State;
        foreach (int failures in new[] { 2, 3 })
        {
            List<Lines> made = [];
            int left = failures;
            TrainingPlan plan = Plan(
                    4,
                    made,
                    step =>
                    {
                        if (step == 70 && left-- > 0)
                        {
                            throw new TimeoutException("no answer");
                        }
                    }
                )
                .With(options => options with { Threads = 1 })
                .RestartFailed(2);
            if (failures == 2)
            {
                Assert.Equal(expected, plan.Train().State);
                Assert.Equal(3, made.Count);
            }
            else
            {
                Assert.IsType<TimeoutException>(Assert.Throws<EnvironmentException>(() => plan.Train()).InnerException);
            }
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => Plans.ShortLine().RestartFailed(-1));
    }

    public void An_observation_outside_its_space_is_a_failure_of_its_environment()
    {
        TrainingPlan plan = Trpo.ForBatch(() => new Stray()).With(o => o with { Environments = 4, Threads = 1 });
        EnvironmentException error = Assert.Throws<EnvironmentException>(() => plan.Train());
        Assert.Equal(3, error.Instance);
        Assert.Equal(1, error.Step);
        Assert.Contains("is not in its space, Discrete(3)", error.Message, StringComparison.Ordinal);
    }
}
