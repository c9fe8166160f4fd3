using System;
using System.Collections.Generic;
using System.IO;
using Core = FunTrpo;

namespace FunTrpo.Remote;

/// <summary>
/// Simulators in another process or on another machine, as a batch of simulators of the pipeline: all that a thread steps side by side are
/// stepped with one message. After a failure the connection has ended.
/// </summary>
public sealed class RemoteSimulators : Core.BatchSimulator, IDisposable
{
    private readonly Channel channel;
    private readonly RemoteOptions options;
    private readonly MessageReader reader;
    private readonly MessageWriter writer;
    private readonly int observationWidth;
    private readonly int actionWidth;

    /// <summary>The largest number of simulators in a message.</summary>
    private readonly int most;

    internal RemoteSimulators(Channel channel, RemoteOptions? options)
    {
        this.channel = channel;
        this.options = options ?? new();
        reader = new(channel.Input);
        writer = new(channel.Output);
        try
        {
            (Id, Count, ObservationSpace, ActionSpace) = channel.InTime(this.options.StartTime, Greet);
        }
        catch
        {
            channel.Dispose();
            throw;
        }

        observationWidth = SpaceModule.width(ObservationSpace);
        actionWidth = SpaceModule.width(ActionSpace);
        most = Math.Min(Count, (Protocol.MaxMessage - 64) / (4 * Math.Max(observationWidth, actionWidth) + 16));
    }

    /// <inheritdoc/>
    public string Id { get; }

    /// <inheritdoc/>
    public Core.Space ObservationSpace { get; }

    /// <inheritdoc/>
    public Core.Space ActionSpace { get; }

    /// <inheritdoc/>
    public int Count { get; }

    /// <summary>Starts a process that serves simulators over its standard input and output.</summary>
    /// <param name="file">The program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="options">How to speak with it; null for the standard options.</param>
    /// <exception cref="RemoteException">The process cannot be started, or it does not keep to the protocol.</exception>
    /// <exception cref="TimeoutException">It does not answer in time.</exception>
    public static RemoteSimulators Start(string file, IEnumerable<string> arguments, RemoteOptions? options = null) =>
        new(new ProcessChannel(file, arguments, null), options);

    /// <summary>Connects to a server over TCP.</summary>
    /// <exception cref="ArgumentException">The host is another machine, and there is no TLS or no token.</exception>
    /// <exception cref="RemoteException">The server cannot be reached, or it refuses the client.</exception>
    /// <exception cref="TimeoutException">It does not answer in time.</exception>
    public static RemoteSimulators Connect(string host, int port, RemoteOptions? options = null) =>
        new(new TcpChannel(host, port, options ?? new()), options);

    /// <summary>Speaks with a server over two streams. They must end a waiting read when they are disposed of.</summary>
    public static RemoteSimulators Over(Stream input, Stream output, RemoteOptions? options = null) =>
        new(new StreamChannel("the server", input, output), options);

    /// <inheritdoc/>
    public void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations)
    {
        for (int first = 0; first < indices.Length; first += most)
        {
            int count = Math.Min(most, indices.Length - first);
            writer.Begin(MessageKind.Reset);
            WriteIndices(indices.Slice(first, count));
            for (int i = 0; i < count; i++)
            {
                writer.Int32(seeds[first + i]);
            }

            Ask(MessageKind.ResetDone, first, count);
            reader.Float32s(observations.Slice(first * observationWidth, count * observationWidth));
            reader.End();
        }
    }

    /// <inheritdoc/>
    public void Step(
        ReadOnlySpan<int> indices,
        ReadOnlySpan<float> actions,
        Span<float> observations,
        Span<Core.SimulatorStep> results
    )
    {
        for (int first = 0; first < indices.Length; first += most)
        {
            int count = Math.Min(most, indices.Length - first);
            writer.Begin(MessageKind.Step);
            WriteIndices(indices.Slice(first, count));
            writer.Float32s(actions.Slice(first * actionWidth, count * actionWidth));
            Ask(MessageKind.StepDone, first, count);
            reader.Float32s(observations.Slice(first * observationWidth, count * observationWidth));
            ReadResults(results.Slice(first, count), first);
            reader.End();
        }
    }

    /// <summary>Ends the connection.</summary>
    public void Dispose()
    {
        try
        {
            writer.Begin(MessageKind.Close);
            writer.Send();
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // It has ended.
        }

        channel.Dispose();
    }

    private (string Id, int Count, Core.Space Observations, Core.Space Actions) Greet()
    {
        writer.Begin(MessageKind.Hello);
        writer.UInt32(Protocol.Magic);
        writer.UInt16(Protocol.Version);
        writer.Text(options.Token);
        writer.Send();
        Expect(MessageKind.Welcome, 0, 1);
        ushort version = reader.UInt16();
        if (version != Protocol.Version)
        {
            throw new RemoteException(
                $"{channel.Name} speaks version {version} of the protocol, and this client version {Protocol.Version}"
            );
        }

        string id = reader.Text();
        int count = reader.Int32In(1, Protocol.MaxCount, "the number of simulators");
        Core.Space observations = SpaceMessage.Read(reader);
        Core.Space actions = SpaceMessage.Read(reader);
        reader.End();
        return (id, count, observations, actions);
    }

    private void WriteIndices(ReadOnlySpan<int> indices)
    {
        writer.Int32(indices.Length);
        foreach (int index in indices)
        {
            writer.Int32(index);
        }
    }

    /// <summary>Sends the message, and reads the answer for so many simulators up to its content.</summary>
    private void Ask(MessageKind answer, int first, int count) =>
        channel.InTime(
            options.AnswerTime,
            () =>
            {
                writer.Send();
                Expect(answer, first, count);
                int answered = reader.Int32();
                return answered == count
                    ? true
                    : throw new RemoteException(
                        $"{channel.Name} answered for {answered} simulators instead of {count}"
                    );
            }
        );

    /// <summary>Reads the next message, which must be of this kind. An error is that of one of the simulators of the call.</summary>
    private void Expect(MessageKind kind, int first, int count)
    {
        MessageKind found = reader.Next(Protocol.MaxMessage);
        if (found == MessageKind.Error)
        {
            int position = reader.Int32In(-1, count - 1, "the position of a failure");
            RemoteException error = new($"{channel.Name}: {reader.Text()}");
            throw position < 0 ? error : new BatchException(first + position, error);
        }

        if (found != kind)
        {
            throw new RemoteException(
                $"{channel.Name} sent a message of the kind {(byte)found} instead of {(byte)kind}"
            );
        }
    }

    private void ReadResults(Span<Core.SimulatorStep> results, int first)
    {
        Span<double> rewards = new double[results.Length];
        foreach (ref double reward in rewards)
        {
            reward = reader.Float64();
        }

        for (int i = 0; i < results.Length; i++)
        {
            byte ends = reader.Byte();
            if (ends > 3)
            {
                throw new BatchException(first + i, new RemoteException($"{channel.Name} gave the end {ends}"));
            }

            results[i] = new(rewards[i], (ends & 1) != 0, (ends & 2) != 0);
        }
    }
}
