using System;
using System.Collections.Generic;
using System.IO;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Threading;
using FunTrpo.CSharp;
using Core = FunTrpo;

namespace FunTrpo.Remote;

/// <summary>Serves environments to a training in another process or on another machine. docs/remote.md describes the protocol.</summary>
public sealed class RemoteServer : IDisposable
{
    private readonly TcpListener listener;
    private readonly Func<Core.Simulator> make;
    private readonly ServeOptions options;
    private readonly HashSet<TcpClient> clients = [];
    private bool isClosed;

    private RemoteServer(IPEndPoint endPoint, Func<Core.Simulator> make, ServeOptions options)
    {
        this.make = make;
        this.options = options;
        listener = new(endPoint);
        listener.Start();
        new Thread(Accept) { IsBackground = true, Name = "FunTrpo server" }.Start();
    }

    /// <summary>The port on which the server listens.</summary>
    public int Port => ((IPEndPoint)listener.LocalEndpoint).Port;

    /// <summary>Serves environments over the standard input and output of this process, until the client leaves.</summary>
    /// <remarks>
    /// What the process writes to <see cref="Console.Out"/> goes to its standard error, because the output is the connection. Ctrl-C is ignored: in
    /// a terminal it reaches the client, too, which finishes its iteration and then leaves.
    /// </remarks>
    /// <param name="make">Returns a new environment at each call.</param>
    /// <param name="options">How they are served; null for the standard options.</param>
    public static void ServeStandardStreams(Func<IEnvironment> make, ServeOptions? options = null) =>
        ServeSimulatorsOverStandardStreams(Simulators(make), options);

    /// <summary>Does the same for simulators of the pipeline, in F#.</summary>
    public static void ServeSimulatorsOverStandardStreams(Func<Core.Simulator> make, ServeOptions? options = null)
    {
        using Stream input = Console.OpenStandardInput();
        using Stream output = Console.OpenStandardOutput();
        using PosixSignalRegistration ignored = PosixSignalRegistration.Create(
            PosixSignal.SIGINT,
            context => context.Cancel = true
        );
        Console.SetOut(Console.Error);
        ServeSimulators(input, output, make, options);
    }

    /// <summary>Serves environments over a pair of streams, until the client leaves.</summary>
    public static void Serve(Stream input, Stream output, Func<IEnvironment> make, ServeOptions? options = null) =>
        ServeSimulators(input, output, Simulators(make), options);

    /// <summary>Does the same for simulators of the pipeline, in F#.</summary>
    public static void ServeSimulators(
        Stream input,
        Stream output,
        Func<Core.Simulator> make,
        ServeOptions? options = null
    )
    {
        options ??= new();
        options.Validate();
        using Session session = new(input, output, make, options);
        session.Run(() => { });
    }

    /// <summary>Serves environments over TCP until the server is disposed of. Each connection has environments of its own.</summary>
    /// <param name="endPoint">The address and the port; port 0 for any that is free.</param>
    /// <param name="make">Returns a new environment at each call. Several threads may call it at the same time.</param>
    /// <param name="options">How they are served; null for the standard options.</param>
    /// <exception cref="ArgumentException">
    /// The address is one that other machines reach, and there is no token or no certificate.
    /// </exception>
    public static RemoteServer Listen(IPEndPoint endPoint, Func<IEnvironment> make, ServeOptions? options = null) =>
        ListenForSimulators(endPoint, Simulators(make), options);

    /// <summary>Does the same for simulators of the pipeline, in F#.</summary>
    public static RemoteServer ListenForSimulators(
        IPEndPoint endPoint,
        Func<Core.Simulator> make,
        ServeOptions? options = null
    )
    {
        ArgumentNullException.ThrowIfNull(endPoint);
        options ??= new();
        options.Validate();
        bool isProtected = options.Token.Length > 0 && options.Certificate is not null;
        if (!IPAddress.IsLoopback(endPoint.Address) && !isProtected)
        {
            throw new ArgumentException(
                $"Other machines reach {endPoint.Address}: a token and a certificate are needed there.",
                nameof(options)
            );
        }

        return new(endPoint, make, options);
    }

    /// <summary>Ends all connections.</summary>
    public void Dispose()
    {
        lock (clients)
        {
            isClosed = true;
            listener.Dispose();
            foreach (TcpClient client in clients)
            {
                client.Dispose();
            }
        }
    }

    private static Func<Core.Simulator> Simulators(Func<IEnvironment> make)
    {
        ArgumentNullException.ThrowIfNull(make);
        return SimulatorOf.Factory(make, null, disposes: true);
    }

    private void Accept()
    {
        while (true)
        {
            TcpClient client;
            try
            {
                client = listener.AcceptTcpClient();
            }
            catch (Exception error)
                when (error is SocketException or ObjectDisposedException or InvalidOperationException)
            {
                return;
            }

            if (Admit(client))
            {
                new Thread(() => Attend(client)) { IsBackground = true, Name = "FunTrpo connection" }.Start();
            }
            else
            {
                client.Dispose();
            }
        }
    }

    private bool Admit(TcpClient client)
    {
        lock (clients)
        {
            return !isClosed && clients.Count < options.MaxConnections && clients.Add(client);
        }
    }

    /// <summary>Answers a client until it leaves. A client that does not say in time who it is, is sent away.</summary>
    private void Attend(TcpClient client)
    {
        using Timer late = new(_ => client.Dispose(), null, options.HelloTime, Timeout.InfiniteTimeSpan);
        try
        {
            client.NoDelay = true;
            using Stream stream = Encrypted(client.GetStream());
            using Session session = new(stream, stream, make, options);
            session.Run(() => late.Change(Timeout.Infinite, Timeout.Infinite));
        }
        catch (Exception)
        {
            // The connection broke, or the client could not encrypt it, or an environment could not be disposed of.
        }
        finally
        {
            lock (clients)
            {
                clients.Remove(client);
            }

            client.Dispose();
        }
    }

    private Stream Encrypted(Stream stream)
    {
        if (options.Certificate is null)
        {
            return stream;
        }

        SslStream encrypted = new(stream);
        encrypted.AuthenticateAsServer(options.Certificate);
        return encrypted;
    }
}
