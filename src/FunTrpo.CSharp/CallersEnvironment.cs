using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>An environment of the caller's, as the pipeline needs it: functions over <see cref="Situation"/> values.</summary>
internal sealed class CallersEnvironment : Core.Environment<Situation>
{
    private readonly Func<IEnvironment> make;
    private readonly int limit;

    /// <summary>Simulators whose episodes are over.</summary>
    private readonly ConcurrentBag<Simulator> idle = [];

    private readonly HashSet<Simulator> disposable = [];

    /// <summary>All that were made and are still there: each must be another one.</summary>
    private readonly ConditionalWeakTable<IEnvironment, Simulator> made = [];

    /// <param name="id">What it is called in reports and errors; null for the name of its class.</param>
    /// <param name="make">Makes an instance.</param>
    /// <param name="limit">The steps after which an episode is truncated.</param>
    public CallersEnvironment(string? id, Func<IEnvironment> make, int limit)
    {
        this.make = make;
        this.limit = limit;
        IEnvironment first = New();
        Id = id ?? first.GetType().Name;
        ObservationSpace = first.ObservationSpace ?? throw new InvalidOperationException("it has no observation space");
        ActionSpace = first.ActionSpace ?? throw new InvalidOperationException("it has no action space");
        idle.Add(Track(first));
    }

    public string Id { get; }

    public Space ObservationSpace { get; }

    public Space ActionSpace { get; }

    Core.Space Core.Environment<Situation>.ObservationSpace => ObservationSpace.Value;

    Core.Space Core.Environment<Situation>.ActionSpace => ActionSpace.Value;

    public Situation Reset(Core.Key key)
    {
        int seed = (int)(KeyModule.bits(0, key).Item1 >> 33);
        try
        {
            (Simulator simulator, float[] observation) = Begin(seed);
            Situation start = Situation.Start(seed, observation, simulator);
            simulator.StandAt(start);
            return start;
        }
        catch (Exception failure)
        {
            return Situation.Failed(seed, failure);
        }
    }

    public Core.Transition<Situation> Step(Core.Key key, ReadOnlySpan<float> action, Situation state)
    {
        state.ThrowIfFailed();
        bool isFirst = state.Simulator is not null && state.Simulator.TryLeave(state);
        Simulator simulator = isFirst ? state.Simulator! : PlayUpTo(state);
        StepResult result = StepOrDiscard(simulator, action, out float[] observation);
        bool truncated = result.Truncated || state.Steps + 1 >= limit;
        bool isOver = result.Terminated || truncated;
        Situation next = state.Next(action, isFirst, observation, isOver ? null : simulator);
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

    public void Observe(Situation state, Span<float> observation) => state.Observation.CopyTo(observation);

    /// <summary>
    /// Disposes of the simulators that can be disposed of, all of them, and throws the first exception that one throws. Situations in
    /// which one stood are played up to again.
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

    /// <summary>A simulator in the given situation, where another one has stood before.</summary>
    private Simulator PlayUpTo(Situation situation)
    {
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

    /// <summary>Takes a step. A simulator that fails is not used again: nobody knows what it has become.</summary>
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
                ? $"the observation ({string.Join(", ", observation)}) is not in its space, {ObservationSpace}"
            : null;
        return fault is null ? [.. observation!] : throw new InvalidOperationException(fault);
    }

    private IEnvironment New() => make() ?? throw new InvalidOperationException("the factory gave null");

    private Simulator Make()
    {
        IEnvironment another = New();
        if (made.TryGetValue(another, out _))
        {
            throw new InvalidOperationException(
                "the factory gave the same instance a second time; it must make a new one each time"
            );
        }

        if (!ObservationSpace.Equals(another.ObservationSpace) || !ActionSpace.Equals(another.ActionSpace))
        {
            throw new InvalidOperationException("the spaces of this instance are not those of the first one");
        }

        return Track(another);
    }

    private Simulator Track(IEnvironment environment)
    {
        Simulator simulator = new(environment, idle);
        made.Add(environment, simulator);
        if (environment is IDisposable)
        {
            lock (disposable)
            {
                disposable.Add(simulator);
            }
        }

        return simulator;
    }

    private void Discard(Simulator simulator)
    {
        if (simulator.Environment is IDisposable it)
        {
            lock (disposable)
            {
                disposable.Remove(simulator);
            }

            try
            {
                it.Dispose();
            }
            catch (Exception)
            {
                // It is discarded for what it threw before, and that is what is told.
            }
        }
    }
}
