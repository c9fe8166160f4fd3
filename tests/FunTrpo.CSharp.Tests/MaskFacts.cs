using System;
using System.Linq;
using System.Net;
using System.Threading;
using System.Threading.Tasks;
using FunTrpo.Remote;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>
/// A workshop with one machine. Each job takes some hours, is more or less urgent, and may have to wait for another one.
/// </summary>
public sealed class Workshop : IEnvironment, IMaskedEnvironment
{
    private static readonly int[] Hours = [5, 1, 3, 2];
    private static readonly int[] Urgency = [1, 4, 2, 6];
    private static readonly int?[] After = [null, 0, null, 2];

    private readonly bool[] done = new bool[4];
    private int time;

    public Space ObservationSpace { get; } = Space.MultiBinary(4);

    public Space ActionSpace { get; } = Space.Discrete(4);

    public float[] Reset(int seed)
    {
        Array.Clear(done);
        time = 0;
        return See();
    }

    public StepResult Step(AgentAction action)
    {
        int job = action.Index;
        time += Hours[job];
        done[job] = true;
        return new(See(), -0.01 * Urgency[job] * time, Terminated: done.All(isDone => isDone));
    }

    public void LegalActions(Span<bool> legal)
    {
        for (int job = 0; job < legal.Length; job++)
        {
            bool isReady = After[job] is not int first || done[first];
            legal[job] = isReady && !done[job];
        }
    }

    private float[] See() => [.. done.Select(isDone => isDone ? 1f : 0f)];
}

/// <summary>Environments that say which actions are legal, and the policies that they teach.</summary>
public sealed class MaskFacts
{
    private static TrainingPlan Plan { get; } =
        Trpo.For(() => new Workshop()).With(options => options with { Seed = 3, TotalSteps = 20_000 });

    private static bool[] AtFirst { get; } = [true, false, true, false];

    public void A_policy_chooses_among_the_legal_actions()
    {
        Policy policy = Plan.Train().Policy;
        Random random = new(1);

        Workshop workshop = new();
        float[] observation = workshop.Reset(seed: 1);
        bool[] legal = new bool[policy.MaskWidth];
        workshop.LegalActions(legal);
        int best = policy.Act(observation, legal);
        int drawn = policy.Sample(observation, legal, random);

        Assert.Equal(2, best);
        Assert.True(legal[drawn]);
        Assert.True(policy.TakesMask);
        Assert.Equal(4, policy.MaskWidth);
        Assert.Equal(Space.MultiBinary(4), policy.ObservationSpace);
        double[] probabilities = [.. policy.Distribution(observation, legal).Probabilities];
        Assert.Equal(0, probabilities[1]);
        Assert.Equal(0, probabilities[3]);
        Assert.Equal(1, probabilities[0] + probabilities[2], 12);

        // The best order of all: 2, 3, 0, 1.
        Assert.Equal(-0.01 * ((2 * 3) + (6 * 5) + (1 * 10) + (4 * 11)), Plan.Evaluate(policy).Mean, 12);
        Policy loaded = Policy.FromJson(policy.ToJson());
        Assert.Equal(best, loaded.Act(observation, legal));
    }

    public void Several_rows_are_acted_on_at_once()
    {
        Policy policy = Plan.Start().Policy;
        float[] observations = [0, 0, 0, 0, 1, 0, 1, 0];
        bool[] legal = [true, false, true, false, false, true, false, true];
        int[] indices = new int[2];
        float[] numbers = new float[2];
        for (int seed = 0; seed < 100; seed++)
        {
            policy.Sample(observations, legal, new Random(seed), indices);
            policy.Sample(observations, legal, new Random(seed), numbers);
            Assert.Equal(indices, numbers.Select(number => (int)number));
            Assert.True(legal[indices[0]] && legal[4 + indices[1]]);
        }

        policy.Act(observations, legal, indices);
        policy.Act(observations, legal, numbers);
        Assert.Equal(indices, numbers.Select(number => (int)number));
        Assert.Equal(indices[0], policy.Act(observations.AsSpan(0, 4), legal.AsSpan(0, 4)));
    }

    public void What_does_not_fit_is_refused()
    {
        Policy policy = Plan.Start().Policy;
        float[] observation = new float[4];
        int[] action = new int[1];
        Assert.Throws<InvalidOperationException>(() => policy.Act(observation));
        Assert.Throws<InvalidOperationException>(() => policy.Act(observation, action));
        Assert.Throws<InvalidOperationException>(() => policy.Sample(observation, Random.Shared));
        Assert.Throws<InvalidOperationException>(() => policy.Distribution(observation));
        Assert.Throws<ArgumentException>(() => policy.Act(observation, new bool[3]));
        Assert.Throws<ArgumentException>(() => policy.Act(new float[3], AtFirst));
        Assert.Throws<ArgumentException>(() => policy.Act([float.NaN, 0, 0, 0], AtFirst));
        ArgumentException none = Assert.Throws<ArgumentException>(() => policy.Act(observation, new bool[4]));
        Assert.StartsWith("No action is legal for observation 0.", none.Message, StringComparison.Ordinal);
        Policy plain = Plans.ShortLine().Start().Policy;
        Assert.False(plain.TakesMask);
        Assert.Equal(0, plain.MaskWidth);
        Assert.Throws<InvalidOperationException>(() => plain.Act([0, 0], [true, true]));
    }

