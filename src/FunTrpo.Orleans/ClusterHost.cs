using System;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;

namespace FunTrpo.Orleans;

/// <summary>The host of a silo, or of the connection of a training.</summary>
internal static class ClusterHost
{
    /// <summary>Starts a host. If that fails, the host is disposed of.</summary>
    /// <param name="configure">Configures the host.</param>
    /// <param name="failed">Makes the exception of a host that does not start.</param>
    /// <param name="cancellation">Ends the attempt.</param>
    public static async Task<IHost> StartAsync(
        Action<HostApplicationBuilder> configure,
        Func<Exception, ClusterException> failed,
        CancellationToken cancellation
    )
    {
        HostApplicationBuilder builder = Host.CreateEmptyApplicationBuilder(new());
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        configure(builder);
        IHost host = builder.Build();
        try
        {
            await host.StartAsync(cancellation).ConfigureAwait(false);
            return host;
        }
        catch (Exception error)
        {
            host.Dispose();
            throw error is OperationCanceledException ? error : failed(error);
        }
    }

    /// <summary>Leaves the cluster.</summary>
    public static async ValueTask LeaveAsync(IHost host)
    {
        await host.StopAsync().ConfigureAwait(false);
        host.Dispose();
    }

    /// <summary>Names the cluster that a silo or a training belongs to.</summary>
    public static void Name(global::Orleans.Configuration.ClusterOptions names, Cluster cluster)
    {
        names.ClusterId = cluster.Id;
        names.ServiceId = cluster.Id;
    }

    /// <summary>A host that its owner starts and stops: Ctrl-C belongs to the program, not to its part in a cluster.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
