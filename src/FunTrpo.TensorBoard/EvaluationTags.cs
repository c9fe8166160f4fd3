using System.Collections.Generic;
using System.Linq;
using FunTrpo.CSharp;

namespace FunTrpo.TensorBoard;

/// <summary>
/// The quantities of an evaluation with their tags: those that Stable-Baselines3 logs have its tags, too; FunTrpo's are named as the columns
/// of evaluations.csv.
/// </summary>
internal static class EvaluationTags
{
    public static IEnumerable<(string Tag, object? Value)> Of(TrainingEvaluation evaluation)
    {
        Scores best = evaluation.Deterministic;
        Scores sampled = evaluation.Sampled;
        return
        [
            ("eval/mean_reward", best.Mean),
            ("eval/mean_ep_length", MeanLength(best)),
            ("funtrpo/evaluation/mean", best.Mean),
            ("funtrpo/evaluation/std", best.StandardDeviation),
            ("funtrpo/evaluation/min", best.Min),
            ("funtrpo/evaluation/max", best.Max),
            ("funtrpo/evaluation/sampledMean", sampled.Mean),
            ("funtrpo/evaluation/sampledStd", sampled.StandardDeviation),
            ("funtrpo/evaluation/sampledMin", sampled.Min),
            ("funtrpo/evaluation/sampledMax", sampled.Max),
        ];
    }

    private static double? MeanLength(Scores scores) => scores.Lengths.Count == 0 ? null : scores.Lengths.Average();
}
