using System;
using System.Collections.Generic;
using System.ComponentModel;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Threading;

namespace FunTrpo.Remote;

/// <summary>A child process, with the end of what it writes to its standard error. It is killed if it does not end by itself.</summary>
internal sealed class ChildProcess : IDisposable
{
    /// <summary>The number of characters of the child's errors that are kept for error messages.</summary>
    private const int KeptErrors = 2000;

    private static readonly TimeSpan leavingTime = TimeSpan.FromSeconds(2);
    private readonly Process process;
    private readonly Queue<string> errors = [];
    private readonly ManualResetEventSlim errorsEnded = new();
    private bool isDisposed;

    /// <exception cref="RemoteException">The file cannot be started.</exception>
    public ChildProcess(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? variables)
    {
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

    public Stream Output => process.StandardOutput.BaseStream;

    public Stream Input => process.StandardInput.BaseStream;

    public bool HasEnded => process.HasExited;

    /// <summary>Reads what the process writes to its standard output, and forgets it. Otherwise the process waits when the pipe is full.</summary>
    public void IgnoreOutput() => process.BeginOutputReadLine();

    /// <summary>Returns the exit code and the end of the errors, if the process ends by itself.</summary>
    public string Reason()
    {
        string ended = process.WaitForExit(leavingTime) ? $" with the exit code {process.ExitCode}" : "";
        errorsEnded.Wait(leavingTime);
        lock (errors)
        {
            return errors.Count == 0 ? ended : $"{ended}: {string.Join('\n', errors)}";
        }
    }

    public void Kill()
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

    public void Dispose()
    {
        if (isDisposed)
        {
            return;
        }

        isDisposed = true;
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
