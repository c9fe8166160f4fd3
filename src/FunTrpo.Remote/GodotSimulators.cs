using System;
using System.IO;
using System.Text.Json;
using Core = FunTrpo;

namespace FunTrpo.Remote;

/// <summary>
/// The agents of a game of Godot with the plugin Godot RL Agents, as a batch of simulators of the pipeline. Its AIControllers that train are
/// the simulators. They move on together, so train with as many environments as the game has agents.
/// </summary>
/// <remarks>
/// The game itself ends the episodes and begins the next ones. It knows no seeds of episodes, so training does not give the same bits twice.
/// After a failure the connection has ended.
/// </remarks>
public sealed class GodotSimulators : Core.LockstepBatch, IDisposable
{
    /// <summary>The version of the protocol of Godot RL Agents. The plugin of another version warns and goes on.</summary>
    private const string MajorVersion = "0";

    private const string MinorVersion = "7";
    private readonly Channel channel;
    private readonly GodotOptions options;
    private readonly GodotMessages messages;
    private readonly GodotGame game;
    private readonly float[] actions;

    /// <summary>The agents that are in an episode of the pipeline. The others are given zeros as actions.</summary>
    private readonly bool[] isPlaying;

    /// <summary>The agents whose last observation is the first one of an episode.</summary>
    private readonly bool[] isFresh;

    /// <summary>The number of steps of the episode of each agent.</summary>
    private readonly int[] lengths;

    /// <summary>The last answer, and the one before.</summary>
    private GodotReply reply;
    private GodotReply before;

    private GodotSimulators(Channel channel, string id, GodotOptions options)
    {
        this.channel = channel;
        this.options = options;
        messages = new(channel.Input, channel.Output);
        Id = id;
        try
        {
            game = channel.InTime(options.StartTime, Greet);
        }
        catch (Exception error)
        {
            channel.Dispose();
            throw Named(error);
        }

        actions = new float[game.Count * game.ActionWidth];
        isPlaying = new bool[game.Count];
        isFresh = new bool[game.Count];
        lengths = new int[game.Count];
        reply = new(game);
        before = new(game);
    }

    /// <inheritdoc/>
    public string Id { get; }

    /// <inheritdoc/>
    public Core.Space ObservationSpace => game.ObservationSpace;

    /// <inheritdoc/>
    public Core.Space ActionSpace => game.ActionSpace;

    /// <summary>The number of agents that train.</summary>
    public int Count => game.Count;

    /// <summary>Waits for a game to connect to a port of this machine, such as one that is played in the editor.</summary>
    /// <param name="options">How to speak with it; null for the standard options.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    /// <exception cref="RemoteException">The port is in use, or the game does not keep to the protocol.</exception>
    /// <exception cref="TimeoutException">No game connects in time, or it does not answer in time.</exception>
    public static GodotSimulators Listen(GodotOptions? options = null) => Open(null, options ?? new(), "godot:");

    /// <summary>Starts an exported game, which connects to a port of this machine.</summary>
    /// <param name="file">The program. On a Mac, it is the one inside of the folder that ends with .app.</param>
    /// <param name="options">How to start it and to speak with it; null for the standard options.</param>
    /// <exception cref="ArgumentOutOfRangeException">An option is out of its range.</exception>
    /// <exception cref="RemoteException">The game cannot be started, it ends, or it does not keep to the protocol.</exception>
    /// <exception cref="TimeoutException">It does not connect or answer in time.</exception>
    public static GodotSimulators Start(string file, GodotOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(file);
        return Open(file, options ?? new(), $"godot:{file}");
    }

    /// <summary>Does the same as <see cref="Start"/>, or as <see cref="Listen"/> if there is no file, with a name for reports and errors.</summary>
    internal static GodotSimulators Open(string? file, GodotOptions options, string id)
    {
        options.Validate();
        return new(new GodotChannel(file, options), id, options);
    }

