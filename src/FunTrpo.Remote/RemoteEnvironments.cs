using System;
using System.Collections.Generic;
using System.IO;
using FunTrpo.CSharp;
using Core = FunTrpo;

namespace FunTrpo.Remote;

/// <summary>
/// Environments in another process or on another machine, for C#: <c>Trpo.ForBatch(() => RemoteEnvironments.Start("plant", []))</c>. All that
/// a thread steps side by side are stepped with one message. After a failure the connection has ended. If the other side says which actions are
/// legal, they are an <see cref="IMaskedBatchEnvironment"/>, too.
/// </summary>
public class RemoteEnvironments : IBatchEnvironment, IDisposable
{
    private readonly Core.BatchSimulator simulators;

    private protected RemoteEnvironments(Core.BatchSimulator simulators)
    {
        this.simulators = simulators;
        ObservationSpace = new(SpaceModule.observed(simulators.ObservationSpace));
        ActionSpace = new(simulators.ActionSpace);
    }

    /// <summary>The name of the environment on the other side.</summary>
    public string Id => simulators.Id;

    /// <inheritdoc/>
    public FunTrpo.CSharp.Space ObservationSpace { get; }

    /// <inheritdoc/>
    public FunTrpo.CSharp.Space ActionSpace { get; }

    /// <inheritdoc/>
    public int Count => simulators.Count;

    /// <inheritdoc cref="RemoteSimulators.Start"/>
    public static RemoteEnvironments Start(string file, IEnumerable<string> arguments, RemoteOptions? options = null) =>
        Of(RemoteSimulators.Start(file, arguments, options));

    /// <inheritdoc cref="RemoteSimulators.Connect"/>
    public static RemoteEnvironments Connect(string host, int port, RemoteOptions? options = null) =>
        Of(RemoteSimulators.Connect(host, port, options));

    /// <inheritdoc cref="RemoteSimulators.Over"/>
    public static RemoteEnvironments Over(Stream input, Stream output, RemoteOptions? options = null) =>
        Of(RemoteSimulators.Over(input, output, options));

    /// <inheritdoc cref="FunTrpo.Remote.Gymnasium.Start"/>
    public static RemoteEnvironments Gymnasium(string id, RemoteOptions? options = null) =>
        Of(FunTrpo.Remote.Gymnasium.Start(id, options));

    /// <summary>
    /// Waits for a game of Godot with the plugin Godot RL Agents, such as one that is played in the editor. Its agents that train are the
    /// environments, and they are an <see cref="ILockstepBatchEnvironment"/>: train with as many environments as there are agents.
    /// </summary>
    /// <inheritdoc cref="GodotSimulators.Listen"/>
    public static RemoteEnvironments ListenForGodot(GodotOptions? options = null) =>
        new GodotEnvironments(GodotSimulators.Listen(options));

    /// <summary>
    /// Starts an exported game of Godot with the plugin Godot RL Agents. Its agents that train are the environments, and they are an
    /// <see cref="ILockstepBatchEnvironment"/>: train with as many environments as there are agents, or with a multiple for several games.
    /// </summary>
    /// <inheritdoc cref="GodotSimulators.Start"/>
    public static RemoteEnvironments StartGodot(string file, GodotOptions? options = null) =>
        new GodotEnvironments(GodotSimulators.Start(file, options));

    /// <inheritdoc/>
    public virtual void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations) =>
        simulators.Reset(indices, seeds, observations);

    /// <inheritdoc/>
    public virtual void Step(
        ReadOnlySpan<int> indices,
        ReadOnlySpan<float> actions,
        Span<float> observations,
        Span<BatchStepResult> results
    )
    {
        Core.SimulatorStep[] steps = new Core.SimulatorStep[indices.Length];
        simulators.Step(indices, actions, observations, steps);
        for (int i = 0; i < steps.Length; i++)
        {
            results[i] = new(steps[i].Reward, steps[i].Terminated, steps[i].Truncated);
        }
    }

    /// <summary>Ends the connection.</summary>
    public void Dispose()
    {
        (simulators as IDisposable)?.Dispose();
        GC.SuppressFinalize(this);
    }

    private static RemoteEnvironments Of(RemoteSimulators simulators) =>
        Mask.isIn(simulators.ObservationSpace)
            ? new MaskedRemoteEnvironments(simulators)
            : new RemoteEnvironments(simulators);
}
