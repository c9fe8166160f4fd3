using System;
using System.Collections.Generic;
using System.IO;
using System.Text.Json.Serialization;
using System.Threading;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The result of one training iteration.</summary>
/// <param name="State">The state after the iteration.</param>
/// <param name="Report">The statistics of the iteration.</param>
public sealed record TrainingStep(TrainingState State, IterationReport Report)
{
    /// <summary>The evaluation of the policy after the iteration; null if none was due.</summary>
    public TrainingEvaluation? Evaluation { get; init; }
}

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

    /// <summary>Returns the state with rollouts that these processes step; this process, for null.</summary>
    internal abstract TrainingState SteppedBy(Core.ShareWorkers? workers);

    /// <summary>
    /// Writes the state to a file, from which <see cref="Load"/> continues in this or another process, with the same bits as if training had
    /// not been interrupted.
    /// </summary>
    /// <remarks>
    /// The file is replaced atomically, and is on the disk when the method returns: after a crash or a power cut at any moment, it is the
    /// old one or the new one. Of an environment of your own, the file keeps the seed and the actions of the episode; training that
    /// continues resets the environment with the seed and repeats the actions.
    /// </remarks>
    /// <exception cref="IOException">The file cannot be written. The old file is unchanged.</exception>
    /// <exception cref="ArgumentException">
    /// An episode is so long that its actions are not kept (more than about a million numbers).
    /// </exception>
    public abstract void Save(string path);

    /// <summary>Reads a state that <see cref="Save"/> or <c>funtrpo train --checkpoint-every</c> wrote.</summary>
    /// <param name="path">The path of the file.</param>
    /// <param name="plan">
    /// A plan with the same environment. Its options apply from here on, except for the seed, which is that of the file; those that
    /// <see cref="With"/> cannot change must be those that the state was saved with.
    /// </param>
    /// <exception cref="IOException">The file does not exist (<see cref="FileNotFoundException"/>).</exception>
    /// <exception cref="InvalidDataException">The file cannot be read, or is not a checkpoint, or is damaged.</exception>
    /// <exception cref="ArgumentException">The file belongs to another environment, or to other options.</exception>
    public static TrainingState Load(string path, TrainingPlan plan)
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(plan);
        return File.Exists(path)
            ? plan.Load(path)
            : throw new FileNotFoundException($"There is no checkpoint {path}.", path);
    }

    /// <summary>
    /// Disposes of the environments that are <see cref="IDisposable"/>, for all states of this training. You can still continue from a
    /// state; new environments are then made. <see cref="TrainingPlan.Train(CancellationToken)"/> and the asynchronous methods call this themselves.
    /// </summary>
    /// <exception cref="TrainingException">An environment threw an exception when it was disposed of.</exception>
    public abstract void ReleaseEnvironments();

    /// <summary>Plays the episodes of an evaluation with the policy at this state.</summary>
    internal abstract Core.TrainingEvaluation Evaluate(Core.EvaluationPlan plan);

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
        Core.Setup<T> changedSetup = Setup.change(changed.Threads, configuration, setup).OrThrow();
        return new TrainingState<T>(
            changed,
            changed.InFlight == Options.InFlight
                ? changedSetup
                : Setup.inFlight(OptionModule.OfNullable(changed.InFlight), changedSetup),
            changed.Seed == Options.Seed ? state : Core.TrainingState.reseed(changed.Seed, state),
            release
        );
    }

    /// <summary>Returns a setup with rollouts that these processes step; this process, for null.</summary>
    internal static Core.Setup<T> SetupSteppedBy(Core.ShareWorkers? workers, Core.Setup<T> setup) =>
        workers is null ? Setup.steppedHere(setup) : Core.RolloutShare.onWorkers(workers, setup).OrThrow();

    internal override TrainingState SteppedBy(Core.ShareWorkers? workers) =>
        new TrainingState<T>(Options, SetupSteppedBy(workers, setup), state, release);

    public override void Save(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        Core.Checkpoint.save(path, setup, SavedSeed.Note(Options.Seed), state).OrThrow(this);
    }

    internal override Core.TrainingEvaluation Evaluate(Core.EvaluationPlan plan) =>
        EvaluationHistoryModule.evaluate(plan, Options.Seed, setup, state).OrThrow(this);

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
        Telemetry.record(EnvironmentName, report);
        return new(new TrainingState<T>(Options, setup, next, release), new(report));
    }
}
