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
        Assert.Equal("Line", loaded.Environment);
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

    private static float[][] Observations(int count)
    {
        Random random = new(5);
        return
        [
            .. Enumerable.Range(0, count).Select(_ => new[] { (4 * random.NextSingle()) - 2, random.NextSingle() }),
        ];
    }
}
