using System;

namespace FunTrpo.Inference;

/// <summary>
/// An episode that a policy plays. It takes the observations in their order, one at a time, and holds what a policy with memory remembers of
/// them. <see cref="FunTrpo.Inference.Policy.Begin"/> makes one for each game or conversation that the policy plays at the same time. It is not
/// thread-safe.
/// </summary>
/// <remarks>
/// Observations, actions and exceptions are those of <see cref="FunTrpo.Inference.Policy"/>. Each observation is acted on once. If an exception is
/// thrown, it is not remembered. Acting allocates no memory.
/// </remarks>
public sealed partial class PolicyEpisode
{
    private float[] memory;

    /// <summary>The memory after the observation at hand, which replaces that before it if there is an action.</summary>
    private float[] next;

    internal PolicyEpisode(Policy policy, int memory)
    {
        Policy = policy;
        this.memory = new float[memory];
        next = new float[memory];
    }

    /// <summary>The policy that plays.</summary>
    public Policy Policy { get; }

    /// <summary>Forgets all observations: the next one is the first of another episode.</summary>
    public void Restart() => Array.Clear(memory, 0, memory.Length);

    /// <summary>Returns the index of the most probable action for the next observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes a mask.
    /// </exception>
    public int Act(ReadOnlySpan<float> observation)
    {
        Span<int> action = stackalloc int[1];
        Policy.RequireIndex();
        Act(observation, action);
        return action[0];
    }

    /// <summary>Writes the most probable action for the next observation as indices, if actions are not continuous.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is a <see cref="SpaceKind.Box"/> or has one among its parts, or the policy takes a mask.
    /// </exception>
    public void Act(ReadOnlySpan<float> observation, Span<int> action)
    {
        Policy.RequireNoMask();
        ActByIndex(observation, default, null, action);
    }

    /// <summary>Writes the most probable action for the next observation as numbers.</summary>
    /// <exception cref="InvalidOperationException">The policy takes a mask.</exception>
    public void Act(ReadOnlySpan<float> observation, Span<float> action)
    {
        Policy.RequireNoMask();
        Act(observation, null, action);
    }

    /// <summary>Returns the index of an action sampled for the next observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes a mask.
    /// </exception>
    public int Sample(ReadOnlySpan<float> observation, Random random)
    {
        Span<int> action = stackalloc int[1];
        Policy.RequireIndex();
        Sample(observation, random, action);
        return action[0];
    }

    /// <summary>Samples an action for the next observation and writes it as indices, if actions are not continuous.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is a <see cref="SpaceKind.Box"/> or has one among its parts, or the policy takes a mask.
    /// </exception>
    public void Sample(ReadOnlySpan<float> observation, Random random, Span<int> action)
    {
        Policy.Require(random, nameof(random));
        Policy.RequireNoMask();
        ActByIndex(observation, default, random, action);
    }

    /// <summary>Samples an action for the next observation and writes it as numbers.</summary>
    /// <exception cref="InvalidOperationException">The policy takes a mask.</exception>
    public void Sample(ReadOnlySpan<float> observation, Random random, Span<float> action)
    {
        Policy.Require(random, nameof(random));
        Policy.RequireNoMask();
        Act(observation, random, action);
    }

    /// <summary>
    /// Returns the distribution of actions for the next observation, which is not remembered: an action for it is. The result is allocated.
    /// </summary>
    /// <exception cref="InvalidOperationException">The policy takes a mask.</exception>
    public ActionDistribution Distribution(ReadOnlySpan<float> observation)
    {
        Policy.RequireNoMask();
        return Look(observation, default);
    }

    private ActionDistribution Look(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal)
    {
        memory.CopyTo(next, 0);
        return Policy.Distribution(observation, legal, next);
    }

    private void ActByIndex(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal, Random? random, Span<int> action)
    {
        RequireOne(observation);
        memory.CopyTo(next, 0);
        Policy.ActByIndex(observation, legal, next, random, action);
        (memory, next) = (next, memory);
    }

    private void Act(ReadOnlySpan<float> observation, Random? random, Span<float> action)
    {
        RequireOne(observation);
        memory.CopyTo(next, 0);
        Policy.Act(observation, default, next, random, action);
        (memory, next) = (next, memory);
    }

    private void RequireOne(ReadOnlySpan<float> observation)
    {
        if (observation.Length != Policy.ObservationWidth)
        {
            throw new ArgumentException(
                $"It has {observation.Length} numbers, and must be one observation of {Policy.ObservationWidth}.",
                nameof(observation)
            );
        }
    }
}
