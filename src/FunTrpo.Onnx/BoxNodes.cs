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
    public static string NetworkOutput(Core.Policy policy, HeadNames names) =>
        HasLogSigmas(policy) || policy.Distribution.IsBeta ? names.Inner("outputs") : MeanOutput(policy, names);

    /// <summary>What the most probable action is.</summary>
    public static string ActionMeaning(Core.Policy policy) =>
        policy.Distribution.IsBeta ? "The most probable action: the mode of each Beta distribution"
        : policy.Distribution.IsSquashedGaussian ? "The median action: middle + half-width * tanh(latentMean)"
        : "The most probable action: the mean, clipped to the action space";

    /// <summary>
    /// Adds the nodes after the network, and the outputs for the distribution. The box's state-independent log σ, if there are any, begin at this
    /// one.
    /// </summary>
    public static void Add(
        GraphBuilder graph,
        Core.Actor actor,
        Core.Space.Box box,
        HeadNames names,
        string action,
        int firstLogSigma
    )
    {
        BoxUnits units = new(graph, actor.Policy, box, names);
        if (actor.Policy.Distribution.IsBeta)
        {
            AddBetas(graph, units, names, action);
            return;
        }

        if (HasLogSigmas(actor.Policy))
        {
            string[] halves = [MeanOutput(actor.Policy, names), names.Inner("logSigma")];
            graph.SplitColumns(names.Inner("outputs"), halves, [units.Width, units.Width]);
        }

        if (actor.Policy.Distribution.IsSquashedGaussian)
        {
            AddSquashed(graph, units, names, action);
        }
        else
        {
            AddGaussian(graph, actor.Policy, units, names, action);
        }

        AddDeviations(graph, actor, units, names, firstLogSigma);
    }

    /// <summary>Whether the network's outputs are the means and then the log σ.</summary>
    private static bool HasLogSigmas(Core.Policy policy) => policy.Distribution.IsStateDependentGaussian;

    /// <summary>What the means are called before they are in the units of the action space.</summary>
    private static string MeanOutput(Core.Policy policy, HeadNames names) =>
        policy.Distribution.IsSquashedGaussian ? names.Output("latentMean")
        : policy.IsScaled ? names.Inner("drawnMean")
        : names.Output("mean");

    /// <summary>Independent normal distributions, in the units of the action space. The action is the mean, clipped to the space.</summary>
    private static void AddGaussian(
        GraphBuilder graph,
        Core.Policy policy,
        BoxUnits units,
        HeadNames names,
        string action
    )
    {
        string mean = names.Output("mean");
        if (policy.IsScaled)
        {
            units.ToUnits(mean, names.Inner("drawnMean"));
        }

        units.Clip(action, mean);
        graph.Output(mean, units.Width, "The mean of each coordinate, in its own unit");
    }

    /// <summary>The tanh of normally distributed numbers u, in half-widths of the box. The action is that of the mean of u.</summary>
    private static void AddSquashed(GraphBuilder graph, BoxUnits units, HeadNames names, string action)
    {
        string mean = names.Output("latentMean");
        string squashed = graph.Node(names.Inner("squashedMean"), "Tanh", mean);
        units.Clip(action, units.ToUnits(names.Inner("unclipped"), squashed));
        graph.Output(mean, units.Width, "The mean of u, where an action is middle + half-width * tanh(u)");
    }

    /// <summary>Beta distributions between the bounds. The action is the mode.</summary>
    private static void AddBetas(GraphBuilder graph, BoxUnits units, HeadNames names, string action)
    {
        string low = graph.Constant(names.Inner("lowestOutput"), [Core.BetaFamily.lowestOutput]);
        string high = graph.Constant(names.Inner("highestOutput"), [Core.BetaFamily.highestOutput]);
        string bounded = graph.Node(names.Inner("bounded"), "Clip", names.Inner("outputs"), low, high);
        string excess = graph.Node(names.Inner("excess"), "Softplus", bounded);
        string[] excesses = [names.Inner("excessAlpha"), names.Inner("excessBeta")];
        graph.SplitColumns(excess, excesses, [units.Width, units.Width]);
        string one = graph.Constant(names.Inner("one"), [1f]);
        string alpha = graph.Node(names.Output("alpha"), "Add", excesses[0], one);
        string beta = graph.Node(names.Output("beta"), "Add", excesses[1], one);

        // In half-widths from the middle, the mode is (α − β) / (α + β − 2) and the mean is (α − β) / (α + β).
        string difference = graph.Node(names.Inner("difference"), "Sub", excesses[0], excesses[1]);
        string sum = graph.Node(names.Inner("excesses"), "Add", excesses[0], excesses[1]);
        string total = graph.Node(names.Inner("total"), "Add", alpha, beta);
        string mode = graph.Node(names.Inner("mode.scaled"), "Div", difference, sum);
        units.Clip(action, units.ToUnits(names.Inner("mode"), mode));
        string mean = names.Output("mean");
        units.ToUnits(mean, graph.Node(names.Inner("mean.scaled"), "Div", difference, total));

        // The standard deviation is 2 √(α/(α + β) · β/(α + β) / (α + β + 1)) half-widths.
        string ofAlpha = graph.Node(names.Inner("share.alpha"), "Div", alpha, total);
        string ofBeta = graph.Node(names.Inner("share.beta"), "Div", beta, total);
        string product = graph.Node(names.Inner("shares"), "Mul", ofAlpha, ofBeta);
        string totalAndOne = graph.Node(names.Inner("total.one"), "Add", total, one);
        string variance = graph.Node(names.Inner("variance"), "Div", product, totalAndOne);
        string root = graph.Node(names.Inner("variance.root"), "Sqrt", variance);
        string deviation = names.Output("std");
        units.Distance(deviation, graph.Node(names.Inner("std.scaled"), "Add", root, root));

        graph.Output(alpha, units.Width, "The alpha of each coordinate's Beta distribution between its bounds");
        graph.Output(beta, units.Width, "The beta of each coordinate's Beta distribution between its bounds");
        graph.Output(mean, units.Width, "The mean of each coordinate, in its own unit");
        graph.Output(deviation, units.Width, "The standard deviation of each coordinate, in its own unit");
    }

    /// <summary>Adds the standard deviations of a Gaussian, for as many rows as there are means.</summary>
    private static void AddDeviations(
        GraphBuilder graph,
        Core.Actor actor,
        BoxUnits units,
        HeadNames names,
        int firstLogSigma
    )
    {
        bool isSquashed = actor.Policy.Distribution.IsSquashedGaussian;
        string deviation = names.Output(isSquashed ? "latentStd" : "std");
        if (HasLogSigmas(actor.Policy))
        {
            string low = graph.Constant(names.Inner("lowestLogSigma"), [Core.Distribution.lowestLogSigma]);
            string high = graph.Constant(names.Inner("highestLogSigma"), [Core.Distribution.highestLogSigma]);
            string logSigma = names.Inner("logSigma");
            string bounded = graph.Node(names.Inner("logSigma.bounded"), "Clip", logSigma, low, high);
            units.Distance(deviation, graph.Node(names.Inner("sigma"), "Exp", bounded));
        }
        else
        {
            float[] numbers = Deviations(actor, units, firstLogSigma);
            string deviations = graph.Constant(names.Inner("deviations"), numbers, 1, units.Width);
            string mean = isSquashed ? "latentMean" : "mean";
            string shape = graph.Node(names.Inner($"{mean}.shape"), "Shape", names.Output(mean));
            graph.Node(deviation, "Expand", deviations, shape);
        }

        graph.Output(
            deviation,
            units.Width,
            isSquashed
                ? "The standard deviation of u"
                : "The standard deviation of each coordinate before clipping, in its own unit"
        );
    }

    private static float[] Deviations(Core.Actor actor, BoxUnits units, int firstLogSigma)
    {
        ReadOnlySpan<float> logSigmas = PolicyModule.logSigmas(actor.Policy, actor.Parameters).Span[firstLogSigma..];
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
