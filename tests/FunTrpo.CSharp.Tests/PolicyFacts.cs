using System;
using System.IO;
using System.Linq;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class PolicyFacts
{
    private static readonly Policy Discrete = Plans.ShortLine().Train().Policy;
    private static readonly Policy Continuous = Trpo.For(() => new PushedLine()).Short().Train().Policy;

    public void Is_the_same_after_it_was_saved()
    {
        string path = Path.GetTempFileName();
        Discrete.Save(path);
        Policy loaded = Policy.Load(path);
        File.Delete(path);
        Assert.Equal(Discrete.ToJson(), loaded.ToJson());
        Assert.Equal(Discrete.ToJson(), Policy.FromJson("\uFEFF" + Discrete.ToJson()).ToJson());
        Assert.Equal("Line", loaded.EnvironmentName);
        Assert.Equal(2, loaded.ObservationWidth);
        Assert.Equal(Space.Discrete(2), loaded.ActionSpace);
        Assert.Equal((2 * 8) + 8 + (8 * 2) + 2, loaded.ParameterCount);
        foreach (float[] observation in Observations(50))
        {
            Assert.Equal(Discrete.Act(observation), loaded.Act(observation));
        }
    }

    public void Says_what_is_wrong_with_a_file()
    {
        Assert.Throws<FileNotFoundException>(() => Policy.Load("nowhere.policy"));
        Assert.Throws<InvalidDataException>(() => Policy.FromJson(""));
        Assert.Throws<InvalidDataException>(() => Policy.FromJson("{}"));
        string damaged = Discrete.ToJson().Replace("Line", "Lime", StringComparison.Ordinal);
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => Policy.FromJson(damaged));
        Assert.Contains("checksum", error.Message, StringComparison.Ordinal);
    }

    public void Says_what_is_wrong_with_a_path_by_the_exceptions_that_are_documented()
    {
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        try
        {
            InvalidDataException error = Assert.Throws<InvalidDataException>(() => Policy.Load(folder));
            Assert.Contains("it is a folder", error.Message, StringComparison.Ordinal);
            string empty = Path.Combine(folder, "empty");
            File.WriteAllText(empty, "");
            Assert.Throws<InvalidDataException>(() => Policy.Load(empty));
            Assert.Throws<ArgumentException>(() => Policy.Load(""));
            Assert.Throws<IOException>(() => Discrete.Save(folder));
            Assert.ThrowsAny<IOException>(() => Discrete.Save(Path.Combine(folder, "missing", "policy.json")));
            Assert.Equal([empty], Directory.GetFileSystemEntries(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Refuses_to_act_where_it_cannot()
    {
        float[] action = new float[2];
        Policy raw = Trpo.For(() => new PushedLine())
            .Short()
            .With(o => o with { Hidden = [], NormaliseObservations = false, Horizon = 10, TotalSteps = 40 })
            .Start()
            .Policy;
        raw.Act([1e30f], action);
        Assert.All(action, x => Assert.InRange(x, -1, 1));
        Policy hidden = Trpo.For(() => new PushedLine())
            .Short()
            .With(o => o with { Hidden = [8, 8], Activation = Activation.Identity, NormaliseObservations = false })
            .Start()
            .Policy;
        Assert.Throws<ArithmeticException>(() => hidden.Act([float.MaxValue], action));
        Assert.Throws<ArithmeticException>(() => hidden.Sample([float.MaxValue], new Random(1), action));
    }

    public void Acts_on_many_observations_as_on_each()
    {
        float[][] observations = Observations(100);
        int[] indices = new int[100];
        Discrete.Act([.. observations.SelectMany(row => row)], indices);
        Assert.Equal(observations.Select(row => Discrete.Act(row)), indices);

        float[] ones = [.. observations.Select(row => row[0])];
        float[] actions = new float[200];
        Continuous.Act(ones, actions);
        float[] action = new float[2];
        for (int i = 0; i < 100; i++)
        {
            Continuous.Act([ones[i]], action);
            Assert.Equal(action, actions[(2 * i)..(2 * (i + 1))]);
        }
    }

    public void Samples_what_its_random_says()
    {
        float[] observation = [0.3f, 0.5f];
        int[] first = [.. Draw(new Random(1)).Take(100)];
        Assert.Equal(first, Draw(new Random(1)).Take(100));
        Assert.NotEqual(first, Draw(new Random(2)).Take(100));
        Assert.Equal([0, 1], first.Distinct().Order());

        float[] actions = new float[2000];
        Continuous.Sample(new float[1000], new Random(1), actions);
        Assert.All(actions, x => Assert.InRange(x, -1, 1));
        Assert.True(actions.Distinct().Count() > 500);
        int[] indices = new int[1000];
        Discrete.Sample(new float[2000], new Random(1), indices);
        Assert.Equal([0, 1], indices.Distinct().Order());

        System.Collections.Generic.IEnumerable<int> Draw(Random random)
        {
            while (true)
            {
                yield return Discrete.Sample(observation, random);
            }
        }
    }

    public void Is_safe_to_use_from_many_threads()
    {
        float[][] observations = Observations(2000);
        int[] expected = [.. observations.Select(row => Discrete.Act(row))];
        for (int round = 0; round < 5; round++)
        {
            Assert.Equal(
                expected,
                observations.AsParallel().AsOrdered().WithDegreeOfParallelism(8).Select(row => Discrete.Act(row))
            );
        }
    }

    public void Acts_without_allocating()
    {
        float[] observation = [0.3f, 0.5f];
        float[] action = new float[2];
        Random random = new(1);
        Play();
        long before = GC.GetAllocatedBytesForCurrentThread();
        Play();
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);

        void Play()
        {
            for (int i = 0; i < 100; i++)
            {
                Discrete.Act(observation);
                Discrete.Sample(observation, random);
                Continuous.Act(observation.AsSpan(0, 1), action);
                Continuous.Sample(observation.AsSpan(0, 1), random, action);
            }
        }
    }

    public void Refuses_what_does_not_fit()
    {
        float[] action = new float[2];
        Assert.Throws<ArgumentException>(() => Discrete.Act([1f]));
        Assert.Throws<ArgumentException>(() => Discrete.Act([1f, 2f, 3f, 4f]));
        Assert.Throws<ArgumentException>(() => Discrete.Act([]));
        Assert.Throws<ArgumentException>(() => Discrete.Act([1f, float.NaN]));
        Assert.Throws<ArgumentException>(() => Continuous.Act([float.NegativeInfinity], action));
        Assert.Throws<ArgumentException>(() => Continuous.Act([1f], new float[3]));
        Assert.Contains(
            "Box(2",
            Assert.Throws<InvalidOperationException>(() => Continuous.Act([1f])).Message,
            StringComparison.Ordinal
        );
        Assert.Throws<InvalidOperationException>(() => Continuous.Act([1f], new int[2]));
    }

    public void Says_how_probable_its_actions_are()
    {
        foreach (float[] observation in Observations(20))
        {
            ActionDistribution distribution = Discrete.Distribution(observation);
            Assert.Equal(2, distribution.Probabilities.Count);
            Assert.Equal(1, distribution.Probabilities.Sum(), 1e-12);
            Assert.Equal(
                Discrete.Act(observation),
                distribution.Probabilities[0] >= distribution.Probabilities[1] ? 0 : 1
            );
            Assert.Empty(distribution.Mean);
            Assert.Empty(distribution.StandardDeviation);

            Random random = new(3);
            double zeros = Enumerable.Range(0, 5000).Count(_ => Discrete.Sample(observation, random) == 0) / 5000.0;
            Assert.Equal(distribution.Probabilities[0], zeros, 0.03); // four standard errors
        }

        Assert.Throws<ArgumentException>(() => Discrete.Distribution([1f]));
        Assert.Throws<ArgumentException>(() => Discrete.Distribution([1f, 2f, 3f, 4f]));
        Assert.Throws<ArgumentException>(() => Discrete.Distribution([1f, float.NaN]));
    }

    public void Says_how_continuous_actions_are_spread_in_their_own_unit()
    {
        // A small spread, so that hardly anything is clipped.
        Space unit = Space.Box([500f, -2f], [600f, float.PositiveInfinity]);
        foreach (bool scaled in new[] { true, false })
        {
            double logSigma = scaled ? -2 : 1;
            Policy policy = Trpo.For(() => new Still(unit))
                .Short()
                .With(o => o with { InitialLogSigma = logSigma, ScaleActions = scaled })
                .Start()
                .Policy;
            ActionDistribution distribution = policy.Distribution([0.3f]);
            Assert.Empty(distribution.Probabilities);
            float[] action = new float[2];
            policy.Act([0.3f], action);
            Assert.Equal(action[0], Math.Clamp(distribution.Mean[0], 500, 600), 1e-3);
            Assert.Equal(action[1], distribution.Mean[1], 1e-6);
            double[] expected = [(scaled ? 50 : 1) * Math.Exp(logSigma), Math.Exp(logSigma)];
            Assert.Equal(expected[0], distribution.StandardDeviation[0], 1e-5 * expected[0]);
            Assert.Equal(expected[1], distribution.StandardDeviation[1], 1e-5 * expected[1]);

            float[] drawn = new float[2 * 4000];
            policy.Sample([.. Enumerable.Repeat(0.3f, 4000)], new Random(1), drawn);
            if (scaled)
            {
                double[] first = [.. drawn.Where((_, i) => i % 2 == 0).Select(x => (double)x)];
                double spread = Math.Sqrt(first.Average(x => Math.Pow(x - distribution.Mean[0], 2)));
                Assert.Equal(distribution.Mean[0], first.Average(), 0.5);
                Assert.Equal(distribution.StandardDeviation[0], spread, 0.3);
            }
        }
    }

    public void Describes_distributions_between_two_bounds()
    {
        foreach (var kind in new[] { ActionDistributionKind.SquashedGaussian, ActionDistributionKind.Beta })
        {
            TrainingPlan plan = Trpo.For(() => new Still(Space.Box([500f], [600f])))
                .Short()
                .With(o => o with { Distribution = kind, InitialLogSigma = -1 });
            Policy policy = plan.Train().Policy;
            ActionDistribution distribution = policy.Distribution([0.3f]);
            float[] drawn = new float[4000];
            policy.Sample([.. Enumerable.Repeat(0.3f, 4000)], new Random(1), drawn);
            Assert.All(drawn, action => Assert.InRange(action, 500f, 600f));
            double mean = drawn.Average(x => (double)x);
            float[] mode = new float[1];
            policy.Act([0.3f], mode);
            if (kind == ActionDistributionKind.Beta)
            {
                double alpha = distribution.Alpha[0];
                double beta = distribution.Beta[0];
                Assert.True(alpha > 1 && beta > 1);
                Assert.Equal(500 + (100 * alpha / (alpha + beta)), distribution.Mean[0], 1e-6);
                Assert.Equal(distribution.Mean[0], mean, 2.0);
                Assert.Equal(500 + (100 * (alpha - 1) / (alpha + beta - 2)), mode[0], 1e-3);
                double spread = Math.Sqrt(drawn.Average(x => Math.Pow(x - distribution.Mean[0], 2)));
                Assert.Equal(distribution.StandardDeviation[0], spread, 1.0);
            }
            else
            {
                Assert.Empty(distribution.Mean);
                Assert.Equal(550 + (50 * Math.Tanh(distribution.LatentMean[0])), mode[0], 1e-3);
                Assert.Equal(Math.Exp(-1), distribution.LatentStandardDeviation[0], 0.1);
            }

            Policy loaded = Policy.FromJson(policy.ToJson());
            Assert.Equal(policy, loaded);
            Assert.Equal(distribution, loaded.Distribution([0.3f]));
        }

        Assert.Contains(
            "distribution",
            Assert
                .Throws<ArgumentOutOfRangeException>(() =>
                    Trpo.For(() => new Still(Space.Box([0f], [float.PositiveInfinity])))
                        .With(o => o with { Distribution = ActionDistributionKind.Beta })
                        .Start()
                )
                .Message,
            StringComparison.OrdinalIgnoreCase
        );
    }

    public void Says_how_probable_each_of_several_choices_is()
    {
        foreach (Space space in new[] { Space.MultiDiscrete(2, 3), Space.MultiBinary(3) })
        {
            Policy policy = Trpo.For(() => new Still(space)).Short().Train().Policy;
            ActionDistribution distribution = policy.Distribution([0.3f]);
            int[] action = new int[space.Width];
            policy.Act([0.3f], action);
            int first = 0;
            foreach ((int choice, int count) in space.Counts.Index())
            {
                double[] ofChoice = [.. distribution.Probabilities.Skip(first).Take(count)];
                Assert.Equal(1, ofChoice.Sum(), 1e-12);
                Assert.Equal(action[choice], Array.IndexOf(ofChoice, ofChoice.Max()));
                first += count;
            }

            Assert.Equal(first, distribution.Probabilities.Count);
        }
    }

    /// <summary>Where nothing happens.</summary>
    private sealed class Still(Space actions) : IEnvironment
    {
        private int time;

        public Space ObservationSpace => Space.Box(1, -1, 1);

        public Space ActionSpace => actions;

        public float[] Reset(int seed)
        {
            time = 0;
            return [0.1f];
        }

        public StepResult Step(AgentAction action) => new([0.1f], action[0] / 1000, Truncated: ++time == 10);
    }

    private static float[][] Observations(int count)
    {
        Random random = new(5);
        return
        [
            .. Enumerable.Range(0, count).Select(_ => new[] { (4 * random.NextSingle()) - 2, random.NextSingle() }),
        ];
    }
}
