using System;
using FunTrpo.CSharp;

namespace FunTrpo.Plots.CSharp;

/// <summary>Writes pages to files.</summary>
internal static class PageFile
{
    /// <summary>Creates a file or replaces it atomically. What the system does not permit is an <see cref="System.IO.IOException"/>.</summary>
    public static void Save(string path, string html)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        FileErrors.AsIOException(() => AtomicFile.replaceText(path, html));
    }
}
