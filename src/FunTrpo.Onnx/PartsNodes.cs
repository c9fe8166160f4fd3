using System;
using System.Collections.Generic;
using System.Linq;
using Core = FunTrpo;

namespace FunTrpo.Onnx;

/// <summary>
/// The nodes from the outputs of the network to the actions of parts, as <c>ProductFamily.fs</c> computes them. The parts are those without
/// parts of their own.
/// </summary>
internal sealed class PartsNodes
{
    private readonly List<(HeadNames Names, Core.Space Space)> parts = [];
    private readonly GraphBuilder graph;
    private readonly Core.Actor actor;
    private int firstLogSigma;

    private PartsNodes(GraphBuilder graph, Core.Actor actor)
    {
        this.graph = graph;
        this.actor = actor;
    }

    /// <summary>Adds the nodes after the outputs of the network, and the outputs of the model.</summary>
    public static void Add(GraphBuilder graph, Core.Actor actor, string networkOutput)
    {
        PartsNodes nodes = new(graph, actor);
        nodes.Collect(HeadNames.Whole, actor.Policy.ActionSpace);
        nodes.Add(networkOutput);
    }

    private void Collect(HeadNames names, Core.Space space)
    {
        if (space is Core.Space.Parts several)
        {
            foreach (Tuple<string, Core.Space> part in several.Item)
            {
                Collect(names.Part(part.Item1), part.Item2);
            }
        }
        else
        {
            parts.Add((names, space));
        }
    }

    private void Add(string networkOutput)
    {
        string[] outputs = [.. parts.Select(part => HeadNodes.NetworkOutput(actor.Policy, part.Space, part.Names))];
        graph.SplitColumns(networkOutput, outputs, [.. parts.Select(part => Sizes(part.Space).Outputs)]);

        // An action with coordinates is one of float32, also where it holds indices.
        bool hasBox = Core.Distribution.hasDensity(actor.Policy.ActionSpace);
        const string Meaning = "The most probable action: that of each part, one after the other";
        int width = SpaceModule.width(actor.Policy.ActionSpace);
        if (hasBox)
        {
            graph.Output("action", width, Meaning);
        }
        else
        {
            graph.IndexOutput("action", width, Meaning);
        }

        string[] actions = [.. parts.Select(part => AddPart(part.Names, part.Space, hasBox))];
        graph.Node("action", "Concat", actions, ("axis", 1));
    }

    /// <summary>Adds the nodes of a part. Returns its most probable action.</summary>
    private string AddPart(HeadNames names, Core.Space space, bool isFloat)
    {
        const int Float = (int)Messages.TensorProto.Types.DataType.Float;
        string action = names.Inner("action");
        if (space is Core.Space.Box box)
        {
            BoxNodes.Add(graph, actor, box, names, action, firstLogSigma);
            firstLogSigma += (int)Sizes(space).StateIndependent;
            return action;
        }

        HeadNodes.AddChoices(graph, space, names, action);
        return isFloat ? graph.Node(names.Inner("action.float32"), "Cast", [action], ("to", Float)) : action;
    }

    private (long Outputs, long StateIndependent) Sizes(Core.Space space)
    {
        (long outputs, long stateIndependent) = Core.Distribution.sizes(actor.Policy.Distribution, space);
        return (outputs, stateIndependent);
    }
}
