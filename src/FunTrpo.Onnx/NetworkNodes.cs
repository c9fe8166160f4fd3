using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
using FunTrpo.Kernels;
using Microsoft.FSharp.Collections;
using Core = FunTrpo;

namespace FunTrpo.Onnx;

/// <summary>The nodes from an observation to the outputs of the network, as <c>Normaliser.fs</c> and <c>Architecture.fs</c> compute them.</summary>
internal static class NetworkNodes
{
    /// <summary>Adds the nodes of the normaliser. Returns what the network reads.</summary>
    /// <remarks>
    /// clip((x − mean) · scale) is computed in float64 by the library, and in float32 here, because Unity's engine has no float64. So the mean is
    /// a sum of two float32 numbers, of which the first is subtracted first: x − mean is then as exact as float32 can hold it, even if
    /// the mean is much larger than the deviations.
    /// </remarks>
    /// <exception cref="NotSupportedException">A mean is beyond float32.</exception>
    public static string Normalise(GraphBuilder graph, Core.Normaliser normaliser, string observation)
    {
        if (normaliser is not Core.Normaliser.Standardise { Item: { Count: > 0 } moments })
        {
            return observation;
        }

        float[] mean = new float[moments.Width];
        float[] rest = new float[moments.Width];
        float[] scale = new float[moments.Width];
        for (int i = 0; i < moments.Width; i++)
        {
            mean[i] = (float)moments.Mean(i);
            rest[i] = (float)(moments.Mean(i) - mean[i]);
            scale[i] = (float)NormaliserModule.scale(moments, i);
            if (!float.IsFinite(mean[i]))
            {
                throw new NotSupportedException(
                    string.Create(
                        CultureInfo.InvariantCulture,
                        $"The mean of column {i} of the observations is {moments.Mean(i)}, and an ONNX model holds float32."
                    )
                );
            }
        }

        string deviation = graph.Node(
            "deviation",
            "Sub",
            observation,
            graph.Constant("mean.float32", mean, mean.Length)
        );
        string exact = graph.Node("deviation.exact", "Sub", deviation, graph.Constant("mean.rest", rest, rest.Length));
        string scaled = graph.Node("deviation.scaled", "Mul", exact, graph.Constant("scale", scale, scale.Length));
        string low = graph.Constant("clip.low", [-NormaliserModule.clip]);
        string high = graph.Constant("clip.high", [NormaliserModule.clip]);
        return graph.Node("normalised", "Clip", scaled, low, high);
    }

    /// <summary>
    /// Adds the nodes of the hidden layers and of the linear layer after them, whose outputs get the name <paramref name="output"/>. The
    /// parameters that depend on no observation are not among these outputs. Returns the memory after the observation, for that before it.
    /// </summary>
    public static string Network(GraphBuilder graph, Core.Actor actor, string observation, string memory, string output)
    {
        Queue<string> before = new(SplitMemory(graph, actor.Policy.Architecture, memory));
        List<string> after = [];
        Core.Space space = SpaceModule.observed(actor.Policy.ObservationSpace);
        (long outputs, _) = Core.Distribution.sizes(actor.Policy.Distribution, actor.Policy.ActionSpace);
        ReadOnlySpan<float> parameters = actor.Parameters.Span;
        string current = observation;
        int number = 0;
        FSharpList<FSharpList<int>> shapes = ArchitectureModule.shapes(space, actor.Policy.Architecture).ResultValue;
        foreach (Core.HiddenLayer layer in actor.Policy.Architecture)
        {
            string name = $"hidden{++number}";
            current = layer switch
            {
                Core.HiddenLayer.Dense dense => Activate(
                    graph,
                    dense.activation,
                    Linear(name, dense.units, parameters, out parameters)
                ),
                Core.HiddenLayer.Convolution convolution => Activate(
                    graph,
                    convolution.activation,
                    PictureNodes.Convolution(graph, current, name, shapes.Head, convolution, parameters, out parameters)
                ),
                Core.HiddenLayer.Pool pool => PictureNodes.Pool(graph, current, name, shapes.Head, pool),
                _ when layer.IsLayerNorm => LayerNormNodes.Add(
                    graph,
                    current,
                    name,
                    checked((int)ArrayShapeModule.size(shapes.Head)),
                    parameters,
                    out parameters
                ),
                Core.HiddenLayer.Gru gru => Remember(
                    GatedNodes.Gru(
                        graph,
                        current,
                        before.Dequeue(),
                        name,
                        checked((int)ArrayShapeModule.size(shapes.Head)),
                        gru.units,
                        parameters,
                        out parameters
                    )
                ),
                Core.HiddenLayer.Lstm lstm => RememberBoth(
                    GatedNodes.Lstm(
                        graph,
                        current,
                        before.Dequeue(),
                        before.Dequeue(),
                        name,
                        checked((int)ArrayShapeModule.size(shapes.Head)),
                        lstm.units,
                        parameters,
                        out parameters
                    )
                ),
                _ => current,
            };
            shapes = shapes.Tail;
        }

        number++;
        _ = Linear(output, outputs, parameters, out _);
        return after.Count == 0 ? "" : graph.Node("nextMemory", "Concat", [.. after], ("axis", 1));

        string Remember(string part)
        {
            after.Add(part);
            return part;
        }

        string RememberBoth((string Output, string Cell) parts)
        {
            after.AddRange([parts.Output, parts.Cell]);
            return parts.Output;
        }

        string Linear(string name, long units, ReadOnlySpan<float> parameters, out ReadOnlySpan<float> rest) =>
            number == 1 && SpaceModule.hasIndices(space)
                ? Embedding(graph, space, current, name, units, parameters, out rest)
                : Dense(graph, current, name, ArrayShapeModule.size(shapes.Head), units, parameters, out rest);
    }

