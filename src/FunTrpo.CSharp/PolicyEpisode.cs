using System;
using FunTrpo.Kernels;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// An episode that a policy plays. It takes the observations in their order, one at a time, and holds what a policy with memory (<c>gru</c>,
/// <c>lstm</c>) remembers of them. <see cref="FunTrpo.CSharp.Policy.Begin"/> makes one for each game, conversation or robot that the policy plays at the same
/// time. It is not thread-safe.
/// </summary>
/// <remarks>
/// Observations, actions and exceptions are those of <see cref="FunTrpo.CSharp.Policy"/>. Each observation is acted on once. If an exception is
/// thrown, it is not remembered. Acting allocates no memory.
/// </remarks>
public sealed partial class PolicyEpisode
{
    private readonly Core.InferenceEpisode episode;

    internal PolicyEpisode(Policy policy, Core.InferenceEpisode episode)
    {
        Policy = policy;
        this.episode = episode;
    }

    /// <summary>The policy that plays.</summary>
    public Policy Policy { get; }

    /// <summary>Forgets all observations: the next one is the first of another episode.</summary>
    public void Restart() => episode.Restart();

    /// <summary>Returns the index of the most probable action for the next observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes a mask.
    /// </exception>
    public int Act(ReadOnlySpan<float> observation)
    {
        Span<float> action = stackalloc float[1];
        Policy.RequireIndex();
        Act(observation, action);
        return (int)action[0];
    }

    /// <summary>Writes the most probable action for the next observation as indices, if actions are not continuous.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is a <see cref="SpaceKind.Box"/>, or the policy takes a mask.
    /// </exception>
    public void Act(ReadOnlySpan<float> observation, Span<int> action)
    {
        Policy.RequireCounted();
        using PooledBuffer numbers = PooledBuffer.Rent(action.Length);
        Act(observation, numbers.Span);
        Policy.ToIndices(numbers.Span, action);
    }

    /// <summary>Writes the most probable action for the next observation as numbers.</summary>
    /// <exception cref="InvalidOperationException">The policy takes a mask.</exception>
    public void Act(ReadOnlySpan<float> observation, Span<float> action)
    {
        Policy.RequireNoMask();
        Policy.RequireFinite(observation);
        episode.Act(observation, action);
    }

    /// <summary>Returns the index of an action sampled for the next observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes a mask.
    /// </exception>
    public int Sample(ReadOnlySpan<float> observation, Random random)
    {
        Span<float> action = stackalloc float[1];
        Policy.RequireIndex();
        Sample(observation, random, action);
        return (int)action[0];
    }

    /// <summary>Samples an action for the next observation and writes it as indices, if actions are not continuous.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is a <see cref="SpaceKind.Box"/>, or the policy takes a mask.
    /// </exception>
    public void Sample(ReadOnlySpan<float> observation, Random random, Span<int> action)
    {
        Policy.RequireCounted();
        using PooledBuffer numbers = PooledBuffer.Rent(action.Length);
        Sample(observation, random, numbers.Span);
        Policy.ToIndices(numbers.Span, action);
    }

    /// <summary>Samples an action for the next observation and writes it as numbers.</summary>
    /// <exception cref="InvalidOperationException">The policy takes a mask.</exception>
    public void Sample(ReadOnlySpan<float> observation, Random random, Span<float> action)
    {
        ArgumentNullException.ThrowIfNull(random);
        Policy.RequireNoMask();
        Policy.RequireFinite(observation);
        episode.Sample(observation, KeyModule.ofSeed(random.NextInt64()), action);
    }

    /// <summary>
    /// Returns the distribution of actions for the next observation, which is not remembered: an action for it is. The result is allocated.
    /// </summary>
    /// <exception cref="InvalidOperationException">The policy takes a mask.</exception>
    public ActionDistribution Distribution(ReadOnlySpan<float> observation)
    {
        Policy.RequireNoMask();
        Policy.RequireFinite(observation);
        return new(episode.Distribution(observation));
    }
}
