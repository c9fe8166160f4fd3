using System;
using FunTrpo.Kernels;

namespace FunTrpo.CSharp;

/// <content>Actions of policies that were trained with action masks.</content>
public sealed partial class Policy
{
    /// <summary>
    /// Whether the policy was trained on an <see cref="IMaskedEnvironment"/>. It then chooses among the actions that are legal, which its
    /// methods must be told.
    /// </summary>
    public bool TakesMask => Mask.isIn(Saved.ObservationSpace);

    /// <summary>
    /// The number of values in the mask of one observation: one for each alternative of each choice, as
    /// <see cref="IMaskedEnvironment.LegalActions"/> writes them; 0 if the policy takes no mask.
    /// </summary>
    public int MaskWidth => SpaceModule.width(Saved.ObservationSpace) - ObservationWidth;

    /// <summary>Returns the index of the most probable legal action for one observation, if actions are discrete.</summary>
    /// <param name="observation">The observation, of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">Whether each action is legal: <see cref="MaskWidth"/> values.</param>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes no mask or has memory.
    /// </exception>
    /// <exception cref="ArgumentException">A length is wrong, or no action is legal.</exception>
    public int Act(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal)
    {
        Span<float> action = stackalloc float[1];
        RequireIndex();
        Act(observation, legal, action);
        return (int)action[0];
    }

    /// <summary>Writes the most probable legal action for each row of <paramref name="observations"/> as indices.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">For each row, <see cref="MaskWidth"/> values that say whether an action is legal.</param>
    /// <param name="actions">For each row, as many indices as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">The policy takes no mask, or it has memory.</exception>
    /// <exception cref="ArgumentException">A length is wrong, or a row has no legal alternative for a choice.</exception>
    public void Act(ReadOnlySpan<float> observations, ReadOnlySpan<bool> legal, Span<int> actions)
    {
        using PooledBuffer numbers = PooledBuffer.Rent(actions.Length);
        Act(observations, legal, numbers.Span);
        ToIndices(numbers.Span, actions);
    }

    /// <inheritdoc cref="Act(ReadOnlySpan{float}, ReadOnlySpan{bool}, Span{int})"/>
    /// <summary>Writes the most probable legal action for each row of <paramref name="observations"/> as numbers.</summary>
    public void Act(ReadOnlySpan<float> observations, ReadOnlySpan<bool> legal, Span<float> actions)
    {
        using PooledBuffer rows = WithMasks(observations, legal);
        player.Act(rows.Span, actions);
    }

    /// <summary>Returns the index of a legal action sampled from the policy for one observation, if actions are discrete.</summary>
    /// <param name="observation">The observation, of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">Whether each action is legal: <see cref="MaskWidth"/> values.</param>
    /// <param name="random">The generator from which one number is taken.</param>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes no mask or has memory.
    /// </exception>
    /// <exception cref="ArgumentException">A length is wrong, or no action is legal.</exception>
    public int Sample(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal, Random random)
    {
        Span<float> action = stackalloc float[1];
        RequireIndex();
        Sample(observation, legal, random, action);
        return (int)action[0];
    }

    /// <summary>Samples a legal action for each row of <paramref name="observations"/> and writes the actions as indices.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">For each row, <see cref="MaskWidth"/> values that say whether an action is legal.</param>
    /// <param name="random">The generator from which one number is taken. Several threads may share <see cref="Random.Shared"/>.</param>
    /// <param name="actions">For each row, as many indices as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">The policy takes no mask, or it has memory.</exception>
    /// <exception cref="ArgumentException">A length is wrong, or a row has no legal alternative for a choice.</exception>
    public void Sample(ReadOnlySpan<float> observations, ReadOnlySpan<bool> legal, Random random, Span<int> actions)
    {
        using PooledBuffer numbers = PooledBuffer.Rent(actions.Length);
        Sample(observations, legal, random, numbers.Span);
        ToIndices(numbers.Span, actions);
    }

    /// <inheritdoc cref="Sample(ReadOnlySpan{float}, ReadOnlySpan{bool}, Random, Span{int})"/>
    /// <summary>Samples a legal action for each row of <paramref name="observations"/> and writes the actions as numbers.</summary>
    public void Sample(ReadOnlySpan<float> observations, ReadOnlySpan<bool> legal, Random random, Span<float> actions)
    {
        ArgumentNullException.ThrowIfNull(random);
        using PooledBuffer rows = WithMasks(observations, legal);
        player.Sample(rows.Span, KeyModule.ofSeed(random.NextInt64()), actions);
    }

    /// <summary>Returns the distribution of actions for one observation; illegal ones have the probability 0. The result is allocated.</summary>
    /// <param name="observation">The observation, of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">Whether each action is legal: <see cref="MaskWidth"/> values.</param>
    /// <exception cref="InvalidOperationException">The policy takes no mask, or it has memory.</exception>
    /// <exception cref="ArgumentException">A length is wrong, or no action is legal.</exception>
    public ActionDistribution Distribution(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal)
    {
        using PooledBuffer rows = WithMasks(observation, legal);
        return new(player.Distribution(rows.Span));
    }

    /// <summary>Returns rows of an observation and its mask, as the network reads them.</summary>
    internal PooledBuffer WithMasks(ReadOnlySpan<float> observations, ReadOnlySpan<bool> legal)
    {
        if (!TakesMask)
        {
            throw new InvalidOperationException(
                "This policy was trained without action masks: leave out which actions are legal."
            );
        }

        (int count, int rest) = Math.DivRem(observations.Length, ObservationWidth);
        if (rest != 0)
        {
            throw new ArgumentException(
                $"It has {observations.Length} numbers, which are not whole rows of {ObservationWidth}.",
                nameof(observations)
            );
        }

        if (legal.Length != count * MaskWidth)
        {
            throw new ArgumentException(
                $"It has {legal.Length} values, and must have {MaskWidth} for each of {count} observations.",
                nameof(legal)
            );
        }

        RequireFinite(observations);
        int width = ObservationWidth + MaskWidth;
        PooledBuffer rows = PooledBuffer.Rent(count, width);
        for (int row = 0; row < count; row++)
        {
            Span<float> destination = rows.Span.Slice(row * width, width);
            observations.Slice(row * ObservationWidth, ObservationWidth).CopyTo(destination);
            for (int i = 0; i < MaskWidth; i++)
            {
                destination[ObservationWidth + i] = legal[(row * MaskWidth) + i] ? 1 : 0;
            }

            if (!Mask.hasLegalAction(Saved.ObservationSpace, destination))
            {
                rows.Dispose();
                throw new ArgumentException($"No action is legal for observation {row}.", nameof(legal));
            }
        }

        return rows;
    }

    internal void RequireNoMask()
    {
        if (TakesMask)
        {
            throw new InvalidOperationException(
                "This policy chooses among legal actions: pass which ones are legal after the observation."
            );
        }
    }
}
