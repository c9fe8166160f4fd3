using System;
using System.IO;

namespace FunTrpo.Ddpg.CSharp;

// In here, so that Policy and others are those of the facade, and not those of the pipeline.
using FunTrpo.CSharp;

/// <summary>The result of training with DDPG.</summary>
public sealed class DdpgResult
{
    private readonly Action<string> save;

    internal DdpgResult(Policy policy, long steps, long episodes, double? meanReturn, Action<string> save)
    {
        Policy = policy;
        Steps = steps;
        Episodes = episodes;
        MeanReturn = meanReturn;
        this.save = save;
    }

    /// <summary>The trained policy, whose most probable action is the deterministic one.</summary>
    public Policy Policy { get; }

    /// <summary>The number of environment steps.</summary>
    public long Steps { get; }

    /// <summary>The number of finished episodes.</summary>
    public long Episodes { get; }

    /// <summary>
    /// The mean return of the last 100 finished episodes, or of all finished episodes if there are fewer; null if no episode has finished.
    /// </summary>
    public double? MeanReturn { get; }

    /// <summary>
    /// Writes the state of training to a file, replay memory and all, from which <see cref="DdpgPlan.Resume"/> goes on with the same bits.
    /// </summary>
    /// <exception cref="IOException">The file cannot be written. The old file is unchanged.</exception>
    /// <exception cref="ArgumentException">A checkpoint cannot keep the states of the environment.</exception>
    public void Save(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        save(path);
    }
}
