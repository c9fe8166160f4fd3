using System;
using System.Collections.Generic;
using System.Linq;
using FunTrpo.CSharp;
using FunTrpo.Environments;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.Plots.CSharp;

/// <summary>The environment of a plan, with its tuning, as pages know it.</summary>
internal sealed class RegisteredPlan(TrainingPlan plan) : Registered
{
    public string Id => plan.EnvironmentName;

    public Core.Configuration Preset => plan.Source.Preset.ToCore();

    public long Steps => plan.Source.Preset.TotalSteps;

    public FSharpOption<double> SolvedAt => OptionModule.OfNullable(plan.Source.SolvedAt);

    public TResult Use<TResult>(EnvironmentUse<TResult> environmentUse) =>
        plan.Source.Open(new Opened<TResult>(environmentUse));

    private sealed record Opened<TResult>(EnvironmentUse<TResult> Use) : IOpenedEnvironment<TResult>
    {
        public TResult With<TState>(Core.Environment<TState> environment, Action release) =>
            Release.Afterwards(() => Use.With(environment), release);
    }
}

/// <summary>The environments of runs: those of the library, and those of plans.</summary>
internal static class KnownEnvironments
{
    /// <summary>Returns the environments of the plans, each once, and then those of the library.</summary>
    public static IEnumerable<Registered> With(IEnumerable<TrainingPlan> plans) =>
        plans.Select(plan => new RegisteredPlan(plan)).Concat(Registry.all).DistinctBy(environment => environment.Id);

    /// <summary>Returns the environment that a run has trained on: that of the plan, or the one of the library without a plan.</summary>
    /// <exception cref="ArgumentException">That is another environment, or the library has none of this name.</exception>
    public static Registered Find(string trainedOn, TrainingPlan? plan)
    {
        if (plan is null)
        {
            return OptionModule.ToObj(Registry.tryFind(trainedOn))
                ?? throw new ArgumentException(
                    $"The run trained on {trainedOn}, which is not an environment of the library: pass a plan with this environment.",
                    nameof(plan)
                );
        }

        return plan.EnvironmentName == trainedOn
            ? new RegisteredPlan(plan)
            : throw new ArgumentException(
                $"The run trained on {trainedOn}, and the plan is one for {plan.EnvironmentName}.",
                nameof(plan)
            );
    }
}
