using System;

namespace FunTrpo.Onnx;

/// <summary>
/// The nodes of layers with memory. They are made of elementary operators, which every engine has: ONNX's own GRU and LSTM take whole
/// sequences, and a model plays one step at a time.
/// </summary>
internal static class GatedNodes
{
    /// <summary>
    /// Adds gated recurrent units: r, z = σ(a + u), n = tanh(a_n + r ⊙ u_n), h' = n + z ⊙ (h − n). Returns h', which is also the memory.
    /// </summary>
    public static string Gru(
        GraphBuilder graph,
        string input,
        string memory,
        string name,
        int inputs,
        int units,
        ReadOnlySpan<float> parameters,
        out ReadOnlySpan<float> rest
    )
    {
        int columns = 3 * units;
        int weights = (inputs + units) * columns;
        ReadOnlySpan<float> biases = parameters[weights..];
        float[] recurrentBiases = new float[columns];
        biases.Slice(columns, units).CopyTo(recurrentBiases.AsSpan(2 * units));
        rest = biases[(columns + units)..];

        string a = Gemm(graph, $"{name}.a", input, inputs, columns, parameters, biases[..columns]);
        ReadOnlySpan<float> recurrent = parameters[(inputs * columns)..];
        string u = Gemm(graph, $"{name}.u", memory, units, columns, recurrent, recurrentBiases);
        string[] ofInput = Split(graph, a, units, "r", "z", "n");
        string[] ofMemory = Split(graph, u, units, "r", "z", "n");
        string r = graph.Node($"{name}.r", "Sigmoid", Add(graph, $"{name}.r.sum", ofInput[0], ofMemory[0]));
        string z = graph.Node($"{name}.z", "Sigmoid", Add(graph, $"{name}.z.sum", ofInput[1], ofMemory[1]));
        string reset = graph.Node($"{name}.reset", "Mul", r, ofMemory[2]);
        string n = graph.Node($"{name}.n", "Tanh", Add(graph, $"{name}.n.sum", ofInput[2], reset));
        string difference = graph.Node($"{name}.difference", "Sub", memory, n);
        return Add(graph, name, n, graph.Node($"{name}.kept", "Mul", z, difference));
    }

    /// <summary>
    /// Adds long short-term memory: i, f, o = σ(s), g = tanh(s), c' = f ⊙ c + i ⊙ g, h' = o ⊙ tanh(c'). Returns h' and c'.
    /// </summary>
    public static (string Output, string Cell) Lstm(
        GraphBuilder graph,
        string input,
        string output,
        string cell,
        string name,
        int inputs,
        int units,
        ReadOnlySpan<float> parameters,
        out ReadOnlySpan<float> rest
    )
    {
        int columns = 4 * units;
        int weights = (inputs + units) * columns;
        rest = parameters[(weights + columns)..];
        string a = Gemm(graph, $"{name}.a", input, inputs, columns, parameters, parameters.Slice(weights, columns));
        ReadOnlySpan<float> recurrent = parameters[(inputs * columns)..];
        string u = Gemm(graph, $"{name}.u", output, units, columns, recurrent, new float[columns]);
        string[] gates = Split(graph, Add(graph, $"{name}.s", a, u), units, "i", "f", "g", "o");
        string i = graph.Node($"{name}.i", "Sigmoid", gates[0]);
        string f = graph.Node($"{name}.f", "Sigmoid", gates[1]);
        string g = graph.Node($"{name}.g", "Tanh", gates[2]);
        string o = graph.Node($"{name}.o", "Sigmoid", gates[3]);
        string kept = graph.Node($"{name}.kept", "Mul", f, cell);
        string next = Add(graph, $"{name}.cell", kept, graph.Node($"{name}.new", "Mul", i, g));
        return (graph.Node(name, "Mul", o, graph.Node($"{name}.tanh", "Tanh", next)), next);
    }

    private static string Add(GraphBuilder graph, string name, string a, string b) => graph.Node(name, "Add", a, b);

    private static string Gemm(
        GraphBuilder graph,
        string name,
        string input,
        int inputs,
        int columns,
        ReadOnlySpan<float> weights,
        ReadOnlySpan<float> biases
    ) =>
        graph.Node(
            name,
            "Gemm",
            input,
            graph.Constant($"{name}.weights", weights[..(inputs * columns)], inputs, columns),
            graph.Constant($"{name}.biases", biases, columns)
        );

    private static string[] Split(GraphBuilder graph, string input, int units, params string[] gates)
    {
        string[] names = Array.ConvertAll(gates, gate => $"{input}.{gate}");
        long[] widths = new long[gates.Length];
        Array.Fill(widths, units);
        graph.SplitColumns(input, names, widths);
        return names;
    }
}
