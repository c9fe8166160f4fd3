using System;
using System.IO;
using Google.Protobuf;
using Microsoft.FSharp.Core;
using Facade = FunTrpo.CSharp;

namespace FunTrpo.Onnx;

/// <summary>Exports policies as ONNX models, which engines in other languages, in browsers and in Unity run.</summary>
/// <remarks>
/// <para>
/// A model is one graph with the normalisation of observations, the network, the action distribution, and the scaling and clipping of
/// actions. Its input <c>observation</c> holds rows of float32, as the environment returns them: <c>batch × ObservationWidth</c>. An index is
/// such a number, too. Its output <c>action</c> holds the most probable action for each row: <c>batch × ActionSpace.Width</c>, int64 for
/// indices and float32 for a box. A policy that takes masks has a second input, <c>legal</c>: <c>batch × MaskWidth</c>, float32, 1 for each
/// action that is legal and 0 for the others. Further outputs are <c>logits</c> and <c>probabilities</c>, or <c>mean</c> and <c>std</c> for a box.
/// A policy with memory has the input <c>memory</c>, which is 0 at the start of an episode, and the output <c>nextMemory</c>, which is the
/// memory for the next observation.
/// </para>
/// <para>
/// The metadata holds <c>environment</c>, <c>observationSpace</c> and <c>actionSpace</c> as in a policy's file, and <c>version</c>, that of
/// FunTrpo. The operators are those of version 13, in float32. A model does not check its observations.
/// </para>
/// </remarks>
public static class OnnxExport
{
    /// <summary>Writes the policy to a file as an ONNX model, and replaces the file if it exists, as <c>Policy.Save</c> does.</summary>
    /// <exception cref="IOException">
    /// The file cannot be written, or the path is a folder, a pipe, a device or a socket.
    /// </exception>
    /// <exception cref="ArgumentException">The path is not a valid file name.</exception>
    /// <exception cref="NotSupportedException">
    /// A mean of the observations is beyond float32. No policy that FunTrpo has trained has such a mean.
    /// </exception>
    public static void ExportOnnx(this Facade.Policy policy, string path)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(path);
        Write(PolicyModel.Of(policy.Saved), path);
    }

    /// <summary>Writes the policy to a stream as an ONNX model. The stream stays open.</summary>
    /// <exception cref="IOException">The stream cannot be written.</exception>
    /// <exception cref="NotSupportedException">
    /// A mean of the observations is beyond float32. No policy that FunTrpo has trained has such a mean.
    /// </exception>
    public static void ExportOnnx(this Facade.Policy policy, Stream stream)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(stream);
        PolicyModel.Of(policy.Saved).WriteTo(stream);
    }

    /// <summary>Replaces a file with a model, atomically.</summary>
    internal static void Write(Messages.ModelProto model, string path) =>
        Facade.FileErrors.AsIOException(() =>
            AtomicFile.replace(path, FuncConvert.FromAction<FileStream>(stream => model.WriteTo(stream)))
        );
}
