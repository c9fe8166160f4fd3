using System;
using System.Collections.Generic;
using System.Linq;
using Core = FunTrpo;

namespace FunTrpo.Onnx;

/// <summary>
/// The nodes from the outputs of the network to the outputs of the model, as <c>Distribution.fs</c> and <c>Policy.fs</c> compute them.
/// </summary>
internal static class HeadNodes
{
    /// <summary>What the network's outputs are called before a mask.</summary>
    private const string NetworkOutputOfMasked = "logits.all";

    /// <summary>What the network's outputs are called.</summary>
    public static string NetworkOutput(Core.Policy policy)
    {
        bool isContinuous = policy.ActionSpace.IsBox;
        return policy.ObservationSpace.IsMasked ? NetworkOutputOfMasked
            : !isContinuous ? "logits"
            : policy.IsScaled ? "drawnMean"
            : "mean";
    }

    /// <summary>Adds the nodes after the network, and the outputs.</summary>
    public static void Add(GraphBuilder graph, Core.Actor actor)
    {
        if (actor.Policy.ObservationSpace is Core.Space.Masked masked)
        {
            AddMask(graph, masked.counts.Sum(count => (long)count));
        }

        switch (actor.Policy.ActionSpace)
        {
            case Core.Space.Box box:
                AddGaussian(graph, actor, box);
                break;
            case Core.Space.MultiBinary switches:
                AddSwitches(graph, switches.count);
                break;
            case Core.Space.MultiDiscrete choices:
                AddChoices(graph, [.. choices.counts.Select(count => (long)count)]);
                break;
            case Core.Space.Discrete choice:
                AddChoices(graph, [choice.count]);
                break;
        }
    }

    /// <summary>
    /// Replaces the logits of illegal actions by the lowest float32, as <c>MaskedLayers.fs</c> does: logit · legal + (legal − 1) · highest.
    /// These are float32, because not every engine has inputs of type bool.
    /// </summary>
    private static void AddMask(GraphBuilder graph, long width)
    {
        string legal = graph.Input(
            "legal",
            width,
            "1 for each action that is legal and 0 for the others, choice after choice"
        );
        string kept = graph.Node("logits.kept", "Mul", NetworkOutputOfMasked, legal);
        string isIllegal = graph.Node("legal.less", "Sub", legal, graph.Constant("one", [1f]));
        string lowest = graph.Node("logits.lowest", "Mul", isIllegal, graph.Constant("highest", [float.MaxValue]));
        graph.Node("logits", "Add", kept, lowest);
    }

    /// <summary>Several choices, each with a softmax over logits of its own. The logits are ordered choice after choice.</summary>
    private static void AddChoices(GraphBuilder graph, long[] counts)
    {
        if (counts.Length == 1)
        {
            AddChoice(graph, "logits", "probabilities", "action");
        }
        else
        {
            string[] logits = Names("logits");
            string[] probabilities = Names("probabilities");
            string[] actions = Names("action");
            graph.SplitColumns("logits", logits, counts);
            for (int i = 0; i < counts.Length; i++)
            {
                AddChoice(graph, logits[i], probabilities[i], actions[i]);
            }

            graph.Node("probabilities", "Concat", probabilities, ("axis", 1));
            graph.Node("action", "Concat", actions, ("axis", 1));
        }

        AddOutputs(graph, counts.Length, counts.Sum());

        string[] Names(string name) => [.. counts.Select((_, i) => $"{name}.{i}")];
    }

    private static void AddChoice(GraphBuilder graph, string logits, string probabilities, string action)
    {
        graph.Node(probabilities, "Softmax", [logits], ("axis", 1));
        // The first of the largest logits, as in Distribution.fs.
        graph.Node(action, "ArgMax", [logits], ("axis", 1), ("keepdims", 1));
    }

    /// <summary>Independent switches: choices of two alternatives each, so many that they are not split.</summary>
    private static void AddSwitches(GraphBuilder graph, long count)
    {
        string pairs = graph.Node("pairs", "Reshape", "logits", graph.Integers("pairs.shape", -1, count, 2));
        string softmax = graph.Node("pairs.softmax", "Softmax", [pairs], ("axis", 2));
        graph.Node("probabilities", "Reshape", softmax, graph.Integers("probabilities.shape", -1, 2 * count));
        graph.Node("action", "ArgMax", [pairs], ("axis", 2), ("keepdims", 0));
        AddOutputs(graph, count, 2 * count);
    }

    private static void AddOutputs(GraphBuilder graph, long actions, long logits)
    {
        graph.IndexOutput("action", actions, "The most probable action: an index for each choice");
        graph.Output("logits", logits, "The logits of the alternatives, choice after choice");
        graph.Output("probabilities", logits, "The probabilities of the alternatives, choice after choice");
    }

    /// <summary>Independent normal distributions, in the units of the action space. The action is the mean, clipped to the space.</summary>
    private static void AddGaussian(GraphBuilder graph, Core.Actor actor, Core.Space.Box box)
    {
        int width = box.low.Length;
        (float[] middle, float[] half) = Units(actor.Policy, box);
        if (actor.Policy.IsScaled)
        {
            string scaled = graph.Node("scaledMean", "Mul", "drawnMean", graph.Constant("halfWidth", half, width));
            graph.Node("mean", "Add", scaled, graph.Constant("middle", middle, width));
        }

        string low = graph.Constant("low", Finite(box.low), width);
        string high = graph.Constant("high", Finite(box.high), width);
        graph.Node("action", "Min", graph.Node("atLeastLow", "Max", "mean", low), high);

        string deviations = graph.Constant("deviations", Deviations(actor, half), 1, width);
        graph.Node("std", "Expand", deviations, graph.Node("mean.shape", "Shape", "mean"));

        graph.Output("action", width, "The most probable action: the mean, clipped to the action space");
        graph.Output("mean", width, "The mean of each coordinate, in its own unit");
        graph.Output("std", width, "The standard deviation of each coordinate before clipping, in its own unit");
    }

    /// <summary>
    /// The middle and half the width of each coordinate, which map drawn actions to the units of the space: 0 and 1 if actions are not
    /// scaled, or a bound is infinite.
    /// </summary>
    private static (float[] Middle, float[] Half) Units(Core.Policy policy, Core.Space.Box box)
    {
        float[] middle = new float[box.low.Length];
        float[] half = new float[box.low.Length];
        for (int i = 0; i < middle.Length; i++)
        {
            var scaling = SpaceModule.scaling(box.low, box.high, i);
            (middle[i], half[i]) =
                policy.IsScaled && scaling.IsSome ? ((float)scaling.Value.Item1, (float)scaling.Value.Item2) : (0f, 1f);
        }

        return (middle, half);
    }

    private static float[] Deviations(Core.Actor actor, float[] half)
    {
        ReadOnlySpan<float> logSigmas = PolicyModule.logSigmas(actor.Policy, actor.Parameters).Span;
        float[] deviations = new float[half.Length];
        for (int i = 0; i < half.Length; i++)
        {
            double deviation = half[i] * Math.Exp(Core.Distribution.boundLogSigma(logSigmas[i]));
            deviations[i] = (float)Math.Min(deviation, float.MaxValue);
        }

        return deviations;
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
