using System;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>Observations that are pictures, and policies of convolutions, as a caller uses them.</summary>
public sealed class PixelFacts
{
    /// <summary>A light on a picture of 5 × 4 pixels: the action that is right says in which half it is.</summary>
    private sealed class Light : IEnvironment
    {
        private const int Height = 5;
        private const int Width = 4;

        private Random random = new(0);
        private int column;
        private int step;

        public Space ObservationSpace { get; } = Space.Box([Height, Width, 1], 0, 1);

        public Space ActionSpace { get; } = Space.Discrete(2);

        public float[] Reset(int seed)
        {
            random = new Random(seed);
            step = 0;
            return Shine();
        }

        public StepResult Step(AgentAction action)
        {
            double reward = action.Index == (column < Width / 2 ? 0 : 1) ? 1 : 0;
            step++;
            return new(Shine(), reward, Truncated: step == 10);
        }

        private float[] Shine()
        {
            float[] pixels = new float[Height * Width];
            column = random.Next(Width);
            pixels[(random.Next(Height) * Width) + column] = 1;
            return pixels;
        }
    }

    private static TrainingPlan Plan { get; } =
        Trpo.For(() => new Light())
            .With(options =>
                options with
                {
                    Environments = 4,
                    Horizon = 50,
                    NormaliseObservations = false,
                    Architecture = "conv 4 3x3 stride 1 relu; flatten; dense 8 relu",
                    CriticArchitecture = "pool average 2x2 stride 1; layernorm; dense 8 tanh",
                }
            );

    public void Are_learned_saved_and_played()
    {
        TrainingState state = Plan.Start();
        for (int i = 0; i < 15; i++)
        {
            state = state.Next().State;
        }

        Policy policy = state.Policy;
        Assert.Equal([5, 4, 1], policy.ObservationSpace.Shape);
        Policy loaded = Policy.FromJson(policy.ToJson());
        Inference.Policy small = Inference.Policy.FromJson(policy.ToJson());
        Assert.Equal([5, 4, 1], small.ObservationSpace.Shape);
        int right = 0;
        for (int pixel = 0; pixel < 20; pixel++)
        {
            float[] picture = new float[20];
            picture[pixel] = 1;
            int action = policy.Act(picture);
            Assert.Equal(action, loaded.Act(picture));
            Assert.Equal(action, small.Act(picture));
            right += action == (pixel % 4 < 2 ? 0 : 1) ? 1 : 0;
        }

        Assert.InRange(right, 16, 20);
    }

    public void Refuse_layers_that_do_not_fit()
    {
        TrainingPlan plan = Plan.With(options => options with { Architecture = "conv 4 6x6 stride 1 relu" });
        ArgumentException error = Assert.ThrowsAny<ArgumentException>(() => plan.Start());
        Assert.Contains("layer 1, conv 4 6x6 stride 1 relu, does not fit", error.Message, StringComparison.Ordinal);
    }
}
