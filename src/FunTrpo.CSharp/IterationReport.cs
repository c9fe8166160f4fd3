using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Microsoft.FSharp.Core;
using static System.FormattableString;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// The result of the policy improvement of an iteration. Unless it is <see cref="Moved"/>, the policy is unchanged, bit for bit.
/// </summary>
[JsonConverter(typeof(JsonStringEnumConverter<StepOutcome>))]
public enum StepOutcome
{
    /// <summary>The step was taken.</summary>
    Moved,

    /// <summary>The gradient was zero, so no direction improves the policy.</summary>
    NoGradient,

    /// <summary>The curvature along the step was zero, negative or not a number, so the length of the step is not defined.</summary>
    NoCurvature,

    /// <summary>The line search found no step that improves the surrogate within the trust region.</summary>
    LineSearchFailed,
}

/// <summary>Why conjugate gradient stopped.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<ConjugateGradientStop>))]
public enum ConjugateGradientStop
{
    /// <summary>Conjugate gradient was not used, or the gradient was zero.</summary>
    NotUsed,

    /// <summary>The residual fell below the tolerance.</summary>
    Converged,

    /// <summary>The maximum number of iterations was reached.</summary>
    IterationLimit,

    /// <summary>The curvature along a direction was negative, zero, or too small for float32 to tell from zero.</summary>
    VanishingCurvature,
}

/// <summary>
/// The wall-clock seconds of an iteration and of its stages. The policy's improvement and the critic's fit may run at the same time. Two of
/// these are always equal: the same iteration takes other times when it is repeated, and its reports are equal all the same.
/// </summary>
/// <param name="Rollout">The rollout.</param>
/// <param name="Policy">The policy's improvement.</param>
/// <param name="Critic">The critic's fit.</param>
/// <param name="Total">The whole iteration.</param>
public readonly record struct StageSeconds(double Rollout, double Policy, double Critic, double Total)
{
    /// <summary>Returns true.</summary>
    public bool Equals(StageSeconds other) => true;

    /// <inheritdoc/>
    public override int GetHashCode() => 0;
}

