using System;

namespace FunTrpo.Inference;

/// <summary>
/// An episode that a policy plays. It takes the observations in their order, one at a time, and holds what a policy with memory remembers of
/// them. <see cref="FunTrpo.Inference.Policy.Begin"/> makes one for each game or conversation that the policy plays at the same time. It is not
/// thread-safe.
/// </summary>
/// <remarks>Observations, actions and exceptions are those of <see cref="FunTrpo.Inference.Policy"/>. Acting allocates no memory.</remarks>
public sealed class PolicyEpisode
{
    private readonly float[] memory;

    internal PolicyEpisode(Policy policy, int memory)
    {
        Policy = policy;
        this.memory = new float[memory];
    }

    /// <summary>The policy that plays.</summary>
    public Policy Policy { get; }

    /// <summary>Forgets all observations: the next one is the first of another episode.</summary>
    public void Restart() => Array.Clear(memory, 0, memory.Length);

    /// <summary>Returns the index of the most probable action for the next observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">The action space is not <see cref="SpaceKind.Discrete"/>.</exception>
    public int Act(ReadOnlySpan<float> observation)
    {
        Span<int> action = stackalloc int[1];
        Policy.RequireIndex();
        Act(observation, action);
        return action[0];
    }

    /// <summary>Writes the most probable action for the next observation as indices, if actions are not continuous.</summary>
    /// <exception cref="InvalidOperationException">The action space is a <see cref="SpaceKind.Box"/>.</exception>
    public void Act(ReadOnlySpan<float> observation, Span<int> action) =>
        Policy.ActByIndex(observation, default, memory, null, action);

    /// <summary>Writes the most probable action for the next observation as numbers.</summary>
    public void Act(ReadOnlySpan<float> observation, Span<float> action) =>
        Policy.Act(observation, default, memory, null, action);

    /// <summary>Returns the index of an action sampled for the next observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">The action space is not <see cref="SpaceKind.Discrete"/>.</exception>
    public int Sample(ReadOnlySpan<float> observation, Random random)
    {
        Span<int> action = stackalloc int[1];
        Policy.RequireIndex();
        Sample(observation, random, action);
        return action[0];
    }

    /// <summary>Samples an action for the next observation and writes it as indices, if actions are not continuous.</summary>
    /// <exception cref="InvalidOperationException">The action space is a <see cref="SpaceKind.Box"/>.</exception>
    public void Sample(ReadOnlySpan<float> observation, Random random, Span<int> action)
    {
        Policy.Require(random, nameof(random));
        Policy.ActByIndex(observation, default, memory, random, action);
    }

    /// <summary>Samples an action for the next observation and writes it as numbers.</summary>
    public void Sample(ReadOnlySpan<float> observation, Random random, Span<float> action)
    {
        Policy.Require(random, nameof(random));
        Policy.Act(observation, default, memory, random, action);
    }

    /// <summary>Returns the distribution of actions for the next observation. The result is allocated.</summary>
    public ActionDistribution Distribution(ReadOnlySpan<float> observation) =>
        Policy.Distribution(observation, default, memory);
}
