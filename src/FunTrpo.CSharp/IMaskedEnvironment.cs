using System;

namespace FunTrpo.CSharp;

/// <summary>
/// What an <see cref="IEnvironment"/> or an <see cref="IAsyncEnvironment"/> may implement besides: it says in each state which actions are legal. A policy then never takes an
/// illegal one: its probability is exactly 0, in training and afterwards.
/// </summary>
/// <remarks>
/// Actions must be <see cref="SpaceKind.Discrete"/> or <see cref="SpaceKind.MultiDiscrete"/>. The network does not see which actions are
/// legal. Where the values of states depend on more than the observation tells, let the observation tell it too. A batch of environments
/// implements <see cref="IMaskedBatchEnvironment"/>.
/// </remarks>
public interface IMaskedEnvironment
{
    /// <summary>
    /// Writes which actions are legal in the current state. It is called after <see cref="IEnvironment.Reset"/>, and after each
    /// <see cref="IEnvironment.Step"/> that does not end the episode. An asynchronous environment keeps what its last answer said. If no alternative of a choice is legal, an
    /// <see cref="EnvironmentException"/> ends training: end the episode instead.
    /// </summary>
    /// <param name="legal">
    /// All false, to be set to true for each legal action: one value for each alternative of a discrete action. If an action has several
    /// choices, the values of the first come first, then those of the second, and so on. A choice does not depend on the others.
    /// </param>
    void LegalActions(Span<bool> legal);
}