    /// <summary>Speaks with a game over two streams. They must end a waiting read when they are disposed of.</summary>
    internal static GodotSimulators Over(Stream input, Stream output, GodotOptions? options = null) =>
        new(new StreamChannel("the game", input, output), "godot:", options ?? new());

    /// <summary>
    /// Begins an episode of each of these agents. The seeds are not used. If no other agent is in an episode, the game begins anew, unless
    /// it has just begun. Otherwise it must have ended the episodes of these agents itself.
    /// </summary>
    /// <exception cref="RemoteException">They cannot begin an episode now, or the game has failed.</exception>
    public void Reset(ReadOnlySpan<int> indices, ReadOnlySpan<int> seeds, Span<float> observations)
    {
        if (!AreFresh(indices))
        {
            RequireNoOtherPlays(indices);
            Ask("reset", indices, writer => writer.WriteString("type", "reset"));
            Array.Fill(isFresh, true);
            Array.Clear(isPlaying);
        }

        bool isAmongOthers = Array.IndexOf(isPlaying, true) >= 0;
        for (int i = 0; i < indices.Length; i++)
        {
            int agent = indices[i];
            isPlaying[agent] = true;
            lengths[agent] = 0;
            Row(observations, i).Clear();
            reply.ObservationOf(agent).CopyTo(Row(observations, i));
        }

        // Training begins the episodes of some agents while others are in theirs. In evaluations, all agents begin together, or some of them.
        if (isAmongOthers)
        {
            RequireAllPlay();
        }
    }

    /// <summary>Moves the game on with these actions. Agents that are in no episode are given zeros.</summary>
    /// <exception cref="RemoteException">An agent that is in an episode is left out, or the game has failed.</exception>
    public void Step(
        ReadOnlySpan<int> indices,
        ReadOnlySpan<float> actions,
        Span<float> observations,
        Span<Core.SimulatorStep> results
    )
    {
        RequireTogether(indices);
        TakeActions(indices, actions);
        (reply, before) = (before, reply);
        Ask("step", indices, WriteActions);
        reply.Ends.CopyTo(isFresh, 0);
        for (int i = 0; i < indices.Length; i++)
        {
            int agent = indices[i];
            lengths[agent]++;
            bool isOver = reply.Ends[agent];
            bool isTruncated = isOver && options.TruncateAt is int limit && lengths[agent] >= limit;
            // At its end an agent already shows its next episode. The value of the time limit's last state is that of the one before it.
            (isTruncated ? before : reply)
                .ObservationOf(agent)
                .CopyTo(Row(observations, i));
            results[i] = new(reply.Rewards[agent], isOver && !isTruncated, isTruncated);
            isPlaying[agent] = !isOver;
        }
    }

    /// <inheritdoc/>
    public void Abandon(int index) => isPlaying[index] = false;

    /// <summary>Ends the game and the connection.</summary>
    public void Dispose()
    {
        try
        {
            messages.Send(writer => writer.WriteString("type", "close"));
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            // It has ended.
        }

        channel.Dispose();
    }

    private GodotGame Greet()
    {
        messages.Send(writer =>
        {
            writer.WriteString("type", "handshake");
            writer.WriteString("major_version", MajorVersion);
            writer.WriteString("minor_version", MinorVersion);
        });
        messages.Send(writer => writer.WriteString("type", "env_info"));
        return GodotGame.Read(messages.Next(GodotGame.MaxBytes));
    }

    private Span<float> Row(Span<float> observations, int i) =>
        observations.Slice(i * game.ObservationWidth, game.ObservationWidth);

    private bool AreFresh(ReadOnlySpan<int> indices)
    {
        foreach (int agent in indices)
        {
            if (!isFresh[agent])
            {
                return false;
            }
        }

        return true;
    }

