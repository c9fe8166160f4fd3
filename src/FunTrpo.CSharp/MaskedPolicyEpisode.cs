using System;
using FunTrpo.Kernels;

namespace FunTrpo.CSharp;

/// <content>Actions of policies that were trained with action masks.</content>
public sealed partial class PolicyEpisode
{
    /// <summary>Returns the index of the most probable legal action for the next observation, if actions are discrete.</summary>
    /// <param name="observation">The observation.</param>
    /// <param name="legal">Whether each action is legal: <see cref="FunTrpo.CSharp.Policy.MaskWidth"/> values.</param>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes no mask.
    /// </exception>
    /// <exception cref="ArgumentException">A length is wrong, or no action is legal.</exception>
    public int Act(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal)
    {
        Span<float> action = stackalloc float[1];
        Policy.RequireIndex();
        Act(observation, legal, action);
        return (int)action[0];
    }

    /// <summary>Writes the most probable legal action for the next observation as indices.</summary>
    /// <exception cref="InvalidOperationException">The policy takes no mask.</exception>
    /// <exception cref="ArgumentException">A length is wrong, or a choice has no legal alternative.</exception>
    public void Act(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal, Span<int> action)
    {
        using PooledBuffer numbers = PooledBuffer.Rent(action.Length);
        Act(observation, legal, numbers.Span);
        Policy.ToIndices(numbers.Span, action);
    }

    /// <inheritdoc cref="Act(ReadOnlySpan{float}, ReadOnlySpan{bool}, Span{int})"/>
    /// <summary>Writes the most probable legal action for the next observation as numbers.</summary>
    public void Act(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal, Span<float> action)
    {
        using PooledBuffer row = Policy.WithMasks(observation, legal);
        episode.Act(row.Span, action);
    }

    /// <summary>Returns the index of a legal action sampled for the next observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes no mask.
    /// </exception>
    /// <exception cref="ArgumentException">A length is wrong, or no action is legal.</exception>
    public int Sample(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal, Random random)
    {
        Span<float> action = stackalloc float[1];
        Policy.RequireIndex();
        Sample(observation, legal, random, action);
        return (int)action[0];
    }

    /// <summary>Samples a legal action for the next observation and writes it as indices.</summary>
    /// <exception cref="InvalidOperationException">The policy takes no mask.</exception>
    /// <exception cref="ArgumentException">A length is wrong, or a choice has no legal alternative.</exception>
    public void Sample(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal, Random random, Span<int> action)
    {
        using PooledBuffer numbers = PooledBuffer.Rent(action.Length);
        Sample(observation, legal, random, numbers.Span);
        Policy.ToIndices(numbers.Span, action);
    }

    /// <inheritdoc cref="Sample(ReadOnlySpan{float}, ReadOnlySpan{bool}, Random, Span{int})"/>
    /// <summary>Samples a legal action for the next observation and writes it as numbers.</summary>
    public void Sample(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal, Random random, Span<float> action)
    {
        ArgumentNullException.ThrowIfNull(random);
        using PooledBuffer row = Policy.WithMasks(observation, legal);
        episode.Sample(row.Span, KeyModule.ofSeed(random.NextInt64()), action);
    }

    /// <summary>
    /// Returns the distribution of actions for the next observation, which is not remembered: an action for it is. Illegal actions have the
    /// probability 0. The result is allocated.
    /// </summary>
    /// <exception cref="InvalidOperationException">The policy takes no mask.</exception>
    /// <exception cref="ArgumentException">A length is wrong, or a choice has no legal alternative.</exception>
    public ActionDistribution Distribution(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal)
    {
        using PooledBuffer row = Policy.WithMasks(observation, legal);
        return new(episode.Distribution(row.Span));
    }
}
