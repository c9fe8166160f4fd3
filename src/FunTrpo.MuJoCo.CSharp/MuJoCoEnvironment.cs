using System;
using System.IO;
using FunTrpo.MuJoCo.Engine;
using Microsoft.FSharp.Core;

namespace FunTrpo.MuJoCo.CSharp;

// In here, so that Space and others are those of the facade, and not those of the pipeline.
using FunTrpo.CSharp;

/// <summary>
/// An environment that is a model of MuJoCo: derive from it and say what a policy sees, what it is rewarded for, and when an episode ends.
/// Its actions are the controls of the model.
/// </summary>
public abstract class MuJoCoEnvironment : IPicturedEnvironment, IDisposable
{
    private readonly int frameSkip;
    private readonly int limit;
    private int steps;
    private Space? observationSpace;

    /// <summary>Reads and compiles a model file.</summary>
    /// <param name="modelFile">A model file (MJCF or URDF).</param>
    /// <param name="frameSkip">The number of time steps of the engine in a step of the environment, at least 1.</param>
    /// <param name="limit">The number of steps after which an episode is truncated, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is less than 1.</exception>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="MuJoCoException">The engine does not accept the model.</exception>
    /// <exception cref="MuJoCoNotFoundException">The engine is not installed.</exception>
    protected MuJoCoEnvironment(string modelFile, int frameSkip = 1, int limit = 1000)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(frameSkip, 1);
        ArgumentOutOfRangeException.ThrowIfLessThan(limit, 1);
        this.frameSkip = frameSkip;
        this.limit = limit;
        Model = Model.Load(modelFile);
        Simulation = new(Model);
        ActionSpace = new(PhysicsTaskModule.actionSpace(Model));
    }

    /// <summary>The compiled model.</summary>
    protected Model Model { get; }

    /// <summary>The simulation.</summary>
    protected Simulation Simulation { get; }

    /// <summary>The time of a step of the environment, in s.</summary>
    protected double Dt => frameSkip * Model.Timestep;

    /// <summary>The space of the observations that <c>Observe</c> returns.</summary>
    public Space ObservationSpace => observationSpace ??= SpaceOfObservations();

    /// <summary>The controls of the model, with their bounds.</summary>
    public Space ActionSpace { get; }

    /// <inheritdoc/>
    public float[] Reset(int seed)
    {
        steps = 0;
        Simulation.Reset();
        Start(new Random(seed));
        Simulation.Forward();
        return Observe();
    }

    /// <inheritdoc/>
    public StepResult Step(AgentAction action)
    {
        Span<double> controls = Simulation.Ctrl;
        for (int i = 0; i < controls.Length; i++)
        {
            controls[i] = action[i];
        }

        BeforeStep();
        Simulation.Step(frameSkip);
        bool isTruncated = ++steps == limit;
        return new(Observe(), Reward(), IsTerminated, isTruncated);
    }

    /// <summary>Returns the bodies from the side; override it to draw something else.</summary>
    public virtual Picture Draw() =>
        new(PhysicsPicture.ofSimulation(View.NewFromTheSide(FSharpOption<string>.None), Simulation));

    /// <summary>Frees the simulation and the model.</summary>
    public void Dispose()
    {
        Simulation.Dispose();
        Model.Dispose();
        GC.SuppressFinalize(this);
    }

    /// <summary>
    /// Sets positions and velocities at the start of an episode. They are those of the model before. All randomness must come from
    /// <paramref name="random"/>.
    /// </summary>
    protected virtual void Start(Random random) { }

    /// <summary>Is called before each step, with the action in <see cref="Simulation.Ctrl"/>: remember what the reward compares.</summary>
    protected virtual void BeforeStep() { }

    /// <summary>Returns the observation of the current state, always with as many numbers.</summary>
    protected abstract float[] Observe();

    /// <summary>Returns the reward of the step that has been made.</summary>
    protected abstract double Reward();

    /// <summary>Whether the task has ended.</summary>
    protected virtual bool IsTerminated => false;

    private Space SpaceOfObservations() => Space.Box(Observe().Length, float.NegativeInfinity, float.PositiveInfinity);
}
