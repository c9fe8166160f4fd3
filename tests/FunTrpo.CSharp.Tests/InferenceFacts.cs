using System;
using System.IO;
using Xunit;

namespace FunTrpo.Inference.Tests;

/// <summary>FunTrpo.Inference as its callers use it. What it computes is tested in <c>InferenceTests.fs</c>.</summary>
public sealed class InferenceFacts
{
    private static readonly float[] Seen = [0.5f, 0f];

    private static CSharp.Policy Trained { get; } = CSharp.Tests.Plans.ShortLine().Start().Policy;

    private static Policy Continuous { get; } =
        Policy.FromJson(CSharp.Trpo.For(() => new CSharp.Tests.PushedLine()).Start().Policy.ToJson());

    public void Loads_and_acts()
    {
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        string current = Directory.GetCurrentDirectory();
        Directory.SetCurrentDirectory(folder);
        try
        {
            Trained.Save("policy.json");
            float[] observation = Seen;
            Random random = new(1);

            Policy policy = Policy.Load("policy.json"); // of FunTrpo.Inference; or Policy.FromJson(text), with the text of a TextAsset in Unity
            int best = policy.Act(observation); // the most probable action
            int drawn = policy.Sample(observation, random); // one drawn at random
            double sure = policy.Distribution(observation).Probabilities[best];

            Assert.Equal(Trained.Act(observation), best);
            Assert.InRange(drawn, 0, 1);
            Assert.InRange(sure, 0.5, 1);
        }
        finally
        {
            Directory.SetCurrentDirectory(current);
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Says_what_a_policy_is_for()
    {
        Policy policy = Policy.FromJson("\uFEFF" + Trained.ToJson());
        Assert.Equal("Line", policy.EnvironmentName);
        Assert.Equal(2, policy.ObservationWidth);
        Assert.Equal(SpaceKind.Discrete, policy.ActionSpace.Kind);
        Assert.Equal([2], policy.ActionSpace.Counts);
        Assert.Equal("Policy for Line: observations Box(2), actions Discrete(2)", policy.ToString());
        Assert.Equal(-1f, Continuous.ActionSpace.Low[0]);
    }

    public void Refuses_what_does_not_fit()
    {
        Policy policy = Policy.FromJson(Trained.ToJson());
        Assert.Throws<ArgumentException>(() => policy.Act([1f, 2f, 3f]));
        Assert.Throws<ArgumentException>(() => policy.Act([1f, float.NaN]));
        Assert.Throws<ArgumentException>(() => policy.Act(Seen, new int[2]));
        Assert.Throws<ArgumentException>(() => policy.Distribution([1f]));
        Assert.Throws<ArgumentNullException>(() => policy.Sample(Seen, null!));
        Assert.Throws<InvalidOperationException>(() => Continuous.Act(new float[Continuous.ObservationWidth]));
        Assert.Throws<InvalidOperationException>(() =>
            Continuous.Act(new float[Continuous.ObservationWidth], new int[1])
        );
    }

    public void Says_what_is_wrong_with_a_file()
    {
        string damaged = Trained.ToJson().Replace("Line", "Lime", StringComparison.Ordinal);
        InvalidDataException error = Assert.Throws<InvalidDataException>(() => Policy.FromJson(damaged));
        Assert.Equal("It is not what was saved (its checksum differs).", error.Message);
        Assert.Throws<InvalidDataException>(() => Policy.FromJson("\uD800"));
    }
}
