using System.Linq;
using FunTrpo.CSharp;

namespace FunTrpo.TensorBoard;

/// <summary>
/// The quantities of an evaluation with their tags: those of Stable-Baselines3 for those that it logs, and <c>funtrpo/evaluation/</c> and the
/// name of the column in evaluations.csv.
/// </summary>
internal static class EvaluationTags
{
    public static TaggedValue[] Of(TrainingEvaluation evaluation)
    {
        Scores best = evaluation.Deterministic;
        Scores sampled = evaluation.Sampled;
        return
        [
            new("eval/mean_reward", best.Mean),
            new("eval/mean_ep_length", best.Lengths.Count == 0 ? null : best.Lengths.Average()),
            new("funtrpo/evaluation/mean", best.Mean),
            new("funtrpo/evaluation/std", best.StandardDeviation),
            new("funtrpo/evaluation/min", best.Min),
            new("funtrpo/evaluation/max", best.Max),
            new("funtrpo/evaluation/sampledMean", sampled.Mean),
            new("funtrpo/evaluation/sampledStd", sampled.StandardDeviation),
            new("funtrpo/evaluation/sampledMin", sampled.Min),
            new("funtrpo/evaluation/sampledMax", sampled.Max),
        ];
    }
}