    public void A_state_without_a_legal_action_ends_training()
    {
        EnvironmentException stuck = Assert.Throws<EnvironmentException>(() =>
            Trpo.For(() => new Stuck()).With(options => options with { TotalSteps = 1000 }).Train()
        );
        Assert.Equal(1, stuck.Step);
        Assert.Contains("gave a mask without a legal action", stuck.Message, StringComparison.Ordinal);
        Assert.Contains(
            "gave a mask without a legal action",
            Trpo.For(() => new Stuck()).Check()[0].Message,
            StringComparison.Ordinal
        );
    }

    public void Masks_of_continuous_actions_are_refused()
    {
        EnvironmentException refused = Assert.Throws<EnvironmentException>(() => Trpo.For(() => new Pushed()).Train());
        Assert.Contains("masks are for Discrete and MultiDiscrete actions", refused.Message, StringComparison.Ordinal);
    }

    public void Asynchronous_and_batched_environments_have_masks_with_the_same_bits()
    {
        string expected = Short(Trpo.For(() => new Shift(), "Workshop"));
        Assert.Equal(expected, Short(Trpo.ForAsync(() => new AwaitedWorkshop(), "Workshop")));
        Assert.Equal(expected, Short(Trpo.ForBatch(() => new Workshops(), "Workshop")));
    }

    public void Faults_of_batched_masks_name_the_instance_and_the_step()
    {
        EnvironmentException failed = Assert.Throws<EnvironmentException>(() =>
            Short(Trpo.ForBatch(() => new Workshops(fails: true)))
        );
        Assert.Equal((2, 3), (failed.Instance, failed.Step));
        Assert.Contains("no answer", failed.Message, StringComparison.Ordinal);
        EnvironmentException stuck = Assert.Throws<EnvironmentException>(() =>
            Short(Trpo.ForBatch(() => new Workshops(isStuck: true)))
        );
        Assert.Equal((2, 2), (stuck.Instance, stuck.Step));
        Assert.Contains("a mask without a legal action", stuck.Message, StringComparison.Ordinal);
        EnvironmentException single = Assert.Throws<EnvironmentException>(() =>
            Trpo.ForBatch(() => new MaskedAsASingleOne()).Train()
        );
        Assert.Contains("IMaskedBatchEnvironment", single.Message, StringComparison.Ordinal);
    }

    private static string Short(TrainingPlan plan) =>
        plan.With(options =>
                options with
                {
                    Seed = 3,
                    Environments = 4,
                    Threads = 1,
                    Horizon = 16,
                    TotalSteps = 200,
                    Hidden = [8],
                    CriticHidden = [8],
                }
            )
            .Train()
            .Policy.ToJson();

    public void A_rule_sees_the_mask_after_the_observation()
    {
        // The most urgent of the legal jobs.
        int[] urgency = [1, 4, 2, 6];
        Scores scores = Plan.Evaluate(seen =>
        {
            float[] worth = new float[4];
            for (int job = 0; job < 4; job++)
            {
                worth[job] = seen[4 + job] * urgency[job];
            }

            return worth.AsSpan().IndexOf(worth.Max());
        });
        Assert.Equal(-0.01 * ((2 * 3) + (6 * 5) + (1 * 10) + (4 * 11)), scores.Mean, 12);
        ArgumentException illegal = Assert.Throws<ArgumentException>(() => Plan.Evaluate(_ => 1));
        Assert.Contains("does not allow this action now", illegal.Message, StringComparison.Ordinal);
    }

    public void Environments_with_masks_are_served()
    {
        using RemoteServer server = RemoteServer.Listen(
            new IPEndPoint(IPAddress.Loopback, 0),
            () => new Workshop(),
            new() { Token = "swordfish", Count = 3 }
        );
        TrainingPlan plan = Trpo.ForBatch(
            () => RemoteEnvironments.Connect("127.0.0.1", server.Port, new() { Token = "swordfish" }),
            "Workshop"
        );
        Assert.Equal(Short(Trpo.For(() => new Workshop(), "Workshop")), Short(plan));
    }

    /// <summary>A state in which nothing is legal.</summary>
    private sealed class Stuck : IEnvironment, IMaskedEnvironment
    {
        private bool isStuck;

        public Space ObservationSpace { get; } = Space.Discrete(2);

        public Space ActionSpace { get; } = Space.Discrete(2);

        public float[] Reset(int seed)
        {
            isStuck = false;
            return [0];
        }

