using System.Net;

namespace FunTrpo.Orleans;

/// <summary>Where a silo is reached.</summary>
public sealed record SiloOptions
{
    /// <summary>The address by which other silos and trainings reach the silo; null for that of this machine.</summary>
    public IPAddress? Address { get; init; }

    /// <summary>The port for other silos; 0 for a free one.</summary>
    public int SiloPort { get; init; }

    /// <summary>The port for trainings; 0 for a free one.</summary>
    public int GatewayPort { get; init; }
}
