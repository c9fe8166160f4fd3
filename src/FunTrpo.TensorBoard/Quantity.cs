using System;
using System.Collections.Generic;
using System.Collections.Immutable;
using System.Linq;
using System.Text.RegularExpressions;
using FunTrpo.CSharp;

namespace FunTrpo.TensorBoard;

/// <summary>
/// A quantity of an iteration with its tags in event files: <c>funtrpo/</c> and the name that it has in progress.csv, and those that
/// Stable-Baselines3 gives to the same quantity.
/// </summary>
/// <param name="Field">The name in progress.csv.</param>
/// <param name="Read">The value: a double, or a string for a text; null if the quantity has no value in the iteration.</param>
/// <param name="Others">The tags of Stable-Baselines3, with the number that each shows.</param>
internal sealed partial record Quantity(
    string Field,
    Func<IterationReport, object?> Read,
    params (string Tag, Func<IterationReport, double?> Read)[] Others
)
{
    /// <summary>All quantities of an iteration.</summary>
    public static ImmutableArray<Quantity> All { get; } =
    [
        Number("iteration", r => r.Iteration, "time/iterations"),
        Number("steps", r => r.Steps, "time/total_timesteps"),
        Number("episodes", r => r.Episodes),
        Number("batchSteps", r => r.BatchSteps),
        Number("finishedEpisodes", r => r.FinishedEpisodes),
        Number("meanReturn", r => r.MeanReturn, "rollout/ep_rew_mean"),
        Number("meanEpisodeLength", r => r.MeanEpisodeLength, "rollout/ep_len_mean"),
        new(
            "outcome",
            r => Words(r.Outcome),
            ("train/is_line_search_success", r => r.Outcome == StepOutcome.Moved ? 1 : 0)
        ),
        Number("meanKl", r => r.MeanKl, "train/kl_divergence_loss"),
        Number("maxKl", r => r.MaxKl),
        Number("delta", r => r.Delta),
        Number("klOverDelta", r => r.KlOverDelta),
        Number("surrogateGain", r => r.SurrogateGain, "train/policy_objective"),
        Number("surrogateGainError", r => r.SurrogateGainError),
        Number("gradientNorm", r => r.GradientNorm),
        Number("cgIterations", r => UsesCg(r) ? r.CgIterations : null),
        Number("cgResidual", r => r.CgResidual),
        new("cgStop", r => UsesCg(r) ? Words(r.CgStop) : null),
        Number("lineSearchTries", r => r.LineSearchTries),
        Number("stepFraction", r => r.StepFraction),
        Number("explainedVariance", r => r.ExplainedVariance, "train/explained_variance"),
        Number("criticErrorBefore", r => r.CriticErrorBefore),
        new(
            "criticErrorAfter",
            r => r.CriticErrorAfter,
            ("train/value_loss", r => r.CriticErrorAfter * r.CriticErrorAfter)
        ),
        Number("entropy", r => r.Entropy),
        Number("rolloutSeconds", r => r.Seconds.Rollout),
        Number("policySeconds", r => r.Seconds.Policy),
        Number("criticSeconds", r => r.Seconds.Critic),
        Number("seconds", r => r.Seconds.Total),
        Number("stepsPerSecond", r => r.StepsPerSecond, "time/fps"),
        Number("batchReturn", r => r.BatchReturn),
        Number("batchReturnLow", r => r.BatchReturnLow),
        Number("batchReturnHigh", r => r.BatchReturnHigh),
    ];

    /// <summary>All tags of the quantity with the values of an iteration; a value may be missing.</summary>
    public IEnumerable<(string Tag, object? Value)> TagsOf(IterationReport report) =>
        Others
            .Select(other => (other.Tag, (object?)other.Read(report)))
            .Prepend(($"funtrpo/{Field}", Read(report)));

    private static Quantity Number(string field, Func<IterationReport, double?> read, params string[] others) =>
        new(field, report => read(report), [.. others.Select(tag => (tag, read))]);

    private static bool UsesCg(IterationReport report) => report.CgStop != ConjugateGradientStop.NotUsed;

    /// <summary>The name as words, as progress.csv has it: <c>line search failed</c>.</summary>
    private static string Words<T>(T value)
        where T : struct, Enum => Inner().Replace(value.ToString(), " $0").ToLowerInvariant();

    [GeneratedRegex("(?<!^)[A-Z]")]
    private static partial Regex Inner();
}
