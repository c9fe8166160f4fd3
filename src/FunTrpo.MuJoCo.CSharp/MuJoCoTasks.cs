using System;
using System.Collections.Generic;
using System.Linq;
using FunTrpo.Environments;
using Core = FunTrpo;

namespace FunTrpo.MuJoCo.CSharp;

// In here, so that Space and others are those of the facade, and not those of the pipeline.
using FunTrpo.CSharp;

/// <summary>The tasks of MuJoCo, which are Gymnasium's: <c>Hopper-v4</c>, <c>Walker2d-v4</c> and others.</summary>
public static class MuJoCoTasks
{
    /// <summary>The names of the tasks.</summary>
    public static IReadOnlyList<string> Ids { get; } = [.. PhysicsTasks.all.Select(task => task.Id)];

    /// <summary>Creates a plan to train on a task, with its tuned options.</summary>
    /// <param name="id">The name of the task, one of <see cref="Ids"/>.</param>
    /// <exception cref="ArgumentException">There is no task of this name.</exception>
    /// <remarks>Training throws an <see cref="EnvironmentException"/> that says what to do if the engine is not installed.</remarks>
    public static TrainingPlan For(string id) =>
        new(new TaskEnvironment((RegisteredTask)EnvironmentSource.Find(PhysicsTasks.all, id)));

    /// <summary>A task as the source of the environments of a training run, which frees them at its end.</summary>
    private sealed record TaskEnvironment(RegisteredTask Registered) : EnvironmentSource(Registered.Task.Id)
    {
        public override TrainingOptions Preset => PresetOf(Registered);

        public override double? SolvedAt => SolvedAtOf(Registered);

        public override TResult Open<TResult>(IOpenedEnvironment<TResult> use)
        {
            PhysicsEnvironment environment = Made(() => new PhysicsEnvironment(Registered.Task));
            return WithWrappers(
                use,
                Core.Environment.withTimeLimit<PhysicsEnvironment, PhysicsState>(Registered.Limit, environment),
                ((IDisposable)environment).Dispose
            );
        }
    }
}
