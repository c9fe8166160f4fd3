using System;
using System.Collections.Generic;
using System.IO;
using System.Text;
using System.Threading;

namespace FunTrpo.MuJoCo.Engine;

/// <summary>
/// A compiled model: bodies, joints, geoms, sites and actuators, with the numbers that the engine computes from a model file. It never
/// changes, and any number of threads may use it. The names of properties are those of MuJoCo's documentation, as are the units: metres,
/// kilograms, seconds, radians. Spans are valid as long as the model is.
/// </summary>
public sealed unsafe class Model : IDisposable
{
    private const int MessageSize = 1000;

    // The engine's compiler keeps the last model in a global variable.
    private static readonly Lock Compiler = new();

    private readonly Dictionary<string, int> bodies;
    private readonly Dictionary<string, int> joints;
    private readonly Dictionary<string, int> geoms;
    private readonly Dictionary<string, int> sites;
    private nint pointer;

    private Model(nint pointer)
    {
        this.pointer = pointer;
        bodies = Names(Layout.Model.NameBodyAdr, Nbody);
        joints = Names(Layout.Model.NameJntAdr, Njnt);
        geoms = Names(Layout.Model.NameGeomAdr, Ngeom);
        sites = Names(Layout.Model.NameSiteAdr, Nsite);
    }

    /// <summary>Frees the model if it was not disposed of.</summary>
    ~Model() => Free();

    /// <summary>The number of position coordinates.</summary>
    public int Nq => Int(Layout.Model.Nq);

    /// <summary>The number of degrees of freedom.</summary>
    public int Nv => Int(Layout.Model.Nv);

    /// <summary>The number of controls.</summary>
    public int Nu => Int(Layout.Model.Nu);

    /// <summary>The number of activations of actuators.</summary>
    public int Na => Int(Layout.Model.Na);

    /// <summary>The number of bodies; the first one is the world.</summary>
    public int Nbody => Int(Layout.Model.Nbody);

    /// <summary>The number of joints.</summary>
    public int Njnt => Int(Layout.Model.Njnt);

    /// <summary>The number of geoms.</summary>
    public int Ngeom => Int(Layout.Model.Ngeom);

    /// <summary>The number of sites.</summary>
    public int Nsite => Int(Layout.Model.Nsite);

    /// <summary>
    /// The number of numbers of a state, from which a simulation continues with the same bits: time, positions, velocities, activations,
    /// warm start.
    /// </summary>
    public int StateWidth => 1 + Nq + Nv + Na + Nv;

    /// <summary>The time step of the simulation, in s.</summary>
    public double Timestep => *(double*)(Pointer + Layout.Model.Timestep);

    /// <summary>The positions in the model's reference configuration: <see cref="Nq"/> numbers.</summary>
    public ReadOnlySpan<double> Qpos0 => Doubles(Layout.Model.Qpos0, Nq);

    /// <summary>The mass of each body.</summary>
    public ReadOnlySpan<double> BodyMass => Doubles(Layout.Model.BodyMass, Nbody);

    /// <summary>The parent of each body.</summary>
    public ReadOnlySpan<int> BodyParentId => Ints(Layout.Model.BodyParentId, Nbody);

    /// <summary>The type of each joint: 0 free, 1 ball, 2 slide, 3 hinge.</summary>
    public ReadOnlySpan<int> JntType => Ints(Layout.Model.JntType, Njnt);

    /// <summary>The place of each joint's first position in <c>qpos</c>.</summary>
    public ReadOnlySpan<int> JntQposAdr => Ints(Layout.Model.JntQposAdr, Njnt);

    /// <summary>The place of each joint's first degree of freedom in <c>qvel</c>.</summary>
    public ReadOnlySpan<int> JntDofAdr => Ints(Layout.Model.JntDofAdr, Njnt);

    /// <summary>The type of each geom: 0 plane, 1 height field, 2 sphere, 3 capsule, 4 ellipsoid, 5 cylinder, 6 box, 7 mesh.</summary>
    public ReadOnlySpan<int> GeomType => Ints(Layout.Model.GeomType, Ngeom);

    /// <summary>The body of each geom.</summary>
    public ReadOnlySpan<int> GeomBodyId => Ints(Layout.Model.GeomBodyId, Ngeom);

    /// <summary>The sizes of each geom: 3 numbers, whose meaning depends on the type.</summary>
    public ReadOnlySpan<double> GeomSize => Doubles(Layout.Model.GeomSize, 3 * Ngeom);

