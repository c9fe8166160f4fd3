using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;

namespace FunTrpo.Remote;

/// <summary>A child process, which is spoken with over its standard input and output.</summary>
internal sealed class ProcessChannel : Channel
{
    /// <summary>The number of characters of the child's errors that are kept for error messages.</summary>
    private const int KeptErrors = 2000;

    private static readonly TimeSpan leavingTime = TimeSpan.FromSeconds(2);
    private readonly Process process;
    private readonly Queue<string> errors = [];
    private readonly ManualResetEventSlim errorsEnded = new();

    public ProcessChannel(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? variables)
    {
        Name = Path.GetFileName(file);
        ProcessStartInfo start = new(file, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string value) in variables ?? new Dictionary<string, string>())
        {
            start.Environment[name] = value;
        }

        try
        {
            process = Process.Start(start)!;
        }
        catch (Win32Exception error)
        {
            throw new RemoteException($"{file} cannot be started: {error.Message}", error);
        }

        process.ErrorDataReceived += (_, line) => Keep(line.Data);
        process.BeginErrorReadLine();
    }

    public override string Name { get; }

    public override Stream Input => process.StandardOutput.BaseStream;

    public override Stream Output => process.StandardInput.BaseStream;

    public override void Abort() => Kill();

    public override string Reason()
    {
        string ended = process.WaitForExit(leavingTime) ? $" with the exit code {process.ExitCode}" : "";
        errorsEnded.Wait(leavingTime);
        lock (errors)
        {
            return errors.Count == 0 ? ended : $"{ended}: {string.Join('\n', errors)}";
        }
    }

    public override void Dispose()
    {
        try
        {
            process.StandardInput.Dispose();
        }
        catch (IOException)
        {
            // It does not read any more.
        }

        if (!process.WaitForExit(leavingTime))
        {
            Kill();
        }

        process.Dispose();
    }

    private void Kill()
    {
        try
        {
            process.Kill(entireProcessTree: true);
        }
        catch (Exception error) when (error is InvalidOperationException or Win32Exception)
        {
            // It has ended.
        }
    }

    /// <summary>Keeps the last lines of the errors.</summary>
    private void Keep(string? line)
    {
        if (line is null)
        {
            errorsEnded.Set();
            return;
        }

        lock (errors)
        {
            errors.Enqueue(line[..Math.Min(line.Length, KeptErrors)]);
            while (errors.Count > 1 && errors.Sum(kept => kept.Length) > KeptErrors)
            {
                errors.Dequeue();
            }
        }
    }
}
