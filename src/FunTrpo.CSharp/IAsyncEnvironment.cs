using System;
using System.Threading;
using System.Threading.Tasks;

namespace FunTrpo.CSharp;

/// <summary>
/// An environment that you implement and whose answers are awaited: those of a device, a server or another process. Everything else is as
/// for <see cref="IEnvironment"/>: training makes as many instances as it steps side by side, with the factory that you pass to
/// <see cref="Trpo.ForAsync{TEnvironment}"/>, and makes no two calls of an instance at the same time. An instance that is
/// <see cref="IAsyncDisposable"/> or <see cref="IDisposable"/> is disposed of when training ends.
/// </summary>
public interface IAsyncEnvironment
{
    /// <inheritdoc cref="IEnvironment.ObservationSpace"/>
    Space ObservationSpace { get; }

    /// <inheritdoc cref="IEnvironment.ActionSpace"/>
    Space ActionSpace { get; }

    /// <summary>
    /// Begins a new episode and returns its first observation. All randomness of the episode must come from <paramref name="seed"/>: the
    /// same seed and the same actions must give the same episode.
    /// </summary>
    /// <param name="seed">The seed of the episode.</param>
    /// <param name="cancellation">
    /// Is cancelled when the training or the evaluation is. If you then throw an <see cref="OperationCanceledException"/>, training ends
    /// at once with the result of the last complete iteration.
    /// </param>
    ValueTask<float[]> ResetAsync(int seed, CancellationToken cancellation);

    /// <summary>
    /// Takes an action and returns the next observation and the reward. Every episode must end, as for <see cref="IEnvironment.Step"/>.
    /// </summary>
    /// <param name="action">
    /// The numbers of the action, an element of the action space, valid until the result is there. An index is one number:
    /// <c>(int)action.Span[0]</c>.
    /// </param>
    /// <param name="cancellation">Is cancelled when the training or the evaluation is, as for <see cref="ResetAsync"/>.</param>
    ValueTask<StepResult> StepAsync(ReadOnlyMemory<float> action, CancellationToken cancellation);
}
