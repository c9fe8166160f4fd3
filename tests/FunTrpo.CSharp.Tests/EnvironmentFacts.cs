using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class EnvironmentFacts
{
    public void An_exception_comes_back_with_where_it_was_and_the_last_good_state()
    {
        InvalidOperationException crash = new("the crane fell over");
        foreach (int threads in new[] { 1, 2, 4 })
        {
            int made = 0;
            TrainingPlan plan = Trpo
                .For(() => new Accident(made++, 120, _ => throw crash), "Crane")
                .Short()
                .With(o => o with { Threads = threads });
            EnvironmentException error = Assert.Throws<EnvironmentException>(() => plan.Train());
            Assert.Equal("Crane", error.Environment);
            Assert.Equal(0, error.Instance);
            Assert.Equal(120, error.Step);
            Assert.Same(crash, error.InnerException);
            Assert.Contains("the crane fell over", error.Message, StringComparison.Ordinal);
            Assert.Equal(2, error.State!.Iteration);
            Assert.Equal(400, error.State.Steps);
            Assert.InRange(error.State.Policy.Act([0f, 0f]), 0, 1);
        }
    }

    public void The_state_before_an_exception_can_be_gone_on_from()
    {
        int made = 0;
        TrainingPlan plan = Trpo.For(() => new Accident(made++, 120, _ => throw new TimeoutException()), "Line").Short();
        TrainingState good = Assert.Throws<EnvironmentException>(() => plan.Train()).State!;

        // The simulator that failed is gone, and another one is brought to where it stood.
        TrainingState next = good.Next().State;
        List<TrainingState> undisturbed = Trpo.For(() => new Line(), "Line").Short().States(4);
        Assert.Equal(undisturbed[2].Policy.ToJson(), good.Policy.ToJson());
        Assert.Equal(undisturbed[3].Policy.ToJson(), next.Policy.ToJson());
    }

    public void What_is_not_as_the_spaces_say_is_refused_where_it_happens()
    {
        Refused("3 numbers", result => result with { Observation = [1, 2, 3] });
        Refused("null", result => result with { Observation = null! });
        Refused("observation", result => result with { Observation = [float.NaN, 0] });
        Refused("observation", result => result with { Observation = [0, float.PositiveInfinity] });
        Refused("reward", result => result with { Reward = double.NaN });

        static void Refused(string what, Func<StepResult, StepResult> accident)
        {
            int made = 0;
            TrainingPlan plan = Trpo.For(() => new Accident(made++, 70, accident)).Short();
            EnvironmentException error = Assert.Throws<EnvironmentException>(() => plan.Train());
            Assert.Contains(what, error.Message, StringComparison.Ordinal);
            Assert.Equal(70, error.Step);
            Assert.Equal(1, error.State!.Iteration);
        }
    }

    public void What_cannot_begin_is_refused_too()
    {
        Begins(() => throw new TimeoutException("no licence"), "no licence");
        Begins(() => null!, "null");
        Begins(() => new Broken { Observations = null! }, "observation space");
        Begins(() => new Broken { Actions = null! }, "action space");
        Begins(() => new Broken { OnReset = () => throw new TimeoutException("no power") }, "no power");
        Begins(() => new Broken { OnReset = () => [1] }, "1 numbers");
        Begins(() => new Broken { OnReset = () => null! }, "null");
        Begins(() => new Broken { OnReset = () => [float.NaN, 0] }, "observation");

        static void Begins(Func<Broken> factory, string what)
        {
            EnvironmentException error = Assert.Throws<EnvironmentException>(() =>
                Trpo.For(factory, "Broken").Short().Train()
            );
            Assert.Contains(what, error.Message, StringComparison.Ordinal);
            Assert.Equal("Broken", error.Environment);
            Assert.Equal(0, error.Instance);
            Assert.Equal(0, error.Step);
        }
    }

    public void An_evaluation_says_where_it_failed()
    {
        Policy policy = Plans.ShortLine().Train().Policy;
        int made = 0;
        EnvironmentException error = Assert.Throws<EnvironmentException>(() =>
            Trpo.For(() => new Accident(made++, 5, _ => throw new TimeoutException("too slow")))
                .With(o => o with { Threads = 1 })
                .Evaluate(policy, 3)
        );
        Assert.Equal(5, error.Step);
        Assert.IsType<TimeoutException>(error.InnerException);
    }

    public void Each_is_used_by_one_thread_at_a_time_and_disposed_of_at_the_end()
    {
        Watch watch = new();
        TrainingResult result = Trpo.For(watch.Make).Short().With(o => o with { Environments = 7, Threads = 4 }).Train();
        Assert.Equal(0, watch.Collisions);
        Assert.Equal(7, watch.Made);
        Assert.Equal(7, watch.Disposed.Distinct().Count());

        // The result can be gone on from: others are made.
        TrainingState next = result.State.Next().State;
        Assert.Equal(14, watch.Made);
        next.ReleaseEnvironments();
        Assert.Equal(14, watch.Disposed.Distinct().Count());
    }

    public void A_simulator_whose_chance_does_not_come_from_the_seed_cannot_be_gone_on_from_twice()
    {
        TrainingPlan plan = Trpo.For(() => new Unseeded()).Short();
        List<TrainingState> states = plan.States(3); // to go on once is fine
        EnvironmentException error = Assert.Throws<EnvironmentException>(() => states[1].Next());
        Assert.Contains("seed", error.Message, StringComparison.Ordinal);
        Assert.Same(states[1], error.State);
    }

    public void Continuous_actions_arrive_inside_their_space()
    {
        TrainingResult result = Trpo
            .For(() => new PushedLine())
            .Short()
            .With(o => o with { InitialLogSigma = 2 })
            .Train();
        float[] action = new float[2];
        result.Policy.Act([0.5f], action);
        Assert.True(result.Policy.ActionSpace.Contains(action));
    }

    public void Choices_and_switches_arrive_as_indices()
    {
        foreach (Space actions in new[] { Space.MultiDiscrete(2, 3), Space.MultiBinary(2) })
        {
            Broken.Seen = [];
            TrainingResult result = Trpo.For(() => new Broken { Actions = actions }).Short().Train();
            Assert.All(Broken.Seen, action => Assert.True(actions.Contains(action)));
            int[] indices = new int[2];
            result.Policy.Act([0, 0], indices);
            Assert.True(actions.Contains([indices[0], indices[1]]));
        }
    }

    public void A_time_limit_truncates()
    {
        foreach (TrainingPlan plan in new[] { Plans.ShortLine(), Trpo.For("CartPole-v1").Short() })
        {
            TrainingState state = plan.WithTimeLimit(5).Train().State;
            Assert.InRange(state.Episodes, 200, 250);
            Scores scores = plan.WithTimeLimit(5).Evaluate(state.Policy, 3);
            Assert.InRange(scores.Max, -50, 5);
        }
    }

    public void Learns()
    {
        TrainingPlan plan = Trpo.For(() => new Line()).With(o => o with { TotalSteps = 15_000, Seed = 1 });
        double before = plan.Evaluate(plan.Start().Policy).Mean;
        double after = plan.Evaluate(plan.Train().Policy).Mean;
        Assert.True(after > -5.0, $"from {before} to {after}");
        Assert.True(before < -7.0, $"from {before} to {after}");
    }

    public void Can_be_tried_without_training()
    {
        Line line = new();
        line.Reset(1);
        StepResult result = line.Step(1);
        Assert.Equal(2, result.Observation.Length);
        PushedLine pushed = new();
        pushed.Reset(0);
        Assert.Equal(-0.8f, pushed.Step(new[] { 1f, 0f }).Observation[0], 1e-6f);
        Assert.Throws<InvalidOperationException>(() => pushed.Step(new[] { 7f, 0f }));
    }

    private sealed class Unseeded : Line
    {
        public override float[] Reset(int seed) => base.Reset(Random.Shared.Next());
    }

    private sealed class Broken : IEnvironment
    {
        private int time;

        public static System.Collections.Concurrent.ConcurrentBag<float[]> Seen { get; set; } = [];

        public Func<float[]> OnReset { get; init; } = () => [0, 0];

        public Space Observations { get; init; } = Space.Box(2, -9, 9);

        public Space Actions { get; init; } = Space.Discrete(2);

        public Space ObservationSpace => Observations;

        public Space ActionSpace => Actions;

        public float[] Reset(int seed)
        {
            time = 0;
            return OnReset();
        }

        public StepResult Step(AgentAction action)
        {
            Seen.Add(action.Values.ToArray());
            return new([++time, 1], 1, Terminated: time == 9);
        }
    }
}
