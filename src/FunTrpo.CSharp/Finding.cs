using System;
using System.Collections.Generic;
using System.Linq;
using FunTrpo.Environments;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// What random play has found in an environment: something that keeps policies from learning it, or that probably means something else
/// than it says.
/// </summary>
/// <param name="Kind">Of which kind it is.</param>
/// <param name="Message">What was found, in a sentence.</param>
/// <param name="Remedy">What to do about it.</param>
public sealed record Finding(FindingKind Kind, string Message, string Remedy)
{
    /// <summary>The message and the remedy.</summary>
    public override string ToString() => $"{Message} {Remedy}";

    internal static Finding Of(Core.Finding found) =>
        new(
            found switch
            {
                Core.Finding.Broken => FindingKind.Broken,
                Core.Finding.ImproperSpace => FindingKind.ImproperSpace,
                Core.Finding.OutsideSpace => FindingKind.OutsideSpace,
                Core.Finding.NotFromKey => FindingKind.NotFromSeed,
                Core.Finding.ConstantObservations => FindingKind.ConstantObservations,
                Core.Finding.UnlikeSizes => FindingKind.UnlikeSizes,
                Core.Finding.FarFromOne => FindingKind.FarFromOne,
                Core.Finding.UnreachedBounds => FindingKind.UnreachedBounds,
                Core.Finding.UnreachableActions => FindingKind.UnreachableActions,
                Core.Finding.ConstantRewards => FindingKind.ConstantRewards,
                Core.Finding.NoEnd => FindingKind.NoEnd,
                Core.Finding.TerminatedAlike => FindingKind.TerminatedAlike,
                _ => throw new InvalidOperationException($"{found.Tag} is no kind of finding"),
            },
            FindingModule.message(found),
            FindingModule.remedy(found)
        );
}

/// <summary>What a <see cref="Finding"/> is about.</summary>
public enum FindingKind
{
    /// <summary>The environment threw an exception, or gave observations of a wrong length, NaN or infinity.</summary>
    Broken,

    /// <summary>A space without elements.</summary>
    ImproperSpace,

    /// <summary>An observation outside of its space.</summary>
    OutsideSpace,

    /// <summary>Reset with the same seed and given the same actions, it showed something else.</summary>
    NotFromSeed,

    /// <summary>Numbers of the observations that never changed.</summary>
    ConstantObservations,

    /// <summary>Numbers of the observations that are of very different sizes.</summary>
    UnlikeSizes,

    /// <summary>Observations that are much larger or much smaller than 1.</summary>
    FarFromOne,

    /// <summary>Bounds of observations that are far from all that was seen.</summary>
    UnreachedBounds,

    /// <summary>Actions whose only bound is beyond all that a new policy tries.</summary>
    UnreachableActions,

    /// <summary>All rewards were the same, and all returns.</summary>
    ConstantRewards,

    /// <summary>No episode came to its end.</summary>
    NoEnd,

    /// <summary>All episodes terminated after the same number of steps, as with a time limit.</summary>
    TerminatedAlike,
}

/// <summary>Plays an opened environment at random.</summary>
internal sealed record Checking(Core.Configuration Configuration, long Seed)
    : IOpenedEnvironment<IReadOnlyList<Finding>>
{
    public IReadOnlyList<Finding> With<T>(Core.Environment<T> environment, Action release) =>
        Release.Afterwards<IReadOnlyList<Finding>>(
            () => [.. Core.Check.runFor(Configuration, environment, Seed).Select(Finding.Of)],
            release
        );
}
