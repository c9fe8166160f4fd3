using System;
using System.Threading;

namespace FunTrpo.MuJoCo.Engine;

/// <summary>
/// A simulation of a model: MuJoCo's <c>mjData</c>. Only one thread may use it at a time. The names of properties are those of MuJoCo's
/// documentation. Spans are valid as long as the simulation is.
/// </summary>
public sealed unsafe class Simulation : IDisposable
{
    private readonly Functions engine = Library.Engine;
    private nint pointer;

    /// <summary>Creates a simulation in the reference configuration of the model.</summary>
    public Simulation(Model model)
    {
        ArgumentNullException.ThrowIfNull(model);
        Model = model;
        pointer = engine.MakeData(model.Pointer);
        Library.ThrowIfFailed();
        if (pointer == 0)
        {
            throw new MuJoCoException("MuJoCo has no memory for a simulation of this model.");
        }
    }

    /// <summary>Frees the simulation if it was not disposed of.</summary>
    ~Simulation() => Free();

    /// <summary>The model.</summary>
    public Model Model { get; }

    /// <summary>The simulated time, in s.</summary>
    public double Time
    {
        get => *(double*)(Pointer + Layout.Data.Time);
        set => *(double*)(Pointer + Layout.Data.Time) = value;
    }

    /// <summary>The positions.</summary>
    public Span<double> Qpos => Array(Layout.Data.Qpos, Model.Nq);

    /// <summary>The velocities.</summary>
    public Span<double> Qvel => Array(Layout.Data.Qvel, Model.Nv);

    /// <summary>The activations of actuators.</summary>
    public Span<double> Act => Array(Layout.Data.Act, Model.Na);

    /// <summary>The accelerations of the step before, from which the constraint solver starts.</summary>
    public Span<double> QaccWarmstart => Array(Layout.Data.QaccWarmstart, Model.Nv);

    /// <summary>The controls.</summary>
    public Span<double> Ctrl => Array(Layout.Data.Ctrl, Model.Nu);

    /// <summary>The position of each body: 3 numbers, as the engine last computed them.</summary>
    public ReadOnlySpan<double> Xpos => Array(Layout.Data.Xpos, 3 * Model.Nbody);

    /// <summary>The position of each body's centre of mass: 3 numbers.</summary>
    public ReadOnlySpan<double> Xipos => Array(Layout.Data.Xipos, 3 * Model.Nbody);

    /// <summary>The position of each geom: 3 numbers.</summary>
    public ReadOnlySpan<double> GeomXpos => Array(Layout.Data.GeomXpos, 3 * Model.Ngeom);

    /// <summary>The orientation of each geom: a matrix of 9 numbers, row by row.</summary>
    public ReadOnlySpan<double> GeomXmat => Array(Layout.Data.GeomXmat, 9 * Model.Ngeom);

    /// <summary>The position of each site: 3 numbers.</summary>
    public ReadOnlySpan<double> SiteXpos => Array(Layout.Data.SiteXpos, 3 * Model.Nsite);

    /// <summary>The inertia of each body about the centre of mass of its tree: 10 numbers.</summary>
    public ReadOnlySpan<double> Cinert => Array(Layout.Data.Cinert, 10 * Model.Nbody);

    /// <summary>The velocity of each body about the centre of mass of its tree: 3 numbers of rotation, 3 of translation.</summary>
    public ReadOnlySpan<double> Cvel => Array(Layout.Data.Cvel, 6 * Model.Nbody);

    /// <summary>The force of the actuators on each degree of freedom.</summary>
    public ReadOnlySpan<double> QfrcActuator => Array(Layout.Data.QfrcActuator, Model.Nv);

    /// <summary>The force of the constraints on each degree of freedom.</summary>
    public ReadOnlySpan<double> QfrcConstraint => Array(Layout.Data.QfrcConstraint, Model.Nv);

