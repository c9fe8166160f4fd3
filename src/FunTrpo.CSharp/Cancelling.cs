using System;
using System.Threading;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The cancellation of the training or the evaluation that a thread works for.</summary>
internal static class Cancelling
{
    /// <summary>It flows to the threads on which environments are awaited, and not to those that compute.</summary>
    private static readonly AsyncLocal<CancellationToken> current = new();

    /// <summary>The token of the work that the calling thread does.</summary>
    public static CancellationToken Current => current.Value;

    /// <summary>
    /// Throws the exception of an environment that has obeyed the token, where the state of training would keep it as a fault.
    /// </summary>
    public static void ThrowIfItIs(Core.Fault? fault)
    {
        if (
            Current.IsCancellationRequested
            && fault is Core.Fault.FailedEnvironment { error: OperationCanceledException cancelled }
        )
        {
            throw new OperationCanceledException(cancelled.Message, cancelled, Current);
        }
    }

    /// <summary>Returns the result of the work, which is cancelled by this token.</summary>
    public static T By<T>(CancellationToken cancellation, Func<T> work)
    {
        CancellationToken before = current.Value;
        current.Value = cancellation;
        try
        {
            return work();
        }
        finally
        {
            current.Value = before;
        }
    }
}
