using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

namespace FunTrpo.MuJoCo.Engine;

/// <summary>
/// The engine: the shared library of MuJoCo 2.2.2, which is found under its usual names on the library path, or where the environment
/// variable <c>FUNTRPO_MUJOCO</c> says: the library itself, or a folder that holds it.
/// </summary>
public static unsafe class Library
{
    /// <summary>The environment variable that says where the library is.</summary>
    public const string PathVariable = "FUNTRPO_MUJOCO";

    /// <summary>How to install the engine, as a sentence.</summary>
    public const string Remedy =
        $"Install MuJoCo 2.2.2 (Debian: apt-get install libmujoco2.2.2), or set {PathVariable} to the library or to the folder that holds it.";

    private static readonly string[] Names =
        OperatingSystem.IsWindows() ? ["mujoco.dll"]
        : OperatingSystem.IsMacOS() ? ["libmujoco.2.2.2.dylib", "libmujoco.dylib"]
        : ["libmujoco.so.2.2.2", "libmujoco.so"];

    // Loaded once for the whole process. A failure is not kept, because the library may be installed in the meantime.
    private static readonly Lock Gate = new();
    private static Functions? loaded;

    [ThreadStatic]
    private static string? error;

    [ThreadStatic]
    private static string? warning;

    /// <summary>Why the engine cannot be used, and what to do; null if it can.</summary>
    public static string? Missing
    {
        get
        {
            try
            {
                _ = Engine;
                return null;
            }
            catch (MuJoCoNotFoundException missing)
            {
                return missing.Message;
            }
        }
    }

    /// <summary>The functions of the engine.</summary>
    /// <exception cref="MuJoCoNotFoundException">It is not installed, or has another version.</exception>
    internal static Functions Engine
    {
        get
        {
            if (Volatile.Read(ref loaded) is { } found)
            {
                return found;
            }

            lock (Gate)
            {
                return loaded ??= Load();
            }
        }
    }

    /// <summary>The text of the last warning of the engine on this thread.</summary>
    internal static string? Warning => warning;

    /// <summary>Throws the error that the engine has reported on this thread, if there is one.</summary>
    /// <exception cref="MuJoCoException">There is one.</exception>
    internal static void ThrowIfFailed()
    {
        if (error is { } message)
        {
            error = null;
            throw new MuJoCoException($"MuJoCo: {message}");
        }
    }

    private static Functions Load()
    {
        List<string> tried = [];
        foreach (string name in Candidates())
        {
            if (NativeLibrary.TryLoad(name, out nint handle))
            {
                return Checked(name, handle);
            }

            tried.Add(name);
        }

        throw new MuJoCoNotFoundException($"MuJoCo was not found (tried {string.Join(", ", tried)}). {Remedy}");
    }

    private static IEnumerable<string> Candidates()
    {
        string? place = Environment.GetEnvironmentVariable(PathVariable);
        if (string.IsNullOrEmpty(place))
        {
            return Names;
        }

        return Directory.Exists(place) ? Array.ConvertAll(Names, name => Path.Combine(place, name)) : [place];
    }

    /// <summary>Returns the functions of a library of the right version.</summary>
    private static Functions Checked(string name, nint handle)
    {
        if (!NativeLibrary.TryGetExport(handle, "mj_version", out nint version))
        {
            throw new MuJoCoNotFoundException($"{name} is not MuJoCo: it has no mj_version. {Remedy}");
        }

        int number = ((delegate* unmanaged<int>)version)();
        if (number != Layout.Version)
        {
            throw new MuJoCoNotFoundException(
                $"{name} is MuJoCo {number / 100}.{number / 10 % 10}.{number % 10}, whose structs this version of FunTrpo does not know. {Remedy}"
            );
        }

        if (sizeof(nint) != 8)
        {
            throw new MuJoCoNotFoundException("MuJoCo needs a 64-bit process.");
        }

        Functions functions = new(handle);
        *(nint*)NativeLibrary.GetExport(handle, "mju_user_error") = (nint)
            (delegate* unmanaged[Cdecl]<byte*, void>)&OnError;
        *(nint*)NativeLibrary.GetExport(handle, "mju_user_warning") = (nint)
            (delegate* unmanaged[Cdecl]<byte*, void>)&OnWarning;
        return functions;
    }

    // An exception must not cross the engine's frames, so the message is kept until its function has returned.
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnError(byte* message) => error ??= Text(message);

    // Without this the engine would write the warning to a file in the current folder.
    [UnmanagedCallersOnly(CallConvs = [typeof(CallConvCdecl)])]
    private static void OnWarning(byte* message) => warning = Text(message);

    /// <summary>Returns a text of the engine, which ends with a zero.</summary>
    internal static string Text(byte* text) =>
        Encoding.UTF8.GetString(MemoryMarshal.CreateReadOnlySpanFromNullTerminated(text));
}

/// <summary>The addresses of the engine's functions. Models and simulations are pointers to structs of the engine.</summary>
internal sealed unsafe class Functions(nint library)
{
    public readonly delegate* unmanaged<byte*, void*, byte*, int, nint> LoadXml = (delegate* unmanaged<
        byte*,
        void*,
        byte*,
        int,
        nint>)
        NativeLibrary.GetExport(library, "mj_loadXML");

    public readonly delegate* unmanaged<nint, void> DeleteModel = (delegate* unmanaged<nint, void>)
        NativeLibrary.GetExport(library, "mj_deleteModel");

    public readonly delegate* unmanaged<nint, nint> MakeData = (delegate* unmanaged<nint, nint>)
        NativeLibrary.GetExport(library, "mj_makeData");

    public readonly delegate* unmanaged<nint, void> DeleteData = (delegate* unmanaged<nint, void>)
        NativeLibrary.GetExport(library, "mj_deleteData");

    public readonly delegate* unmanaged<nint, nint, void> ResetData = (delegate* unmanaged<nint, nint, void>)
        NativeLibrary.GetExport(library, "mj_resetData");

    public readonly delegate* unmanaged<nint, nint, void> Forward = (delegate* unmanaged<nint, nint, void>)
        NativeLibrary.GetExport(library, "mj_forward");

    public readonly delegate* unmanaged<nint, nint, void> Step = (delegate* unmanaged<nint, nint, void>)
        NativeLibrary.GetExport(library, "mj_step");

    public readonly delegate* unmanaged<nint, nint, void> RnePostConstraint = (delegate* unmanaged<nint, nint, void>)
        NativeLibrary.GetExport(library, "mj_rnePostConstraint");
}
