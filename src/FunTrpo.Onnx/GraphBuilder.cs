using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using FunTrpo.Onnx.Messages;
using Google.Protobuf;

namespace FunTrpo.Onnx;

/// <summary>
/// An ONNX graph that is built from its inputs to its outputs. Tensors are named, and each method returns the name of the tensor that it has
/// added. Inputs and outputs are rows: their first dimension is the batch, which has no fixed size.
/// </summary>
internal sealed class GraphBuilder
{
    private const string Batch = "batch";

    /// <summary>What has been built so far.</summary>
    public GraphProto Graph { get; } = new() { Name = "policy" };

    /// <summary>Adds an input of <paramref name="width"/> float32 numbers for each row.</summary>
    public string Input(string name, long width, string meaning)
    {
        Graph.Input.Add(Rows(name, TensorProto.Types.DataType.Float, width, meaning));
        return name;
    }

    /// <summary>Makes a tensor an output of <paramref name="width"/> float32 numbers for each row.</summary>
    public void Output(string name, long width, string meaning) =>
        Graph.Output.Add(Rows(name, TensorProto.Types.DataType.Float, width, meaning));

    /// <summary>Makes a tensor an output of <paramref name="width"/> integers for each row.</summary>
    public void IndexOutput(string name, long width, string meaning) =>
        Graph.Output.Add(Rows(name, TensorProto.Types.DataType.Int64, width, meaning));

    /// <summary>Adds constant numbers of a shape, row-major.</summary>
    public string Constant(string name, ReadOnlySpan<float> numbers, params ReadOnlySpan<long> shape)
    {
        byte[] bytes = new byte[sizeof(float) * numbers.Length];
        for (int i = 0; i < numbers.Length; i++)
        {
            BinaryPrimitives.WriteSingleLittleEndian(bytes.AsSpan(sizeof(float) * i), numbers[i]);
        }

        return AddConstant(name, TensorProto.Types.DataType.Float, bytes, shape);
    }

    /// <summary>Adds a vector of constant integers.</summary>
    public string Integers(string name, params ReadOnlySpan<long> integers)
    {
        byte[] bytes = new byte[sizeof(long) * integers.Length];
        for (int i = 0; i < integers.Length; i++)
        {
            BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(sizeof(long) * i), integers[i]);
        }

        return AddConstant(name, TensorProto.Types.DataType.Int64, bytes, integers.Length);
    }

    /// <summary>Adds a node that reads tensors and writes one of the name <paramref name="output"/>.</summary>
    public string Node(string output, string operation, params ReadOnlySpan<string> inputs)
    {
        AddNode(operation, inputs, [output]);
        return output;
    }

    /// <summary>Does the same with integer attributes.</summary>
    public string Node(
        string output,
        string operation,
        ReadOnlySpan<string> inputs,
        params ReadOnlySpan<(string Name, long Value)> attributes
    )
    {
        NodeProto node = AddNode(operation, inputs, [output]);
        foreach ((string name, long value) in attributes)
        {
            node.Attribute.Add(
                new AttributeProto
                {
                    Name = name,
                    I = value,
                    Type = AttributeProto.Types.AttributeType.Int,
                }
            );
        }

        return output;
    }

    /// <summary>Does the same with attributes that are lists of integers.</summary>
    public string Node(
        string output,
        string operation,
        ReadOnlySpan<string> inputs,
        (string Name, long[] Values)[] attributes
    )
    {
        NodeProto node = AddNode(operation, inputs, [output]);
        foreach ((string name, long[] values) in attributes)
        {
            AttributeProto attribute = new() { Name = name, Type = AttributeProto.Types.AttributeType.Ints };
            attribute.Ints.AddRange(values);
            node.Attribute.Add(attribute);
        }

        return output;
    }

    /// <summary>Splits the columns of a tensor into consecutive parts of these widths, one for each name.</summary>
    public void SplitColumns(string input, ReadOnlySpan<string> outputs, ReadOnlySpan<long> widths)
    {
        NodeProto node = AddNode("Split", [input, Integers($"{input}.widths", widths)], outputs);
        node.Attribute.Add(
            new AttributeProto
            {
                Name = "axis",
                I = 1,
                Type = AttributeProto.Types.AttributeType.Int,
            }
        );
    }

    private NodeProto AddNode(string operation, ReadOnlySpan<string> inputs, ReadOnlySpan<string> outputs)
    {
        NodeProto node = new() { Name = outputs[0], OpType = operation };
        node.Input.AddRange(inputs);
        node.Output.AddRange(outputs);
        Graph.Node.Add(node);
        return node;
    }

    private string AddConstant(
        string name,
        TensorProto.Types.DataType type,
        byte[] bytes,
        params ReadOnlySpan<long> shape
    )
    {
        TensorProto tensor = new()
        {
            Name = name,
            DataType = (int)type,
            RawData = UnsafeByteOperations.UnsafeWrap(bytes),
        };
        tensor.Dims.AddRange(shape);
        Graph.Initializer.Add(tensor);
        return name;
    }

    private static ValueInfoProto Rows(string name, TensorProto.Types.DataType type, long width, string meaning) =>
        new()
        {
            Name = name,
            DocString = meaning,
            Type = new()
            {
                TensorType = new()
                {
                    ElemType = (int)type,
                    Shape = new() { Dim = { new[] { Named(Batch), Fixed(width) } } },
                },
            },
        };

    private static TensorShapeProto.Types.Dimension Named(string name) => new() { DimParam = name };

    private static TensorShapeProto.Types.Dimension Fixed(long size) => new() { DimValue = size };
}
