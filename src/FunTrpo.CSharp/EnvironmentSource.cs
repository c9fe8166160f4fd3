using System;
using System.Linq;
using FunTrpo.Environments;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>What is done with an environment that has been opened, whatever the type of its states is.</summary>
internal interface IOpenedEnvironment<out TResult>
{
    /// <param name="environment">As the pipeline knows it.</param>
    /// <param name="release">Disposes of what the environment holds.</param>
    TResult With<TState>(Core.Environment<TState> environment, Action release);
}

/// <summary>When what an environment holds is disposed of.</summary>
internal static class Release
{
    /// <summary>Releases where it fails, so that nothing is left behind. What is told is the failure.</summary>
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

    /// <summary>Releases in any case. What is thrown then is told where nothing else has gone wrong.</summary>
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
            // What went wrong before is told.
        }
    }
}

/// <summary>Where the environments of a training come from.</summary>
internal abstract record EnvironmentSource(string Id)
{
    /// <summary>The steps after which an episode is truncated; null where the environment itself says so.</summary>
    public int? Limit { get; init; }

    public abstract TrainingOptions Preset { get; }

    public abstract TResult Open<TResult>(IOpenedEnvironment<TResult> use);
}

/// <summary>An environment of the library.</summary>
internal sealed record LibraryEnvironment(Registered Registered) : EnvironmentSource(Registered.Id)
{
    public override TrainingOptions Preset => new(Registered.Preset) { TotalSteps = Registered.Steps };

    public static LibraryEnvironment Find(string id)
    {
        ArgumentNullException.ThrowIfNull(id);
        return OptionModule.ToObj(Registry.tryFind(id)) is { } registered
            ? new(registered)
            : throw new ArgumentException($"{nameof(id)} = {id} is not allowed: {Registry.allowed(id)}", nameof(id));
    }

    public override TResult Open<TResult>(IOpenedEnvironment<TResult> use) =>
        Registered.Use(new Opened<TResult>(use, Limit));

    private sealed record Opened<TResult>(IOpenedEnvironment<TResult> Use, int? Limit) : EnvironmentUse<TResult>
    {
        public TResult With<TState>(Core.Environment<TState> environment) =>
            Limit is int limit
                ? Use.With(
                    Core.Environment.withTimeLimit<Core.Environment<TState>, TState>(limit, environment),
                    () => { }
                )
                : Use.With(environment, () => { });
    }
}

/// <summary>An environment of the caller's.</summary>
internal sealed record FactoryOfEnvironments(string? Name, Type Type, Func<IEnvironment> Make, bool Disposes)
    : EnvironmentSource(Name ?? Type.Name)
{
    public override TrainingOptions Preset => new(ConfigurationModule.standard);

    public override TResult Open<TResult>(IOpenedEnvironment<TResult> use)
    {
        SimulatorAdapter environment;
        try
        {
            environment = new(Name, Make, Limit ?? int.MaxValue, Disposes);
        }
        catch (Exception error)
        {
            throw new EnvironmentException($"{Id} could not be made: {error.Message}", Id, 0, 0, inner: error);
        }

        return use.With(environment, environment.Release);
    }
}
