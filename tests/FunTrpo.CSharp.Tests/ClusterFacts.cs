using System;
using System.Net;
using System.Net.Sockets;
using System.Threading.Tasks;
using FunTrpo.Orleans;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>The part of docs/scaling.md in C#.</summary>
public sealed class ClusterFacts
{
    public async Task Trains_on_a_cluster_with_the_same_bits()
    {
        Cluster cluster = Cluster.Local(FreePort());
        await using ClusterSilo silo = await ClusterSilo.StartAsync(Trpo.For(() => new Line()).Short(), cluster);
        await using ClusterSilo another = await ClusterSilo.StartAsync(Trpo.For(() => new Line()).Short(), cluster);

        await using ClusterWorkers workers = await ClusterWorkers.ConnectAsync(cluster);
        TrainingResult result = Trpo.For(() => new Line()).Short().OnCluster(workers).Train();

        Assert.Equal(Trpo.For(() => new Line()).Short().Train().Policy, result.Policy);
    }

    public async Task A_cluster_without_a_silo_is_an_error_after_the_time_to_wait()
    {
        Cluster cluster = Cluster.Local(FreePort()) with { WaitForSilos = TimeSpan.FromSeconds(1) };
        ClusterException error = await Assert.ThrowsAsync<ClusterException>(() => ClusterWorkers.ConnectAsync(cluster));
        Assert.Contains("has no silo", error.Message, StringComparison.Ordinal);
    }

    /// <summary>A port that is free, and the next one. It is below those that Linux gives to connections.</summary>
    private static int FreePort()
    {
        int port = Random.Shared.Next(20_000, 32_000);
        return IsFree(port) && IsFree(port + 1) ? port : FreePort();
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
}
