using System;
using System.Collections.Generic;
using System.IO;
using System.Security.Cryptography;
using System.Text;
using Core = FunTrpo;

namespace FunTrpo.Remote;

/// <summary>The server's side of a connection: answers the messages of one client until it leaves.</summary>
internal sealed class Session(Stream input, Stream output, Func<Core.Simulator> make, ServeOptions options)
    : IDisposable
{
    private readonly MessageReader reader = new(input);
    private readonly MessageWriter writer = new(output);
    private readonly Dictionary<int, Core.Simulator> simulators = [];
    private readonly HashSet<int> named = [];

    /// <summary>The simulators that have been reset.</summary>
    private readonly HashSet<int> begun = [];
    private Core.Space observationSpace = null!;
    private Core.Space actionSpace = null!;
    private int observationWidth;
    private int actionWidth;

    /// <summary>Answers until the client leaves. The client is told why it is refused, or which simulator has failed.</summary>
    /// <param name="greeted">Is called when the client has been let in.</param>
    public void Run(Action greeted)
    {
        try
        {
            RequireHello();
            greeted();
            Welcome();
            while (Answer()) { }
        }
        catch (BatchException failed)
        {
            Refuse(failed.Position, failed.Message);
        }
        catch (EndOfStreamException)
        {
            // The client has left.
        }
        catch (Exception error) when (error is not IOException)
        {
            Refuse(-1, error.Message);
        }
    }

    public void Dispose()
    {
        foreach (Core.Simulator simulator in simulators.Values)
        {
            (simulator as IDisposable)?.Dispose();
        }
    }

    private void Welcome()
    {
        Core.Simulator first = Simulator(0);
        writer.Begin(MessageKind.Welcome);
        writer.UInt16(Protocol.Version);
        writer.Text(first.Id);
        writer.Int32(options.Count);
        SpaceMessage.Write(writer, observationSpace);
        SpaceMessage.Write(writer, actionSpace);
        writer.Send();
    }

    private void RequireHello()
    {
        Require(reader.Next(Protocol.MaxHello) == MessageKind.Hello, "the first message must be a hello");
        Require(reader.UInt32() == Protocol.Magic, "the first message is not one of this protocol");
        ushort version = reader.UInt16();
        Require(
            version == Protocol.Version,
            $"the client speaks version {version} of the protocol, and this server version {Protocol.Version}"
        );
        byte[] token = Encoding.UTF8.GetBytes(reader.Text());
        bool isKnown = CryptographicOperations.FixedTimeEquals(token, Encoding.UTF8.GetBytes(options.Token));
        Require(isKnown, "the token is wrong");
        reader.End();
    }

    /// <summary>Answers one message. Returns false after the last one.</summary>
    private bool Answer()
    {
        MessageKind kind = reader.Next(Protocol.MaxMessage);
        switch (kind)
        {
            case MessageKind.Reset:
                Reset();
                return true;
            case MessageKind.Step:
                Step();
                return true;
            case MessageKind.Close:
                reader.End();
                return false;
            default:
                throw new RemoteException($"a message of the kind {(byte)kind} was not expected");
        }
    }

    private void Reset()
    {
        int[] indices = Indices();
        int[] seeds = new int[indices.Length];
        for (int i = 0; i < seeds.Length; i++)
        {
            seeds[i] = reader.Int32In(0, int.MaxValue, "a seed");
        }

        reader.End();
        float[] observations = new float[indices.Length * observationWidth];
        for (int i = 0; i < indices.Length; i++)
        {
            try
            {
                Simulator(indices[i]).Reset(seeds[i], observations.AsSpan(i * observationWidth, observationWidth));
                begun.Add(indices[i]);
            }
            catch (Exception error)
            {
                throw new BatchException(i, error);
            }
        }

        writer.Begin(MessageKind.ResetDone);
        writer.Int32(indices.Length);
        writer.Float32s(observations);
        writer.Send();
    }

    private void Step()
    {
        int[] indices = Indices();
        float[] actions = new float[indices.Length * actionWidth];
        reader.Float32s(actions);
        reader.End();
        float[] observations = new float[indices.Length * observationWidth];
        Core.SimulatorStep[] results = new Core.SimulatorStep[indices.Length];
        for (int i = 0; i < indices.Length; i++)
        {
            try
            {
                ReadOnlySpan<float> action = actions.AsSpan(i * actionWidth, actionWidth);
                Require(SpaceModule.contains(actionSpace, action), "an action is not in its space");
                Require(begun.Contains(indices[i]), "a step comes before a reset");
                Span<float> observation = observations.AsSpan(i * observationWidth, observationWidth);
                results[i] = simulators[indices[i]].Step(action, observation);
            }
            catch (Exception error)
            {
                throw new BatchException(i, error);
            }
        }

        writer.Begin(MessageKind.StepDone);
        writer.Int32(indices.Length);
        writer.Float32s(observations);
        foreach (Core.SimulatorStep result in results)
        {
            writer.Float64(result.Reward);
        }

        foreach (Core.SimulatorStep result in results)
        {
            writer.Byte((byte)((result.Terminated ? 1 : 0) | (result.Truncated ? 2 : 0)));
        }

        writer.Send();
    }

    /// <summary>Reads the number of simulators of a message, and their indices.</summary>
    private int[] Indices()
    {
        named.Clear();
        int[] indices = new int[reader.Int32In(1, options.Count, "the number of simulators")];
        for (int i = 0; i < indices.Length; i++)
        {
            indices[i] = reader.Int32In(0, options.Count - 1, "the index of a simulator");
            Require(named.Add(indices[i]), "a message names a simulator twice");
        }

        return indices;
    }

    /// <summary>Returns the simulator with this index, which is made when it is used first.</summary>
    private Core.Simulator Simulator(int index)
    {
        if (!simulators.TryGetValue(index, out Core.Simulator? simulator))
        {
            simulator = make();
            simulators.Add(index, simulator);
            RequireSpaces(simulator.ObservationSpace, simulator.ActionSpace);
        }

        return simulator;
    }

    /// <summary>All simulators have the spaces of the first one.</summary>
    private void RequireSpaces(Core.Space observations, Core.Space actions)
    {
        if (observationSpace is null)
        {
            observationSpace = observations;
            actionSpace = actions;
            observationWidth = SpaceModule.width(observations);
            actionWidth = SpaceModule.width(actions);
        }

        bool areSame = observationSpace.Equals(observations) && actionSpace.Equals(actions);
        Require(areSame, "the spaces of this environment are not those of the first one");
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new RemoteException(what);
        }
    }

    /// <summary>Tells the client what is wrong, if it still listens.</summary>
    private void Refuse(int position, string message)
    {
        try
        {
            writer.Begin(MessageKind.Error);
            writer.Int32(position);
            writer.Text(message);
            writer.Send();
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // It does not.
        }
    }
}
