using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Threading;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>Adapts a caller's mutable environment to the pipeline: functions over immutable <see cref="ReplayPoint"/> values.</summary>
internal sealed class SimulatorAdapter : Core.Environment<ReplayPoint>
{
    private readonly Func<IEnvironment> make;
    private readonly int limit;
    private readonly bool disposes;
    private readonly int mostKept;

    /// <summary>The lock that is held while the factory runs, because the factory may use shared state.</summary>
    private readonly Lock making = new();

    /// <summary>Simulators whose episodes are over.</summary>
    private readonly ConcurrentBag<Simulator> idle = [];

    private readonly HashSet<Simulator> disposable = [];

    /// <summary>All instances that were made and are still alive, to detect a factory that returns the same instance twice.</summary>
    private readonly ConditionalWeakTable<IEnvironment, Simulator> made = [];

    /// <param name="id">The name of the environment in reports and errors; null for the name of its class.</param>
    /// <param name="make">The factory of instances.</param>
    /// <param name="limit">The steps after which an episode is truncated.</param>
    /// <param name="disposes">Whether the adapter disposes of the instances.</param>
    /// <param name="mostKept">The most numbers of actions that are kept for an episode, so that it can be played again.</param>
    public SimulatorAdapter(
        string? id,
        Func<IEnvironment> make,
        int limit,
        bool disposes = true,
        int mostKept = ReplayPoint.MostKept
    )
    {
        this.make = make;
        this.limit = limit;
        this.disposes = disposes;
        this.mostKept = mostKept;
        Simulator first = New();
        try
        {
            IEnvironment environment = first.Environment;
            Id = id ?? environment.GetType().Name;
            ObservationSpace =
                environment.ObservationSpace ?? throw new InvalidOperationException("it has no observation space");
            ActionSpace = environment.ActionSpace ?? throw new InvalidOperationException("it has no action space");
        }
        catch
        {
            Discard(first);
            throw;
        }

        idle.Add(first);
    }

    public string Id { get; }

    public Space ObservationSpace { get; }

    public Space ActionSpace { get; }

    Core.Space Core.Environment<ReplayPoint>.ObservationSpace => ObservationSpace.Value;

    Core.Space Core.Environment<ReplayPoint>.ActionSpace => ActionSpace.Value;

    public ReplayPoint Reset(Core.Key key)
    {
        int seed = (int)(KeyModule.bits(0, key).Item1 >> 33);
        (Simulator simulator, float[] observation) = Begin(seed);
        ReplayPoint start = ReplayPoint.Start(seed, observation, simulator);
        simulator.StandAt(start);
        return start;
    }

    public Core.Transition<ReplayPoint> Step(Core.Key key, ReadOnlySpan<float> action, ReplayPoint state)
    {
        bool isFirst = state.Simulator is not null && state.Simulator.TryLeave(state);
        Simulator simulator = isFirst ? state.Simulator! : PlayUpTo(state);
        StepResult result = StepOrDiscard(simulator, action, out float[] observation);
        bool truncated = result.Truncated || state.Steps + 1 >= limit;
        bool isOver = result.Terminated || truncated;
        ReplayPoint next = state.Next(action, isFirst, mostKept, observation, isOver ? null : simulator);
        if (isOver)
        {
            simulator.Rest();
        }
        else
        {
            simulator.StandAt(next);
        }

        return new(next, result.Reward, result.Terminated, truncated);
    }

    public void Observe(ReplayPoint state, Span<float> observation) => state.Observation.CopyTo(observation);

    /// <summary>
    /// Disposes of all simulators that are disposable, and then throws the first exception that one of them threw. Points at which a
    /// simulator stood can still be continued from: their episodes are played again.
    /// </summary>
    public void Release()
    {
        List<Exception> errors = [];
        lock (disposable)
        {
            idle.Clear();
            foreach (Simulator simulator in disposable)
            {
                simulator.StandAt(null);
                try
                {
                    ((IDisposable)simulator.Environment).Dispose();
                }
                catch (Exception error)
                {
                    errors.Add(error);
                }
            }

            disposable.Clear();
        }

        if (errors.Count > 0)
        {
            ExceptionDispatchInfo.Throw(errors[0]);
        }
    }

