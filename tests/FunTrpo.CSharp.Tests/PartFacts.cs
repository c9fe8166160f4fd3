using System;
using System.Linq;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>Pictures, and observations and actions of several parts, as docs/csharp.md shows them; and wrappers around environments.</summary>
public sealed class PartFacts
{
    public sealed class Catch : IEnvironment
    {
        private const int Side = 8;

        private int basket;
        private int row;
        private int column;

        public Space ObservationSpace { get; } = Space.Box([Side, Side, 2], 0, 1);

        public Space ActionSpace { get; } = Space.Discrete(3);

        public float[] Reset(int seed)
        {
            (basket, row, column) = (Side / 2, 0, new Random(seed).Next(Side));
            return See();
        }

        public StepResult Step(AgentAction action)
        {
            basket = Math.Clamp(basket + action.Index - 1, 0, Side - 1);
            row++;
            bool isDown = row == Side - 1;
            return new(See(), isDown && basket == column ? 1 : 0, Terminated: isDown);
        }

        private float[] See()
        {
            float[] picture = new float[Side * Side * 2];
            picture[2 * ((row * Side) + column)] = 1; // the first channel: the apple
            picture[(2 * (((Side - 1) * Side) + basket)) + 1] = 1; // the second: the basket
            return picture;
        }
    }

    public void A_policy_that_sees_pictures()
    {
        TrainingPlan plan = Trpo.For(() => new Catch())
            .With(options =>
                options with
                {
                    Architecture = "conv 8 3x3 stride 1 relu; flatten; dense 32 relu",
                    CriticArchitecture = "conv 8 3x3 stride 1 relu; flatten; dense 32 relu",
                    NormaliseObservations = false,
                    TotalSteps = 200_000,
                    StopAtReturn = 0.95,
                }
            );
        Policy policy = plan.Train().Policy;

        Catch game = new();
        double caught = Enumerable.Range(0, 50).Average(seed => Play(game, seed));
        Assert.InRange(caught, 0.9, 1.0);
        Assert.Equal([8, 8, 2], policy.ObservationSpace.Shape);

        double Play(Catch game, int seed)
        {
            float[] observation = game.Reset(seed);
            StepResult result;
            do
            {
                result = game.Step(policy.Act(observation));
                observation = result.Observation;
            } while (!result.Terminated);

            return result.Reward;
        }
    }

    public sealed class Rover : IEnvironment
    {
        private Random random = new(0);
        private float slope;
        private int ground;
        private int time;

        public Space ObservationSpace { get; } =
            Space.Parts(new("slope", Space.Box(1, -1, 1)), new("ground", Space.Discrete(3)));

        public Space ActionSpace { get; } =
            Space.Parts(new("throttle", Space.Box(1, -1, 1)), new("gear", Space.Discrete(3)));

        public float[] Reset(int seed)
        {
            random = new Random(seed);
            time = 0;
            return Drive();
        }

        public StepResult Step(AgentAction action)
        {
            float throttle = action.Values[ActionSpace.RangeOf("throttle")][0];
            int gear = (int)action.Values[ActionSpace.RangeOf("gear")][0];
            double reward = (gear == ground ? 1 : 0) - Math.Abs(throttle - slope);
            time++;
            return new(Drive(), reward, Truncated: time == 10);
        }

        private float[] Drive()
        {
            (slope, ground) = ((2 * random.NextSingle()) - 1, random.Next(3));
            return [slope, ground];
        }
    }

    private sealed class Steep(float slope) : IEnvironment
    {
        public Space ObservationSpace { get; } =
            Space.Parts(new("slope", Space.Box(1, -1, 1)), new("ground", Space.Discrete(3)));

        public Space ActionSpace { get; } = Space.Discrete(2);

        public float[] Reset(int seed) => [slope, 2];

        public StepResult Step(AgentAction action) => new([slope, 2], 1, Truncated: true);
    }

    public void Bounds_of_boxes_among_parts_are_only_informative()
    {
        static TrainingPlan Plan(float slope) =>
            Trpo.For(() => new Steep(slope))
                .With(options => options with { TotalSteps = 64, Horizon = 8, Threads = 1 });
        Assert.Equal(1, Plan(1.5f).Train().Reports[^1].MeanReturn);
        EnvironmentException error = Assert.Throws<EnvironmentException>(() => Plan(float.NaN).Train());
        Assert.Contains("observation", error.Message, StringComparison.Ordinal);
    }

    private static TrainingPlan RoverPlan { get; } =
        Trpo.For(() => new Rover())
            .With(options =>
                options with
                {
                    Architecture = "parts { slope: dense 16 tanh; ground: dense 8 tanh }; dense 32 tanh",
                    TotalSteps = 60_000,
                }
            );

    public void A_policy_for_several_parts()
    {
        Policy policy = RoverPlan.Train().Policy;

        ActionDistribution distribution = policy.Distribution([0.5f, 2f]);
        Assert.Equal(["throttle", "gear"], distribution.Parts.Select(part => part.Name));
        Assert.InRange(distribution.Parts[0].Distribution.Mean[0], 0.2, 0.8);
        Assert.InRange(distribution.Parts[1].Distribution.Probabilities[2], 0.6, 1.0);

        Policy loaded = Policy.FromJson(policy.ToJson());
        float[] action = new float[2];
        float[] again = new float[2];
        policy.Act([-0.3f, 1f], action);
        loaded.Act([-0.3f, 1f], again);
        Assert.Equal(action, again);
        Assert.Equal(policy.ActionSpace, loaded.ActionSpace);
    }

    public void Parts_must_fit()
    {
        Assert.Throws<ArgumentException>(() => Space.Parts());
        Assert.Throws<ArgumentException>(() => Space.Parts(new SpacePart("a b", Space.Discrete(2))));
        Assert.Throws<ArgumentException>(() => Space.Parts(new("a", Space.Discrete(2)), new("a", Space.Discrete(2))));
        Space space = Space.Parts(
            new("hand", Space.Parts(new SpacePart("grip", Space.Discrete(3)))),
            new("lamp", Space.MultiBinary(2))
        );
        Assert.Equal(0..1, space.RangeOf("hand/grip"));
        Assert.Equal(1..3, space.RangeOf("lamp"));
        Assert.Equal(Space.MultiBinary(2), space.Part("lamp"));
        Assert.Throws<ArgumentException>(() => space.RangeOf("foot"));
        TrainingPlan plan = RoverPlan.With(options => options with { Architecture = "parts { slop: dense 2 tanh }" });
        ArgumentException error = Assert.ThrowsAny<ArgumentException>(() => plan.Start());
        Assert.Contains("observations have no part slop", error.Message, StringComparison.Ordinal);
    }

    public void Wrappers_change_what_a_policy_sees()
    {
        TrainingPlan cartPole = Trpo.For("CartPole-v1").With(options => options with { TotalSteps = 4096 });
        Assert.Equal(12, cartPole.WithFrameStack(3).Train().Policy.ObservationWidth);
        Space seen = cartPole.WithLastAction().Train().Policy.ObservationSpace;
        Assert.Equal(4..5, seen.RangeOf("lastAction"));
        Assert.Equal(5..6, seen.RangeOf("lastReward"));
        double plain = cartPole.Start().Next().Report.MeanReturn!.Value;
        double clipped = cartPole.WithRewardClip(0.5).Start().Next().Report.MeanReturn!.Value;
        Assert.Equal(plain / 2, clipped, 6);
        Assert.Throws<ArgumentOutOfRangeException>(() => cartPole.WithFrameStack(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => cartPole.WithRewardClip(0));
    }
}
