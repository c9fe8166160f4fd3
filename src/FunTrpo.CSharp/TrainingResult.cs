using System;
using System.Collections.Generic;
using System.Text.Json.Serialization;
using static System.FormattableString;

namespace FunTrpo.CSharp;

/// <summary>Why training ended.</summary>
[JsonConverter(typeof(JsonStringEnumConverter<StopReason>))]
public enum StopReason
{
    /// <summary>Training has made <see cref="TrainingOptions.TotalSteps"/>.</summary>
    TotalStepsReached,

    /// <summary>
    /// The mean return of the last 100 episodes has reached <see cref="TrainingOptions.StopAtReturn"/>, or an evaluation has reached the
    /// goal of <see cref="TrainingPlan.EvaluateEvery"/>.
    /// </summary>
    GoalReached,

    /// <summary>
    /// As many evaluations in a row as <see cref="TrainingPlan.EvaluateEvery"/> says were not better than the best one.
    /// </summary>
    NoImprovement,

    /// <summary>The caller cancelled training. The result is that of the last complete iteration.</summary>
    Cancelled,

    /// <summary>
    /// The caller cancelled training, and an environment did not answer in time (<see cref="TrainingPlan.WithCancellationTimeout"/>). The
    /// result is that of the last complete iteration. The environments are not released.
    /// </summary>
    Abandoned,
}

/// <summary>The result of training: the final state, why training ended, and a report for each iteration.</summary>
/// <param name="State">The final state, from which training can continue.</param>
/// <param name="Reason">Why training ended.</param>
/// <param name="Reports">One report for each iteration.</param>
/// <param name="Elapsed">The duration of training.</param>
public sealed record TrainingResult(
    TrainingState State,
    StopReason Reason,
    IReadOnlyList<IterationReport> Reports,
    TimeSpan Elapsed
)
{
    /// <summary>The trained policy.</summary>
    public Policy Policy { get; } = State.Policy;

    /// <summary>The trained policy: the same as <see cref="Policy"/>.</summary>
    public Policy Last => Policy;

    /// <summary>
    /// The policy with the best evaluation; null without <see cref="TrainingPlan.EvaluateEvery"/>, or if no evaluation was due.
    /// </summary>
    public BestPolicy? Best { get; init; }

    /// <summary>The evaluations during training.</summary>
    public IReadOnlyList<TrainingEvaluation> Evaluations
    {
        get;
        init => field = ValueList.Of(value);
    } = ValueList.Of<TrainingEvaluation>([]);

    /// <summary>One report for each iteration.</summary>
    public IReadOnlyList<IterationReport> Reports { get; init; } = ValueList.Of(Reports);

    /// <summary>Returns why training ended, its duration and the final state in one line.</summary>
    public override string ToString() => Invariant($"{Reason} in {Elapsed.TotalSeconds:F1} s: {State}");
}