    /// <summary>Returns a simulator at the given point, by playing its episode again with the same seed and actions.</summary>
    private Simulator PlayUpTo(ReplayPoint situation)
    {
        if (situation.IsForgotten)
        {
            throw new InvalidOperationException(
                $"it cannot be gone on from here a second time: its episode has gone on for {situation.Steps} steps, and of one whose "
                    + $"actions are more than {mostKept} numbers they are not kept. Give it a time limit."
            );
        }

        (Simulator simulator, float[] observation) = Begin(situation.Seed);
        int width = ActionSpace.Width;
        for (int i = 0; i < situation.Steps; i++)
        {
            StepOrDiscard(simulator, situation.Actions.Slice(i * width, width), out observation);
        }

        return situation.Shows(observation)
            ? simulator
            : throw new InvalidOperationException(
                $"it cannot be gone on from here a second time: reset with the same seed ({situation.Seed}) and given the same "
                    + $"{situation.Steps} actions, it showed something else. All its chance must come from the seed of Reset."
            );
    }

    private (Simulator Simulator, float[] Observation) Begin(int seed)
    {
        Simulator simulator = idle.TryTake(out Simulator? waiting) ? waiting : Make();
        try
        {
            return (simulator, Copy(simulator.Environment.Reset(seed)));
        }
        catch
        {
            Discard(simulator);
            throw;
        }
    }

    /// <summary>Takes a step. If it fails, the simulator is discarded, because its state is unknown.</summary>
    private StepResult StepOrDiscard(Simulator simulator, ReadOnlySpan<float> action, out float[] observation)
    {
        try
        {
            AgentAction taken = ActionSpace.Kind == SpaceKind.Discrete ? new((int)action[0]) : new(action);
            StepResult result = simulator.Environment.Step(taken);
            observation = Copy(result.Observation);
            return result;
        }
        catch
        {
            Discard(simulator);
            throw;
        }
    }

    private float[] Copy(float[] observation)
    {
        int width = ObservationSpace.Width;
        string? fault =
            observation is null ? $"the observation is null; its space is {ObservationSpace}"
            : observation.Length != width
                ? $"the observation has {observation.Length} numbers, and its space, {ObservationSpace}, has {width}"
            : ObservationSpace.Kind != SpaceKind.Box && !ObservationSpace.Contains(observation)
                ? $"the observation {ValueList.Print(observation)} is not in its space, {ObservationSpace}"
            : null;
        return fault is null ? [.. observation!] : throw new InvalidOperationException(fault);
    }

    /// <summary>Calls the factory, one thread at a time.</summary>
    private Simulator New()
    {
        lock (making)
        {
            IEnvironment another = make() ?? throw new InvalidOperationException("the factory gave null");
            if (made.TryGetValue(another, out _))
            {
                throw new InvalidOperationException(
                    "the factory gave the same instance a second time; it must make a new one each time"
                );
            }

            Simulator simulator = new(another, idle);
            made.Add(another, simulator);
            if (disposes && another is IDisposable)
            {
                lock (disposable)
                {
                    disposable.Add(simulator);
                }
            }

            return simulator;
        }
    }

    private Simulator Make()
    {
        Simulator another = New();
        try
        {
            return
                ObservationSpace.Equals(another.Environment.ObservationSpace)
                && ActionSpace.Equals(another.Environment.ActionSpace)
                ? another
                : throw new InvalidOperationException("the spaces of this instance are not those of the first one");
        }
        catch
        {
            Discard(another);
            throw;
        }
    }

    /// <summary>Disposes of a simulator that is not used again, if the adapter disposes of instances and has not done so before.</summary>
    private void Discard(Simulator simulator)
    {
        lock (disposable)
        {
            if (!disposable.Remove(simulator))
            {
                return;
            }
        }

        try
        {
            ((IDisposable)simulator.Environment).Dispose();
        }
        catch (Exception)
        {
            // The caller throws the earlier exception, because of which the simulator is discarded.
        }
    }
}
