using FunTrpo.CSharp;

namespace FunTrpo.Remote;

/// <summary>The agents of a game of Godot, which only move on together.</summary>
internal sealed class GodotEnvironments(GodotSimulators simulators)
    : RemoteEnvironments(simulators),
        ILockstepBatchEnvironment
{
    /// <inheritdoc/>
    public void Abandon(int index) => simulators.Abandon(index);
}
