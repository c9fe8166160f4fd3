using System;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Microsoft.Extensions.Hosting;
using Orleans.Clustering.Redis;
using Orleans.Hosting;
using StackExchange.Redis;
using static System.FormattableString;

namespace FunTrpo.Orleans;

/// <summary>Where the silos of a cluster and its trainings find each other.</summary>
public sealed record Cluster
{
    private Cluster(string text, Action<ISiloBuilder> ofSilo, Action<IClientBuilder> ofClient)
    {
        Text = text;
        OfSilo = ofSilo;
        OfClient = ofClient;
    }

    /// <summary>The port of the first silo on this machine, unless another one is named.</summary>
    public const int LocalPort = 11111;

    /// <summary>The name of the cluster. Clusters with different names do not see each other.</summary>
    public string Id { get; init; } = "funtrpo";

    /// <summary>
    /// For how long a training waits for the answer to a share, which must be longer than the steps of a share take. Then another silo steps
    /// the share.
    /// </summary>
    public TimeSpan ShareTime { get; init; } = TimeSpan.FromHours(1);

    /// <summary>For how long a training waits for a silo if there is none.</summary>
    public TimeSpan WaitForSilos { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The number of silos that may fail while they step the same share.</summary>
    public int Retries { get; init; } = 3;

    /// <summary>The interval at which silos ask each other whether they live; one that does not answer twice is gone.</summary>
    public TimeSpan ProbeTime { get; init; } = TimeSpan.FromSeconds(2);

    /// <summary>The port of the first silo of a cluster on this machine; null for clusters of several machines.</summary>
    internal int? FirstPort { get; private init; }

    /// <summary>The longest message: a share of a batch of pictures.</summary>
    internal const int LargestMessage = 1 << 30;

    private string Text { get; }

    /// <summary>Configures the clustering of a silo.</summary>
    internal Action<ISiloBuilder> OfSilo { get; }

    /// <summary>Configures the clustering of a training.</summary>
    internal Action<IClientBuilder> OfClient { get; }

    /// <summary>
    /// A cluster on this machine, for trials. The silo with this port is the first one: the others find it, and the cluster ends with it.
    /// </summary>
    /// <param name="port">The port of the first silo. Trainings use the next one.</param>
    public static Cluster Local(int port = LocalPort)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(port, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(port, IPEndPoint.MaxPort - 1);
        IPEndPoint first = new(IPAddress.Loopback, port);
        IPEndPoint gateway = new(IPAddress.Loopback, port + 1);
        return new(
            Invariant($"local:{port}"),
            silo => silo.UseDevelopmentClustering(first),
            client => client.UseStaticClustering(gateway)
        )
        {
            FirstPort = port,
        };
    }

    /// <summary>A cluster whose silos are listed in Redis, which all machines reach.</summary>
    /// <param name="configuration">The address, as StackExchange.Redis reads it, such as <c>machine:6379</c>.</param>
    public static Cluster Redis(string configuration)
    {
        ConfigurationOptions options = ConfigurationOptions.Parse(configuration);
        return new(
            $"redis:{configuration}",
            silo => silo.UseRedisClustering(Configure),
            client => client.UseRedisClustering(Configure)
        );

        void Configure(RedisClusteringOptions clustering) => clustering.ConfigurationOptions = options;
    }

    /// <summary>A cluster by any provider of Orleans.</summary>
    /// <param name="silo">Configures the clustering of a silo.</param>
    /// <param name="client">Configures the clustering of a training.</param>
    public static Cluster By(Action<ISiloBuilder> silo, Action<IClientBuilder> client)
    {
        ArgumentNullException.ThrowIfNull(silo);
        ArgumentNullException.ThrowIfNull(client);
        return new("a cluster of its own", silo, client);
    }

    /// <summary>Returns the cluster that a text names: <c>local</c>, <c>local:PORT</c> or <c>redis:ADDRESS</c>.</summary>
    /// <exception cref="FormatException">The text names none.</exception>
    public static Cluster Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        const string redis = "redis:";
        const string local = "local:";
        if (text == "local")
        {
            return Local();
        }

        if (
            text.StartsWith(local, StringComparison.Ordinal)
            && int.TryParse(text.AsSpan(local.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int port)
            && port is > 0 and < IPEndPoint.MaxPort
        )
        {
            return Local(port);
        }

        if (text.StartsWith(redis, StringComparison.Ordinal) && text.Length > redis.Length)
        {
            try
            {
                return Redis(text[redis.Length..]);
            }
            catch (ArgumentException error)
            {
                throw new FormatException($"{text} names no cluster: {error.Message}", error);
            }
        }

        throw new FormatException($"{text} names no cluster: write local, local:PORT or redis:HOST:PORT");
    }

    /// <inheritdoc/>
    public override string ToString() => Text;
}