    /// <summary>The parts of the memory: one for each layer of gated units, and two for each long short-term memory.</summary>
    private static string[] SplitMemory(GraphBuilder graph, FSharpList<Core.HiddenLayer> architecture, string memory)
    {
        long[] widths =
        [
            .. architecture.SelectMany(layer =>
                layer switch
                {
                    Core.HiddenLayer.Gru gru => (long[])[gru.units],
                    Core.HiddenLayer.Lstm lstm => [lstm.units, lstm.units],
                    _ => [],
                }
            ),
        ];
        string[] names = [.. widths.Select((_, i) => $"{memory}.{i + 1}")];
        if (names.Length > 1)
        {
            graph.SplitColumns(memory, names, widths);
        }

        return names.Length == 1 ? [memory] : names;
    }

    /// <summary>W x + b. The parameters are W, input by input, and then b.</summary>
    private static string Dense(
        GraphBuilder graph,
        string input,
        string name,
        long inputs,
        long outputs,
        ReadOnlySpan<float> parameters,
        out ReadOnlySpan<float> rest
    )
    {
        int weights = checked((int)(inputs * outputs));
        int biases = (int)outputs;
        rest = parameters[(weights + biases)..];
        return graph.Node(
            name,
            "Gemm",
            input,
            graph.Constant($"{name}.weights", parameters[..weights], inputs, outputs),
            graph.Constant($"{name}.biases", parameters.Slice(weights, biases), outputs)
        );
    }

    /// <summary>The sum of the rows of the indices of an observation. The tables of its columns follow one another in the parameters.</summary>
    private static string Embedding(
        GraphBuilder graph,
        Core.Space space,
        string observation,
        string name,
        long outputs,
        ReadOnlySpan<float> parameters,
        out ReadOnlySpan<float> rest
    )
    {
        const int Int64 = (int)Messages.TensorProto.Types.DataType.Int64;
        long rows = SpaceModule.inputCount(space);
        int size = checked((int)(rows * outputs));
        rest = parameters[size..];
        string table = graph.Constant($"{name}.table", parameters[..size], rows, outputs);
        string index = graph.Node("index", "Cast", [observation], ("to", Int64));
        string row = graph.Node("row", "Add", index, graph.Integers("firstRows", FirstRows(space)));
        string vectors = graph.Node($"{name}.rows", "Gather", [table, row], ("axis", 0));
        return graph.Node(name, "ReduceSum", [vectors, graph.Integers("columns", 1)], ("keepdims", 0));
    }

    /// <summary>The row of the table at which each column's indices begin.</summary>
    private static long[] FirstRows(Core.Space space)
    {
        if (space is not Core.Space.MultiDiscrete choices)
        {
            return [0];
        }

        long[] first = new long[choices.counts.Length];
        long next = 0;
        int column = 0;
        foreach (int count in choices.counts)
        {
            first[column++] = next;
            next += count;
        }

        return first;
    }

    private static string Activate(GraphBuilder graph, Activation activation, string input) =>
        activation switch
        {
            Activation.Identity => input,
            Activation.Swish => graph.Node($"{input}.swish", "Mul", input, Simple(graph, "Sigmoid", input)),
            Activation.Tanh => Simple(graph, "Tanh", input),
            Activation.Relu => Simple(graph, "Relu", input),
            Activation.Sigmoid => Simple(graph, "Sigmoid", input),
            Activation.Elu => Simple(graph, "Elu", input),
            Activation.Softplus => Simple(graph, "Softplus", input),
            _ => throw new ArgumentOutOfRangeException(nameof(activation), activation, null),
        };

    private static string Simple(GraphBuilder graph, string operation, string input) =>
        graph.Node($"{input}.{operation}", operation, input);
}
