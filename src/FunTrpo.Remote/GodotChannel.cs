using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Globalization;
using System.IO;
using System.Net;
using System.Net.Sockets;
using System.Threading;

namespace FunTrpo.Remote;

/// <summary>
/// A connection with a game of Godot, which connects to a port of this machine: a game that is started here, or one that somebody else starts.
/// </summary>
internal sealed class GodotChannel : Channel
{
    private static readonly TimeSpan pause = TimeSpan.FromMilliseconds(20);
    private readonly TcpClient client;
    private readonly ChildProcess? game;

    /// <param name="file">The game that is started; null to wait for one.</param>
    /// <param name="options">The valid options.</param>
    /// <exception cref="RemoteException">The port is in use, or the game cannot be started, or it has ended.</exception>
    /// <exception cref="TimeoutException">No game has connected in time.</exception>
    public GodotChannel(string? file, GodotOptions options)
    {
        TcpListener listener = Listening(options.Port ?? (file is null ? GodotOptions.StandardPort : 0));
        int port = ((IPEndPoint)listener.LocalEndpoint).Port;
        Name = file is null ? $"the game on port {port}" : Path.GetFileName(file);
        try
        {
            if (file is not null)
            {
                game = new(file, Arguments(port, options), null);
                game.IgnoreOutput();
            }

            client = Accepted(listener, port, options);
        }
        catch
        {
            game?.Kill();
            game?.Dispose();
            throw;
        }
        finally
        {
            listener.Stop();
        }
    }

    public override string Name { get; }

    public override Stream Input => client.GetStream();

    public override Stream Output => client.GetStream();

    public override void Abort()
    {
        client.Dispose();
        game?.Kill();
    }

    public override string Reason() => game?.Reason() ?? "";

    /// <summary>Ends the connection. A game that was started here is killed if it does not end by itself.</summary>
    public override void Dispose()
    {
        client.Dispose();
        game?.Dispose();
    }

    private static TcpListener Listening(int port)
    {
        TcpListener listener = new(IPAddress.Loopback, port);
        try
        {
            listener.Start(1);
            return listener;
        }
        catch (SocketException error)
        {
            listener.Dispose();
            throw new RemoteException(
                error.SocketErrorCode == SocketError.AddressAlreadyInUse
                    ? $"the port {port} of this machine is in use, perhaps by another training: end that, or choose another port, also as the argument --port= of the game"
                    : $"the port {port} of this machine cannot be used: {error.Message}",
                error
            );
        }
    }

    /// <summary>The arguments that the engine and the Sync node of Godot RL Agents read.</summary>
    private static List<string> Arguments(int port, GodotOptions options)
    {
        List<string> arguments = [.. options.Arguments, $"--port={port}", $"--env_seed={options.Seed}"];
        if (!options.ShowWindow)
        {
            arguments.AddRange(["--headless", "--disable-render-loop"]);
        }

        if (options.Speedup is double speedup)
        {
            arguments.Add($"--speedup={speedup.ToString(CultureInfo.InvariantCulture)}");
        }

        if (options.ActionRepeat is int frames)
        {
            arguments.Add($"--action_repeat={frames}");
        }

        return arguments;
    }

    /// <summary>Waits for the game to connect.</summary>
    private TcpClient Accepted(TcpListener listener, int port, GodotOptions options)
    {
        Stopwatch clock = Stopwatch.StartNew();
        while (!listener.Pending())
        {
            if (game?.HasEnded == true)
            {
                throw new RemoteException($"{Name} ended before it connected to the port {port}{game.Reason()}");
            }

            if (clock.Elapsed > options.StartTime)
            {
                throw new TimeoutException(
                    $"no game of Godot has connected to the port {port} within {options.StartTime.TotalSeconds} s: "
                        + (
                            game is null
                                ? "press Play in the editor while FunTrpo waits, and let the Sync node of the scene train"
                                : $"{Name} must have a Sync node that trains, which reads the argument --port"
                        )
                );
            }

            Thread.Sleep(pause);
        }

        TcpClient accepted = listener.AcceptTcpClient();
        accepted.NoDelay = true;
        return accepted;
    }
}
