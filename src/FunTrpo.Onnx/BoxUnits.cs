using System;
using Core = FunTrpo;

namespace FunTrpo.Onnx;

/// <summary>
/// The units of the coordinates of a box: the middle and half the width of each, which map numbers of a policy to actions. They are 0 and 1 if
/// these numbers are not scaled, or a bound is infinite.
/// </summary>
internal sealed class BoxUnits
{
    private readonly GraphBuilder graph;
    private readonly Core.Space.Box box;
    private readonly HeadNames names;
    private readonly float[] middle;
    private string? halfConstant;
    private string? middleConstant;

    public BoxUnits(GraphBuilder graph, Core.Policy policy, Core.Space.Box box, HeadNames names)
    {
        this.graph = graph;
        this.names = names;
        this.box = box;
        middle = new float[box.low.Length];
        Half = new float[box.low.Length];
        bool isScaled = policy.IsScaled || Core.Distribution.isSquashed(policy.Distribution);
        for (int i = 0; i < middle.Length; i++)
        {
            var scaling = SpaceModule.scaling(box.low, box.high, i);
            (middle[i], Half[i]) =
                isScaled && scaling.IsSome ? ((float)scaling.Value.Item1, (float)scaling.Value.Item2) : (0f, 1f);
        }
    }

    /// <summary>The number of coordinates.</summary>
    public int Width => middle.Length;

    /// <summary>Half the width of each coordinate.</summary>
    public float[] Half { get; }

    /// <summary>Adds nodes that map scaled numbers to the units of the coordinates.</summary>
    public string ToUnits(string output, string scaled)
    {
        string distance = Distance($"{output}.distance", scaled);
        middleConstant ??= graph.Constant(names.Inner("middle"), middle, Width);
        return graph.Node(output, "Add", distance, middleConstant);
    }

    /// <summary>Adds a node that maps scaled distances to the units of the coordinates.</summary>
    public string Distance(string output, string scaled)
    {
        halfConstant ??= graph.Constant(names.Inner("halfWidth"), Half, Width);
        return graph.Node(output, "Mul", scaled, halfConstant);
    }

    /// <summary>Adds nodes that clip actions to the box.</summary>
    public string Clip(string output, string action)
    {
        string low = graph.Constant(names.Inner("low"), Finite(box.low), Width);
        string high = graph.Constant(names.Inner("high"), Finite(box.high), Width);
        return graph.Node(output, "Min", graph.Node(names.Inner("atLeastLow"), "Max", action, low), high);
    }

    /// <summary>Bounds with the largest float32 in place of an infinity, which not every engine has.</summary>
    private static float[] Finite(Core.Vector bounds)
    {
        float[] finite = bounds.Span.ToArray();
        for (int i = 0; i < finite.Length; i++)
        {
            finite[i] = Math.Clamp(finite[i], float.MinValue, float.MaxValue);
        }

        return finite;
    }
}
