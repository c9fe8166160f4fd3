using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Microsoft.FSharp.Core;
using static System.FormattableString;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>What became of the step that an iteration wanted to take. Unless it moved, the policy is the old one, bit for bit.</summary>
[NameInJson]
public enum StepOutcome
{
    /// <summary>The step was taken.</summary>
    Moved,

    /// <summary>There was no gradient, so there was nowhere to go.</summary>
    NoGradient,

    /// <summary>The gradient was NaN or infinite.</summary>
    NonFiniteGradient,

    /// <summary>The curvature along the step was zero, negative or not a number, so its length is not defined.</summary>
    NoCurvature,

    /// <summary>No length of the step gained within the trust region.</summary>
    LineSearchFailed,
}

/// <summary>Why conjugate gradient stopped.</summary>
[NameInJson]
public enum ConjugateGradientStop
{
    /// <summary>It was not used, or had nothing to solve.</summary>
    NotUsed,

    /// <summary>The residual fell below the tolerance.</summary>
    Converged,

    /// <summary>It had made its iterations.</summary>
    IterationLimit,

    /// <summary>Along some direction there was no curvature that float32 can tell from zero.</summary>
    VanishingCurvature,

    /// <summary>A product was NaN or infinite.</summary>
    NonFinite,
}

/// <summary>What one iteration did.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed record IterationReport
{
    /// <summary>A report of nothing, to be filled in.</summary>
    public IterationReport() { }

    internal IterationReport(Core.Report report)
    {
        Core.Improvement improvement = report.Improvement;
        Core.Comparison comparison = improvement.Comparison;
        Iteration = report.Iteration;
        Steps = report.Steps;
        Episodes = report.Episodes;
        MeanReturn = OptionModule.ToNullable(report.MeanReturn);
        ExplainedVariance = report.ExplainedVariance;
        MeanKl = comparison.MeanKl;
        MaxKl = comparison.MaxKl;
        TrustRegion = report.Delta;
        SurrogateGain = comparison.Gain;
        SurrogateGainError = comparison.GainError;
        Warnings = ValueList.Of(report.Warnings.Select(WarningModule.message));
        Entropy = comparison.Entropy;
        GradientNorm = improvement.GradientNorm;
        (Outcome, StepFraction, LineSearchTries) = improvement.Outcome switch
        {
            Core.Outcome.Moved moved => (StepOutcome.Moved, moved.fraction, moved.tries),
            Core.Outcome.LineSearchFailed failed => (StepOutcome.LineSearchFailed, 0.0, failed.tries),
            { IsNoGradient: true } => (StepOutcome.NoGradient, 0.0, 0),
            { IsNonFiniteGradient: true } => (StepOutcome.NonFiniteGradient, 0.0, 0),
            _ => (StepOutcome.NoCurvature, 0.0, 0),
        };

        if (OptionModule.ToObj(improvement.Solution) is { } solution)
        {
            CgIterations = solution.Iterations;
            CgResiduals = solution.Residuals;
            CgCurvatures = solution.Curvatures;
            CgStop = solution.Stop switch
            {
                { IsConverged: true } => ConjugateGradientStop.Converged,
                { IsIterationLimit: true } => ConjugateGradientStop.IterationLimit,
                { IsVanishingCurvature: true } => ConjugateGradientStop.VanishingCurvature,
                _ => ConjugateGradientStop.NonFinite,
            };
        }
    }

    /// <summary>The usual numbers, in a line.</summary>
    public override string ToString() =>
        Invariant(
            $"{Steps} steps: mean return {Printed.Mean(MeanReturn)}, KL {MeanKl:F5}, gain {SurrogateGain:F4}, {Outcome}"
        );

    /// <summary>Iterations so far, with this one.</summary>
    public int Iteration { get; init; }

    /// <summary>Environment steps so far.</summary>
    public long Steps { get; init; }

    /// <summary>Finished episodes so far.</summary>
    public long Episodes { get; init; }

    /// <summary>The mean return of the last 100 finished episodes (of fewer where fewer have finished); null before the first.</summary>
    public double? MeanReturn { get; init; }

    /// <summary>How much of the variance of the returns the critic had predicted: 1 is all, below 0 is worse than their mean.</summary>
    public double ExplainedVariance { get; init; }

    /// <summary>What became of the step.</summary>
    public StepOutcome Outcome { get; init; }

    /// <summary>The mean KL(old ‖ new) of the step over the batch, in nats.</summary>
    public double MeanKl { get; init; }

    /// <summary>The largest KL(old ‖ new) in the batch, in nats.</summary>
    public double MaxKl { get; init; }

    /// <summary>The radius of the trust region, δ, which bounds <see cref="MeanKl"/>; ∞ where steps are fixed.</summary>
    public double TrustRegion { get; init; }

    /// <summary>
    /// Whether the step is what TRPO promises of one: it was taken, its surrogate gain is positive, and its mean KL is at most
    /// <see cref="TrustRegion"/>, all of them measured on the batch of this iteration. It says nothing of the expected return, of which
    /// the gain is an estimate with an error (<see cref="SurrogateGainError"/>): where rewards tell nothing, steps within the trust region
    /// follow noise.
    /// </summary>
    public bool IsWithinTrustRegion =>
        Outcome == StepOutcome.Moved && SurrogateGain > 0 && MeanKl <= TrustRegion && double.IsFinite(TrustRegion);

    /// <summary>What the step gained, as the surrogate objective has it.</summary>
    public double SurrogateGain { get; init; }

    /// <summary>
    /// The standard error of <see cref="SurrogateGain"/>, if the rows of the batch were independent: a gain of less than two of them may
    /// well be noise.
    /// </summary>
    public double SurrogateGainError { get; init; }

    /// <summary>How much of the trust region the step used: <see cref="MeanKl"/> over <see cref="TrustRegion"/>.</summary>
    public double KlShare => MeanKl / TrustRegion;

    /// <summary>What should be known of a run that is stuck, in sentences; usually none.</summary>
    public IReadOnlyList<string> Warnings
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<string>([]);

    /// <summary>How undecided the policy is: its mean entropy, in nats.</summary>
    public double Entropy { get; init; }

    /// <summary>The length of the gradient.</summary>
    public double GradientNorm { get; init; }

    /// <summary>The accepted fraction of the full step; 0 where none was.</summary>
    public double StepFraction { get; init; }

    /// <summary>How many lengths of the step were tried.</summary>
    public int LineSearchTries { get; init; }

    /// <summary>Why conjugate gradient stopped.</summary>
    public ConjugateGradientStop CgStop { get; init; }

    /// <summary>Its iterations.</summary>
    public int CgIterations { get; init; }

    /// <summary>‖b − F x‖ / ‖b‖ before its first iteration and after each; empty where it was not used.</summary>
    public IReadOnlyList<double> CgResiduals
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>The curvature pᵀFp / pᵀp along each of its directions.</summary>
    public IReadOnlyList<double> CgCurvatures
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);
}

/// <summary>Numbers as they are printed.</summary>
internal static class Printed
{
    /// <summary>A mean, or a dash where there is none yet.</summary>
    public static string Mean(double? mean) => mean is double it ? Invariant($"{it:F2}") : "–";
}