    private void RequireNoOtherPlays(ReadOnlySpan<int> indices)
    {
        for (int agent = 0; agent < Count; agent++)
        {
            if (isPlaying[agent] && !indices.Contains(agent))
            {
                throw new RemoteException(
                    "the agents of a game of Godot only begin anew together, and an episode is to begin while others go on: leave out time limits other than those of the game (TruncateAt says which), and --in-flight"
                );
            }
        }
    }

    private void RequireAllPlay()
    {
        int idle = Array.FindAll(isPlaying, isPlaying => !isPlaying).Length;
        if (idle > 0)
        {
            throw new RemoteException(
                $"the game has {Count} agents, which move on together, and training has an environment for only {Count - idle} of them: train with {Count} environments (--set environments={Count}), or with a multiple for as many games"
            );
        }
    }

    private void RequireTogether(ReadOnlySpan<int> indices)
    {
        foreach (int agent in indices)
        {
            if (!isPlaying[agent])
            {
                throw new RemoteException($"a step of agent {agent} comes before a reset");
            }
        }

        int playing = Array.FindAll(isPlaying, isPlaying => isPlaying).Length;
        if (playing != indices.Length)
        {
            throw new RemoteException(
                $"the agents of a game of Godot only move on together: {playing} of them are in an episode, and a step is for {indices.Length}. Leave out --in-flight, and step all environments in one call"
            );
        }
    }

    /// <summary>Keeps the actions of these agents, and zeros for the others.</summary>
    private void TakeActions(ReadOnlySpan<int> indices, ReadOnlySpan<float> chosen)
    {
        Array.Clear(actions);
        for (int i = 0; i < indices.Length; i++)
        {
            ReadOnlySpan<float> action = chosen.Slice(i * game.ActionWidth, game.ActionWidth);
            if (!SpaceModule.contains(ActionSpace, action))
            {
                throw new Core.BatchException(i, new RemoteException("an action is not in its space"));
            }

            action.CopyTo(actions.AsSpan(indices[i] * game.ActionWidth));
        }
    }

    private void WriteActions(Utf8JsonWriter writer)
    {
        writer.WriteString("type", "action");
        writer.WriteStartArray("action");
        for (int agent = 0; agent < Count; agent++)
        {
            writer.WriteStartObject();
            foreach (GodotField field in game.Actions)
            {
                WriteAction(writer, field, actions.AsSpan((agent * game.ActionWidth) + field.First, field.Width));
            }

            writer.WriteEndObject();
        }

        writer.WriteEndArray();
    }

    private static void WriteAction(Utf8JsonWriter writer, GodotField field, ReadOnlySpan<float> action)
    {
        if (field.Space is Core.Space.Discrete)
        {
            writer.WriteNumber(field.Name, (int)action[0]);
            return;
        }

        writer.WriteStartArray(field.Name);
        foreach (float number in action)
        {
            writer.WriteNumberValue(number);
        }

        writer.WriteEndArray();
    }

    /// <summary>Sends a message, and reads the answer of this type for all agents.</summary>
    private void Ask(string answer, ReadOnlySpan<int> indices, Action<Utf8JsonWriter> message)
    {
        try
        {
            channel.InTime(
                options.AnswerTime,
                () =>
                {
                    messages.Send(message);
                    reply.Read(messages.Next(Protocol.MaxMessage).Span, answer);
                    return true;
                }
            );
        }
        catch (Core.BatchException failed)
        {
            // The reply counts agents, and the pipeline the positions of its call.
            int position = indices.IndexOf(failed.Position);
            Exception error = Named(failed.InnerException!);
            throw position < 0 ? error : new Core.BatchException(position, error);
        }
        catch (RemoteException error)
        {
            throw Named(error);
        }
    }

    /// <summary>The error with the name of the game, if it is about what the game has said.</summary>
    private Exception Named(Exception error) =>
        error is RemoteException && !error.Message.StartsWith(channel.Name, StringComparison.Ordinal)
            ? new RemoteException($"{channel.Name}: {error.Message}", error)
            : error;
}
