using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans;
using Orleans.Concurrency;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Runtime.Placement;

namespace FunTrpo.Orleans;

/// <summary>
/// The silos of a cluster, for a training: each steps a share of each rollout. Silos may join, leave and fail while training goes on, and
/// change no bit of it.
/// </summary>
public sealed class ClusterWorkers : IAsyncDisposable
{
    /// <summary>How often a training looks whether the silos that it waits for are still members.</summary>
    private static readonly TimeSpan lookEvery = TimeSpan.FromSeconds(0.5);

    private readonly IHost host;
    private readonly Cluster cluster;
    private readonly IClusterClient client;
    private readonly IClusterManifestProvider members;

    private ClusterWorkers(IHost host, Cluster cluster)
    {
        this.host = host;
        this.cluster = cluster;
        client = host.Services.GetRequiredService<IClusterClient>();
        members = host.Services.GetRequiredService<IClusterManifestProvider>();
    }

    /// <summary>The number of silos now.</summary>
    public int Count => Members().Length;

    /// <summary>The silos as the pipeline uses them, in F#: <c>RolloutShare.onWorkers workers.Shares setup</c>.</summary>
    public ShareWorkers Shares => new SharesOf(this);

    /// <summary>Connects to a cluster. Waits until it has a silo.</summary>
    /// <param name="cluster">The cluster.</param>
    /// <param name="cancellation">Ends the attempt.</param>
    /// <exception cref="ClusterException">
    /// There is no silo after <see cref="Cluster.WaitForSilos"/>.
    /// </exception>
    public static async Task<ClusterWorkers> ConnectAsync(Cluster cluster, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(cluster);
        DateTime end = DateTime.UtcNow + cluster.WaitForSilos;
        IHost host = await ClusterHost
            .StartAsync(
                builder => builder.UseOrleansClient(client => Configure(client, cluster, end)),
                error => NoSilo(cluster, error),
                cancellation
            )
            .ConfigureAwait(false);
        return new(host, cluster);
    }

    /// <summary>Leaves the cluster.</summary>
    public ValueTask DisposeAsync() => ClusterHost.LeaveAsync(host);

    private static void Configure(IClientBuilder client, Cluster cluster, DateTime end)
    {
        cluster.OfClient(client);
        client.Configure<global::Orleans.Configuration.ClusterOptions>(names => ClusterHost.Name(names, cluster));
        client.Configure<ClientMessagingOptions>(messages =>
        {
            messages.ResponseTimeout = cluster.ShareTime;
            messages.MaxMessageBodySize = Cluster.LargestMessage;
        });
        client.Configure<TypeManagementOptions>(types => types.TypeMapRefreshInterval = lookEvery);
        client.Configure<GatewayOptions>(gateways => gateways.GatewayListRefreshPeriod = TimeSpan.FromSeconds(2));
        client.UseConnectionRetryFilter(
            async (_, cancellation) =>
            {
                await Task.Delay(lookEvery, cancellation).ConfigureAwait(false);
                return DateTime.UtcNow < end;
            }
        );
    }

    private static ClusterException NoSilo(Cluster cluster, Exception? error) =>
        new(
            $"{cluster} has no silo, after {cluster.WaitForSilos.TotalSeconds:0} s: start one with funtrpo silo --cluster {cluster}",
            error
        );

    /// <summary>Returns the silos in an order that does not change while they are members.</summary>
    private SiloAddress[] Members() => [.. members.Current.Silos.Keys.Where(IsSilo).Order()];

    /// <summary>Returns whether it is the address of a silo. That of this training is among them, without a port.</summary>
    private static bool IsSilo(SiloAddress address) => address.Endpoint.Port != 0;

    private async Task<SiloAddress[]> SomeMembersAsync()
    {
        DateTime end = DateTime.UtcNow + cluster.WaitForSilos;
        while (true)
        {
            SiloAddress[] found = Members();
            if (found.Length > 0)
            {
                return found;
            }

            if (DateTime.UtcNow > end)
            {
                throw NoSilo(cluster, null);
            }

            await Task.Delay(lookEvery).ConfigureAwait(false);
        }
    }

    /// <summary>
    /// Returns the answer of a silo. If it fails, the next one is asked at once. If that fails too, a silo that is gone is probably still
    /// listed, and finds places for others: the next attempts wait until the list has changed.
    /// </summary>
    private async Task<byte[]> AnswerAsync(byte[] task, int share)
    {
        for (int failed = 0; ; failed++)
        {
            SiloAddress[] silos = await SomeMembersAsync().ConfigureAwait(false);
            SiloAddress silo = silos[(share + failed) % silos.Length];
            try
            {
                return await AnswerOfAsync(silo, task).ConfigureAwait(false);
            }
            catch (Exception error) when (error is OrleansException or TimeoutException)
            {
                if (failed == cluster.Retries)
                {
                    throw new ClusterException(
                        $"{failed + 1} silos of {cluster} failed while they stepped the same share, the last one, {silo.Endpoint}, so: {error.Message}",
                        error
                    );
                }

                if (failed > 0)
                {
                    await OtherMembersAsync(silos).ConfigureAwait(false);
                }
            }
        }
    }

    /// <summary>Waits until the silos are others, or for so long that one that is gone should be noticed.</summary>
    private async Task OtherMembersAsync(SiloAddress[] known)
    {
        DateTime end = DateTime.UtcNow + ((ClusterSilo.MissedProbes + 1) * cluster.ProbeTime);
        while (DateTime.UtcNow < end && known.SequenceEqual(Members()))
        {
            await Task.Delay(lookEvery).ConfigureAwait(false);
        }
    }

    private async Task<byte[]> AnswerOfAsync(SiloAddress silo, byte[] task)
    {
        RequestContext.Set(IPlacementDirector.PlacementHintKey, silo);
        IShareGrain grain = client.GetGrain<IShareGrain>(Guid.NewGuid());
        Task<Immutable<byte[]>> answer = grain.Answer(new(task)).AsTask();
        while (await Task.WhenAny(answer, Task.Delay(lookEvery)).ConfigureAwait(false) != answer)
        {
            if (!members.Current.Silos.ContainsKey(silo))
            {
                _ = answer.ContinueWith(lost => lost.Exception, TaskScheduler.Default); // It is not missed.
                throw new SiloUnavailableException($"{silo.Endpoint} is no member any more");
            }
        }

        return (await answer.ConfigureAwait(false)).Value;
    }

    private sealed class SharesOf(ClusterWorkers workers) : ShareWorkers
    {
        public int Count => workers.Count;

        public byte[][] Answers(byte[][] tasks) =>
            Task.Run(() => Task.WhenAll(tasks.Select(workers.AnswerAsync))).GetAwaiter().GetResult();
    }
}
