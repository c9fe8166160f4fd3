using System;
using Core = FunTrpo;

namespace FunTrpo.Onnx;

/// <summary>
/// The nodes from the outputs of the network to actions in a box, as <c>Distribution.fs</c>, <c>BetaFamily.fs</c> and <c>Policy.fs</c> compute
/// them.
/// </summary>
internal static class BoxNodes
{
    /// <summary>What the network's outputs are called.</summary>
    public static string NetworkOutput(Core.Policy policy) =>
        HasLogSigmas(policy) || policy.Distribution.IsBeta ? "outputs" : MeanOutput(policy);

    /// <summary>Adds the nodes after the network, and the outputs.</summary>
    public static void Add(GraphBuilder graph, Core.Actor actor, Core.Space.Box box)
    {
        BoxUnits units = new(graph, actor.Policy, box);
        if (actor.Policy.Distribution.IsBeta)
        {
            AddBetas(graph, units);
            return;
        }

        if (HasLogSigmas(actor.Policy))
        {
            graph.SplitColumns("outputs", [MeanOutput(actor.Policy), "logSigma"], [units.Width, units.Width]);
        }

        if (actor.Policy.Distribution.IsSquashedGaussian)
        {
            AddSquashed(graph, actor, units);
        }
        else
        {
            AddGaussian(graph, actor, units);
        }
    }

    /// <summary>Whether the network's outputs are the means and then the log σ.</summary>
    private static bool HasLogSigmas(Core.Policy policy) => policy.Distribution.IsStateDependentGaussian;

    /// <summary>What the means are called before they are in the units of the action space.</summary>
    private static string MeanOutput(Core.Policy policy) =>
        policy.Distribution.IsSquashedGaussian ? "latentMean"
        : policy.IsScaled ? "drawnMean"
        : "mean";

    /// <summary>Independent normal distributions, in the units of the action space. The action is the mean, clipped to the space.</summary>
    private static void AddGaussian(GraphBuilder graph, Core.Actor actor, BoxUnits units)
    {
        if (actor.Policy.IsScaled)
        {
            units.ToUnits("mean", "drawnMean");
        }

        units.Clip("action", "mean");
        AddDeviations(graph, actor, units, "std", "mean");
        graph.Output("action", units.Width, "The most probable action: the mean, clipped to the action space");
        graph.Output("mean", units.Width, "The mean of each coordinate, in its own unit");
        graph.Output("std", units.Width, "The standard deviation of each coordinate before clipping, in its own unit");
    }

    /// <summary>The tanh of normally distributed numbers u, in half-widths of the box. The action is that of the mean of u.</summary>
    private static void AddSquashed(GraphBuilder graph, Core.Actor actor, BoxUnits units)
    {
        graph.Node("squashedMean", "Tanh", "latentMean");
        units.Clip("action", units.ToUnits("unclipped", "squashedMean"));
        AddDeviations(graph, actor, units, "latentStd", "latentMean");
        graph.Output("action", units.Width, "The median action: middle + half-width * tanh(latentMean)");
        graph.Output("latentMean", units.Width, "The mean of u, where an action is middle + half-width * tanh(u)");
        graph.Output("latentStd", units.Width, "The standard deviation of u");
    }

    /// <summary>Beta distributions between the bounds. The action is the mode.</summary>
    private static void AddBetas(GraphBuilder graph, BoxUnits units)
    {
        string low = graph.Constant("lowestOutput", [Core.BetaFamily.lowestOutput]);
        string high = graph.Constant("highestOutput", [Core.BetaFamily.highestOutput]);
        string excess = graph.Node("excess", "Softplus", graph.Node("bounded", "Clip", "outputs", low, high));
        graph.SplitColumns(excess, ["excessAlpha", "excessBeta"], [units.Width, units.Width]);
        string one = graph.Constant("one", [1f]);
        graph.Node("alpha", "Add", "excessAlpha", one);
        graph.Node("beta", "Add", "excessBeta", one);

        // In half-widths from the middle, the mode is (α − β) / (α + β − 2) and the mean is (α − β) / (α + β).
        string difference = graph.Node("difference", "Sub", "excessAlpha", "excessBeta");
        string excesses = graph.Node("excesses", "Add", "excessAlpha", "excessBeta");
        string total = graph.Node("total", "Add", "alpha", "beta");
        units.Clip("action", units.ToUnits("mode", graph.Node("mode.scaled", "Div", difference, excesses)));
        units.ToUnits("mean", graph.Node("mean.scaled", "Div", difference, total));

        // The standard deviation is 2 √(α/(α + β) · β/(α + β) / (α + β + 1)) half-widths.
        string ofAlpha = graph.Node("share.alpha", "Div", "alpha", total);
        string ofBeta = graph.Node("share.beta", "Div", "beta", total);
        string product = graph.Node("shares", "Mul", ofAlpha, ofBeta);
        string variance = graph.Node("variance", "Div", product, graph.Node("total.one", "Add", total, one));
        string root = graph.Node("variance.root", "Sqrt", variance);
        units.Distance("std", graph.Node("std.scaled", "Add", root, root));

        graph.Output("action", units.Width, "The most probable action: the mode of each Beta distribution");
        graph.Output("alpha", units.Width, "The alpha of each coordinate's Beta distribution between its bounds");
        graph.Output("beta", units.Width, "The beta of each coordinate's Beta distribution between its bounds");
        graph.Output("mean", units.Width, "The mean of each coordinate, in its own unit");
        graph.Output("std", units.Width, "The standard deviation of each coordinate, in its own unit");
    }

    /// <summary>Adds the standard deviations, for as many rows as a tensor has.</summary>
    private static void AddDeviations(GraphBuilder graph, Core.Actor actor, BoxUnits units, string name, string rows)
    {
        if (HasLogSigmas(actor.Policy))
        {
            string low = graph.Constant("lowestLogSigma", [Core.Distribution.lowestLogSigma]);
            string high = graph.Constant("highestLogSigma", [Core.Distribution.highestLogSigma]);
            string bounded = graph.Node("logSigma.bounded", "Clip", "logSigma", low, high);
            units.Distance(name, graph.Node("sigma", "Exp", bounded));
            return;
        }

        string deviations = graph.Constant("deviations", Deviations(actor, units), 1, units.Width);
        graph.Node(name, "Expand", deviations, graph.Node($"{rows}.shape", "Shape", rows));
    }

    private static float[] Deviations(Core.Actor actor, BoxUnits units)
    {
        ReadOnlySpan<float> logSigmas = PolicyModule.logSigmas(actor.Policy, actor.Parameters).Span;
        float[] deviations = new float[units.Width];
        for (int i = 0; i < deviations.Length; i++)
        {
            float half = actor.Policy.Distribution.IsSquashedGaussian ? 1f : units.Half[i];
            double deviation = half * Math.Exp(Core.Distribution.boundLogSigma(logSigmas[i]));
            deviations[i] = (float)Math.Min(deviation, float.MaxValue);
        }

        return deviations;
    }
}
