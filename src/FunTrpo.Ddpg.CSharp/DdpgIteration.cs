using Microsoft.FSharp.Core;
using static System.FormattableString;

namespace FunTrpo.Ddpg.CSharp;

/// <summary>Statistics of one iteration of DDPG.</summary>
public sealed record DdpgIteration
{
    internal DdpgIteration(DdpgReport report)
    {
        Iteration = report.Iteration;
        Steps = report.Steps;
        Updates = report.Updates;
        Episodes = report.Episodes;
        FinishedEpisodes = report.Finished.Length;
        MeanReturn = OptionModule.ToNullable(report.MeanReturn);
        CriticLoss = Measured(report.CriticLoss);
        MeanQ = Measured(report.MeanQ);
        ActorGradientNorm = Measured(report.ActorGradientNorm);
        Noise = report.Noise;
        StepsPerSecond = report.BatchSteps / report.Seconds;
    }

    /// <summary>The number of iterations so far, with this one.</summary>
    public int Iteration { get; }

    /// <summary>The number of environment steps so far.</summary>
    public long Steps { get; }

    /// <summary>The number of updates so far.</summary>
    public long Updates { get; }

    /// <summary>The number of episodes that have finished so far.</summary>
    public long Episodes { get; }

    /// <summary>The number of episodes that finished in this iteration.</summary>
    public int FinishedEpisodes { get; }

    /// <summary>
    /// The mean return of the last 100 finished episodes, or of all finished episodes if there are fewer; null if no episode has finished.
    /// </summary>
    public double? MeanReturn { get; }

    /// <summary>The mean squared error of Q against its targets, over the updates of this iteration; null without updates.</summary>
    public double? CriticLoss { get; }

    /// <summary>The mean of Q at the policy's own actions; null without updates.</summary>
    public double? MeanQ { get; }

    /// <summary>The mean norm of the deterministic policy gradient; null without updates.</summary>
    public double? ActorGradientNorm { get; }

    /// <summary>The standard deviation of the noise of actions, in half-widths of their box.</summary>
    public double Noise { get; }

    /// <summary>The environment steps of this iteration over its time.</summary>
    public double StepsPerSecond { get; }

    /// <summary>Returns the steps, the mean return and the critic's loss in one line.</summary>
    public override string ToString() =>
        Invariant($"{Steps} steps: mean return {MeanReturn:F2}, critic's loss {CriticLoss:G4}, mean Q {MeanQ:F2}");

    private static double? Measured(double value) => double.IsFinite(value) ? value : null;
}
