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
    public static string NetworkOutput(Core.Policy policy) =>
        policy.ObservationSpace.IsMasked ? NetworkOutputOfMasked
        : !policy.ActionSpace.IsBox ? "logits"
        : BoxNodes.NetworkOutput(policy);

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
                BoxNodes.Add(graph, actor, box);
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
}
