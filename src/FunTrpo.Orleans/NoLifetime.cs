using System.Threading;
using System.Threading.Tasks;
using Microsoft.Extensions.Hosting;

namespace FunTrpo.Orleans;

/// <summary>A host that its owner starts and stops: Ctrl-C belongs to the program, not to its part in a cluster.</summary>
internal sealed class NoLifetime : IHostLifetime
{
    public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
}
