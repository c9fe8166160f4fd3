using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
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

    /// <param name="id">What it is called in reports and errors.</param>
    /// <param name="make">Makes an instance.</param>
    /// <param name="limit">The steps after which an episode is truncated.</param>
    public CallersEnvironment(string id, Func<IEnvironment> make, int limit)
    {
        Id = id;
        this.make = make;
        this.limit = limit;
        IEnvironment first = Make();
        ObservationSpace =
            first.ObservationSpace ?? throw new InvalidOperationException("It has no observation space.");
        ActionSpace = first.ActionSpace ?? throw new InvalidOperationException("It has no action space.");
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
            idle.Add(simulator);
        }
        else
        {
            simulator.StandAt(next);
        }

        return new(next, result.Reward, result.Terminated, truncated);
    }

    public void Observe(Situation state, Span<float> observation) => state.Observation.CopyTo(observation);

    /// <summary>Disposes of the simulators that can be disposed of. Situations in which one stood are played up to again.</summary>
    public void Release()
    {
        lock (disposable)
        {
            idle.Clear();
            foreach (Simulator simulator in disposable)
            {
                simulator.StandAt(null);
                ((IDisposable)simulator.Environment).Dispose();
            }

            disposable.Clear();
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
                $"""
                it cannot be gone on from here a second time: reset with the same seed ({situation.Seed}) and given the same \
                {situation.Steps} actions, it showed something else. All its chance must come from the seed of Reset.
                """.Replace("\\\n", "", StringComparison.Ordinal)
            );
    }

    private (Simulator Simulator, float[] Observation) Begin(int seed)
    {
        Simulator simulator = idle.TryTake(out Simulator? waiting) ? waiting : Track(Make());
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
        return observation?.Length == width
            ? [.. observation]
            : throw new InvalidOperationException(
                observation is null
                    ? $"the observation is null; its space is {ObservationSpace}"
                    : $"the observation has {observation.Length} numbers, and its space, {ObservationSpace}, has {width}"
            );
    }

    private IEnvironment Make() =>
        make() ?? throw new InvalidOperationException("the factory of the environment gave null");

    private Simulator Track(IEnvironment environment)
    {
        Simulator simulator = new(environment);
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

            it.Dispose();
        }
    }
}
