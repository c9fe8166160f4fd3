using System;

namespace FunTrpo.CSharp;

/// <summary>
/// Several environments in one object that you implement, which resets and steps any of them in one call. Training makes another object when
/// all environments of the last one are in use, with the factory that you pass to <see cref="Trpo.ForBatch{TEnvironment}"/>. No two threads
/// use an object at the same time. An object that is <see cref="IDisposable"/> is disposed of when training ends, or when a call of it fails:
/// it is then not used again. Throw a <see cref="BatchEnvironmentException"/> to tell which environment has failed. An object may also implement
/// <see cref="IMaskedBatchEnvironment"/>, which says which actions are legal, and <see cref="ILockstepBatchEnvironment"/>, which says that the
/// environments only move on together.
/// </summary>
public interface IBatchEnvironment
{
    /// <inheritdoc cref="IEnvironment.ObservationSpace"/>
    Space ObservationSpace { get; }

    /// <inheritdoc cref="IEnvironment.ActionSpace"/>
    Space ActionSpace { get; }

    /// <summary>The number of environments, at least 1. It never changes.</summary>
    int Count { get; }

    /// <summary>Begins new episodes. All randomness of an episode must come from its seed.</summary>
    /// <param name="indices">The environments, each from 0 to <see cref="Count"/> − 1 and none twice.</param>
    /// <param name="seeds">The seed of the episode of each.</param>
    /// <param name="observations">
    /// Receives the first observations, one after another, each with <see cref="Space.Width"/> numbers of the observation space. It holds
    /// zeros.
    /// </param>
    void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations);

    /// <summary>Takes a step in each of some environments.</summary>
    /// <param name="indices">The environments, none twice.</param>
    /// <param name="actions">
    /// The actions, one after another, each with <see cref="Space.Width"/> numbers of the action space. An index is one number.
    /// </param>
    /// <param name="observations">Receives the observations after the step, one after another. It holds zeros.</param>
    /// <param name="results">Receives the reward of each step, and whether it has ended the episode.</param>
    void Step(
        ReadOnlySpan<int> indices,
        ReadOnlySpan<float> actions,
        Span<float> observations,
        Span<BatchStepResult> results
    );
}

/// <summary>The result of one step of one environment of a batch.</summary>
/// <param name="Reward">The reward of the step.</param>
/// <param name="Terminated">Whether the task itself has ended. No reward follows, so the value of what follows is 0.</param>
/// <param name="Truncated">
/// Whether a time limit has ended the episode. The critic then estimates the value of what would have followed.
/// </param>
public readonly record struct BatchStepResult(double Reward, bool Terminated = false, bool Truncated = false);

/// <summary>The exception that a batch of environments throws to tell which one of them has failed.</summary>
public sealed class BatchEnvironmentException : Exception
{
    /// <summary>Creates an exception about the environment at a position of the call.</summary>
    /// <param name="position">The position of its index in the call, counted from 0.</param>
    /// <param name="message">What has happened.</param>
    /// <param name="inner">The exception that was the cause; null if there is none.</param>
    public BatchEnvironmentException(int position, string message, Exception? inner = null)
        : base(message, inner) => Position = position;

    /// <summary>The position of the environment's index in the call, counted from 0.</summary>
    public int Position { get; }
}
