using System;
using System.Collections.Generic;
using System.Text.Json.Serialization;
using static System.FormattableString;

namespace FunTrpo.CSharp;

/// <summary>Why training ended.</summary>
[NameInJson]
public enum StopReason
{
    /// <summary>It had made <see cref="TrainingOptions.TotalSteps"/>.</summary>
    StepsMade,

    /// <summary>The mean of the last 100 episodes had reached <see cref="TrainingOptions.StopAtReturn"/>.</summary>
    GoalReached,

    /// <summary>The caller cancelled it; the result is that of the last whole iteration.</summary>
    Cancelled,
}

/// <summary>What training came to.</summary>
/// <param name="State">The last state, which can be gone on from.</param>
/// <param name="Reason">Why training ended.</param>
/// <param name="Reports">What each iteration did.</param>
/// <param name="Elapsed">How long it took.</param>
public sealed record TrainingResult(
    TrainingState State,
    StopReason Reason,
    IReadOnlyList<IterationReport> Reports,
    TimeSpan Elapsed
)
{
    /// <summary>The trained policy.</summary>
    public Policy Policy { get; } = State.Policy;

    /// <summary>What each iteration did.</summary>
    public IReadOnlyList<IterationReport> Reports { get; init; } = ValueList.Of(Reports);

    /// <summary>How it ended, in a line.</summary>
    public override string ToString() => Invariant($"{Reason} in {Elapsed.TotalSeconds:F1} s: {State}");
}
