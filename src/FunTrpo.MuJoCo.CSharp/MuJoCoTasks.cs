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
    public static TrainingPlan For(string id)
    {
        ArgumentNullException.ThrowIfNull(id);
        Registered? task = PhysicsTasks.all.FirstOrDefault(task => task.Id == id);
        return task is null
            ? throw new ArgumentException(
                $"{nameof(id)} = {id} is not allowed: {Registry.mustBeOneOf(PhysicsTasks.all, id)}",
                nameof(id)
            )
            : new(new TaskEnvironment(task));
    }

    /// <summary>A task as the source of the environments of a training run, which frees them at its end.</summary>
    private sealed record TaskEnvironment(Registered Registered) : EnvironmentSource(Registered.Id)
    {
        public override TrainingOptions Preset => new(Registered.Preset) { TotalSteps = Registered.Steps };

        public override TResult Open<TResult>(IOpenedEnvironment<TResult> use)
        {
            PhysicsTask task = PhysicsTasks.tasks.First(task => task.Id == Id);
            PhysicsEnvironment environment;
            try
            {
                environment = new(task);
            }
            catch (Exception error)
            {
                throw new EnvironmentException($"{Id} could not be made: {error.Message}", Id, 0, 0, inner: error);
            }

            return WithLimit(
                use,
                Limit,
                Core.Environment.withTimeLimit<PhysicsEnvironment, PhysicsState>(
                    PhysicsTasks.limitOf(task),
                    environment
                ),
                ((IDisposable)environment).Dispose
            );
        }
    }
}
