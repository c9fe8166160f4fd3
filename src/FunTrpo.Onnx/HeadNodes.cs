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
        policy.ObservationSpace.IsMasked ? NetworkOutputOfMasked : Unmasked(policy);

    /// <summary>What the network's outputs for an action without parts, or for a part, are called.</summary>
    public static string NetworkOutput(Core.Policy policy, Core.Space space, HeadNames names) =>
        space.IsBox ? BoxNodes.NetworkOutput(policy, names) : names.Output("logits");

    /// <summary>Adds the nodes after the network, and the outputs.</summary>
    public static void Add(GraphBuilder graph, Core.Actor actor)
    {
        if (actor.Policy.ObservationSpace is Core.Space.Masked masked)
        {
            AddMask(graph, masked.counts.Sum(count => (long)count), Unmasked(actor.Policy));
        }

        HeadNames names = HeadNames.Whole;
        switch (actor.Policy.ActionSpace)
        {
            case Core.Space.Parts:
                PartsNodes.Add(graph, actor, Unmasked(actor.Policy));
                break;
            case Core.Space.Box box:
                graph.Output("action", box.low.Length, BoxNodes.ActionMeaning(actor.Policy));
                BoxNodes.Add(graph, actor, box, names, "action", 0);
                break;
            case Core.Space space:
                graph.IndexOutput(
                    "action",
                    SpaceModule.width(space),
                    "The most probable action: an index for each choice"
                );
                AddChoices(graph, space, names, "action");
                break;
        }
    }

    /// <summary>Adds the most probable action of choices or switches, and the outputs for their logits and probabilities.</summary>
    public static void AddChoices(GraphBuilder graph, Core.Space space, HeadNames names, string action)
    {
        (string logits, string probabilities) = (names.Output("logits"), names.Output("probabilities"));
        long width;
        switch (space)
        {
            case Core.Space.MultiBinary switches:
                AddSwitches(graph, switches.count, names, action);
                width = 2L * switches.count;
                break;
            case Core.Space.MultiDiscrete choices when choices.counts.Length > 1:
                AddSeveral(graph, [.. choices.counts.Select(count => (long)count)], names, action);
                width = SpaceModule.indexCount(space);
                break;
            default:
                AddChoice(graph, logits, probabilities, action);
                width = SpaceModule.indexCount(space);
                break;
        }

        graph.Output(logits, width, "The logits of the alternatives, choice after choice");
        graph.Output(probabilities, width, "The probabilities of the alternatives, choice after choice");
    }

    private static string Unmasked(Core.Policy policy) =>
        policy.ActionSpace.IsParts ? "outputs" : NetworkOutput(policy, policy.ActionSpace, HeadNames.Whole);

    /// <summary>
    /// Replaces the logits of illegal actions by the lowest float32, as <c>MaskedLayers.fs</c> does: logit · legal + (legal − 1) · highest.
    /// These are float32, because not every engine has inputs of type bool.
    /// </summary>
    private static void AddMask(GraphBuilder graph, long width, string output)
    {
        string legal = graph.Input(
            "legal",
            width,
            "1 for each action that is legal and 0 for the others, choice after choice"
        );
        string kept = graph.Node("logits.kept", "Mul", NetworkOutputOfMasked, legal);
        string isIllegal = graph.Node("legal.less", "Sub", legal, graph.Constant("one", [1f]));
        string lowest = graph.Node("logits.lowest", "Mul", isIllegal, graph.Constant("highest", [float.MaxValue]));
        graph.Node(output, "Add", kept, lowest);
    }

    /// <summary>Several choices, each with a softmax over logits of its own. The logits are ordered choice after choice.</summary>
    private static void AddSeveral(GraphBuilder graph, long[] counts, HeadNames names, string action)
    {
        string[] logits = Names("logits");
        string[] probabilities = Names("probabilities");
        string[] actions = Names("action");
        graph.SplitColumns(names.Output("logits"), logits, counts);
        for (int i = 0; i < counts.Length; i++)
        {
            AddChoice(graph, logits[i], probabilities[i], actions[i]);
        }

        graph.Node(names.Output("probabilities"), "Concat", probabilities, ("axis", 1));
        graph.Node(action, "Concat", actions, ("axis", 1));

        string[] Names(string name) => [.. counts.Select((_, i) => names.Inner($"{name}.{i}"))];
    }

    private static void AddChoice(GraphBuilder graph, string logits, string probabilities, string action)
    {
        graph.Node(probabilities, "Softmax", [logits], ("axis", 1));
        // The first of the largest logits, as in Distribution.fs.
        graph.Node(action, "ArgMax", [logits], ("axis", 1), ("keepdims", 1));
    }

    /// <summary>Independent switches: choices of two alternatives each, so many that they are not split.</summary>
    private static void AddSwitches(GraphBuilder graph, long count, HeadNames names, string action)
    {
        string shape = graph.Integers(names.Inner("pairs.shape"), -1, count, 2);
        string pairs = graph.Node(names.Inner("pairs"), "Reshape", names.Output("logits"), shape);
        string softmax = graph.Node(names.Inner("pairs.softmax"), "Softmax", [pairs], ("axis", 2));
        string row = graph.Integers(names.Inner("probabilities.shape"), -1, 2 * count);
        graph.Node(names.Output("probabilities"), "Reshape", softmax, row);
        graph.Node(action, "ArgMax", [pairs], ("axis", 2), ("keepdims", 0));
    }
}
