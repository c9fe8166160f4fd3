using System;
using System.ComponentModel;
using System.IO;
using System.Runtime.InteropServices;

namespace FunTrpo.Kernels;

/// <summary>What .NET cannot do with a folder, through the C library.</summary>
public static partial class Folder
{
    /// <summary>The error code (EINVAL) of a file system that does not flush folders.</summary>
    private const int NotFlushed = 22;

    /// <summary>
    /// Returns when the names of the files in the folder are on the disk, so that a file that was renamed keeps its name after a power cut.
    /// Does nothing on Windows, which flushes names with the files.
    /// </summary>
    /// <exception cref="IOException">The folder cannot be opened or flushed.</exception>
    public static void Flush(string path)
    {
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        int folder = Open(path, 0);
        if (folder < 0)
        {
            throw Failure(path, Marshal.GetLastPInvokeError());
        }

        int flushed = Synchronise(folder);
        int code = Marshal.GetLastPInvokeError();
        _ = Close(folder);
        if (flushed < 0 && code != NotFlushed)
        {
            throw Failure(path, code);
        }
    }

    private static IOException Failure(string path, int code) =>
        new($"{path} cannot be flushed: {new Win32Exception(code).Message}");

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int Open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static partial int Synchronise(int file);

    [LibraryImport("libc", EntryPoint = "close")]
    private static partial int Close(int file);
}
