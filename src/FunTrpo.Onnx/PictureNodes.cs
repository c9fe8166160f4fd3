using System;
using Microsoft.FSharp.Collections;
using Core = FunTrpo;

namespace FunTrpo.Onnx;

/// <summary>
/// The nodes of layers for pictures. Between layers a picture is a row, with the channels of a pixel side by side (NHWC), as environments
/// return it. ONNX's operators want its channels one after another (NCHW), so it is transposed before and after each of them. Engines remove
/// pairs of such transpositions.
/// </summary>
internal static class PictureNodes
{
    /// <summary>Adds a convolution without its activation. The parameters are W, number by number of a patch, and then b.</summary>
    public static string Convolution(
        GraphBuilder graph,
        string input,
        string name,
        FSharpList<int> shape,
        Core.HiddenLayer.Convolution layer,
        ReadOnlySpan<float> parameters,
        out ReadOnlySpan<float> rest
    )
    {
        int channels = shape[2];
        int patch = layer.window.Height * layer.window.Width * channels;
        int weights = patch * layer.filters;
        rest = parameters[(weights + layer.filters)..];
        string filters = graph.Constant(
            $"{name}.weights",
            FilterByFilter(layer, channels, parameters[..weights]),
            layer.filters,
            channels,
            layer.window.Height,
            layer.window.Width
        );
        string biases = graph.Constant($"{name}.biases", parameters.Slice(weights, layer.filters), layer.filters);
        string picture = ToPicture(graph, input, name, shape);
        string result = graph.Node($"{name}.channels", "Conv", [picture, filters, biases], OfWindow(layer.window));
        return ToRow(graph, result, name, WindowModule.outputShape(layer.filters, layer.window, shape).ResultValue);
    }

    /// <summary>Adds the maximum or the average under a window.</summary>
    public static string Pool(
        GraphBuilder graph,
        string input,
        string name,
        FSharpList<int> shape,
        Core.HiddenLayer.Pool layer
    )
    {
        string picture = ToPicture(graph, input, name, shape);
        string operation = layer.pooling.IsMax ? "MaxPool" : "AveragePool";
        string result = graph.Node($"{name}.channels", operation, [picture], OfWindow(layer.window));
        return ToRow(graph, result, name, WindowModule.outputShape(shape[2], layer.window, shape).ResultValue);
    }

    private static (string Name, long[] Values)[] OfWindow(Core.Window window) =>
        [("kernel_shape", [window.Height, window.Width]), ("strides", [window.Stride, window.Stride])];

    private static string ToPicture(GraphBuilder graph, string input, string name, FSharpList<int> shape)
    {
        string size = graph.Integers($"{name}.shape", -1, shape[0], shape[1], shape[2]);
        string picture = graph.Node($"{name}.picture", "Reshape", input, size);
        return graph.Node($"{name}.input", "Transpose", [picture], [("perm", [0, 3, 1, 2])]);
    }

    private static string ToRow(GraphBuilder graph, string picture, string name, FSharpList<int> shape)
    {
        string pixels = graph.Node($"{name}.pixels", "Transpose", [picture], [("perm", [0, 2, 3, 1])]);
        return graph.Node(name, "Reshape", pixels, graph.Integers($"{name}.width", -1, ArrayShapeModule.size(shape)));
    }

    /// <summary>W transposed, so that each filter has its channels one after another, and each channel the rows of the window.</summary>
    private static float[] FilterByFilter(Core.HiddenLayer.Convolution layer, int channels, ReadOnlySpan<float> weights)
    {
        int pixels = layer.window.Height * layer.window.Width;
        float[] result = new float[weights.Length];
        for (int i = 0; i < result.Length; i++)
        {
            int filter = i / (channels * pixels);
            int channel = i / pixels % channels;
            result[i] = weights[(((i % pixels * channels) + channel) * layer.filters) + filter];
        }

        return result;
    }
}
