using System;
using System.IO;
using FunTrpo.Onnx;
using Xunit;

namespace FunTrpo.CSharp.Tests;

/// <summary>Exporting a policy, as its callers do it. The model itself is tested in <c>OnnxTests.fs</c>.</summary>
public sealed class OnnxFacts
{
    private readonly Policy policy = Plans.ShortLine().Start().Policy;

    public void Writes_a_file_and_a_stream()
    {
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        string current = Directory.GetCurrentDirectory();
        Directory.SetCurrentDirectory(folder);
        try
        {
            File.WriteAllText("cartpole.onnx", "an older file");

            policy.ExportOnnx("cartpole.onnx"); // with `using FunTrpo.Onnx;`

            using MemoryStream stream = new();
            policy.ExportOnnx(stream);
            Assert.Equal(File.ReadAllBytes("cartpole.onnx"), stream.ToArray());
            Assert.True(stream.CanWrite);
            Assert.Single(Directory.GetFiles(folder));
        }
        finally
        {
            Directory.SetCurrentDirectory(current);
            Directory.Delete(folder, recursive: true);
        }
    }

    public void Refuses_paths_as_saving_does()
    {
        string folder = Directory.CreateTempSubdirectory("funtrpo-").FullName;
        try
        {
            Assert.Throws<IOException>(() => policy.ExportOnnx(folder));
            Assert.ThrowsAny<IOException>(() => policy.ExportOnnx(Path.Combine(folder, "missing", "policy.onnx")));
            Assert.Throws<ArgumentException>(() => policy.ExportOnnx(""));
            Assert.Throws<ArgumentNullException>(() => policy.ExportOnnx((string)null!));
            Assert.Throws<ArgumentNullException>(() => policy.ExportOnnx((Stream)null!));
            Assert.Throws<ArgumentNullException>(() => ((Policy)null!).ExportOnnx(folder));
            Assert.Empty(Directory.GetFileSystemEntries(folder));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
