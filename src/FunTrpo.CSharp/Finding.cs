using System;
using System.Collections.Generic;
using System.Linq;
using FunTrpo.Environments;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// A probable problem that <see cref="TrainingPlan.Check"/> has found in an environment: something that makes learning hard, or that is
/// probably a mistake.
/// </summary>
/// <param name="Kind">The kind of problem.</param>
/// <param name="Message">The problem, in one sentence.</param>
/// <param name="Remedy">How to fix the problem.</param>
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
                Core.Finding.NotReproducible => FindingKind.NotReproducible,
                Core.Finding.ConstantObservations => FindingKind.ConstantObservations,
                Core.Finding.MixedScales => FindingKind.MixedScales,
                Core.Finding.UnusualScale => FindingKind.UnusualScale,
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

/// <summary>The kind of problem that a <see cref="Finding"/> reports.</summary>
public enum FindingKind
{
    /// <summary>The environment threw an exception, or returned an observation or reward that cannot be used, such as NaN.</summary>
    Broken,

    /// <summary>A space has no elements, or more than 2²⁴ alternatives.</summary>
    ImproperSpace,

    /// <summary>An observation was outside its space.</summary>
    OutsideSpace,

    /// <summary>The same seed and the same actions led to another episode: some randomness does not come from the seed.</summary>
    NotReproducible,

    /// <summary>Some numbers of the observations never changed.</summary>
    ConstantObservations,

    /// <summary>Some numbers of the observations are of very different sizes.</summary>
    MixedScales,

    /// <summary>The observations are much larger or much smaller than 1.</summary>
    UnusualScale,

    /// <summary>Some bounds of the observation space are far from all observations.</summary>
    UnreachedBounds,

    /// <summary>An action has only one bound, and that bound excludes everything that a new policy tries.</summary>
    UnreachableActions,

    /// <summary>All rewards were the same, and so were all returns.</summary>
    ConstantRewards,

    /// <summary>No episode ended.</summary>
    NoEnd,

    /// <summary>All episodes terminated after the same number of steps. A time limit should truncate episodes instead.</summary>
    TerminatedAlike,
}

/// <summary>Checks an opened environment by playing it at random.</summary>
internal sealed record Checking(Core.Configuration Configuration, long Seed)
    : IOpenedEnvironment<IReadOnlyList<Finding>>
{
    public IReadOnlyList<Finding> With<T>(Core.Environment<T> environment, Action release) =>
        Release.Afterwards<IReadOnlyList<Finding>>(
            () => [.. Core.Check.runFor(Configuration, environment, Seed).Select(Finding.Of)],
            release
        );
}
