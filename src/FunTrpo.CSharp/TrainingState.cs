using System;
using System.Collections.Generic;
using System.Text.Json.Serialization;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The result of one training iteration.</summary>
/// <param name="State">The state after the iteration.</param>
/// <param name="Report">The statistics of the iteration.</param>
public sealed record TrainingStep(TrainingState State, IterationReport Report);

/// <summary>
/// The complete state of training between two iterations, as an immutable value. You can store it, compare it, and continue from it as
/// often as you like: the same state always gives the same next state.
/// </summary>
/// <remarks>
/// To continue a second time from a state, training resets an environment of your own with the same seed and repeats the same actions. An
/// <see cref="EnvironmentException"/> is thrown if this does not lead to the same observation, or if the episode is so long that its
/// actions are not kept (more than about a million numbers). A state cannot be written as JSON: System.Text.Json throws a
/// <see cref="NotSupportedException"/> that explains what to write instead.
/// </remarks>
[JsonConverter(typeof(NoStateAsJson))]
public abstract class TrainingState : IEquatable<TrainingState>
{
    private protected TrainingState(TrainingOptions options) => Options = options;

    /// <summary>The options that the next iteration uses.</summary>
    public TrainingOptions Options { get; }

    /// <summary>The name of the environment.</summary>
    public abstract string EnvironmentName { get; }

    /// <summary>The number of iterations so far.</summary>
    public abstract int Iteration { get; }

    /// <summary>The number of environment steps so far.</summary>
    public abstract long Steps { get; }

    /// <summary>The number of finished episodes so far.</summary>
    public abstract long Episodes { get; }

    /// <summary>
    /// The mean return of the last 100 finished episodes, or of all finished episodes if there are fewer; null if no episode has finished.
    /// </summary>
    public abstract double? MeanReturn { get; }

    /// <summary>The highest mean return of 100 finished episodes so far; null if fewer than 100 have finished.</summary>
    public abstract double? BestMeanReturn { get; }

    /// <summary>The policy at this state.</summary>
    public abstract Policy Policy { get; }

    /// <summary>Whether the mean return of the last 100 episodes has reached <see cref="TrainingOptions.StopAtReturn"/>.</summary>
    public abstract bool HasReachedGoal { get; }

    /// <summary>
    /// Runs one iteration and returns the next state and a report. The callbacks of <see cref="TrainingPlan.OnIteration"/> are not called.
    /// </summary>
    /// <exception cref="TrainingException">The iteration failed. This state is unchanged.</exception>
    public abstract TrainingStep Next();

    /// <summary>
    /// Returns the iterations until training has made <see cref="TrainingOptions.TotalSteps"/>. Each is run when it is requested. The last
    /// one is shortened, or lengthened by less than half, to meet the total. <see cref="HasReachedGoal"/> does not end the sequence.
    /// </summary>
    /// <exception cref="TrainingException">An iteration failed. The states before it are unchanged.</exception>
    public abstract IEnumerable<TrainingStep> Iterations();

    /// <summary>
    /// Returns the same state with other options for the following iterations. Another <see cref="TrainingOptions.Seed"/> gives other
    /// random numbers.
    /// </summary>
    /// <param name="change">Returns the new options, given the old ones.</param>
    /// <exception cref="ArgumentException">
    /// An option is out of its range, or an option that cannot change has been changed: those of the networks' layers, of observation and
    /// return normalisation and of action scaling, and the number of environments.
    /// </exception>
    public abstract TrainingState With(Func<TrainingOptions, TrainingOptions> change);

    /// <summary>
    /// Disposes of the environments that are <see cref="IDisposable"/>, for all states of this training. You can still continue from a
    /// state; new environments are then made. <see cref="TrainingPlan.Train"/> and the asynchronous methods call this themselves.
    /// </summary>
    /// <exception cref="TrainingException">An environment threw an exception when it was disposed of.</exception>
    public abstract void ReleaseEnvironments();

    /// <summary>Returns whether the other state is equal, bit for bit. Equal states give equal following iterations.</summary>
    public abstract bool Equals(TrainingState? other);

    /// <summary>Returns whether both states are equal, bit for bit.</summary>
    public static bool operator ==(TrainingState? a, TrainingState? b) => Equals(a, b);

    /// <summary>Returns whether the states differ.</summary>
    public static bool operator !=(TrainingState? a, TrainingState? b) => !Equals(a, b);

    /// <summary>Returns the environment's name, the iterations, the steps and the mean return in one line.</summary>
    public override string ToString() =>
        $"{EnvironmentName} after {Iteration} iterations, {Steps} steps, mean return {Printed.Mean(MeanReturn)}";

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as TrainingState);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(EnvironmentName, Iteration, Steps, Episodes);
}

/// <summary>A state of the pipeline, with the setup for the next iterations.</summary>
[JsonConverter(typeof(NoStateAsJson))]
internal sealed class TrainingState<T>(
    TrainingOptions options,
    Core.Setup<T> setup,
    Core.TrainingState<T> state,
    Action release
) : TrainingState(options)
{
    private readonly Core.Setup<T> setup = setup;
    private readonly Core.TrainingState<T> state = state;

    public override string EnvironmentName => setup.Environment.Id;

    public override int Iteration => state.Iteration;

    public override long Steps => state.Steps;

    public override long Episodes => state.Episodes;

    public override double? MeanReturn => OptionModule.ToNullable(Core.TrainingState.meanReturn(state));

    public override double? BestMeanReturn => OptionModule.ToNullable(state.BestMeanReturn);

    public override Policy Policy =>
        new(new Core.SavedPolicy(environment: EnvironmentName, actor: Core.TrainingState.actor(setup, state)));

    public override bool HasReachedGoal =>
        Options.StopAtReturn is double goal && Core.TrainingState.hasReached(goal, state);

    public override TrainingStep Next() => Step(Training.update(setup, state));

    public override IEnumerable<TrainingStep> Iterations()
    {
        TrainingState last = this;
        foreach (var result in Training.runFor(Options.TotalSteps, setup, state))
        {
            TrainingStep step = ((TrainingState<T>)last).Step(result);
            last = step.State;
            yield return step;
        }
    }

    public override TrainingState With(Func<TrainingOptions, TrainingOptions> change)
    {
        ArgumentNullException.ThrowIfNull(change);
        TrainingOptions changed = change(Options) ?? throw new ArgumentNullException(nameof(change));
        Core.Configuration configuration = changed.Validated();
        return new TrainingState<T>(
            changed,
            Setup.change(changed.Threads, configuration, setup).OrThrow(),
            changed.Seed == Options.Seed ? state : Core.TrainingState.reseed(changed.Seed, state),
            release
        );
    }

    public override void ReleaseEnvironments()
    {
        try
        {
            release();
        }
        catch (Exception error)
        {
            throw new TrainingException($"{EnvironmentName} could not be disposed of: {error.Message}", this, error);
        }
    }

    public override bool Equals(TrainingState? other) =>
        other is TrainingState<T> that
        && EnvironmentName == that.EnvironmentName
        && setup.Configuration.Equals(that.setup.Configuration)
        && state.Equals(that.state);

    private TrainingStep Step(FSharpResult<Tuple<Core.TrainingState<T>, Core.Report>, Core.Fault> result)
    {
        (Core.TrainingState<T> next, Core.Report report) = result.OrThrow(this);
        return new(new TrainingState<T>(Options, setup, next, release), new(report));
    }
}
