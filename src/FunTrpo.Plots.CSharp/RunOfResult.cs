using System;
using System.Linq;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.Plots.CSharp;

// In here, so that TrainingResult and others are those of the facade, and not those of the pipeline.
using FunTrpo.CSharp;

/// <summary>What pages know of a run, from the result of a training.</summary>
internal static class RunOfResult
{
    /// <exception cref="ArgumentException">The result is that of another environment.</exception>
    public static RunRecord Record(TrainingPlan plan, TrainingResult result)
    {
        string trainedOn = result.State.EnvironmentName;
        if (plan.EnvironmentName != trainedOn)
        {
            throw new ArgumentException(
                $"The plan is one for {plan.EnvironmentName}, and the result is that of a training on {trainedOn}.",
                nameof(plan)
            );
        }

        Tuple<double, double, double>[] means =
        [
            .. result.Reports.Select(report =>
                Tuple.Create((double)report.Steps, (double)report.Episodes, report.MeanReturn ?? double.NaN)
            ),
        ];
        double? goal = result.State.Options.StopAtReturn ?? plan.Source.SolvedAt;
        bool isSolved = goal is double mean && ProgressModule.firstToReach(mean, means) is not null;
        return new(
            Settings(plan, result.State.Options),
            Summary(result, isSolved),
            Progress(result),
            FSharpFunc<double, FSharpOption<long>>.FromConverter(mean => ProgressModule.firstToReach(mean, means))
        );
    }

    /// <summary>Returns the evaluations during training.</summary>
    public static FSharpList<EvaluationPoint> Evaluations(TrainingResult result) =>
        ListModule.OfSeq(
            result.Evaluations.Select(evaluation => new EvaluationPoint(
                evaluation.Steps,
                evaluation.Deterministic.Mean,
                evaluation.Deterministic.StandardDeviation,
                evaluation.Sampled.Mean
            ))
        );

    private static RunSettings Settings(TrainingPlan plan, TrainingOptions options) =>
        new(
            algorithm: RunAlgorithm.OnPolicy,
            environment: plan.EnvironmentName,
            environmentFrom: null,
            seed: options.Seed,
            steps: options.TotalSteps,
            stopAt: OptionModule.OfNullable(options.StopAtReturn),
            startedFrom: plan.First is { } first ? new(Hash(first)) : null,
            checkpointEvery: null,
            evaluation: OptionModule.OfObj(plan.EvaluationPlan),
            fields: RunSettingsModule.fieldsOf(options.ToCore())
        );

    private static RunSummary Summary(TrainingResult result, bool isSolved) =>
        new(
            environment: result.State.EnvironmentName,
            seed: result.State.Options.Seed,
            steps: result.State.Steps,
            iterations: result.State.Iteration,
            episodes: result.State.Episodes,
            meanReturn100: OptionModule.OfNullable(result.State.MeanReturn),
            bestMeanReturn100: OptionModule.OfNullable(result.State.BestMeanReturn),
            solved: isSolved,
            best: result.Best is { } best ? new(Means(best.Evaluation)) : null,
            wallSeconds: Math.Round(result.Elapsed.TotalSeconds, 3),
            parametersSha256: Hash(result.Policy)
        );

    private static string Hash(Policy policy) => Core.Sha256.ofParameters(policy.Saved.Actor.Parameters);

    private static Core.EvaluationMeans Means(TrainingEvaluation evaluation) =>
        new(evaluation.Iteration, evaluation.Steps, evaluation.Deterministic.Mean, evaluation.Sampled.Mean);

    private static Plots.Progress Progress(TrainingResult result) =>
        ProgressModule.ofRows(
            RunAlgorithm.OnPolicy,
            [.. result.Reports.Select(report => ReportedQuantity.AllOf(report).Select(ToValue).ToArray())],
            ListModule.OfSeq(
                result
                    .Reports.Where(report => report.Warnings.Count > 0)
                    .Select(report => Tuple.Create((long)report.Iteration, string.Join("; ", report.Warnings)))
            )
        );

    private static Core.ReportValue ToValue(ReportedQuantity quantity) =>
        quantity.Text is { } text ? Core.ReportValue.NewText(text)
        : quantity.Number is double number && double.IsFinite(number) ? Core.ReportValue.NewNumber(number)
        : Core.ReportValue.Missing;
}
