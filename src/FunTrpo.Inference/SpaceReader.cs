using System;
using System.IO;
using System.Linq;

namespace FunTrpo.Inference;

/// <summary>Reads the spaces of a policy's file.</summary>
internal static class SpaceReader
{
    /// <summary>Returns the space of a member, such as <c>actionSpace</c>.</summary>
    public static Space Read(JsonNode root, string name) => OfNode(root[name], name);

    /// <summary>
    /// Returns the space of observations, and the number of values in their mask, which must be for the actions; 0 without one.
    /// </summary>
    public static Space ReadObservations(JsonNode root, string name, Space actions, out int maskWidth)
    {
        JsonNode node = root[name];
        maskWidth = 0;
        if (node.Text("kind") != "Masked")
        {
            return OfNode(node, name);
        }

        Space observed = OfNode(node["observed"], name);
        Space counts = Counted(SpaceKind.MultiDiscrete, name, node.Integers("counts"));
        if (!actions.HasIndices || !counts.Counts.SequenceEqual(actions.Counts))
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

    private static Space OfNode(JsonNode node, string name)
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
            string kind => throw new InvalidDataException($"Its {name} is of the unknown kind {kind}."),
        };
    }

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
