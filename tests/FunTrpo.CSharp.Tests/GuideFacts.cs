using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>What README and docs/csharp.md show: their blocks are parts of this file.</summary>
public sealed class GuideFacts
{
    public async Task Training_and_acting()
    {
        CancellationToken cancellationToken = CancellationToken.None;
        float[] observation = new float[4];
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        string current = Directory.GetCurrentDirectory();
        Directory.SetCurrentDirectory(folder);
        try
        {
            TrainingResult result = await Trpo.For("CartPole-v1")
                .With(options => options with { Seed = 7, TotalSteps = 100_000, StopAtReturn = 475 })
                .OnIteration(report => Console.WriteLine(report))
                .TrainAsync(cancellationToken);

            result.Policy.Save("cartpole.policy");
            Policy policy = Policy.Load("cartpole.policy");
            int action = policy.Act(observation);

            Assert.InRange(action, 0, 1);
            Assert.Equal(StopReason.GoalReached, result.Reason);
        }
        finally
        {
            Directory.SetCurrentDirectory(current);
            Directory.Delete(folder, recursive: true);
        }
    }

    public async Task Ways_to_train()
    {
        TrainingPlan plan = Plans.ShortLine();
        using CancellationTokenSource stop = new();

        // On this thread, until the steps are made.
        TrainingResult result = plan.Train();

        // On another thread; a cancelled training still has a result.
        TrainingResult cancelled = await plan.OnIteration(_ => stop.Cancel()).TrainAsync(stop.Token);
        Console.WriteLine($"{cancelled.Reason} after {cancelled.State.Steps} steps");

        // As a stream: leave the loop to stop.
        await foreach (TrainingStep step in plan.IterateAsync())
        {
            Console.WriteLine(step.Report);
            if (step.Report.MeanReturn > -0.3)
            {
                break;
            }
        }

        Assert.Equal(StopReason.Cancelled, cancelled.Reason);
        Assert.Equal(StopReason.TotalStepsReached, result.Reason);
    }

    public async Task Comparing()
    {
        TrainingPlan plan = Plans.ShortLine();
        Policy policy = plan.Train().Policy;
        CancellationToken cancellationToken = CancellationToken.None;

        Scores trained = plan.Evaluate(policy, episodes: 100, seed: 1);
        Scores byRule = plan.Evaluate(seen => seen[0] > 0 ? 0 : 1, episodes: 100, seed: 1); // the same episodes
        Scores later = await plan.EvaluateAsync(policy, cancellation: cancellationToken);
        Console.WriteLine($"{trained} by the policy, {byRule} by the rule; {later.Lengths[0]} steps");

        Assert.NotEqual(trained, byRule);
        Assert.Equal(100, later.Lengths.Count);
    }

    public void Your_own_loop()
    {
        TrainingPlan plan = Plans.ShortLine();

        TrainingState state = plan.Start();
        for (int i = 0; i < 3; i++)
        {
            TrainingStep step = state.Next();
            state = step.State;
        }

        // The same state has several futures, as often as you like.
        TrainingState bold = state.With(options => options with { Delta = 0.05 }).Next().State;
        TrainingState lucky = state.With(options => options with { Seed = 99 }).Next().State;
        bool same = state.Next().State.Equals(state.Next().State);

        Assert.True(same);
        Assert.NotEqual(bold, lucky);
    }

    public async Task Interrupting()
    {
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        string path = Path.Combine(folder, "run.checkpoint");
        TrainingResult? last = null;

        // As if the program had been ended after 3 of 5 iterations, the third of which was not saved.
        foreach (long steps in new[] { 600L, 1000L })
        {
            TrainingPlan plan = Plans.ShortLine().With(options => options with { TotalSteps = steps });

            TrainingState state = File.Exists(path) ? TrainingState.Load(path, plan) : plan.Start();

            await foreach (TrainingStep step in plan.IterateAsync(state))
            {
                Console.WriteLine(step.Report);
                if (step.State.Iteration % 2 == 0)
                {
                    step.State.Save(path); // from here on, the run survives whatever happens
                }
            }

            last = await plan.TrainAsync(TrainingState.Load(path, plan));
        }

        Assert.Equal(Plans.ShortLine().Train().State, last!.State);
        Directory.Delete(folder, recursive: true);
    }

    public void Playing()
    {
        Policy policy = Plans.ShortLine().Train().Policy;
        float[] observation = [0.5f, 0f];
        float[] observations = [0.5f, 0f, -0.5f, 0f];

        int best = policy.Act(observation); // the most probable action
        int drawn = policy.Sample(observation, Random.Shared); // one drawn at random
        int[] actions = new int[2];
        policy.Act(observations, actions); // for several observations at once
        ActionDistribution distribution = policy.Distribution(observation);
        double sure = distribution.Probabilities[best]; // of continuous actions: Mean and StandardDeviation

        Assert.Equal(best, actions[0]);
        Assert.InRange(drawn, 0, 1);
        Assert.InRange(sure, 0.5, 1);
    }

    public void Errors()
    {
        int made = 0;
        TrainingPlan plan = Trpo.For(() => new Accident(made++, 120, _ => throw new TimeoutException("no answer")))
            .Short();
        string path = Path.GetTempFileName();

        try
        {
            plan.Train();
        }
        catch (EnvironmentException e)
        {
            Console.WriteLine(e.Message); // e.EnvironmentName, e.Instance, e.Step; e.InnerException is what was thrown
            e.State?.Policy.Save(path); // what was learned until then
        }

        Assert.Equal(2, Policy.Load(path).ObservationWidth);
        File.Delete(path);
    }
}
