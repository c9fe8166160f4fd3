using System;
using System.Security.Cryptography.X509Certificates;

namespace FunTrpo.Remote;

/// <summary>How a client speaks with environments elsewhere.</summary>
public sealed record RemoteOptions
{
    /// <summary>The secret that the server asks for; empty for none. Default empty.</summary>
    public string Token { get; init; } = "";

    /// <summary>Whether a connection over TCP is encrypted. Default false.</summary>
    public bool Tls { get; init; }

    /// <summary>
    /// The certificate that the server must have; null for any that the machine trusts and that bears the name of the host. Default null.
    /// </summary>
    public X509Certificate2? Certificate { get; init; }

    /// <summary>The time that the server has to begin, for example to start its process. Default 60 s.</summary>
    public TimeSpan StartTime { get; init; } = TimeSpan.FromSeconds(60);

    /// <summary>The time that the server has for each answer. Default 60 s.</summary>
    public TimeSpan AnswerTime { get; init; } = TimeSpan.FromSeconds(60);
}
