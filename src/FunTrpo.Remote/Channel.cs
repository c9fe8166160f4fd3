using System;
using System.IO;
using System.Threading;

namespace FunTrpo.Remote;

/// <summary>A way to a server: two streams, and what to do if nothing comes through them.</summary>
internal abstract class Channel : IDisposable
{
    /// <summary>What the server is, for error messages.</summary>
    public abstract string Name { get; }

    public abstract Stream Input { get; }

    public abstract Stream Output { get; }

    /// <summary>Ends the connection at once, so that a thread that waits for it goes on. It may be called on any thread.</summary>
    public abstract void Abort();

    /// <summary>Returns what is known of the reason why the connection ended; empty if nothing is.</summary>
    public virtual string Reason() => "";

    /// <summary>Ends the connection.</summary>
    public abstract void Dispose();

    /// <summary>Returns the result of an exchange of messages, which must end in time.</summary>
    /// <exception cref="TimeoutException">It did not end in time. The connection is ended.</exception>
    /// <exception cref="RemoteException">The connection has ended.</exception>
    public T InTime<T>(TimeSpan time, Func<T> exchange)
    {
        int isLate = 0;
        using Timer late = new(
            _ =>
            {
                Volatile.Write(ref isLate, 1);
                Abort();
            },
            null,
            time,
            Timeout.InfiniteTimeSpan
        );
        try
        {
            return exchange();
        }
        catch (Exception error) when (error is IOException or ObjectDisposedException)
        {
            throw Volatile.Read(ref isLate) == 1
                ? new TimeoutException($"{Name} did not answer within {time.TotalSeconds} s", error)
                : new RemoteException($"{Name} ended the connection{Reason()}", error);
        }
    }
}
