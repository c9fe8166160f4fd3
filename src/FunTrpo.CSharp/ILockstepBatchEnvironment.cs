namespace FunTrpo.CSharp;

/// <summary>
/// What an <see cref="IBatchEnvironment"/> may implement besides: its environments only move on together, such as the characters of one game.
/// Every call of <see cref="IBatchEnvironment.Step"/> then has all of them that are in an episode, so train with as many environments as the
/// batch has, or with a multiple. The batches are called at the same time. Seeds may be ignored, because an episode is never played again:
/// states cannot be saved and loaded, there are no branches, and a batch that fails is not replaced.
/// </summary>
public interface ILockstepBatchEnvironment
{
    /// <summary>
    /// Is called when nobody goes on with the episode of an environment, whether it has ended or not: the environment is in no episode until
    /// its next reset.
    /// </summary>
    /// <param name="index">The environment.</param>
    void Abandon(int index);
}
