using System;
using System.Linq;
using FunTrpo.Environments;
using Microsoft.FSharp.Collections;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>A function of an opened environment, generic in the type of the environment's states.</summary>
internal interface IOpenedEnvironment<out TResult>
{
    /// <param name="environment">The environment as the pipeline uses it.</param>
    /// <param name="release">Disposes of the resources of the environment.</param>
    TResult With<TState>(Core.Environment<TState> environment, Action release);
}

/// <summary>Runs a function and then releases the resources of an environment.</summary>
internal static class Release
{
    /// <summary>
    /// Returns the result of <paramref name="make"/>, and releases if it throws. An exception of the release is then ignored.
    /// </summary>
    public static T IfItFails<T>(Func<T> make, Action release)
    {
        try
        {
            return make();
        }
        catch
        {
            Quietly(release);
            throw;
        }
    }

    /// <summary>
    /// Returns the result of <paramref name="make"/>, and always releases. An exception of the release is thrown only if
    /// <paramref name="make"/> has not thrown.
    /// </summary>
    public static T Afterwards<T>(Func<T> make, Action release)
    {
        T made = IfItFails(make, release);
        release();
        return made;
    }

    private static void Quietly(Action release)
    {
        try
        {
            release();
        }
        catch (Exception)
        {
            // The caller throws the earlier exception, which is the cause.
        }
    }
}

/// <summary>The source of the environments of a training run: the library, or a factory of the caller.</summary>
internal abstract record EnvironmentSource(string Id)
{
    /// <summary>The steps after which an episode is truncated; null if only the environment itself truncates.</summary>
    public int? Limit { get; init; }

    /// <summary>The bound of rewards; null if they are not clipped.</summary>
    public double? RewardBound { get; init; }

    /// <summary>Whether observations have the last action and the last reward.</summary>
    public bool HasLastAction { get; init; }

    /// <summary>The number of observations that a policy sees together.</summary>
    public int Frames { get; init; } = 1;

    /// <summary>The number of steps that are waited for at the same time; null if environments compute.</summary>
    public int? InFlight { get; init; }

    /// <summary>The number of environments that may fail and be replaced.</summary>
    public int Restarts { get; init; }

    /// <summary>Whether the environments are awaited.</summary>
    public bool IsAwaited { get; init; }

    public abstract TrainingOptions Preset { get; }

    /// <summary>The mean return of 100 episodes at which the task counts as solved; null if there is none.</summary>
    public virtual double? SolvedAt => null;

    public abstract TResult Open<TResult>(IOpenedEnvironment<TResult> use);

    /// <summary>Returns the registered environment of this name.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public static Registered Find(FSharpList<Registered> known, string id)
    {
        ArgumentNullException.ThrowIfNull(id);
        return known.FirstOrDefault(registered => registered.Id == id)
            ?? throw new ArgumentException(
                $"{nameof(id)} = {id} is not allowed: {Registry.mustBeOneOf(known, id)}",
                nameof(id)
            );
    }

    /// <summary>Returns the tuned options of a registered environment.</summary>
    protected static TrainingOptions PresetOf(Registered registered) =>
        new(registered.Preset) { TotalSteps = registered.Steps };

    /// <summary>Returns the goal of a registered environment; null if it has none.</summary>
    protected static double? SolvedAtOf(Registered registered) => OptionModule.ToNullable(registered.SolvedAt);

    /// <summary>Returns the environment that <paramref name="make"/> makes, whose exception becomes one of this environment.</summary>
    /// <exception cref="EnvironmentException">It could not be made.</exception>
    protected T Made<T>(Func<T> make)
    {
        try
        {
            return make();
        }
        catch (Exception error)
        {
            throw new EnvironmentException($"{Id} could not be made: {error.Message}", Id, 0, 0, inner: error);
        }
    }

    /// <summary>Applies the function to the environment of the simulators that <paramref name="factory"/> makes.</summary>
    protected TResult OpenSimulators<TResult>(IOpenedEnvironment<TResult> use, Func<Func<Core.Simulator>> factory)
    {
        Core.SimulatorEnvironment environment = Made(() => new Core.SimulatorEnvironment(factory()));
        environment.AllowRestarts(Restarts);
        return WithWrappers(use, environment, ((IDisposable)environment).Dispose);
    }

    /// <summary>
    /// Applies the function to the environment, with what the plan puts around it: the limit of its episodes, the bound of rewards, the last
    /// action, several frames, and the number of steps in flight.
    /// </summary>
    protected TResult WithWrappers<TState, TResult>(
        IOpenedEnvironment<TResult> use,
        Core.Environment<TState> environment,
        Action release
    )
    {
        return Limit is int steps
            ? Clipped(Core.Environment.withTimeLimit<Core.Environment<TState>, TState>(steps, environment))
            : Clipped(environment);

        TResult Clipped<T>(Core.Environment<T> limited) =>
            Remembering(
                RewardBound is double bound ? Core.RewardClip.wrap<Core.Environment<T>, T>(bound, limited) : limited
            );

        TResult Remembering<T>(Core.Environment<T> clipped) =>
            HasLastAction ? Stacked(Core.LastAction.wrap<Core.Environment<T>, T>(clipped)) : Stacked(clipped);

        TResult Stacked<T>(Core.Environment<T> remembering) =>
            Frames > 1
                ? WaitingFor(Core.FrameStack.wrap<Core.Environment<T>, T>(Frames, remembering))
                : WaitingFor(remembering);

        TResult WaitingFor<T>(Core.Environment<T> wrapped) =>
            use.With(Core.Environment.inFlight(OptionModule.OfNullable(InFlight), wrapped), release);
    }
}

/// <summary>An environment of the library.</summary>
internal sealed record LibraryEnvironment(Registered Registered) : EnvironmentSource(Registered.Id)
{
    public override TrainingOptions Preset => PresetOf(Registered);

    public override double? SolvedAt => SolvedAtOf(Registered);

    public static LibraryEnvironment Find(string id) => new(Find(Registry.all, id));

    public override TResult Open<TResult>(IOpenedEnvironment<TResult> use) =>
        Registered.Use(new Opened<TResult>(use, this));

    private sealed record Opened<TResult>(IOpenedEnvironment<TResult> Use, LibraryEnvironment Source)
        : EnvironmentUse<TResult>
    {
        public TResult With<TState>(Core.Environment<TState> environment) =>
            Source.WithWrappers(Use, environment, () => { });
    }
}

/// <summary>A factory of environments that the caller has implemented.</summary>
internal sealed record FactoryOfEnvironments(string? Name, Type Type, Func<IEnvironment> Make, bool Disposes)
    : EnvironmentSource(Name ?? Type.Name)
{
    public override TrainingOptions Preset => new(ConfigurationModule.standard);

    public override TResult Open<TResult>(IOpenedEnvironment<TResult> use) =>
        OpenSimulators(use, () => SimulatorOf.Factory(Make, Name, Disposes));
}

/// <summary>A factory of batches of environments that the caller has implemented.</summary>
internal sealed record FactoryOfBatches(string Name, Func<IBatchEnvironment> Make, bool Disposes)
    : EnvironmentSource(Name)
{
    public override TrainingOptions Preset => new(ConfigurationModule.standard);

    public override TResult Open<TResult>(IOpenedEnvironment<TResult> use) =>
        OpenSimulators(use, () => BatchSimulatorModule.simulators(BatchOf.Factory(Make, Name, Disposes)));
}
