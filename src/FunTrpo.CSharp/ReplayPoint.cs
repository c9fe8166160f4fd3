using System;
using System.Collections.Concurrent;
using System.Numerics;
using System.Runtime.InteropServices;
using System.Threading;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// A state of a mutable simulator, kept as a value: the seed of the episode and the actions since. The simulator that reached this point
/// continues from it once. To continue a second time, the episode is played again up to this point.
/// </summary>
internal sealed class ReplayPoint : IEquatable<ReplayPoint>, Core.Releasable
{
    /// <summary>The most numbers of actions that are kept for an episode (4 MB). If an episode has more, none are kept.</summary>
    public const int MostKept = 1 << 20;

    /// <summary>
    /// The actions of the episode up to this point, followed perhaps by those of later points that share the array. Null if not kept.
    /// </summary>
    private readonly float[]? actions;

    private readonly int actionNumbers;

    /// <summary>A hash of all actions up to this point, whether they are kept or not.</summary>
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

    /// <summary>The number of actions since the episode began.</summary>
    public int Steps { get; }

    /// <summary>The simulator that reached this point; it may be elsewhere now. Null if the episode is over.</summary>
    public Simulator? Simulator { get; init; }

    /// <summary>The observation at this point.</summary>
    public ReadOnlySpan<float> Observation => observation;

    /// <summary>The actions up to this point; empty if they are not kept.</summary>
    public ReadOnlySpan<float> Actions => actions.AsSpan(0, actionNumbers);

    /// <summary>Whether the episode is so long that its actions are not kept.</summary>
    public bool IsForgotten => actions is null;

    public static ReplayPoint Start(int seed, float[] observation, Simulator simulator) =>
        new(seed, 0, [], 0, 0, observation) { Simulator = simulator };

    /// <summary>
    /// Returns the point after one more action. Only one successor may share the array of actions (<paramref name="sharesActions"/>):
    /// the one that this point's own simulator reaches.
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

    /// <summary>If the simulator is still at this point, makes it available for another episode.</summary>
    public void Release()
    {
        if (Simulator is not null && Simulator.TryLeave(this))
        {
            Simulator.Rest();
        }
    }

    /// <summary>Returns whether the observation at this point equals <paramref name="numbers"/>, bit for bit.</summary>
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

    /// <summary>Returns an array of the actions up to this point and one more, or null if they are too many to keep.</summary>
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

/// <summary>An instance of a caller's environment, and the point of an episode at which it is.</summary>
/// <param name="environment">The instance.</param>
/// <param name="idle">The collection to which the simulator returns when its episode is over.</param>
internal sealed class Simulator(IEnvironment environment, ConcurrentBag<Simulator> idle)
{
    private ReplayPoint? situation;

    public IEnvironment Environment => environment;

    public void Rest() => idle.Add(this);

    public void StandAt(ReplayPoint? next) => Volatile.Write(ref situation, next);

    /// <summary>Returns whether the simulator is at <paramref name="from"/>. If so, only this caller may continue with it.</summary>
    public bool TryLeave(ReplayPoint from) =>
        ReferenceEquals(Interlocked.CompareExchange(ref situation, null, from), from);
}
