using System;
using System.Text;
using FunTrpo.CSharp;

namespace FunTrpo.TensorBoard;

/// <summary>
/// The quantities of an iteration with their tags: <c>funtrpo/</c> and the name that each has in progress.csv, and the tags of
/// Stable-Baselines3 for those that it logs.
/// </summary>
internal static class IterationTags
{
    public static TaggedValue[] Of(IterationReport report)
    {
        bool usesCg = report.CgStop != ConjugateGradientStop.NotUsed;
        return
        [
            new("funtrpo/iteration", report.Iteration),
            new("funtrpo/steps", report.Steps),
            new("funtrpo/episodes", report.Episodes),
            new("funtrpo/batchSteps", report.BatchSteps),
            new("funtrpo/finishedEpisodes", report.FinishedEpisodes),
            new("funtrpo/meanReturn", report.MeanReturn),
            new("funtrpo/meanEpisodeLength", report.MeanEpisodeLength),
            new("funtrpo/outcome", Words(report.Outcome.ToString())),
            new("funtrpo/meanKl", report.MeanKl),
            new("funtrpo/maxKl", report.MaxKl),
            new("funtrpo/delta", report.Delta),
            new("funtrpo/klOverDelta", report.KlOverDelta),
            new("funtrpo/surrogateGain", report.SurrogateGain),
            new("funtrpo/surrogateGainError", report.SurrogateGainError),
            new("funtrpo/gradientNorm", report.GradientNorm),
            new("funtrpo/cgIterations", usesCg ? report.CgIterations : null),
            new("funtrpo/cgResidual", report.CgResidual),
            new("funtrpo/cgStop", usesCg ? Words(report.CgStop.ToString()) : null),
            new("funtrpo/lineSearchTries", report.LineSearchTries),
            new("funtrpo/stepFraction", report.StepFraction),
            new("funtrpo/explainedVariance", report.ExplainedVariance),
            new("funtrpo/criticErrorBefore", report.CriticErrorBefore),
            new("funtrpo/criticErrorAfter", report.CriticErrorAfter),
            new("funtrpo/entropy", report.Entropy),
            new("funtrpo/rolloutSeconds", report.Seconds.Rollout),
            new("funtrpo/policySeconds", report.Seconds.Policy),
            new("funtrpo/criticSeconds", report.Seconds.Critic),
            new("funtrpo/seconds", report.Seconds.Total),
            new("funtrpo/stepsPerSecond", report.StepsPerSecond),
            new("funtrpo/batchReturn", report.BatchReturn),
            new("funtrpo/batchReturnLow", report.BatchReturnLow),
            new("funtrpo/batchReturnHigh", report.BatchReturnHigh),
            new("funtrpo/warnings", report.Warnings.Count == 0 ? null : string.Join('\n', report.Warnings)),
            new("funtrpo/signalShare", report.SignalShare),
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
    }

    /// <summary>A name in words, as progress.csv has it: <c>line search failed</c> for LineSearchFailed.</summary>
    private static string Words(string name)
    {
        StringBuilder words = new();
        foreach (char letter in name)
        {
            if (char.IsUpper(letter) && words.Length > 0)
            {
                words.Append(' ');
            }

            words.Append(char.ToLowerInvariant(letter));
        }

        return words.ToString();
    }
}
