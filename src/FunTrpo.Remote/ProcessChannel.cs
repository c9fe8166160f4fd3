using System.Collections.Generic;
using System.IO;

namespace FunTrpo.Remote;

/// <summary>A child process, which is spoken with over its standard input and output.</summary>
internal sealed class ProcessChannel(
    string file,
    IEnumerable<string> arguments,
    IReadOnlyDictionary<string, string>? variables
) : Channel
{
    private readonly ChildProcess process = new(file, arguments, variables);

    public override string Name { get; } = Path.GetFileName(file);

    public override Stream Input => process.Output;

    public override Stream Output => process.Input;

    public override void Abort() => process.Kill();

    public override string Reason() => process.Reason();

    public override void Dispose() => process.Dispose();
}