    /// <summary>The lower and the upper bound of each control.</summary>
    public ReadOnlySpan<double> ActuatorCtrlrange => Doubles(Layout.Model.ActuatorCtrlrange, 2 * Nu);

    /// <summary>Whether each control has bounds.</summary>
    public ReadOnlySpan<byte> ActuatorCtrllimited => Bytes(Layout.Model.ActuatorCtrllimited, Nu);

    internal nint Pointer => pointer != 0 ? pointer : throw new ObjectDisposedException(nameof(Model));

    /// <summary>Reads and compiles a model file (MJCF or URDF) with the files that it names.</summary>
    /// <exception cref="FileNotFoundException">There is no such file.</exception>
    /// <exception cref="MuJoCoException">The engine does not accept it; the message says why.</exception>
    /// <exception cref="MuJoCoNotFoundException">The engine cannot be used.</exception>
    public static Model Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"There is no model file {path}.", path);
        }

        return Compile(path, path);
    }

    /// <summary>Compiles the file at <paramref name="path"/>, which messages call <paramref name="subject"/>.</summary>
    private static Model Compile(string path, string subject)
    {
        Functions engine = Library.Engine;
        byte[] name = Encoding.UTF8.GetBytes(path + '\0');
        byte[] message = new byte[MessageSize];
        nint model;
        lock (Compiler)
        {
            fixed (byte* nameStart = name)
            fixed (byte* messageStart = message)
            {
                model = engine.LoadXml(nameStart, null, messageStart, message.Length);
            }
        }

        string said = Encoding.UTF8.GetString(message, 0, Math.Max(0, Array.IndexOf(message, (byte)0))).Trim();
        Library.ThrowIfFailed();
        return model != 0 ? new(model) : throw new MuJoCoException($"MuJoCo does not accept {subject}: {said}");
    }

    /// <summary>Compiles the text of a model file, which names no other files.</summary>
    /// <inheritdoc cref="Load"/>
    public static Model Parse(string xml)
    {
        ArgumentNullException.ThrowIfNull(xml);
        // The engine reads models from files only.
        string path = Path.Combine(Path.GetTempPath(), $"funtrpo-{Guid.NewGuid():N}.xml");
        try
        {
            File.WriteAllText(path, xml);
            return Compile(path, "the model");
        }
        finally
        {
            File.Delete(path);
        }
    }

    /// <summary>Returns the number of the body with this name.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public int Body(string name) => Named(name, "body", bodies);

    /// <summary>Returns the number of the joint with this name.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public int Joint(string name) => Named(name, "joint", joints);

    /// <summary>Returns the number of the geom with this name.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public int Geom(string name) => Named(name, "geom", geoms);

    /// <summary>Returns the number of the site with this name.</summary>
    /// <exception cref="ArgumentException">There is none.</exception>
    public int Site(string name) => Named(name, "site", sites);

    /// <summary>Frees the model. Simulations of it must not be used any more.</summary>
    public void Dispose()
    {
        Free();
        GC.SuppressFinalize(this);
    }

    internal int Int(int field) => *(int*)(Pointer + field);

    internal double Double(int field) => *(double*)(Pointer + field);

    internal ReadOnlySpan<double> Doubles(int field, int count) => new(*(double**)(Pointer + field), count);

    internal ReadOnlySpan<int> Ints(int field, int count) => new(*(int**)(Pointer + field), count);

    internal ReadOnlySpan<byte> Bytes(int field, int count) => new(*(byte**)(Pointer + field), count);

    /// <summary>The name that begins at the address of an element; empty if it has none.</summary>
    internal string Name(int addresses, int index) =>
        Library.Text(*(byte**)(Pointer + Layout.Model.Names) + (*(int**)(Pointer + addresses))[index]);

    /// <summary>The numbers of the elements that have names.</summary>
    private Dictionary<string, int> Names(int addresses, int count)
    {
        Dictionary<string, int> numbers = [];
        for (int i = 0; i < count; i++)
        {
            string name = Name(addresses, i);
            if (name.Length > 0)
            {
                numbers.Add(name, i);
            }
        }

        return numbers;
    }

    private static int Named(string name, string kind, Dictionary<string, int> numbers) =>
        numbers.TryGetValue(name, out int number)
            ? number
            : throw new ArgumentException($"The model has no {kind} {name}.", nameof(name));

    private void Free()
    {
        nint freed = Interlocked.Exchange(ref pointer, 0);
        if (freed != 0)
        {
            Library.Engine.DeleteModel(freed);
        }
    }
}
