using System;
using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Threading;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// Where an episode of a caller's environment stands, as a value: its seed and the actions since. The simulator that came here goes
/// on from here once; for whoever comes back later, the episode is played again up to this point.
/// </summary>
internal sealed class ReplayPoint : IEquatable<ReplayPoint>, Core.Releasable
{
    /// <summary>So many numbers of an episode's actions are kept, 4 MB of them, and none of an episode that has more.</summary>
    public const int MostKept = 1 << 20;

    /// <summary>The actions up to here, one after another; behind them there may be later ones. Null where they are not kept.</summary>
    private readonly float[]? actions;

    private readonly int actionNumbers;

    /// <summary>Stands for all actions up to here, kept or not: other actions leave another one.</summary>
    private readonly ulong trace;

    private readonly float[] observation;

    private ReplayPoint(int seed, int steps, float[]? actions, int actionNumbers, ulong trace, float[] observation)
    {
        Seed = seed;
        Steps = steps;
        this.actions = actions;
        this.actionNumbers = actionNumbers;
        this.trace = trace;
        this.observation = observation;
    }

    public int Seed { get; }

    /// <summary>How many actions were taken since the episode began.</summary>
    public int Steps { get; }

    /// <summary>The simulator that came here, wherever it stands now; none where the episode is over.</summary>
    public Simulator? Simulator { get; init; }

    /// <summary>What is seen here.</summary>
    public ReadOnlySpan<float> Observation => observation;

    /// <summary>The actions up to here; none where they are not kept.</summary>
    public ReadOnlySpan<float> Actions => actions.AsSpan(0, actionNumbers);

    /// <summary>Whether the episode has gone on for so long that its actions are not kept.</summary>
    public bool IsForgotten => actions is null;

    public static ReplayPoint Start(int seed, float[] observation, Simulator simulator) =>
        new(seed, 0, [], 0, 0, observation) { Simulator = simulator };

    /// <summary>
    /// What follows. Only one may come after this situation and share its memory of actions: the one that its own simulator leads to.
    /// </summary>
    public ReplayPoint Next(
        ReadOnlySpan<float> action,
        bool sharesActions,
        int mostKept,
        float[] next,
        Simulator? simulator
    )
    {
        float[]? all = Remember(action, sharesActions, mostKept);
        int count = all is null ? 0 : actionNumbers + action.Length;
        return new(Seed, Steps + 1, all, count, Traced(trace, action), next) { Simulator = simulator };
    }

    /// <summary>Lets the simulator that stands here, if it does, begin another episode.</summary>
    public void Release()
    {
        if (Simulator is not null && Simulator.TryLeave(this))
        {
            Simulator.Rest();
        }
    }

    /// <summary>Whether exactly these numbers, bit for bit, are seen here.</summary>
    public bool Shows(float[] numbers) => Bits(observation).SequenceEqual(Bits(numbers));

    public bool Equals(ReplayPoint? other) =>
        other is not null
        && Seed == other.Seed
        && Steps == other.Steps
        && trace == other.trace
        && Bits(Actions).SequenceEqual(Bits(other.Actions))
        && Shows(other.observation);

    public override bool Equals(object? obj) => Equals(obj as ReplayPoint);

    public override int GetHashCode() => HashCode.Combine(Seed, Steps);

    /// <summary>The memory of the actions up to here, with one more; null where they are too many to be kept.</summary>
    private float[]? Remember(ReadOnlySpan<float> action, bool sharesActions, int mostKept)
    {
        if (actions is null || action.Length > mostKept - actionNumbers)
        {
            return null;
        }

        int count = actionNumbers + action.Length;
        float[] all = actions;
        if (!sharesActions || count > all.Length)
        {
            all = new float[Math.Max(count, Math.Min(mostKept, Math.Max(16, 2 * actionNumbers)))];
            Actions.CopyTo(all);
        }

        action.CopyTo(all.AsSpan(actionNumbers));
        return all;
    }

    private static ulong Traced(ulong trace, ReadOnlySpan<float> action)
    {
        foreach (float number in action)
        {
            trace = BitOperations.RotateLeft(trace ^ BitConverter.SingleToUInt32Bits(number), 27) * 0x9E3779B97F4A7C15;
        }

        return trace;
    }

    private static ReadOnlySpan<byte> Bits(ReadOnlySpan<float> numbers) => MemoryMarshal.AsBytes(numbers);
}

/// <summary>An instance of a caller's environment, and the situation in which it stands.</summary>
/// <param name="environment">The instance.</param>
/// <param name="idle">Where it waits for its next episode.</param>
internal sealed class Simulator(IEnvironment environment, ConcurrentBag<Simulator> idle)
{
    private ReplayPoint? situation;

    public IEnvironment Environment => environment;

    public void Rest() => idle.Add(this);

    public void StandAt(ReplayPoint? next) => Volatile.Write(ref situation, next);

    /// <summary>Whether it stands there; from then on it is the caller's alone to go on with.</summary>
    public bool TryLeave(ReplayPoint from) =>
        ReferenceEquals(Interlocked.CompareExchange(ref situation, null, from), from);
}
