using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using System.Threading.Tasks;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>Evaluations while a policy trains.</summary>
public sealed class EvaluateEveryFacts
{
    public void Keep_the_best_policy_and_train_the_same_one()
    {
        List<TrainingEvaluation> seen = [];
        TrainingPlan plan = Plans.ShortLine();
        TrainingResult result = plan.EvaluateEvery(300, episodes: 5).OnEvaluation(seen.Add).Train();
        Assert.Equal(plan.Train().State, result.State);
        Assert.Equal(result.Policy, result.Last);

        // 200 steps an iteration: 300, 600 and 900 are completed in the second, third and fifth.
        Assert.Equal([400, 600, 1000], result.Evaluations.Select(evaluation => evaluation.Steps));
        Assert.Equal(seen, result.Evaluations);
        TrainingEvaluation best = result.Evaluations.MaxBy(evaluation => evaluation.Deterministic.Mean)!;
        Assert.Equal(best, result.Best!.Evaluation);
        Assert.Equal(plan.States(6)[best.Iteration].Policy, result.Best.Policy);
        Assert.Equal(5, best.Sampled.Returns.Count);
        Assert.NotEqual(best.Sampled, best.Deterministic);
        Assert.Equal(best, JsonSerializer.Deserialize<TrainingEvaluation>(JsonSerializer.Serialize(best)));
        Assert.Null(plan.Train().Best);
    }

    public async Task End_training_at_a_goal_and_without_improvement()
    {
        TrainingPlan plan = Plans.ShortLine().With(options => options with { TotalSteps = 100_000 });
        TrainingResult goal = plan.EvaluateEvery(300, 2, stopAt: -1000).Train();
        Assert.Equal(StopReason.GoalReached, goal.Reason);
        Assert.Equal(400, goal.State.Steps);
        TrainingResult impatient = await plan.EvaluateEvery(300, 2, tries: 2).TrainAsync();
        Assert.Equal(StopReason.NoImprovement, impatient.Reason);
        Assert.Equal(impatient.Evaluations[^3], impatient.Best!.Evaluation);

        List<TrainingStep> steps = [];
        await foreach (TrainingStep step in plan.EvaluateEvery(300, 2, tries: 2).IterateAsync())
        {
            steps.Add(step);
        }

        Assert.Equal(impatient.State, steps[^1].State);
        Assert.Equal(impatient.Evaluations, steps.Select(step => step.Evaluation).OfType<TrainingEvaluation>());
    }

    public void Refuse_numbers_that_make_no_sense()
    {
        TrainingPlan plan = Plans.ShortLine();
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.EvaluateEvery(0));
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.EvaluateEvery(1, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.EvaluateEvery(1, 1, double.NaN));
        Assert.Throws<ArgumentOutOfRangeException>(() => plan.EvaluateEvery(1, 1, tries: 0));
    }
}
