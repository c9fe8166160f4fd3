using System.Text.Json.Serialization;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>An evaluation of a policy during training (<see cref="TrainingPlan.EvaluateEvery"/>).</summary>
public sealed record TrainingEvaluation
{
    /// <summary>Creates an evaluation.</summary>
    [JsonConstructor]
    public TrainingEvaluation(int iteration, long steps, Scores deterministic, Scores sampled)
    {
        Iteration = iteration;
        Steps = steps;
        Deterministic = deterministic;
        Sampled = sampled;
    }

    internal TrainingEvaluation(Core.TrainingEvaluation core)
        : this(core.Iteration, core.Steps, new(core.Deterministic), new(core.Sampled)) { }

    /// <summary>The iteration after which the policy was evaluated.</summary>
    public int Iteration { get; init; }

    /// <summary>The number of environment steps of training until then.</summary>
    public long Steps { get; init; }

    /// <summary>The scores with the most probable actions. They decide which policy is the best.</summary>
    public Scores Deterministic { get; init; }

    /// <summary>The scores with actions drawn from the policy's distribution, as in training.</summary>
    public Scores Sampled { get; init; }

    /// <summary>Returns the steps and both scores in one line.</summary>
    public override string ToString() => $"{Steps} steps: {Deterministic}; with drawn actions {Sampled}";
}

/// <summary>The policy with the best evaluation during training.</summary>
/// <param name="Policy">The policy.</param>
/// <param name="Evaluation">Its evaluation.</param>
public sealed record BestPolicy(Policy Policy, TrainingEvaluation Evaluation);
