using System.IO;

namespace FunTrpo.Remote;

/// <summary>Two streams of the caller, such as those of a named pipe.</summary>
internal sealed class StreamChannel(string name, Stream input, Stream output) : Channel
{
    public override string Name => name;

    public override Stream Input => input;

    public override Stream Output => output;

    public override void Abort() => Dispose();

    public override void Dispose()
    {
        input.Dispose();
        output.Dispose();
    }
}
