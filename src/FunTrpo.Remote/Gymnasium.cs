using System;
using System.IO;

namespace FunTrpo.Remote;

/// <summary>Environments of Gymnasium, which run in a Python process.</summary>
public static class Gymnasium
{
    /// <summary>The variable that names the Python interpreter; <c>python3</c> if it is not set.</summary>
    public const string PythonVariable = "FUNTRPO_PYTHON";

    private static readonly Lazy<string> script = new(() =>
    {
        using Stream stream = typeof(Gymnasium).Assembly.GetManifestResourceStream("gymnasium_server.py")!;
        using StreamReader reader = new(stream);
        return reader.ReadToEnd();
    });

    /// <summary>Starts a process with environments of this id, such as <c>CartPole-v1</c>.</summary>
    /// <param name="id">The id, as <c>gymnasium.make</c> takes it.</param>
    /// <param name="options">How to speak with the process; null for the standard options.</param>
    /// <exception cref="RemoteException">There is no Python, no Gymnasium, or no such environment: the message says which.</exception>
    /// <exception cref="TimeoutException">It does not answer in time.</exception>
    public static RemoteSimulators Start(string id, RemoteOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(id);
        string python = System.Environment.GetEnvironmentVariable(PythonVariable) is { Length: > 0 } set
            ? set
            : "python3";
        return RemoteSimulators.Start(python, ["-c", script.Value, id], options);
    }
}
