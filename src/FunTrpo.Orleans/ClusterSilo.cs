using System;
using System.Net;
using System.Net.Sockets;
using System.Threading;
using System.Threading.Tasks;
using FunTrpo.CSharp;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;

namespace FunTrpo.Orleans;

/// <summary>A member of a cluster, which steps shares of the rollouts of trainings on its environment.</summary>
public sealed class ClusterSilo : IAsyncDisposable
{
    /// <summary>The number of probes that a silo may leave unanswered in a row; then it is gone.</summary>
    internal const int MissedProbes = 2;

    private readonly IHost host;
    private readonly ShareRunner runner;

    private ClusterSilo(IHost host, ShareRunner runner, IPEndPoint endPoint)
    {
        this.host = host;
        this.runner = runner;
        EndPoint = endPoint;
    }

    /// <summary>Where the other silos reach this one.</summary>
    public IPEndPoint EndPoint { get; }

    /// <summary>Joins a cluster, for trainings of the same plan. Returns when the silo is a member.</summary>
    /// <param name="plan">
    /// The environment, and on how many threads it is stepped. The other options are those of each training.
    /// </param>
    /// <param name="cluster">The cluster.</param>
    /// <param name="options">
    /// Where the silo is reached. The first silo of a cluster on this machine has the port of the cluster.
    /// </param>
    /// <param name="cancellation">Ends the attempt to join.</param>
    /// <exception cref="ArgumentException">The states of the environment cannot be sent.</exception>
    /// <exception cref="EnvironmentException">The environment could not be made.</exception>
    /// <exception cref="ClusterException">The cluster could not be joined.</exception>
    public static async Task<ClusterSilo> StartAsync(
        TrainingPlan plan,
        Cluster cluster,
        SiloOptions? options = null,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(plan);
        ArgumentNullException.ThrowIfNull(cluster);
        return await StartRunnerAsync(plan.OpenRunner(), cluster, options, cancellation).ConfigureAwait(false);
    }

    /// <summary>Does the same with a runner of the pipeline, in F#: <c>RolloutShare.runner</c> makes it.</summary>
    /// <param name="runner">Steps the shares. The silo disposes of it, also if it cannot join.</param>
    /// <param name="cluster">The cluster.</param>
    /// <param name="options">Where the silo is reached.</param>
    /// <param name="cancellation">Ends the attempt to join.</param>
    /// <exception cref="ClusterException">The cluster could not be joined.</exception>
    public static async Task<ClusterSilo> StartRunnerAsync(
        ShareRunner runner,
        Cluster cluster,
        SiloOptions? options = null,
        CancellationToken cancellation = default
    )
    {
        ArgumentNullException.ThrowIfNull(runner);
        ArgumentNullException.ThrowIfNull(cluster);
        options ??= new();
        bool isFirst = cluster.FirstPort is int port && IsFree(port) && IsFree(port + 1);
        int siloPort = isFirst ? cluster.FirstPort!.Value : PortOr(options.SiloPort);
        int gatewayPort = isFirst ? siloPort + 1 : PortOr(options.GatewayPort);
        IHost host;
        try
        {
            host = await ClusterHost
                .StartAsync(
                    builder => builder.UseOrleans(Configured),
                    error => new($"The silo could not join {cluster}: {error.GetBaseException().Message}", error),
                    cancellation
                )
                .ConfigureAwait(false);
        }
        catch
        {
            runner.Dispose();
            throw;
        }

        IPAddress address = host.Services.GetRequiredService<ILocalSiloDetails>().SiloAddress.Endpoint.Address;
        return new(host, runner, new(address, siloPort));

        void Configured(ISiloBuilder silo)
        {
            Configure(silo, cluster);
            silo.Configure<EndpointOptions>(endPoints =>
            {
                endPoints.SiloPort = siloPort;
                endPoints.GatewayPort = gatewayPort;
                // Orleans chooses an address of this machine where none is given.
                endPoints.AdvertisedIPAddress = cluster.FirstPort is null
                    ? options.Address ?? endPoints.AdvertisedIPAddress
                    : IPAddress.Loopback;
            });
            silo.Services.AddSingleton(runner);
        }
    }

    /// <summary>Leaves the cluster after the share that is being stepped.</summary>
    public async ValueTask DisposeAsync()
    {
        await ClusterHost.LeaveAsync(host).ConfigureAwait(false);
        runner.Dispose();
    }

    private static void Configure(ISiloBuilder silo, Cluster cluster)
    {
        cluster.OfSilo(silo);
        silo.Configure<global::Orleans.Configuration.ClusterOptions>(names => ClusterHost.Name(names, cluster));
        silo.Configure<ClusterMembershipOptions>(membership =>
        {
            membership.ProbeTimeout = cluster.ProbeTime;
            membership.NumMissedProbesLimit = MissedProbes;
        });
        silo.Configure<SiloMessagingOptions>(messages =>
        {
            messages.ResponseTimeout = cluster.ShareTime;
            messages.MaxMessageBodySize = Cluster.LargestMessage;
        });
    }

    private static bool IsFree(int port)
    {
        try
        {
            using TcpListener listener = new(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static int PortOr(int wanted)
    {
        if (wanted != 0)
        {
            return wanted;
        }

        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