/// <summary>Statistics of one training iteration.</summary>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public sealed record IterationReport
{
    /// <summary>Creates an empty report, for object initialisers and deserialisation.</summary>
    public IterationReport() { }

    internal IterationReport(Core.Report report)
    {
        Core.Improvement improvement = report.Improvement;
        Core.Comparison comparison = improvement.Comparison;
        Iteration = report.Iteration;
        Steps = report.Steps;
        BatchSteps = report.BatchSteps;
        Episodes = report.Episodes;
        FinishedEpisodes = report.Finished.Length;
        MeanEpisodeLength = report.Finished.IsEmpty ? null : report.Finished.Average(episode => episode.Length);
        MeanReturn = OptionModule.ToNullable(report.MeanReturn);
        BatchReturn = Quantity("batchReturn", report);
        BatchReturnLow = Quantity("batchReturnLow", report);
        BatchReturnHigh = Quantity("batchReturnHigh", report);
        ExplainedVariance = report.ExplainedVariance;
        MeanKl = comparison.MeanKl;
        MaxKl = comparison.MaxKl;
        Delta = report.Delta;
        CriticErrorBefore = report.CriticErrorBefore;
        CriticErrorAfter = report.CriticErrorAfter;
        Seconds = new(report.Seconds.Rollout, report.Seconds.Policy, report.Seconds.Critic, report.Seconds.Total);
        SurrogateGain = comparison.Gain;
        SurrogateGainError = comparison.GainError;
        Warnings = ValueList.Of(report.Warnings.Select(WarningModule.message));
        Entropy = comparison.Entropy;
        GradientNorm = improvement.GradientNorm;
        SignalShare = OptionModule.ToNullable(improvement.SignalShare);
        HeldOutGain = Quantity("heldOutGain", report);
        HeldOutGainLow = Quantity("heldOutGainLow", report);
        CertificatePenalty = Quantity("certificatePenalty", report);
        Certificate = Quantity("certificate", report);
        StepFraction = improvement.Outcome.Fraction;
        LineSearchTries = improvement.Outcome.Tries;
        Outcome = improvement.Outcome switch
        {
            { IsMoved: true } => StepOutcome.Moved,
            { IsLineSearchFailed: true } => StepOutcome.LineSearchFailed,
            { IsNoGradient: true } => StepOutcome.NoGradient,
            _ => StepOutcome.NoCurvature,
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
                _ => ConjugateGradientStop.VanishingCurvature,
            };
        }
    }

    /// <summary>The number that the pipeline reports under this name; null if it is missing.</summary>
    private static double? Quantity(string name, Core.Report report) =>
        Core.ReportModule.value(name, report) is Core.ReportValue.Number number ? number.Item : null;

    /// <summary>Returns the main numbers in one line.</summary>
    public override string ToString() =>
        Invariant(
            $"{Steps} steps: mean return {Printed.Mean(MeanReturn)}, KL {MeanKl:F5}, gain {SurrogateGain:F4}, {Outcome}"
        );

    /// <summary>The number of iterations so far, including this one.</summary>
    public int Iteration { get; init; }

    /// <summary>The number of environment steps so far.</summary>
    public long Steps { get; init; }

    /// <summary>The number of environment steps of this iteration, those of branches included.</summary>
    public long BatchSteps { get; init; }

    /// <summary>The number of finished episodes so far.</summary>
    public long Episodes { get; init; }

    /// <summary>The number of episodes that finished in this iteration.</summary>
    public int FinishedEpisodes { get; init; }

    /// <summary>The mean number of steps of the episodes that finished in this iteration; null if none did.</summary>
    public double? MeanEpisodeLength { get; init; }

    /// <summary>
    /// The mean return of the last 100 finished episodes, or of all finished episodes if there are fewer; null if no episode has finished.
    /// </summary>
    public double? MeanReturn { get; init; }

    /// <summary>The mean return of the episodes that finished in this iteration; null if none did.</summary>
    public double? BatchReturn { get; init; }

    /// <summary>The lower quartile of the returns of the episodes that finished in this iteration; null if none did.</summary>
    public double? BatchReturnLow { get; init; }

    /// <summary>The upper quartile of the returns of the episodes that finished in this iteration; null if none did.</summary>
    public double? BatchReturnHigh { get; init; }

    /// <summary>
    /// The fraction of the variance of the returns that the critic predicted before it was fitted in this iteration: 1 is perfect, below 0
    /// is worse than predicting the mean.
    /// </summary>
    public double ExplainedVariance { get; init; }

    /// <summary>
    /// The share of the gradient on which two halves of the batch agree, from 0.03 to 1; null unless
    /// <see cref="TrainingOptions.DeltaShrinkage"/> needs it.
    /// </summary>
    public double? SignalShare { get; init; }

    /// <summary>The root mean squared error of the critic's values before its fit, in the unit of the reward.</summary>
    public double CriticErrorBefore { get; init; }

    /// <summary>The root mean squared error of the critic's values after its fit, in the unit of the reward.</summary>
    public double CriticErrorAfter { get; init; }

    /// <summary>The times of the iteration.</summary>
    public StageSeconds Seconds { get; init; }

    /// <summary>The environment steps of this iteration divided by its time in seconds.</summary>
    public double StepsPerSecond => BatchSteps / Seconds.Total;

    /// <summary>Whether the policy was improved and, if not, why.</summary>
    public StepOutcome Outcome { get; init; }

    /// <summary>The mean KL divergence KL(old ‖ new) of the step over the batch, in nats.</summary>
    public double MeanKl { get; init; }

    /// <summary>The largest KL divergence KL(old ‖ new) of the step over the batch, in nats.</summary>
    public double MaxKl { get; init; }

    /// <summary>The radius δ of the trust region, in nats: the upper limit of <see cref="MeanKl"/>; ∞ for fixed steps and PPO.</summary>
    public double Delta { get; init; }

    /// <summary>
    /// Whether the step satisfies the conditions of TRPO: it was taken, its surrogate gain is positive, and its mean KL is at most
    /// <see cref="Delta"/>. All three are measured on the batch of this iteration. This does not guarantee a higher expected return:
    /// the gain is an estimate with an error (<see cref="SurrogateGainError"/>), and if rewards carry no information, steps within the
    /// trust region follow noise.
    /// </summary>
    public bool IsWithinTrustRegion =>
        Outcome == StepOutcome.Moved && SurrogateGain > 0 && MeanKl <= Delta && double.IsFinite(Delta);

    /// <summary>The increase of the surrogate objective by the step, including the entropy bonus if there is one.</summary>
    public double SurrogateGain { get; init; }

    /// <summary>
    /// The standard error of <see cref="SurrogateGain"/> under the assumption that the rows of the batch are independent. A gain of less
    /// than two standard errors may well be noise.
    /// </summary>
    public double SurrogateGainError { get; init; }

    /// <summary>
    /// The increase of the surrogate by the step on held-out rows, which the step has not seen, without entropy bonus; null unless
    /// <see cref="TrainingOptions.HeldOut"/> keeps some apart.
    /// </summary>
    public double? HeldOutGain { get; init; }

    /// <summary>
    /// A one-sided 95 % lower confidence bound of <see cref="HeldOutGain"/>, with episodes as the independent units; null without held-out
    /// rows, or if they are of a single episode.
    /// </summary>
    public double? HeldOutGainLow { get; init; }

    /// <summary>
    /// What <see cref="Certificate"/> subtracts for the mean total variation of the step; null without held-out rows, or if it is infinite
    /// because there is no discount.
    /// </summary>
    public double? CertificatePenalty { get; init; }

    /// <summary>
    /// <see cref="HeldOutGainLow"/> less <see cref="CertificatePenalty"/>: a lower bound of the gain in expected return, in the unit of the
    /// advantages for a step of the environment; null if one of them is. It is a diagnostic and not a proof: advantages are estimates. It is
    /// below 0 for nearly every practical step.
    /// </summary>
    public double? Certificate { get; init; }

    /// <summary>
    /// The fraction of the trust region that the step used: <see cref="MeanKl"/> / <see cref="Delta"/>. NaN for fixed steps and PPO, which
    /// have no trust region.
    /// </summary>
    public double KlOverDelta => double.IsInfinity(Delta) ? double.NaN : MeanKl / Delta;

    /// <summary>Warnings about a run that may be stuck, as sentences; usually empty.</summary>
    public IReadOnlyList<string> Warnings
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<string>([]);

    /// <summary>The mean entropy of the policy over the batch, in nats.</summary>
    public double Entropy { get; init; }

    /// <summary>The Euclidean norm of the gradient of the surrogate objective.</summary>
    public double GradientNorm { get; init; }

    /// <summary>
    /// The fraction of the full step that the line search accepted, or of PPO's minibatch steps that were made; 0 if none was.
    /// </summary>
    public double StepFraction { get; init; }

    /// <summary>The number of step lengths that the line search tried; 0 for PPO, which has none.</summary>
    public int LineSearchTries { get; init; }

    /// <summary>Why conjugate gradient stopped.</summary>
    public ConjugateGradientStop CgStop { get; init; }

    /// <summary>The number of conjugate-gradient iterations; 0 if conjugate gradient was not used.</summary>
    public int CgIterations { get; init; }

    /// <summary>The last of <see cref="CgResiduals"/>; null if there is none.</summary>
    public double? CgResidual => CgResiduals.Count == 0 ? null : CgResiduals[^1];

    /// <summary>
    /// The relative residual ‖b − F x‖ / ‖b‖ of conjugate gradient, before the first iteration and after each; empty if conjugate gradient
    /// was not used.
    /// </summary>
    public IReadOnlyList<double> CgResiduals
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);

    /// <summary>The curvature pᵀFp / pᵀp along each search direction p of conjugate gradient.</summary>
    public IReadOnlyList<double> CgCurvatures
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<double>([]);
}

/// <summary>Formats numbers for messages.</summary>
internal static class Printed
{
    /// <summary>Formats a mean; a dash stands for null.</summary>
    public static string Mean(double? mean) => mean is double value ? Invariant($"{value:F2}") : "–";
}