        public StepResult Step(AgentAction action)
        {
            isStuck = true;
            return new([1], action.Index);
        }

        public void LegalActions(Span<bool> legal) => legal[1] = !isStuck;
    }

    private sealed class Pushed : IEnvironment, IMaskedEnvironment
    {
        public Space ObservationSpace { get; } = Space.Discrete(2);

        public Space ActionSpace { get; } = Space.Box(1, -1, 1);

        public float[] Reset(int seed) => [0];

        public StepResult Step(AgentAction action) => new([0], 0, Terminated: true);

        public void LegalActions(Span<bool> legal) => legal.Fill(true);
    }

    /// <summary>The workshop, where some shifts end before all jobs are done.</summary>
    private sealed class Shift : IEnvironment, IMaskedEnvironment
    {
        private readonly Workshop workshop = new();
        private int left;

        public bool IsLong { get; init; }

        public Space ObservationSpace => workshop.ObservationSpace;

        public Space ActionSpace => workshop.ActionSpace;

        public float[] Reset(int seed)
        {
            left = IsLong ? 4 : 1 + (seed % 4);
            return workshop.Reset(seed);
        }

        public StepResult Step(AgentAction action)
        {
            left--;
            StepResult result = workshop.Step(action);
            return new(
                result.Observation,
                result.Reward,
                result.Terminated,
                Truncated: left == 0 && !result.Terminated
            );
        }

        public void LegalActions(Span<bool> legal) => workshop.LegalActions(legal);
    }

    /// <summary>The workshop, which answers later and on another thread.</summary>
    private sealed class AwaitedWorkshop : IAsyncEnvironment, IMaskedEnvironment
    {
        private readonly Shift workshop = new();

        public Space ObservationSpace => workshop.ObservationSpace;

        public Space ActionSpace => workshop.ActionSpace;

        public async ValueTask<float[]> ResetAsync(int seed, CancellationToken cancellation)
        {
            await Task.Yield();
            return workshop.Reset(seed);
        }

        public async ValueTask<StepResult> StepAsync(ReadOnlyMemory<float> action, CancellationToken cancellation)
        {
            await Task.Yield();
            return workshop.Step((int)action.Span[0]);
        }

        public void LegalActions(Span<bool> legal) => workshop.LegalActions(legal);
    }

    /// <summary>
    /// Workshops in one object. That with the index 2 may fail when it is asked for its third mask after a step, or say that nothing is legal.
    /// </summary>
    private sealed class Workshops : IBatchEnvironment, IMaskedBatchEnvironment
    {
        private readonly bool fails;
        private readonly bool isStuck;
        private readonly Shift[] workshops;
        private int calls;

        public Workshops(bool fails = false, bool isStuck = false)
        {
            this.fails = fails;
            this.isStuck = isStuck;
            workshops = [.. Enumerable.Range(0, 4).Select(_ => new Shift { IsLong = fails || isStuck })];
        }

        public Space ObservationSpace => workshops[0].ObservationSpace;

        public Space ActionSpace => workshops[0].ActionSpace;

        public int Count => workshops.Length;

        public void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations)
        {
            for (int i = 0; i < indices.Length; i++)
            {
                workshops[indices[i]].Reset(seeds[i]).CopyTo(observations[(4 * i)..]);
            }
        }

        public void Step(
            ReadOnlySpan<int> indices,
            ReadOnlySpan<float> actions,
            Span<float> observations,
            Span<BatchStepResult> results
        )
        {
            calls++;
            for (int i = 0; i < indices.Length; i++)
            {
                StepResult result = workshops[indices[i]].Step((int)actions[i]);
                result.Observation.CopyTo(observations[(4 * i)..]);
                results[i] = new(result.Reward, result.Terminated, result.Truncated);
            }
        }

        public void LegalActions(ReadOnlySpan<int> indices, Span<bool> legal)
        {
            for (int i = 0; i < indices.Length; i++)
            {
                bool isTroubled = indices[i] == 2;
                if (fails && isTroubled && calls == 3)
                {
                    throw new BatchEnvironmentException(i, "no answer");
                }

                if (!(isStuck && isTroubled && calls == 2))
                {
                    workshops[indices[i]].LegalActions(legal.Slice(4 * i, 4));
                }
            }
        }
    }

    private sealed class MaskedAsASingleOne : IBatchEnvironment, IMaskedEnvironment
    {
        public Space ObservationSpace { get; } = Space.Discrete(2);

        public Space ActionSpace { get; } = Space.Discrete(2);

        public int Count => 2;

        public void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations) =>
            observations.Clear();

        public void Step(
            ReadOnlySpan<int> indices,
            ReadOnlySpan<float> actions,
            Span<float> observations,
            Span<BatchStepResult> results
        ) => observations.Clear();

        public void LegalActions(Span<bool> legal) => legal.Fill(true);
    }
}
