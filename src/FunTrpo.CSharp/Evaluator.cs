using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>Evaluates a policy while it trains, and keeps the best one.</summary>
/// <param name="plan">When to evaluate; null for never.</param>
/// <param name="first">The state that training starts from.</param>
internal sealed class Evaluator(Core.EvaluationPlan? plan, TrainingState first)
{
    private Core.EvaluationHistory history = Core.EvaluationHistoryModule.empty;
    private long steps = first.Steps;

    /// <summary>The policy with the best evaluation so far; null if there was none.</summary>
    public BestPolicy? Best { get; private set; }

    /// <summary>Why the evaluations end training; null if they do not.</summary>
    public StopReason? Ends =>
        plan is null ? null
        : Core.EvaluationHistoryModule.hasReached(plan, history) ? StopReason.GoalReached
        : Core.EvaluationHistoryModule.isOutOfPatience(plan, history) ? StopReason.NoImprovement
        : null;

    /// <summary>Returns the step, with an evaluation of its policy if one is due.</summary>
    public TrainingStep After(TrainingStep step)
    {
        long before = steps;
        steps = step.State.Steps;
        return plan is not null && Core.EvaluationHistoryModule.isDue(plan, before, steps)
            ? step with
            {
                Evaluation = Evaluate(plan, step.State),
            }
            : step;
    }

    private TrainingEvaluation Evaluate(Core.EvaluationPlan plan, TrainingState state)
    {
        Core.TrainingEvaluation core = state.Evaluate(plan);
        Core.Telemetry.recordEvaluation(state.EnvironmentName, core);
        TrainingEvaluation evaluation = new(core);
        if (Core.EvaluationHistoryModule.isBest(core, history))
        {
            Best = new(state.Policy, evaluation);
        }

        history = Core.EvaluationHistoryModule.add(core, history);
        return evaluation;
    }
}
