using System;
using System.Collections.Generic;
using System.Linq;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>Numbers that would spoil a training come back as exceptions, with a state that training can go on from.</summary>
public sealed class HostileFacts
{
    public void A_reward_beyond_float32_says_where_it_was()
    {
        foreach (double reward in new[] { double.NaN, double.PositiveInfinity, double.NegativeInfinity, 1e39, -1e39 })
        {
            int made = 0;
            TrainingPlan plan = Trpo.For(
                    () => new Accident(made++, 70, result => result with { Reward = reward }),
                    "Line"
                )
                .Short();
            EnvironmentException error = Assert.Throws<EnvironmentException>(() => plan.Train());
            Assert.Contains("reward", error.Message, StringComparison.Ordinal);
            Assert.Equal(("Line", 0, 70L), (error.EnvironmentName, error.Instance, error.Step));
            Assert.Equal(Plans.ShortLine().States(2)[1].Policy, error.State!.Policy);
        }
    }

    public void A_step_to_a_policy_that_is_not_finite_leaves_the_policy_as_it_is()
    {
        foreach (double learningRate in new[] { 3e38, 1e300 })
        {
            TrainingPlan plan = Plans
                .ShortLine()
                .With(o =>
                    o with
                    {
                        Step = StepLength.Fixed,
                        Direction = StepDirection.Gradient,
                        Activation = Activation.Relu,
                        Hidden = [8, 8],
                        LearningRate = learningRate,
                    }
                );
            TrainingException error = Assert.Throws<TrainingException>(() => plan.Train());
            Assert.Contains("the policy became non-finite", error.Message, StringComparison.Ordinal);
            Assert.Contains("in iteration 1", error.Message, StringComparison.Ordinal);
            Assert.Equal(plan.Start().Policy, error.State!.Policy);
        }
    }

    public void A_critic_that_diverges_leaves_the_state_as_it_was()
    {
        TrainingPlan plan = Plans
            .ShortLine()
            .With(o => o with { Critic = CriticMethod.Adam, CriticLearningRate = 1e38 });
        TrainingException error = Assert.Throws<TrainingException>(() => plan.Train());
        Assert.Contains("the critic became non-finite", error.Message, StringComparison.Ordinal);
        Assert.Equal(plan.Start(), error.State);
    }

    public void A_policy_that_cannot_learn_says_why()
    {
        TrainingPlan plan = Trpo.For(() => new OneChoice()).Short().With(o => o with { TotalSteps = 2000 });
        TrainingResult result = plan.Train();
        Assert.Equal(plan.Start().Policy, result.Policy);
        Assert.All(result.Reports, report => Assert.Equal(StepOutcome.NoGradient, report.Outcome));
        IEnumerable<string> warnings = result.Reports.SelectMany(report => report.Warnings);
        Assert.Contains("there is only one action", Assert.Single(warnings), StringComparison.Ordinal);
    }

    private sealed class OneChoice : Line
    {
        public override Space ActionSpace { get; } = Space.Discrete(1);
    }
}
