using System;
using System.Collections.Generic;
using System.Globalization;
using System.Linq;
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
            scale[i] = moments.Labels.Contains(i) ? 1f : (float)NormaliserModule.scale(moments, i);
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
        return Clip(graph, moments, scaled);
    }

    /// <summary>Clips all columns but those of labels. An operator for clipping has the same bounds for all.</summary>
    private static string Clip(GraphBuilder graph, Core.Moments moments, string scaled)
    {
        const string Clipped = "normalised";
        float clip = NormaliserModule.clip;
        if (moments.Labels.IsEmpty)
        {
            string low = graph.Constant("clip.low", [-clip]);
            return graph.Node(Clipped, "Clip", scaled, low, graph.Constant("clip.high", [clip]));
        }

        float[] highest = new float[moments.Width];
        Array.Fill(highest, clip);
        foreach (int column in moments.Labels)
        {
            highest[column] = float.MaxValue;
        }

        float[] lowest = Array.ConvertAll(highest, bound => -bound);
        string atLeast = graph.Constant("clip.low", lowest, lowest.Length);
        string atMost = graph.Constant("clip.high", highest, highest.Length);
        return graph.Node(Clipped, "Min", graph.Node("clip.least", "Max", scaled, atLeast), atMost);
    }

    /// <summary>
    /// Adds the nodes of the hidden layers and of the linear layer after them, whose outputs get the name <paramref name="output"/>. The
    /// parameters that depend on no observation are not among these outputs. Returns the memory after the observation, for that before it.
    /// </summary>
    public static string Network(GraphBuilder graph, Core.Actor actor, string observation, string memory, string output)
    {
        Core.Space space = SpaceModule.observed(actor.Policy.ObservationSpace);
        (long outputs, _) = Core.Distribution.sizes(actor.Policy.Distribution, actor.Policy.ActionSpace);
        LayerNodes layers = new(
            graph,
            actor.Parameters.Memory,
            SplitMemory(graph, space, actor.Policy.Architecture, memory)
        );
        string last = layers.Add(space, actor.Policy.Architecture, observation, "");
        FSharpList<FSharpList<int>> shapes = ArchitectureModule.shapes(space, actor.Policy.Architecture).ResultValue;
        if (actor.Policy.Architecture.IsEmpty)
        {
            layers.AddFirstLinear(space, output, last, outputs);
        }
        else
        {
            layers.AddLinear(output, last, ArrayShapeModule.size(shapes.Last()), outputs);
        }

        return layers.After.Count == 0 ? "" : graph.Node("nextMemory", "Concat", [.. layers.After], ("axis", 1));
    }

    /// <summary>The parts of the memory: one for each layer of gated units, and two for each long short-term memory.</summary>
    private static string[] SplitMemory(
        GraphBuilder graph,
        Core.Space space,
        FSharpList<Core.HiddenLayer> architecture,
        string memory
    )
    {
        long[] widths = [.. MemoriesOf(space, architecture)];
        string[] names = [.. widths.Select((_, i) => $"{memory}.{i + 1}")];
        if (names.Length > 1)
        {
            graph.SplitColumns(memory, names, widths);
        }

        return names.Length == 1 ? [memory] : names;
    }

    /// <summary>Those of the parts of an observation come first, in the order of the space and not of the architecture.</summary>
    private static IEnumerable<long> MemoriesOf(Core.Space space, FSharpList<Core.HiddenLayer> architecture) =>
        ArchitectureModule
            .readers(space, architecture)
            .SelectMany(reader => MemoriesOf(reader.Item2, reader.Item3))
            .Concat(architecture.SelectMany(MemoriesOf));

    private static IEnumerable<long> MemoriesOf(Core.HiddenLayer layer) =>
        layer switch
        {
            Core.HiddenLayer.Gru gru => [gru.units],
            Core.HiddenLayer.Lstm lstm => [lstm.units, lstm.units],
            _ => [],
        };
}
