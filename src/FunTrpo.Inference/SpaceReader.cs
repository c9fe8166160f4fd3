using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;

namespace FunTrpo.Inference;

/// <summary>Reads the spaces of a policy's file.</summary>
internal static class SpaceReader
{
    /// <summary>Returns the space of a member, such as <c>actionSpace</c>.</summary>
    public static Space Read(JsonNode root, string name) => OfNode(root[name], name, 0);

    /// <summary>
    /// Returns the space of observations, and the number of values in their mask, which must be for the actions; 0 without one.
    /// </summary>
    public static Space ReadObservations(JsonNode root, string name, Space actions, out int maskWidth)
    {
        JsonNode node = root[name];
        maskWidth = 0;
        if (node.Text("kind") != "Masked")
        {
            return OfNode(node, name, 0);
        }

        Space observed = OfNode(node["observed"], name, 0);
        Space counts = Counted(SpaceKind.MultiDiscrete, name, node.Integers("counts"));
        if (actions.ChoiceCounts is not IEnumerable<int> alternatives || !counts.Counts.SequenceEqual(alternatives))
        {
            throw new InvalidDataException($"Its {name} has a mask that is not one of its actions, {actions}.");
        }

        if (counts.AlternativeCount + observed.Width > Space.MaxCount)
        {
            throw new InvalidDataException($"Its {name} has more than {Space.MaxCount} numbers.");
        }

        maskWidth = (int)counts.AlternativeCount;
        return observed;
    }

    /// <summary>The space of a node that is inside of this many spaces with parts.</summary>
    private static Space OfNode(JsonNode node, string name, int nesting)
    {
        return node.Text("kind") switch
        {
            "Discrete" => Counted(SpaceKind.Discrete, name, node.Integer("count")),
            "MultiBinary" => Space.OfSwitches(AtMost(name, node.Integer("count"))),
            "MultiDiscrete" => Counted(SpaceKind.MultiDiscrete, name, node.Integers("counts")),
            "Box" => Bounded(
                name,
                node.Bounds("low", float.NegativeInfinity),
                node.Bounds("high", float.PositiveInfinity),
                node.Has("shape") ? node.Integers("shape") : null
            ),
            "Parts" => OfParts(node.Items("parts", part => part), name, nesting),
            string kind => throw new InvalidDataException($"Its {name} is of the unknown kind {kind}."),
        };
    }

    private static Space OfParts(JsonNode[] nodes, string name, int nesting)
    {
        if (nodes.Length == 0 || nesting >= Space.MaxNesting)
        {
            throw new InvalidDataException(
                $"Its {name} has no parts, or more than {Space.MaxNesting} levels of parts of parts."
            );
        }

        SpacePart[] parts = new SpacePart[nodes.Length];
        HashSet<string> names = new();
        long width = 0;
        for (int i = 0; i < parts.Length; i++)
        {
            string partName = nodes[i].Text("name");
            if (!IsName(partName) || !names.Add(partName))
            {
                throw new InvalidDataException($"Its {name} has a part whose name is not valid, or not its own.");
            }

            parts[i] = new SpacePart(partName, OfNode(nodes[i]["space"], name, nesting + 1));
            width += parts[i].Space.Width;
            AtMost(name, (int)Math.Min(width, int.MaxValue));
        }

        return Space.OfParts(parts);
    }

    /// <summary>Whether a text may be the name of a part: architectures and paths use the other characters.</summary>
    private static bool IsName(string text) =>
        text.Length > 0 && !text.Any(unit => char.IsWhiteSpace(unit) || "/:;,{}".IndexOf(unit) >= 0);

    private static Space Counted(SpaceKind kind, string name, params int[] counts)
    {
        if (counts.Length == 0)
        {
            throw new InvalidDataException($"Its {name} has no elements.");
        }

        foreach (int count in counts)
        {
            AtMost(name, count);
        }

        return Space.OfCounts(kind, counts);
    }

    private static int AtMost(string name, int count) =>
        count is >= 1 and <= Space.MaxCount
            ? count
            : throw new InvalidDataException($"Its {name} has {count} alternatives, or numbers.");

    /// <summary>Whether the sizes are positive, and their product is the number of numbers.</summary>
    private static bool IsShapeOf(int width, int[] shape)
    {
        long numbers = 1;
        foreach (int size in shape)
        {
            if (size < 1)
            {
                return false;
            }

            numbers = Math.Min(numbers * size, Space.MaxCount + 1L);
        }

        return shape.Length > 0 && numbers == width;
    }

    private static Space Bounded(string name, float[] low, float[] high, int[]? shape)
    {
        if (low.Length == 0 || low.Length != high.Length)
        {
            throw new InvalidDataException($"Its {name} has corners of {low.Length} and {high.Length} numbers.");
        }

        for (int i = 0; i < low.Length; i++)
        {
            bool holdsNumber = low[i] <= high[i] && low[i] < float.PositiveInfinity && high[i] > float.NegativeInfinity;
            if (!holdsNumber)
            {
                throw new InvalidDataException(
                    $"Its {name} has no finite number between the bounds of coordinate {i}."
                );
            }
        }

        shape ??= new[] { low.Length };
        return IsShapeOf(low.Length, shape)
            ? Space.OfBounds(low, high, shape)
            : throw new InvalidDataException($"Its {name} has a shape that is not one of {low.Length} numbers.");
    }
}
