using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json.Serialization;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>What one iteration gives: the state after it, and the report of what it did.</summary>
/// <param name="State">The state after the iteration.</param>
/// <param name="Report">What the iteration did.</param>
public sealed record TrainingStep(TrainingState State, IterationReport Report);

/// <summary>
/// All that training knows between two iterations: an immutable value. It can be kept, compared, gone on from, and gone on from
/// again; the same state always gives the same next one.
/// </summary>
/// <remarks>
/// To go on twice from one state, a simulator of your own is brought there again: it is reset with the same seed and given the same
/// actions. Where that does not lead to the same observation, an <see cref="EnvironmentException"/> says so; and where an episode has
/// gone on for so long that its actions are no longer kept (about a million numbers). A state cannot be written as JSON:
/// System.Text.Json is refused with a <see cref="NotSupportedException"/> that says what to write instead.
/// </remarks>
[RefusedInJson]
public abstract class TrainingState : IEquatable<TrainingState>
{
    private protected TrainingState(TrainingOptions options) => Options = options;

    /// <summary>What <see cref="Next"/> goes on with.</summary>
    public TrainingOptions Options { get; }

    /// <summary>The name of the environment.</summary>
    public abstract string EnvironmentName { get; }

    /// <summary>Iterations so far.</summary>
    public abstract int Iteration { get; }

    /// <summary>Environment steps so far.</summary>
    public abstract long Steps { get; }

    /// <summary>Finished episodes so far.</summary>
    public abstract long Episodes { get; }

    /// <summary>The mean return of the last 100 finished episodes (of fewer where fewer have finished); null before the first.</summary>
    public abstract double? MeanReturn { get; }

    /// <summary>The best mean of 100 finished episodes so far; null before there were so many.</summary>
    public abstract double? BestMeanReturn { get; }

    /// <summary>The policy at this state.</summary>
    public abstract Policy Policy { get; }

    /// <summary>Whether the mean of the last 100 episodes has reached <see cref="TrainingOptions.StopAtReturn"/>.</summary>
    public abstract bool HasReachedGoal { get; }

    /// <summary>One iteration. Who owns the loop is told by what it returns: nothing else reports it.</summary>
    /// <exception cref="TrainingException">It failed; this state is as good as before.</exception>
    public abstract TrainingStep Next();

    /// <summary>
    /// The iterations until training has made <see cref="TrainingOptions.TotalSteps"/>, lazily; the last one is shortened, or
    /// lengthened by less than half, so that the total is met. <see cref="HasReachedGoal"/> does not end them.
    /// </summary>
    /// <exception cref="TrainingException">An iteration failed; the state before it is as good as before.</exception>
    public abstract IEnumerable<TrainingStep> Iterations();

    /// <summary>
    /// The same state with other options: another future. Another <see cref="TrainingOptions.Seed"/> lets chance go another way. What
    /// shapes the state itself cannot change: networks, normalisation, scaling and the number of environments.
    /// </summary>
    public abstract TrainingState With(Func<TrainingOptions, TrainingOptions> change);

    /// <summary>
    /// Disposes of the simulators that are <see cref="IDisposable"/>, of all states of this training. To go on afterwards is possible:
    /// then new ones are made. What trains to an end by itself does this itself.
    /// </summary>
    public abstract void ReleaseEnvironments();

    /// <summary>Whether the other is the same in every bit, and has the same future: iteration after iteration the same.</summary>
    public abstract bool Equals(TrainingState? other);

    /// <summary>Whether both are the same in every bit, and have the same future.</summary>
    public static bool operator ==(TrainingState? a, TrainingState? b) => Equals(a, b);

    /// <summary>Whether they differ, or will.</summary>
    public static bool operator !=(TrainingState? a, TrainingState? b) => !Equals(a, b);

    /// <summary>How far training has come.</summary>
    public override string ToString() =>
        $"{EnvironmentName} after {Iteration} iterations, {Steps} steps, mean return {Printed.Mean(MeanReturn)}";

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as TrainingState);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(EnvironmentName, Iteration, Steps, Episodes);
}

/// <summary>A state of the pipeline, with the setup that it goes on with.</summary>
[RefusedInJson]
internal sealed class TrainingState<T>(
    TrainingOptions options,
    Core.Setup<T> setup,
    Core.State<T> state,
    Action release
) : TrainingState(options)
{
    private readonly Core.Setup<T> setup = setup;
    private readonly Core.State<T> state = state;

    public override string EnvironmentName => setup.Environment.Id;

    public override int Iteration => state.Iteration;

    public override long Steps => state.Steps;

    public override long Episodes => state.Episodes;

    public override double? MeanReturn => OptionModule.ToNullable(Training.meanReturn(state));

    public override double? BestMeanReturn => OptionModule.ToNullable(state.BestMeanReturn);

    public override Policy Policy =>
        new(new Core.SavedPolicy(environment: EnvironmentName, actor: Training.actor(setup, state)));

    public override bool HasReachedGoal =>
        Options.StopAtReturn is double goal && state.RecentReturns.Length >= Training.window && MeanReturn >= goal;

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
        RequireSameShape(setup.Configuration, configuration);
        return new TrainingState<T>(
            changed,
            Training.setup(changed.Threads, configuration, setup.Environment).OrThrow(),
            changed.Seed == Options.Seed ? state : Training.reseed(changed.Seed, state),
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
        other is TrainingState<T> it
        && EnvironmentName == it.EnvironmentName
        && setup.Configuration.Equals(it.setup.Configuration)
        && state.Equals(it.state);

    private TrainingStep Step(FSharpResult<Tuple<Core.State<T>, Core.Report>, Core.Fault> result)
    {
        (Core.State<T> next, Core.Report report) = result.OrThrow(this);
        return new(new TrainingState<T>(Options, setup, next, release), new(report));
    }

    private static void RequireSameShape(Core.Configuration old, Core.Configuration changed)
    {
        Require(old.Environments == changed.Environments, nameof(TrainingOptions.Environments));
        Require(old.Hidden.SequenceEqual(changed.Hidden), nameof(TrainingOptions.Hidden));
        Require(old.Activation == changed.Activation, nameof(TrainingOptions.Activation));
        Require(old.CriticHidden.SequenceEqual(changed.CriticHidden), nameof(TrainingOptions.CriticHidden));
        Require(old.CriticActivation == changed.CriticActivation, nameof(TrainingOptions.CriticActivation));
        Require(
            old.NormaliseObservations == changed.NormaliseObservations,
            nameof(TrainingOptions.NormaliseObservations)
        );
        Require(old.ScaleActions == changed.ScaleActions, nameof(TrainingOptions.ScaleActions));
        Require(old.NormaliseReturns == changed.NormaliseReturns, nameof(TrainingOptions.NormaliseReturns));

        static void Require(bool isSame, string name)
        {
            if (!isSame)
            {
                throw new ArgumentException($"{name} shapes the state itself, and cannot be changed on the way.", name);
            }
        }
    }
}
