using System.Threading.Tasks;
using Orleans;
using Orleans.Concurrency;

namespace FunTrpo.Orleans;

/// <summary>Steps one share of a rollout on the silo where it is placed.</summary>
[Alias("FunTrpo.IShareGrain")]
internal interface IShareGrain : IGrainWithGuidKey
{
    /// <summary>Returns the answer of the silo's runner to a task. Neither is copied inside a process.</summary>
    [Alias("Answer")]
    ValueTask<Immutable<byte[]>> Answer(Immutable<byte[]> task);
}
