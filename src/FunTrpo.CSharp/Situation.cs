using System;
using System.Collections.Concurrent;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using System.Threading;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// Where an episode of a caller's environment stands, as a value: its seed and the actions since. The simulator that came here goes
/// on from here once; for whoever comes back later, the episode is played again up to this point.
/// </summary>
internal sealed class Situation : IEquatable<Situation>, Core.Borrower
{
    /// <summary>The actions up to here, one after another; behind them there may be later ones.</summary>
    private readonly float[] actions;

    private readonly int actionNumbers;
    private readonly float[] observation;
    private readonly Exception? failure;

    private Situation(int seed, int steps, float[] actions, int actionNumbers, float[] observation, Exception? failure)
    {
        Seed = seed;
        Steps = steps;
        this.actions = actions;
        this.actionNumbers = actionNumbers;
        this.observation = observation;
        this.failure = failure;
    }

    public int Seed { get; }

    /// <summary>How many actions were taken since the episode began.</summary>
    public int Steps { get; }

    /// <summary>The simulator that came here, wherever it stands now; none where the episode is over.</summary>
    public Simulator? Simulator { get; init; }

    /// <summary>What is seen here.</summary>
    public ReadOnlySpan<float> Observation
    {
        get
        {
            ThrowIfFailed();
            return observation;
        }
    }

    public ReadOnlySpan<float> Actions => actions.AsSpan(0, actionNumbers);

    public static Situation Start(int seed, float[] observation, Simulator simulator) =>
        new(seed, 0, [], 0, observation, null) { Simulator = simulator };

    /// <summary>
    /// An episode that could not begin. Why is thrown where it is looked at: there it is known which instance this is.
    /// </summary>
    public static Situation Failed(int seed, Exception failure) => new(seed, 0, [], 0, [], failure);

    /// <summary>
    /// What follows. Only one may come after this situation and share its memory of actions: the one that its own simulator leads to.
    /// </summary>
    public Situation Next(ReadOnlySpan<float> action, bool sharesActions, float[] next, Simulator? simulator)
    {
        int count = actionNumbers + action.Length;
        float[] all = actions;
        if (!sharesActions || count > all.Length)
        {
            all = new float[Math.Max(count, Math.Max(16, 2 * actionNumbers))];
            Actions.CopyTo(all);
        }

        action.CopyTo(all.AsSpan(actionNumbers));
        return new(Seed, Steps + 1, all, count, next, null) { Simulator = simulator };
    }

    public void ThrowIfFailed()
    {
        if (failure is not null)
        {
            ExceptionDispatchInfo.Throw(failure);
        }
    }

    /// <summary>Lets the simulator that stands here, if it does, begin another episode.</summary>
    public void GiveBack()
    {
        if (Simulator is not null && Simulator.TryLeave(this))
        {
            Simulator.Rest();
        }
    }

    /// <summary>Whether exactly these numbers, bit for bit, are seen here.</summary>
    public bool Shows(float[] numbers) => Bits(observation).SequenceEqual(Bits(numbers));

    public bool Equals(Situation? other) =>
        other is not null
        && Seed == other.Seed
        && Steps == other.Steps
        && failure == other.failure
        && Bits(Actions).SequenceEqual(Bits(other.Actions))
        && Shows(other.observation);

    public override bool Equals(object? obj) => Equals(obj as Situation);

    public override int GetHashCode() => HashCode.Combine(Seed, Steps);

    private static ReadOnlySpan<byte> Bits(ReadOnlySpan<float> numbers) => MemoryMarshal.AsBytes(numbers);
}

/// <summary>An instance of a caller's environment, and the situation in which it stands.</summary>
/// <param name="environment">The instance.</param>
/// <param name="idle">Where it waits for its next episode.</param>
internal sealed class Simulator(IEnvironment environment, ConcurrentBag<Simulator> idle)
{
    private Situation? situation;

    public IEnvironment Environment => environment;

    public void Rest() => idle.Add(this);

    public void StandAt(Situation? next) => Volatile.Write(ref situation, next);

    /// <summary>Whether it stands there; from then on it is the caller's alone to go on with.</summary>
    public bool TryLeave(Situation from) =>
        ReferenceEquals(Interlocked.CompareExchange(ref situation, null, from), from);
}
