using System;

namespace FunTrpo.Orleans;

/// <summary>A cluster could not be joined, or no silo of it stepped a share.</summary>
public sealed class ClusterException : Exception
{
    internal ClusterException(string message, Exception? inner = null)
        : base(message, inner) { }
}
