using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Threading;

namespace FunTrpo.CSharp.Tests;

/// <summary>A point on a line, to be kept near the middle: a mutable class, as callers write them.</summary>
public class Line : IEnvironment
{
    private readonly float[] observation = new float[2];
    private Random random = new(0);
    private float position;
    private int time;

    public virtual Space ObservationSpace { get; } = Space.Box([-10f, 0f], [10f, 1f]);

    public virtual Space ActionSpace { get; } = Space.Discrete(2);

    public virtual float[] Reset(int seed)
    {
        random = new Random(seed);
        position = (2 * random.NextSingle()) - 1;
        time = 0;
        return See();
    }

    public virtual StepResult Step(AgentAction action)
    {
        position += (action.Index == 0 ? -0.1f : 0.1f) + (0.05f * (random.NextSingle() - 0.5f));
        time++;
        return new(See(), -Math.Abs(position), Math.Abs(position) > 3, time == 40);
    }

    private float[] See()
    {
        observation[0] = position;
        observation[1] = time / 40f;
        return observation;
    }
}

/// <summary>The same, pushed by any force in [−1, 1] in each of two directions, of which the second does nothing.</summary>
public sealed class PushedLine : IEnvironment
{
    private float position;
    private int time;

    public Space ObservationSpace { get; } = Space.Box(1, float.NegativeInfinity, float.PositiveInfinity);

    public Space ActionSpace { get; } = Space.Box(2, -1, 1);

    public float[] Reset(int seed)
    {
        position = (float)((seed % 2001 / 1000.0) - 1);
        time = 0;
        return [position];
    }

    public StepResult Step(AgentAction action)
    {
        if (!ActionSpace.Contains(action.Values))
        {
            throw new InvalidOperationException("beyond the action space");
        }

        position += 0.2f * action[0];
        return new([position], -position * position, Truncated: ++time == 20);
    }
}

/// <summary>A line on which something happens at one step of one instance's life.</summary>
public sealed class Accident(int number, int at, Func<StepResult, StepResult> what) : Line
{
    private int steps;

    public override StepResult Step(AgentAction action)
    {
        StepResult result = base.Step(action);
        return ++steps == at && number == 0 ? what(result) : result;
    }
}

/// <summary>A line that counts who is alive, and notices if two threads use one at a time.</summary>
public class Watched(Watch watch) : Line, IDisposable
{
    private int users;

    public override StepResult Step(AgentAction action)
    {
        if (Interlocked.Increment(ref users) != 1)
        {
            watch.Collisions++;
        }

        StepResult result = base.Step(action);
        Interlocked.Decrement(ref users);
        return result;
    }

    public void Dispose() => watch.Disposed.Add(this);
}

public sealed class Watch
{
    private int made;

    public ConcurrentBag<Watched> Disposed { get; } = [];

    public int Made => made;

    public int Collisions { get; set; }

    public Watched Make()
    {
        Interlocked.Increment(ref made);
        return new(this);
    }
}

internal static class Plans
{
    /// <summary>A short training with small networks.</summary>
    public static TrainingPlan Short(this TrainingPlan plan) =>
        plan.With(options =>
            options with
            {
                Seed = 3,
                TotalSteps = 1000,
                Environments = 4,
                Horizon = 50,
                Hidden = [8],
                CriticHidden = [8],
            }
        );

    public static TrainingPlan ShortLine() => Trpo.For(() => new Line()).Short();

    /// <summary>The first few states of a training, the start with them.</summary>
    public static List<TrainingState> States(this TrainingPlan plan, int count)
    {
        List<TrainingState> states = [plan.Start()];
        while (states.Count < count)
        {
            states.Add(states[^1].Next().State);
        }

        return states;
    }
}
