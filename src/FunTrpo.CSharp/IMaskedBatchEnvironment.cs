using System;

namespace FunTrpo.CSharp;

/// <summary>
/// What an <see cref="IBatchEnvironment"/> may implement besides: it says in each state of its environments which actions are legal, as
/// <see cref="IMaskedEnvironment"/> does for a single one.
/// </summary>
public interface IMaskedBatchEnvironment
{
    /// <summary>
    /// Writes which actions are legal in the current states of some environments. It is called after each
    /// <see cref="IBatchEnvironment.Reset"/>, and after each <see cref="IBatchEnvironment.Step"/> for the environments whose episodes have
    /// not ended. If no alternative of a choice is legal, an <see cref="EnvironmentException"/> ends training: end the episode instead.
    /// </summary>
    /// <param name="indices">The environments, none twice.</param>
    /// <param name="legal">
    /// All false, to be set to true for each legal action: the values of the first environment, then those of the second, and so on. Each has
    /// as many as <see cref="IMaskedEnvironment.LegalActions"/> writes, in the same order.
    /// </param>
    void LegalActions(ReadOnlySpan<int> indices, Span<bool> legal);
}
