using System;

namespace FunTrpo.Onnx;

/// <summary>The nodes of layer normalisation. ONNX has an operator for it only from version 17 on, so it is made of older ones.</summary>
internal static class LayerNormNodes
{
    /// <summary>Adds g ⊙ (x − μ) / √(σ² + 10⁻⁵) + b. The parameters are g and then b.</summary>
    public static string Add(
        GraphBuilder graph,
        string input,
        string name,
        int width,
        ReadOnlySpan<float> parameters,
        out ReadOnlySpan<float> rest
    )
    {
        rest = parameters[(2 * width)..];
        string mean = graph.Node($"{name}.average", "ReduceMean", [input], [("axes", [1])]);
        string deviation = graph.Node($"{name}.deviation", "Sub", input, mean);
        string square = graph.Node($"{name}.square", "Mul", deviation, deviation);
        string variance = graph.Node($"{name}.variance", "ReduceMean", [square], [("axes", [1])]);
        string epsilon = graph.Constant($"{name}.epsilon", [(float)Kernels.LayerNorm.Epsilon]);
        string root = graph.Node($"{name}.root", "Sqrt", graph.Node($"{name}.sum", "Add", variance, epsilon));
        string normalised = graph.Node($"{name}.normalised", "Div", deviation, root);
        string gains = graph.Constant($"{name}.gains", parameters[..width], width);
        string shifts = graph.Constant($"{name}.shifts", parameters.Slice(width, width), width);
        return graph.Node(name, "Add", graph.Node($"{name}.scaled", "Mul", normalised, gains), shifts);
    }
}
