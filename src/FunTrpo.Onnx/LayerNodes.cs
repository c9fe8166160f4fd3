using System;
using System.Collections.Generic;
using System.Linq;
using FunTrpo.Kernels;
using Microsoft.FSharp.Collections;
using Core = FunTrpo;

namespace FunTrpo.Onnx;

/// <summary>
/// The nodes of layers, as <c>Architecture.fs</c> puts them together. Layers take their parameters and their memories in order.
/// </summary>
internal sealed class LayerNodes(GraphBuilder graph, ReadOnlyMemory<float> parameters, IEnumerable<string> memories)
{
    private readonly Queue<string> before = new(memories);

    /// <summary>The parameters of the layers that are still to come.</summary>
    private ReadOnlyMemory<float> rest = parameters;

    /// <summary>The memories of the layers after the observation.</summary>
    public List<string> After { get; } = [];

    /// <summary>
    /// Adds hidden layers that follow one another, of which the first reads observations of the space. Returns their output.
    /// </summary>
    public string Add(Core.Space space, FSharpList<Core.HiddenLayer> architecture, string input, string prefix)
    {
        FSharpList<FSharpList<int>> shapes = ArchitectureModule.shapes(space, architecture).ResultValue;
        string current = input;
        int number = 0;
        foreach (Core.HiddenLayer layer in architecture)
        {
            string name = $"{prefix}hidden{++number}";
            current = layer switch
            {
                Core.HiddenLayer.Parts => AddParts(space, architecture, name, current),
                Core.HiddenLayer.Dense dense when number == 1 => Activate(
                    dense.activation,
                    AddFirstLinear(space, name, current, dense.units)
                ),
                _ => AddLayer(layer, name, current, shapes.Head),
            };
            shapes = shapes.Tail;
        }

        return current;
    }

    /// <summary>Adds a linear layer that reads observations. It has a table of rows if these are indices.</summary>
    public string AddFirstLinear(Core.Space space, string name, string input, long units) =>
        SpaceModule.hasIndices(space)
            ? AddEmbedding(space, name, input, units)
            : AddLinear(name, input, SpaceModule.width(space), units);

    /// <summary>Adds W x + b. The parameters are W, input by input, and then b.</summary>
    public string AddLinear(string name, string input, long inputs, long units)
    {
        ReadOnlySpan<float> weights = Take(checked(inputs * units));
        string constant = graph.Constant($"{name}.weights", weights, inputs, units);
        return graph.Node(name, "Gemm", input, constant, graph.Constant($"{name}.biases", Take(units), units));
    }

    /// <summary>Adds the layers of each part of an observation, side by side.</summary>
    private string AddParts(Core.Space space, FSharpList<Core.HiddenLayer> architecture, string name, string input)
    {
        // A colon is in no name of a part, and in no other name of a tensor.
        (string Part, Core.Space Space, FSharpList<Core.HiddenLayer> Layers)[] readers =
        [
            .. ArchitectureModule
                .readers(space, architecture)
                .Select(reader => ($"{name}:{reader.Item1}", reader.Item2, reader.Item3)),
        ];
        string[] inputs = [.. readers.Select(reader => reader.Part)];
        graph.SplitColumns(input, inputs, [.. readers.Select(reader => (long)SpaceModule.width(reader.Space))]);
        string[] outputs =
        [
            .. readers.Select(reader =>
                reader.Layers.IsEmpty && SpaceModule.hasIndices(reader.Space)
                    ? AddOneHot(reader.Space, reader.Part)
                    : Add(reader.Space, reader.Layers, reader.Part, $"{reader.Part}:")
            ),
        ];
        return graph.Node(name, "Concat", outputs, ("axis", 1));
    }

