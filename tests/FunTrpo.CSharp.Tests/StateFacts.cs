using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using Xunit;

namespace FunTrpo.CSharp.Tests;

public sealed class StateFacts
{
    public void The_same_state_has_the_same_future_as_often_as_it_is_asked()
    {
        foreach (TrainingPlan plan in new[] { Plans.ShortLine(), Trpo.For("CartPole-v1").Short() })
        {
            List<TrainingState> states = plan.States(5);

            // Backwards, so that every simulator has moved on since.
            for (int i = states.Count - 2; i >= 0; i--)
            {
                TrainingState again = states[i].Next().State;
                Assert.Equal(states[i + 1], again);
                Assert.Equal(states[i + 1].GetHashCode(), again.GetHashCode());
                Assert.NotEqual(states[i], again);
            }

            Assert.Equal(states, plan.States(5));
        }
    }

    public void Futures_can_be_made_side_by_side()
    {
        List<TrainingState> states = Plans.ShortLine().States(4);
        TrainingState[] futures =
        [
            .. Enumerable.Range(0, 16).AsParallel().WithDegreeOfParallelism(4).Select(_ => states[2].Next().State),
        ];
        Assert.All(futures, future => Assert.Equal(states[3], future));
    }

    public void Another_seed_or_option_is_another_future()
    {
        TrainingState state = Plans.ShortLine().States(3)[^1];
        TrainingState next = state.Next().State;
        Assert.NotEqual(next.Policy.ToJson(), state.With(o => o with { Seed = 99 }).Next().State.Policy.ToJson());
        Assert.NotEqual(next.Policy.ToJson(), state.With(o => o with { Delta = 0.1 }).Next().State.Policy.ToJson());
        Assert.Equal(next.Policy.ToJson(), state.With(o => o with { Threads = 1 }).Next().State.Policy.ToJson());
        Assert.NotEqual(state, state.With(o => o with { Delta = 0.1 }));
        Assert.Equal(state, state.With(o => o with { Threads = 1, TotalSteps = 5 }));
        Assert.True(state == state.With(o => o with { }));
        Assert.True(state != next);
        Assert.Contains("2 iterations", state.ToString(), StringComparison.Ordinal);
    }

    public void A_saved_state_comes_back_and_has_the_same_future()
    {
        string path = Path.GetTempFileName();
        foreach (
            TrainingPlan plan in new[]
            {
                Plans.ShortLine(),
                Trpo.For("CartPole-v1").Short(),
                Trpo.For(() => new PushedLine()).Short().WithTimeLimit(15),
                Plans.ShortLine().With(o => o with { Rule = PolicyRule.Ppo }),
            }
        )
        {
            foreach (TrainingState state in plan.States(4))
            {
                state.Save(path);
                TrainingState loaded = TrainingState.Load(path, plan.With(options => options with { Threads = 1 }));
                Assert.Equal(state, loaded);
                Assert.Equal(state.Options.Seed, loaded.Options.Seed);
                Assert.Equal(state.Next().State, loaded.Next().State);
            }
        }

        File.Delete(path);
    }

    public void Training_goes_on_from_a_state_with_the_options_of_the_plan()
    {
        TrainingPlan plan = Plans.ShortLine();
        TrainingState state = plan.States(3)[^1];
        List<int> iterations = [];
        TrainingResult result = plan.With(options => options with { Seed = 77 })
            .OnIteration(report => iterations.Add(report.Iteration))
            .Train(state);
        Assert.Equal([3, 4, 5], iterations);
        Assert.Equal(plan.Train().State, result.State);
        Assert.Throws<ArgumentOutOfRangeException>(() =>
            plan.With(options => options with { Hidden = [9] }).Train(state)
        );
    }

    public void Files_that_are_no_checkpoints_of_the_plan_are_refused()
    {
        TrainingPlan plan = Plans.ShortLine();
        string path = Path.GetTempFileName();
        Assert.Throws<InvalidDataException>(() => TrainingState.Load(path, plan));
        plan.Start().Save(path);
        Assert.Throws<ArgumentException>(() => TrainingState.Load(path, Trpo.For("CartPole-v1").Short()));
        byte[] bytes = File.ReadAllBytes(path);
        bytes[bytes.Length / 2] ^= 1;
        File.WriteAllBytes(path, bytes);
        InvalidDataException damaged = Assert.Throws<InvalidDataException>(() => TrainingState.Load(path, plan));
        Assert.Contains("section", damaged.Message, StringComparison.Ordinal);
        File.Delete(path);
        Assert.Throws<FileNotFoundException>(() => TrainingState.Load(path, plan));
        Assert.Throws<IOException>(() => plan.Start().Save(Path.Combine(path, "no", "folder")));
    }

    public void What_shapes_the_state_cannot_change()
    {
        TrainingState state = Plans.ShortLine().Start();
        Refused("Environments", o => o with { Environments = 5 });
        Refused("Architecture", o => o with { Architecture = "dense 8 tanh, dense 4 relu" });
        Refused("Hidden", o => o with { Hidden = [9] });
        Refused("Activation", o => o with { Activation = Activation.Relu });
        Refused("CriticArchitecture", o => o with { CriticArchitecture = "dense 8 relu, dense 4 tanh" });
        Refused("CriticHidden", o => o with { CriticHidden = [] });
        Refused("CriticActivation", o => o with { CriticActivation = Activation.Relu });
        Refused("NormaliseObservations", o => o with { NormaliseObservations = false });
        Refused("ScaleActions", o => o with { ScaleActions = false });
        Refused("NormaliseReturns", o => o with { NormaliseReturns = false });
        Assert.Throws<ArgumentOutOfRangeException>(() => state.With(o => o with { Lambda = -1 }));

        void Refused(string name, Func<TrainingOptions, TrainingOptions> change) =>
            Assert.Equal(name, Assert.Throws<ArgumentOutOfRangeException>(() => state.With(change)).ParamName);
    }

    public void Iterations_meet_the_total()
    {
        TrainingState start = Plans.ShortLine().With(o => o with { TotalSteps = 1130 }).Start();
        List<TrainingStep> steps = [.. start.Iterations()];
        Assert.Equal(1132, steps[^1].State.Steps); // to within one step of each of four environments
        Assert.Empty(steps[^1].State.Iterations());
        Assert.Equal(steps[2].State, start.Iterations().ElementAt(2).State);
        Assert.Equal(start.Next().State, steps[0].State);
    }
}
