using System;
using System.Threading;
using System.Threading.Tasks;

namespace FunTrpo.CSharp;

/// <summary>Waits for work that may not notice a cancellation, because a simulator does not answer.</summary>
internal static class Patience
{
    /// <summary>
    /// Waits until the work has ended, or <paramref name="time"/> has passed since the cancellation. Returns whether it has ended. If not,
    /// an exception that it may throw later is ignored.
    /// </summary>
    public static async Task<bool> WaitAsync(Task work, TimeSpan time, CancellationToken cancellation)
    {
        using CancellationTokenSource ended = new();
        using CancellationTokenSource noticed = CancellationTokenSource.CreateLinkedTokenSource(
            cancellation,
            ended.Token
        );
        bool hasEnded =
            await IsFirstAsync(work, Timeout.InfiniteTimeSpan, noticed.Token).ConfigureAwait(false)
            || await IsFirstAsync(work, time, ended.Token).ConfigureAwait(false);
        if (hasEnded)
        {
            await ended.CancelAsync().ConfigureAwait(false);
            return true;
        }

        _ = work.ContinueWith(
            late => late.Exception,
            CancellationToken.None,
            TaskContinuationOptions.OnlyOnFaulted,
            TaskScheduler.Default
        );
        return false;
    }

    private static async Task<bool> IsFirstAsync(Task work, TimeSpan time, CancellationToken cancellation) =>
        await Task.WhenAny(work, Task.Delay(time, cancellation)).ConfigureAwait(false) == work;
}