    private string AddLayer(Core.HiddenLayer layer, string name, string input, FSharpList<int> shape)
    {
        int inputs = ArrayShapeModule.length(shape);
        ReadOnlySpan<float> own = rest.Span;
        ReadOnlySpan<float> later = own;
        string output = input;
        switch (layer)
        {
            case Core.HiddenLayer.Dense dense:
                return Activate(dense.activation, AddLinear(name, input, inputs, dense.units));
            case Core.HiddenLayer.Convolution convolution:
                output = Activate(
                    convolution.activation,
                    PictureNodes.Convolution(graph, input, name, shape, convolution, own, out later)
                );
                break;
            case Core.HiddenLayer.Pool pool:
                output = PictureNodes.Pool(graph, input, name, shape, pool);
                break;
            case Core.HiddenLayer.Gru gru:
                output = GatedNodes.Gru(graph, input, before.Dequeue(), name, inputs, gru.units, own, out later);
                After.Add(output);
                break;
            case Core.HiddenLayer.Lstm lstm:
                output = AddLstm(lstm.units, name, input, inputs, out later);
                break;
            case { IsLayerNorm: true }:
                output = LayerNormNodes.Add(graph, input, name, inputs, own, out later);
                break;
        }

        rest = rest[^later.Length..];
        return output;
    }

    private string AddLstm(int units, string name, string input, int inputs, out ReadOnlySpan<float> later)
    {
        (string hidden, string cell) = (before.Dequeue(), before.Dequeue());
        var (output, next) = GatedNodes.Lstm(graph, input, hidden, cell, name, inputs, units, rest.Span, out later);
        After.AddRange([output, next]);
        return output;
    }

    /// <summary>
    /// Adds the sum of the rows of the indices of an observation. The tables of its columns follow one another in the parameters.
    /// </summary>
    private string AddEmbedding(Core.Space space, string name, string observation, long units)
    {
        long rows = SpaceModule.indexCount(space);
        string table = graph.Constant($"{name}.table", Take(checked(rows * units)), rows, units);
        string row = AddRows(space, name, observation);
        return AddSum(name, graph.Node($"{name}.rows", "Gather", [table, row], ("axis", 0)));
    }

    /// <summary>Adds as many numbers for each index as it has alternatives: 1 for its own, and 0 for the others.</summary>
    private string AddOneHot(Core.Space space, string observation)
    {
        string name = $"{observation}.oneHot";
        string count = graph.Integers($"{name}.count", SpaceModule.indexCount(space));
        string values = graph.Constant($"{name}.values", [0f, 1f], 2);
        string row = AddRows(space, name, observation);
        return AddSum(name, graph.Node($"{name}.rows", "OneHot", [row, count, values], ("axis", -1)));
    }

    /// <summary>Adds the index of each column, counted from the first index of the first column.</summary>
    private string AddRows(Core.Space space, string name, string observation)
    {
        const int Int64 = (int)Messages.TensorProto.Types.DataType.Int64;
        string index = graph.Node($"{name}.index", "Cast", [observation], ("to", Int64));
        return graph.Node($"{name}.row", "Add", index, graph.Integers($"{name}.firstRows", FirstRows(space)));
    }

    private string AddSum(string name, string ofColumns) =>
        graph.Node(name, "ReduceSum", [ofColumns, graph.Integers($"{name}.columns", 1)], ("keepdims", 0));

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

    /// <summary>Takes the next parameters.</summary>
    private ReadOnlySpan<float> Take(long count)
    {
        ReadOnlySpan<float> taken = rest.Span[..(int)count];
        rest = rest[(int)count..];
        return taken;
    }

    private string Activate(Activation activation, string input) =>
        activation switch
        {
            Activation.Identity => input,
            Activation.Swish => graph.Node($"{input}.swish", "Mul", input, Simple("Sigmoid", input)),
            Activation.Tanh => Simple("Tanh", input),
            Activation.Relu => Simple("Relu", input),
            Activation.Sigmoid => Simple("Sigmoid", input),
            Activation.Elu => Simple("Elu", input),
            Activation.Softplus => Simple("Softplus", input),
            _ => throw new ArgumentOutOfRangeException(nameof(activation), activation, null),
        };

    private string Simple(string operation, string input) => graph.Node($"{input}.{operation}", operation, input);
}
