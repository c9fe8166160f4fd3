using System;

namespace FunTrpo.Inference;

/// <content>Actions of policies that were trained with action masks.</content>
public sealed partial class Policy
{
    /// <summary>
    /// Whether the policy was trained with action masks. It then chooses among the actions that are legal, which its methods must be told.
    /// </summary>
    public bool TakesMask => MaskWidth > 0;

    /// <summary>
    /// The number of values in the mask of one observation: one for each alternative of the first choice, then of the second, and so on; 0 if
    /// the policy takes no mask.
    /// </summary>
    public int MaskWidth { get; }

    /// <summary>Returns the index of the most probable legal action for one observation, if actions are discrete.</summary>
    /// <param name="observation">The observation, of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">Whether each action is legal: <see cref="MaskWidth"/> values.</param>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes no mask or has memory.
    /// </exception>
    /// <exception cref="ArgumentException">A length is wrong, or no action is legal.</exception>
    public int Act(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal)
    {
        Span<int> action = stackalloc int[1];
        RequireIndex();
        Act(observation, legal, action);
        return action[0];
    }

    /// <summary>Writes the most probable legal action for each row of observations as indices.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">For each row, <see cref="MaskWidth"/> values that say whether an action is legal.</param>
    /// <param name="actions">For each row, as many indices as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">The policy takes no mask, or it has memory.</exception>
    /// <exception cref="ArgumentException">A length is wrong, or a row has no legal alternative for a choice.</exception>
    public void Act(ReadOnlySpan<float> observations, ReadOnlySpan<bool> legal, Span<int> actions)
    {
        RequireMask();
        ActByIndex(observations, legal, WithoutMemory(), null, actions);
    }

    /// <summary>Returns the index of a legal action sampled from the policy for one observation, if actions are discrete.</summary>
    /// <param name="observation">The observation, of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">Whether each action is legal: <see cref="MaskWidth"/> values.</param>
    /// <param name="random">The generator from which the action is drawn.</param>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy takes no mask or has memory.
    /// </exception>
    /// <exception cref="ArgumentException">A length is wrong, or no action is legal.</exception>
    public int Sample(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal, Random random)
    {
        Span<int> action = stackalloc int[1];
        RequireIndex();
        Sample(observation, legal, random, action);
        return action[0];
    }

    /// <summary>Samples a legal action for each row of observations and writes the actions as indices.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">For each row, <see cref="MaskWidth"/> values that say whether an action is legal.</param>
    /// <param name="random">The generator from which the actions are drawn. One thread at a time may use a generator.</param>
    /// <param name="actions">For each row, as many indices as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">The policy takes no mask, or it has memory.</exception>
    /// <exception cref="ArgumentException">A length is wrong, or a row has no legal alternative for a choice.</exception>
    public void Sample(ReadOnlySpan<float> observations, ReadOnlySpan<bool> legal, Random random, Span<int> actions)
    {
        Require(random, nameof(random));
        RequireMask();
        ActByIndex(observations, legal, WithoutMemory(), random, actions);
    }

    /// <summary>Returns the distribution of actions for one observation; illegal ones have the probability 0. The result is allocated.</summary>
    /// <param name="observation">The observation, of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="legal">Whether each action is legal: <see cref="MaskWidth"/> values.</param>
    /// <exception cref="InvalidOperationException">The policy takes no mask, or it has memory.</exception>
    /// <exception cref="ArgumentException">A length is wrong, or no action is legal.</exception>
    public ActionDistribution Distribution(ReadOnlySpan<float> observation, ReadOnlySpan<bool> legal)
    {
        RequireMask();
        return Distribution(observation, legal, WithoutMemory());
    }

    /// <summary>
    /// Replaces the logits of the illegal actions of a row by the lowest float32, whose probability is exactly 0. Does nothing if the policy
    /// takes no mask.
    /// </summary>
    private void ApplyMask(ReadOnlySpan<bool> legal, int row, Span<float> logits)
    {
        if (!TakesMask)
        {
            return;
        }

        ReadOnlySpan<bool> mask = legal.Slice(row * MaskWidth, MaskWidth);
        foreach (Place leaf in ActionSpace.Leaves)
        {
            for (int choice = 0; choice < leaf.Space.Width; choice++)
            {
                int count = leaf.Space.Count(choice);
                if (!ApplyMask(mask.Slice(0, count), logits))
                {
                    throw new ArgumentException($"No action is legal for observation {row}.", nameof(legal));
                }

                mask = mask.Slice(count);
                logits = logits.Slice(count);
            }
        }
    }

    /// <summary>Does the same with the first logits, those of one choice. Returns whether an alternative is legal.</summary>
    private static bool ApplyMask(ReadOnlySpan<bool> mask, Span<float> logits)
    {
        bool isAnyLegal = false;
        for (int i = 0; i < mask.Length; i++)
        {
            isAnyLegal |= mask[i];
            logits[i] = mask[i] ? logits[i] : float.MinValue;
        }

        return isAnyLegal;
    }

    private void RequireMasks(ReadOnlySpan<bool> legal, int rows)
    {
        if (legal.Length != (long)rows * MaskWidth)
        {
            throw new ArgumentException(
                $"It has {legal.Length} values, and must have {MaskWidth} for each of {rows} observations.",
                nameof(legal)
            );
        }
    }

    internal void RequireMask()
    {
        if (!TakesMask)
        {
            throw new InvalidOperationException(
                "This policy was trained without action masks: leave out which actions are legal."
            );
        }
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