    /// <summary>
    /// The external force on each body: 3 numbers of torque, 3 of force. <see cref="ComputeExternalForces"/> computes them.
    /// </summary>
    public ReadOnlySpan<double> CfrcExt => Array(Layout.Data.CfrcExt, 6 * Model.Nbody);

    private nint Pointer => pointer != 0 ? pointer : throw new ObjectDisposedException(nameof(Simulation));

    /// <summary>Returns to the reference configuration of the model at the time 0, and sets everything that is computed to 0.</summary>
    public void Reset() => engine.ResetData(Model.Pointer, Pointer);

    /// <summary>
    /// Copies the state to <paramref name="state"/>, which has <see cref="Engine.Model.StateWidth"/> numbers: time, positions, velocities,
    /// activations, warm start.
    /// </summary>
    public void CopyStateTo(Span<double> state)
    {
        state[0] = Time;
        int place = 1;
        Qpos.CopyTo(Next(state, Model.Nq, ref place));
        Qvel.CopyTo(Next(state, Model.Nv, ref place));
        Act.CopyTo(Next(state, Model.Na, ref place));
        QaccWarmstart.CopyTo(Next(state, Model.Nv, ref place));
    }

    /// <summary>
    /// Sets the state that <see cref="CopyStateTo"/> has copied. What the engine computes from it is that of another state until the next
    /// <see cref="Forward"/> or <see cref="Step"/>.
    /// </summary>
    public void SetState(ReadOnlySpan<double> state)
    {
        Time = state[0];
        int place = 1;
        Next(state, Model.Nq, ref place).CopyTo(Qpos);
        Next(state, Model.Nv, ref place).CopyTo(Qvel);
        Next(state, Model.Na, ref place).CopyTo(Act);
        Next(state, Model.Nv, ref place).CopyTo(QaccWarmstart);
    }

    /// <summary>Computes everything that depends on positions, velocities and controls, without a step of time.</summary>
    /// <exception cref="MuJoCoException">The simulation has become unstable, or the engine has reported an error.</exception>
    public void Forward()
    {
        engine.Forward(Model.Pointer, Pointer);
        Check();
    }

    /// <summary>Makes this number of time steps with the same controls.</summary>
    /// <exception cref="MuJoCoException">The simulation has become unstable, or the engine has reported an error.</exception>
    public void Step(int count = 1)
    {
        nint model = Model.Pointer;
        nint data = Pointer;
        for (int i = 0; i < count; i++)
        {
            engine.Step(model, data);
        }

        Check();
    }

    /// <summary>Computes <see cref="CfrcExt"/> and other forces between bodies.</summary>
    public void ComputeExternalForces() => engine.RnePostConstraint(Model.Pointer, Pointer);

    /// <summary>Frees the simulation.</summary>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    /// <summary>Throws an exception if the engine has reported an error, or has reset the simulation because it was unstable.</summary>
    private void Check()
    {
        Library.ThrowIfFailed();
        for (int kind = Layout.FirstInstability; kind <= Layout.LastInstability; kind++)
        {
            nint number = Pointer + Layout.Data.Warnings + (kind * Layout.WarningSize) + Layout.WarningNumber;
            if (*(int*)number > 0)
            {
                Reset();
                throw new MuJoCoException($"MuJoCo: {Library.Warning}");
            }
        }
    }

    private static Span<double> Next(Span<double> state, int count, ref int place)
    {
        place += count;
        return state.Slice(place - count, count);
    }

    private static ReadOnlySpan<double> Next(ReadOnlySpan<double> state, int count, ref int place)
    {
        place += count;
        return state.Slice(place - count, count);
    }

    private Span<double> Array(int field, int count) => new(*(double**)(Pointer + field), count);

    private void Free()
    {
        nint freed = Interlocked.Exchange(ref pointer, 0);
        if (freed != 0)
        {
            engine.DeleteData(freed);
        }
    }
}
