using System;
using System.Runtime.CompilerServices;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// A caller's environment as a simulator of the pipeline, with checks of the observations that it returns. The pipeline reads both spaces
/// before the first reset.
/// </summary>
/// <param name="environment">The caller's environment.</param>
/// <param name="name">The name of the environment in reports and errors; null for the name of its class.</param>
internal class SimulatorOf(IEnvironment environment, string? name) : Core.PicturedSimulator
{
    private readonly IMaskedEnvironment? masked = environment is AwaitedEnvironment awaited
        ? awaited.Masks
        : environment as IMaskedEnvironment;
    private Space? observationSpace;

    /// <summary>Which actions are legal: a value for each alternative, while they are written.</summary>
    private bool[] legal = [];

    /// <summary>Whether observations are points of a box, and whether actions are indices: known once the spaces have been read.</summary>
    private bool showsPoints;
    private bool takesIndices;

    public string Id => name ?? environment.GetType().Name;

    public Core.Space ObservationSpace
    {
        get
        {
            observationSpace =
                environment.ObservationSpace ?? throw new InvalidOperationException("it has no observation space");
            showsPoints = observationSpace.Kind == SpaceKind.Box;
            return masked is null ? observationSpace.Value : Mask.space(observationSpace.Value, ActionSpace);
        }
    }

    public Core.Space ActionSpace
    {
        get
        {
            Space space = environment.ActionSpace ?? throw new InvalidOperationException("it has no action space");
            takesIndices = space.Kind == SpaceKind.Discrete;
            return space.Value;
        }
    }

    protected IEnvironment Environment => environment;

    /// <summary>
    /// Returns a factory of simulators for a factory of environments. An environment that is returned twice gives the same simulator twice,
    /// which the pipeline refuses.
    /// </summary>
    /// <param name="make">The factory of environments.</param>
    /// <param name="name">The name of the environment in reports and errors; null for the name of its class.</param>
    /// <param name="disposes">Whether the simulators dispose of their environments.</param>
    public static Func<Core.Simulator> Factory(Func<IEnvironment> make, string? name, bool disposes)
    {
        ConditionalWeakTable<IEnvironment, SimulatorOf> made = [];
        return () => make() is { } environment ? made.GetValue(environment, Wrap) : null!;

        SimulatorOf Wrap(IEnvironment environment) =>
            disposes && environment is IDisposable
                ? new DisposableSimulatorOf(environment, name)
                : new SimulatorOf(environment, name);
    }

    public void Reset(int seed, Span<float> observation)
    {
        Span<float> mask = Write(environment.Reset(seed), observation);
        WriteMask(mask);
    }

    public Core.SimulatorStep Step(ReadOnlySpan<float> action, Span<float> observation)
    {
        AgentAction taken = takesIndices ? new((int)action[0]) : new(action);
        StepResult result = environment.Step(taken);
        Span<float> mask = Write(result.Observation, observation);
        if (!result.Terminated && !result.Truncated)
        {
            WriteMask(mask);
        }

        return new(result.Reward, result.Terminated, result.Truncated);
    }

    /// <summary>What the environment draws; none if it does not draw.</summary>
    public FSharpOption<Core.Picture>? Picture() =>
        environment is not IPicturedEnvironment pictured ? FSharpOption<Core.Picture>.None
        : pictured.Draw() is { } picture ? new(picture.Value)
        : throw new InvalidOperationException("the picture is null");

    /// <summary>
    /// Copies an observation, or throws an exception if it does not fit its space. Returns the rest of the destination, for the mask.
    /// </summary>
    private Span<float> Write(float[] observation, Span<float> destination)
    {
        int width = masked is null ? destination.Length : observationSpace!.Width;
        string? fault =
            observation is null ? $"the observation is null; its space is {observationSpace}"
            : observation.Length != width
                ? $"the observation has {observation.Length} numbers, and its space, {observationSpace}, has {width}"
            : !showsPoints && !observationSpace!.Takes(observation)
                ? $"the observation {ValueList.Print(observation)} is not in its space, {observationSpace}"
            : null;
        if (fault is not null)
        {
            throw new InvalidOperationException(fault);
        }

        observation.CopyTo(destination);
        return destination[width..];
    }

    /// <summary>Writes 1 for each action that the environment says is legal, and 0 for the others.</summary>
    private void WriteMask(Span<float> mask)
    {
        if (masked is null)
        {
            return;
        }

        Array.Resize(ref legal, mask.Length);
        Array.Clear(legal);
        masked.LegalActions(legal);
        for (int i = 0; i < legal.Length; i++)
        {
            mask[i] = legal[i] ? 1 : 0;
        }
    }
}

/// <summary>The same for an environment that the pipeline disposes of.</summary>
internal sealed class DisposableSimulatorOf(IEnvironment environment, string? name)
    : SimulatorOf(environment, name),
        IDisposable
{
    public void Dispose() => ((IDisposable)Environment).Dispose();
}
