using System;
using System.Security.Cryptography.X509Certificates;

namespace FunTrpo.Remote;

/// <summary>How environments are served.</summary>
public sealed record ServeOptions
{
    /// <summary>The largest number of environments of a connection, from 1 to 65536. Each is made when it is used first. Default 1024.</summary>
    public int Count { get; init; } = 1024;

    /// <summary>The secret that a client must know; empty for none. Default empty.</summary>
    public string Token { get; init; } = "";

    /// <summary>The certificate, with its private key, by which connections are encrypted; null for none. Default null.</summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>The largest number of connections at the same time, at least 1. Others are closed at once. Default 64.</summary>
    public int MaxConnections { get; init; } = 64;

    /// <summary>The time that a new client has for its first message. Default 10 s.</summary>
    public TimeSpan HelloTime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Throws an exception for a number that is out of its range.</summary>
    internal void Validate()
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(Count, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(Count, Protocol.MaxCount);
        ArgumentOutOfRangeException.ThrowIfLessThan(MaxConnections, 1);
        ArgumentOutOfRangeException.ThrowIfLessThanOrEqual(HelloTime, TimeSpan.Zero);
    }
}
