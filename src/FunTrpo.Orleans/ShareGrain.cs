using System.Threading.Tasks;
using Orleans;
using Orleans.Concurrency;
using Orleans.Placement;

namespace FunTrpo.Orleans;

/// <summary>
/// Steps one share, and is gone afterwards. The runner belongs to the silo: it remembers the simulators of the last share. Random placement
/// follows the hint of the training, which names a silo.
/// </summary>
[RandomPlacement]
internal sealed class ShareGrain(ShareRunner runner) : Grain, IShareGrain
{
    public async ValueTask<Immutable<byte[]>> Answer(Immutable<byte[]> task)
    {
        DeactivateOnIdle();
        // A share takes long. The threads of the scheduler stay free for the messages of the cluster.
        return new(await Task.Run(() => runner.Answer(task.Value)));
    }
}
