using System;
using System.Linq;
using FunTrpo.CSharp;

namespace FunTrpo.TensorBoard;

/// <summary>
/// The quantities of an iteration with their tags: <c>funtrpo/</c> and the name that each has in progress.csv, and the tags of
/// Stable-Baselines3 for those that it logs.
/// </summary>
internal static class IterationTags
{
    public static TaggedValue[] Of(IterationReport report) =>
        [
            .. ReportedQuantity.AllOf(report).Select(Tagged),
            new("rollout/ep_rew_mean", report.MeanReturn),
            new("rollout/ep_len_mean", report.MeanEpisodeLength),
            new("time/fps", report.StepsPerSecond),
            new("time/iterations", report.Iteration),
            new("time/total_timesteps", report.Steps),
            new("train/explained_variance", report.ExplainedVariance),
            new("train/value_loss", Math.Pow(report.CriticErrorAfter, 2)),
            new("train/kl_divergence_loss", report.MeanKl),
            new("train/policy_objective", report.SurrogateGain),
            new("train/is_line_search_success", report.Outcome == StepOutcome.Moved ? 1 : 0),
        ];

    private static TaggedValue Tagged(ReportedQuantity quantity)
    {
        string tag = "funtrpo/" + quantity.Name;
        return quantity.Text is { } text ? new(tag, text) : new(tag, quantity.Number);
    }
}
