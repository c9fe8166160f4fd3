using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using FunTrpo.Ddpg.CSharp;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class DdpgFacts
{
    private static DdpgPlan Small =>
        Trpo.For("Pendulum-v1")
            .ToDdpg()
            .With(options =>
                options with
                {
                    Actor = "dense 8 tanh",
                    Critic = "dense 8 tanh",
                    BatchSize = 16,
                    Warmup = 100,
                    IterationSteps = 200,
                    TotalSteps = 600,
                }
            );

    public void Trains_as_the_guide_shows()
    {
        List<string> printed = [];
        string path = Path.Combine(Path.GetTempPath(), $"pendulum-{Guid.NewGuid():N}.json");
        try
        {
            DdpgPlan plan = Trpo.For("Pendulum-v1")
                .ToDdpg()
                .With(options => options with { Seed = 7, TotalSteps = 6_000 })
                .OnIteration(iteration => printed.Add($"{iteration}"));
            DdpgResult result = plan.Train();
            result.Policy.Save(path); // a policy as any other: Policy.Load, ONNX, FunTrpo.Inference
            Scores scores = plan.Evaluate(Policy.Load(path), episodes: 20);

            Assert.Equal(6, printed.Count);
            Assert.StartsWith("6000 steps: mean return", printed[^1], StringComparison.Ordinal);
            Assert.Equal(6_000, result.Steps);
            Assert.Equal(30, result.Episodes);
            double before = plan.Evaluate(
                plan.With(options => options with { TotalSteps = 1 }).Train().Policy,
                20
            ).Mean;
            Assert.True(
                scores.Mean > before + 300,
                $"The mean return was {before} before and {scores} after training."
            );
        }
        finally
        {
            File.Delete(path);
        }
    }

    public void Goes_on_from_a_file_as_if_it_had_not_been_cut()
    {
        string path = Path.Combine(Path.GetTempPath(), $"ddpg-{Guid.NewGuid():N}");
        try
        {
            DdpgResult whole = Small.Train();
            Small.With(options => options with { TotalSteps = 400 }).Train().Save(path);
            DdpgResult resumed = Small.Resume(path);
            Assert.Equal(whole.Policy, resumed.Policy);
            Assert.Equal((whole.Steps, whole.MeanReturn), (resumed.Steps, resumed.MeanReturn));
            File.WriteAllText(path, "no checkpoint");
            Assert.Throws<InvalidDataException>(() => Small.Resume(path));
        }
        finally
        {
            File.Delete(path);
        }

        Assert.Throws<FileNotFoundException>(() => Small.Resume(path));
    }

    public void Trains_on_a_simulator_of_its_own_and_refuses_what_it_is_not_for()
    {
        DdpgPlan plan = Trpo.For(() => new Push())
            .ToDdpg()
            .With(options => Small.Options with { Seed = 3, TotalSteps = 400 });
        DdpgResult result = plan.Train();
        Assert.Equal("Push", result.Policy.EnvironmentName);
        float[] action = new float[1];
        result.Policy.Act([0.5f], action);
        Assert.InRange(action[0], -1f, 1f);
        Assert.Throws<ArgumentException>(() => Trpo.For("CartPole-v1").ToDdpg().Train());

        ArgumentException refused = Assert.ThrowsAny<ArgumentException>(() =>
            plan.With(options => options with { Tau = 2 }).Train()
        );
        Assert.StartsWith("Tau", refused.ParamName, StringComparison.Ordinal);
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.With(options => options with { TotalSteps = 0 }).Train());
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.With(options => options with { Threads = 0 }).Train());
    }

    public void Ends_after_an_iteration_when_it_is_cancelled()
    {
        using CancellationTokenSource source = new();
        DdpgResult result = Small
            .OnIteration(iteration =>
            {
                if (iteration.Iteration == 2)
                {
                    source.Cancel();
                }
            })
            .Train(source.Token);
        Assert.Equal(400, result.Steps);
    }

    public void Has_the_options_that_were_given()
    {
        Assert.Equal(50_000, Trpo.For("MountainCarContinuous-v0").ToDdpg().Options.TotalSteps);
        Assert.Equal(0.98, Trpo.For("MountainCarContinuous-v0").ToDdpg().Options.NoiseCorrelation);
        Assert.Equal(new DdpgOptions(), Trpo.For(() => new Push()).ToDdpg().Options);
    }

    /// <summary>A point on a line that is pushed to 0, in episodes of ten steps.</summary>
    private sealed class Push : IEnvironment
    {
        private float position;
        private int steps;

        public Space ObservationSpace { get; } = Space.Box(1, -5f, 5f);

        public Space ActionSpace { get; } = Space.Box(1, -1f, 1f);

        public float[] Reset(int seed)
        {
            position = (float)(2 * new Random(seed).NextDouble() - 1);
            steps = 0;
            return [position];
        }

        public StepResult Step(AgentAction action)
        {
            position += 0.3f * action[0];
            steps++;
            return new([position], -position * position, false, steps == 10);
        }
    }
}
