using System;
using Microsoft.Extensions.Logging;

namespace FunTrpo.CSharp;

/// <summary>
/// What is logged of training. The properties of an iteration are named as those of <see cref="IterationReport"/>; a property without a value
/// is null.
/// </summary>
internal static partial class TrainingLog
{
    [LoggerMessage(
        1,
        LogLevel.Information,
        "Training on {Environment} begins after {Steps} steps, with the seed {Seed}",
        EventName = "TrainingBegins"
    )]
    public static partial void Begins(this ILogger logger, string environment, long steps, long seed);

    /// <summary>Logs an iteration: the report for Debug, its warnings as such, and an evaluation for Information.</summary>
    public static void Advances(this ILogger logger, TrainingStep step)
    {
        IterationReport report = step.Report;
        logger.Iteration(
            report.Iteration,
            report.Steps,
            report.Episodes,
            report.MeanReturn,
            report.MeanKl,
            report.Delta,
            report.SurrogateGain,
            report.Outcome,
            report.ExplainedVariance,
            report.Entropy,
            report.StepsPerSecond
        );

        foreach (string warning in report.Warnings)
        {
            logger.Warning(report.Iteration, warning);
        }

        if (step.Evaluation is { } evaluation)
        {
            logger.Evaluation(
                evaluation.Iteration,
                evaluation.Steps,
                evaluation.Deterministic.Mean,
                evaluation.Deterministic.StandardDeviation,
                evaluation.Sampled.Mean
            );
        }
    }

    /// <summary>Logs the end of training.</summary>
    public static void Ends(this ILogger logger, TrainingState state, StopReason reason, TimeSpan elapsed) =>
        logger.Ends(
            state.EnvironmentName,
            reason,
            state.Iteration,
            state.Steps,
            state.Episodes,
            state.MeanReturn,
            elapsed.TotalSeconds
        );

    [LoggerMessage(
        2,
        LogLevel.Debug,
        "Iteration {Iteration}: {Steps} steps, {Episodes} episodes, mean return {MeanReturn}, KL {MeanKl} of {Delta}, gain {SurrogateGain}, "
            + "{Outcome}, explained variance {ExplainedVariance}, entropy {Entropy}, {StepsPerSecond} steps/s",
        EventName = "Iteration"
    )]
    private static partial void Iteration(
        this ILogger logger,
        int iteration,
        long steps,
        long episodes,
        double? meanReturn,
        double meanKl,
        double delta,
        double surrogateGain,
        StepOutcome outcome,
        double explainedVariance,
        double entropy,
        double stepsPerSecond
    );

    [LoggerMessage(3, LogLevel.Warning, "Iteration {Iteration}: {Warning}", EventName = "Warning")]
    private static partial void Warning(this ILogger logger, int iteration, string warning);

    [LoggerMessage(
        4,
        LogLevel.Information,
        "Evaluation after iteration {Iteration} and {Steps} steps: mean return {Mean} ± {StandardDeviation}, with drawn actions {SampledMean}",
        EventName = "Evaluation"
    )]
    private static partial void Evaluation(
        this ILogger logger,
        int iteration,
        long steps,
        double mean,
        double standardDeviation,
        double sampledMean
    );

    [LoggerMessage(
        5,
        LogLevel.Information,
        "Training on {Environment} ends: {Reason} after {Iteration} iterations, {Steps} steps, {Episodes} episodes and {Seconds} s; "
            + "mean return {MeanReturn}",
        EventName = "TrainingEnds"
    )]
    private static partial void Ends(
        this ILogger logger,
        string environment,
        StopReason reason,
        int iteration,
        long steps,
        long episodes,
        double? meanReturn,
        double seconds
    );
}
