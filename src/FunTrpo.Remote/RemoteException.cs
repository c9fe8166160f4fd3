using System;

namespace FunTrpo.Remote;

/// <summary>The exception that is thrown if the other side of a connection fails, or says something that the protocol does not allow.</summary>
public sealed class RemoteException : Exception
{
    /// <summary>Creates an exception that says what is wrong.</summary>
    public RemoteException(string message, Exception? inner = null)
        : base(message, inner) { }
}
