using System;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>A policy that has to remember: the example of docs/csharp.md.</summary>
public sealed class MemoryFacts
{
    /// <summary>Shows a bit, then nothing for three steps, and rewards the action of the last step that repeats the bit.</summary>
    private sealed class Recall : IEnvironment
    {
        private int bit;
        private int time;

        public Space ObservationSpace { get; } = Space.Box(2, -1, 1);

        public Space ActionSpace { get; } = Space.Discrete(2);

        public float[] Reset(int seed)
        {
            bit = new Random(seed).Next(2);
            time = 0;
            return See();
        }

        public StepResult Step(AgentAction action)
        {
            time++;
            bool isOver = time == 4;
            double reward =
                !isOver ? 0.0
                : action.Index == bit ? 1.0
                : -1.0;
            return new(See(), reward, Terminated: isOver);
        }

        private float[] See() => time == 0 ? [1f, bit] : [0f, 0f];
    }

    public void A_policy_with_memory()
    {
        Recall recall = new();

        TrainingPlan plan = Trpo.For(() => new Recall())
            .With(options =>
                options with
                {
                    Architecture = "dense 16 tanh; gru 16",
                    CriticArchitecture = "dense 16 tanh; gru 16",
                    TotalSteps = 100_000,
                    StopAtReturn = 0.9,
                }
            );
        Policy policy = plan.Train().Policy;

        for (int seed = 0; seed < 20; seed++)
        {
            double total = 0.0;

            PolicyEpisode episode = policy.Begin();
            float[] observation = recall.Reset(seed);
            bool isOver = false;
            while (!isOver)
            {
                int action = episode.Act(observation); // in order, each observation once
                StepResult result = recall.Step(action);
                observation = result.Observation;
                isOver = result.Terminated;
                total += result.Reward;
            }

            episode.Restart(); // the next observation is the first of another episode

            Assert.Equal(1.0, total);
        }

        Assert.True(policy.HasMemory);
        Assert.Throws<InvalidOperationException>(() => policy.Act([1f, 1f]));
        Assert.Throws<InvalidOperationException>(() => policy.Sample([1f, 1f], new Random(1)));
        Assert.Throws<InvalidOperationException>(() => policy.Distribution([1f, 1f]));
    }

    public void Episodes_are_apart()
    {
        Policy policy = Trpo.For(() => new Recall())
            .With(options => options with { Architecture = "lstm 8", TotalSteps = 500 })
            .Train()
            .Policy;

        PolicyEpisode first = policy.Begin();
        PolicyEpisode second = policy.Begin();
        double before = second.Distribution([1f, 1f]).Probabilities[0];
        Assert.Equal(before, second.Distribution([1f, 1f]).Probabilities[0]); // a look is not remembered
        first.Act([1f, 0f]);
        double after = first.Distribution([1f, 1f]).Probabilities[0];
        first.Restart();

        Assert.NotEqual(before, after);
        Assert.Equal(before, first.Distribution([1f, 1f]).Probabilities[0]);
        Assert.Same(policy, first.Policy);
        first.Act([1f, 1f]);
        Assert.Throws<ArgumentException>(() => first.Act([float.NaN, 0f]));
        Assert.Equal(first.Sample([0f, 0f], new Random(3)), Sampled(policy, new Random(3)));
    }

    public void A_policy_with_memory_chooses_among_the_legal_actions()
    {
        MaskedRecall recall = new();
        Policy policy = Trpo.For(() => new MaskedRecall())
            .With(options => options with { Architecture = "gru 8", CriticArchitecture = "gru 8", TotalSteps = 500 })
            .Train()
            .Policy;
        bool[] legal = new bool[policy.MaskWidth];
        PolicyEpisode episode = policy.Begin();
        float[] observation = recall.Reset(1);
        bool isOver = false;
        while (!isOver)
        {
            Array.Clear(legal);
            recall.LegalActions(legal);
            ActionDistribution distribution = episode.Distribution(observation, legal);
            for (int i = 0; i < legal.Length; i++)
            {
                Assert.Equal(legal[i], distribution.Probabilities[i] > 0);
            }

            int action = episode.Sample(observation, legal, new Random(2));
            Assert.True(legal[action]);
            StepResult result = recall.Step(action);
            (observation, isOver) = (result.Observation, result.Terminated);
        }

        Assert.Throws<InvalidOperationException>(() => episode.Act(observation));
        Assert.Throws<InvalidOperationException>(() => policy.Act(observation, legal));
        Assert.Throws<ArgumentException>(() => episode.Act(observation, new bool[3]));
        Policy plain = Trpo.For(() => new Recall()).Start().Policy;
        Assert.Throws<InvalidOperationException>(() => plain.Begin().Act(observation, [true, true]));
    }

    /// <summary>The same task with a third action, which is the only one while nothing is asked.</summary>
    private sealed class MaskedRecall : IEnvironment, IMaskedEnvironment
    {
        private readonly Recall recall = new();
        private int time;

        public Space ObservationSpace => recall.ObservationSpace;

        public Space ActionSpace { get; } = Space.Discrete(3);

        public float[] Reset(int seed)
        {
            time = 0;
            return recall.Reset(seed);
        }

        public StepResult Step(AgentAction action)
        {
            bool[] legal = new bool[3];
            LegalActions(legal);
            Assert.True(legal[action.Index]);
            time++;
            return recall.Step(Math.Min(action.Index, 1));
        }

        public void LegalActions(Span<bool> legal)
        {
            legal[0] = legal[1] = time == 3;
            legal[2] = time != 3;
        }
    }

    /// <summary>The action that is drawn in the second step of the episode above.</summary>
    private static int Sampled(Policy policy, Random random)
    {
        PolicyEpisode episode = policy.Begin();
        episode.Act([1f, 1f]);
        return episode.Sample([0f, 0f], random);
    }
}
