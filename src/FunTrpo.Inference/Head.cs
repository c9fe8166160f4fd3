using System;

namespace FunTrpo.Inference;

/// <summary>What turns the outputs of a network into actions and distributions.</summary>
internal abstract class Head
{
    public static Head For(Space actions, BoxDistribution distribution, float[] logSigmas, bool isScaled) =>
        actions.Kind == SpaceKind.Parts ? new PartsHead(actions, distribution, logSigmas, isScaled)
        : actions.Kind != SpaceKind.Box ? new ChoicesHead(actions)
        : distribution == BoxDistribution.Beta ? new BetaHead(actions)
        : new GaussianHead(actions, logSigmas, isScaled, distribution == BoxDistribution.SquashedGaussian);

    /// <summary>Writes the most probable action for one row of outputs.</summary>
    public abstract void Mode(ReadOnlySpan<float> outputs, Span<float> action);

    /// <summary>Writes an action that is drawn with the generator.</summary>
    public abstract void Sample(ReadOnlySpan<float> outputs, Random random, Span<float> action);

    /// <summary>Returns the distribution of actions.</summary>
    public abstract ActionDistribution Distribution(ReadOnlySpan<float> outputs);
}
