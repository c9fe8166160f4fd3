using System;
using System.Collections.Generic;
using System.Linq;
using System.Text.Json;
using Microsoft.FSharp.Collections;
using Core = FunTrpo;

namespace FunTrpo.Remote;

/// <summary>An observation or an action with a name: its columns in a row are those from <paramref name="First"/> on.</summary>
/// <param name="Name">The key in the game's dictionaries.</param>
/// <param name="Space">The set of its values.</param>
/// <param name="IsPicture">Whether it comes as bytes in hexadecimal digits, and not as numbers.</param>
/// <param name="First">Its first column.</param>
internal sealed record GodotField(string Name, Core.Space Space, bool IsPicture, int First)
{
    public int Width { get; } = SpaceModule.width(Space);
}

/// <summary>What a game says of itself: the number of its agents, and what they see and do.</summary>
internal sealed record GodotGame(int Count, IReadOnlyList<GodotField> Observations, IReadOnlyList<GodotField> Actions)
{
    /// <summary>The largest number of bytes of the message that describes a game.</summary>
    public const int MaxBytes = 1 << 22;

    /// <summary>The largest number of names in a dictionary of observations or actions.</summary>
    private const int MaxFields = 256;

    /// <summary>The largest number of numbers in the observations or the actions of all agents.</summary>
    private const long MaxNumbers = 1 << 24;

    public Core.Space ObservationSpace { get; } = SpaceOf(Observations);

    public Core.Space ActionSpace { get; } = SpaceOf(Actions);

    public int ObservationWidth { get; } = Observations.Sum(field => field.Width);

    public int ActionWidth { get; } = Actions.Sum(field => field.Width);

    /// <summary>Reads the answer to <c>env_info</c>.</summary>
    /// <exception cref="RemoteException">It is none, or the agents cannot be trained together.</exception>
    public static GodotGame Read(ReadOnlyMemory<byte> json) =>
        GodotJson.Checked(() =>
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement root = document.RootElement;
            Require(root.ValueKind == JsonValueKind.Object, "its description is no object of JSON");
            Require(
                TextOf(root, "type") == "env_info",
                $"its first message has the type {GodotJson.Short(TextOf(root, "type"))}, and not env_info"
            );
            int count = IntegerOf(PropertyOf(root, "n_agents"), "n_agents", Protocol.MaxCount);
            RequireOnePolicy(root, count);
            GodotGame game = new(
                count,
                Fields(Common(root, "observation_space", count), "observation_space", ObservationOf),
                Fields(Common(root, "action_space", count), "action_space", ActionOf)
            );
            game.RequireSizes();
            return game;
        });

    private void RequireSizes()
    {
        foreach (
            (string what, Core.Space space) in new[] { ("observation", ObservationSpace), ("action", ActionSpace) }
        )
        {
            if (SpaceModule.invalidReason(space) is { } why)
            {
                throw new RemoteException($"its {what}_space {why.Value}");
            }
        }

        long width = Math.Max(ObservationWidth, ActionWidth);
        Require(
            width <= Protocol.MaxWidth && width * Count <= MaxNumbers,
            $"{Count} agents with {width} numbers each are too many: at most {Protocol.MaxWidth} numbers for an agent and {MaxNumbers} for all are allowed"
        );
    }

    /// <summary>One field is the space itself, and several are its parts.</summary>
    private static Core.Space SpaceOf(IReadOnlyList<GodotField> fields) =>
        fields.Count == 1
            ? fields[0].Space
            : Core.Space.NewParts(
                ListModule.OfSeq(fields.Select(field => new Tuple<string, Core.Space>(field.Name, field.Space)))
            );

    private static void RequireOnePolicy(JsonElement root, int count)
    {
        if (!root.TryGetProperty("agent_policy_names", out JsonElement names) || names.ValueKind != JsonValueKind.Array)
        {
            return; // Older plugins do not send them.
        }

        string[] policies = [.. names.EnumerateArray().Take(count).Select(name => name.ToString()).Distinct().Take(9)];
        Require(
            policies.Length <= 1,
            $"its agents have several policies ({GodotJson.Short(string.Join(", ", policies))}), and FunTrpo trains one: give all AIControllers that train the same policy_name"
        );
    }

    /// <summary>The description that all agents have in common. Older plugins send it once, and others for each agent.</summary>
    private static JsonElement Common(JsonElement root, string name, int count)
    {
        JsonElement spaces = PropertyOf(root, name);
        if (spaces.ValueKind != JsonValueKind.Array)
        {
            return spaces;
        }

        Require(
            spaces.GetArrayLength() == count,
            $"its {name} is for {spaces.GetArrayLength()} agents, and n_agents is {count}"
        );
        JsonElement first = spaces[0];
        int other = spaces.EnumerateArray().TakeWhile(space => JsonElement.DeepEquals(space, first)).Count();
        Require(
            other == count,
            $"agent {other} has another {name} than agent 0, and FunTrpo trains one policy: let only agents of one kind train"
        );
        return first;
    }

    private static List<GodotField> Fields(
        JsonElement spaces,
        string what,
        Func<JsonElement, string, (Core.Space Space, bool IsPicture)> spaceOf
    )
    {
        Require(spaces.ValueKind == JsonValueKind.Object, $"its {what} is no object of JSON");
        List<GodotField> fields = [];
        int first = 0;
        foreach (JsonProperty property in spaces.EnumerateObject())
        {
            string name = property.Name;
            Require(
                name.Length is >= 1 and <= Protocol.MaxText,
                $"its {what} has a name of {name.Length} characters, and 1 to {Protocol.MaxText} are allowed"
            );
            (Core.Space space, bool isPicture) = spaceOf(property.Value, name);
            fields.Add(new(name, space, isPicture, first));
            first += fields[^1].Width;
            Require(fields.Count <= MaxFields, $"its {what} has more than {MaxFields} names");
            Require(first <= Protocol.MaxWidth, $"its {what} has more than {Protocol.MaxWidth} numbers");
        }

        Require(fields.Count > 0, $"its {what} is empty");
        return fields;
    }

    private static (Core.Space Space, bool IsPicture) ObservationOf(JsonElement described, string name)
    {
        string kind = TextOf(described, "space");
        JsonElement size = PropertyOf(described, "size");
        switch (kind)
        {
            case "discrete":
                return (Core.Space.NewDiscrete(IntegerOf(size, $"the size of {name}", SpaceModule.maxCount)), false);
            case "box" when IsPicture(name):
                return (Box(PictureShape(Shape(size, name)), 0, byte.MaxValue), true);
            case "box":
                float low = BoundOf(described, "low", float.NegativeInfinity);
                float high = BoundOf(described, "high", float.PositiveInfinity);
                return (Box(Shape(size, name), low, high), false);
            default:
                throw new RemoteException(
                    $"its observation {name} has the space {GodotJson.Short(kind)}, and box and discrete are known"
                );
        }
    }

    private static (Core.Space Space, bool IsPicture) ActionOf(JsonElement described, string name)
    {
        string kind = TextOf(described, "action_type");
        int size = IntegerOf(PropertyOf(described, "size"), $"the size of {name}", Protocol.MaxWidth);
        return kind switch
        {
            "discrete" => (Core.Space.NewDiscrete(size), false),
            "continuous" => (Box([size], -1, 1), false),
            _ => throw new RemoteException(
                $"its action {name} has the type {GodotJson.Short(kind)}, and continuous and discrete are known"
            ),
        };
    }

    /// <summary>Godot RL Agents has no other mark of the pictures that its cameras send.</summary>
    private static bool IsPicture(string name) => name.Contains("2d", StringComparison.Ordinal);

    /// <summary>
    /// The cameras of Godot RL Agents say channels × height × width, with 3 or 4 channels, but send one pixel after another: height × width ×
    /// channels.
    /// </summary>
    private static int[] PictureShape(int[] shape) =>
        shape is [3 or 4, int height, int width] ? [height, width, shape[0]] : shape;

    private static Core.Space Box(int[] shape, float low, float high)
    {
        int size = shape.Aggregate(1, (product, axis) => product * axis);
        Core.Vector Corner(float bound) => VectorModule.ofArray(Enumerable.Repeat(bound, size).ToArray());
        return Core.Space.NewBox(Corner(low), Corner(high), ListModule.OfArray(shape));
    }

    /// <summary>The sizes of the axes of a box, of which the product is no larger than an observation may be.</summary>
    private static int[] Shape(JsonElement size, string name)
    {
        string what = $"the size of {name}";
        int[] shape =
            size.ValueKind == JsonValueKind.Array
                ? [.. size.EnumerateArray().Select(axis => IntegerOf(axis, what, Protocol.MaxWidth))]
                : [IntegerOf(size, what, Protocol.MaxWidth)];
        long product = shape.Aggregate(1L, (product, axis) => Math.Min(product * axis, int.MaxValue));
        Require(shape.Length > 0, $"{what} is empty");
        Require(product <= Protocol.MaxWidth, $"{name} has more than {Protocol.MaxWidth} numbers");
        return shape;
    }

    private static JsonElement PropertyOf(JsonElement described, string name) =>
        described.ValueKind == JsonValueKind.Object && described.TryGetProperty(name, out JsonElement value)
            ? value
            : throw new RemoteException($"its description lacks {name}");

    private static string TextOf(JsonElement described, string name)
    {
        JsonElement value = PropertyOf(described, name);
        return value.ValueKind == JsonValueKind.String
            ? value.GetString()!
            : throw new RemoteException($"{name} is no text in its description");
    }

    /// <summary>An integer of at least 1. Godot may write it with decimals.</summary>
    private static int IntegerOf(JsonElement value, string what, int most)
    {
        double number = value.ValueKind == JsonValueKind.Number ? value.GetDouble() : double.NaN;
        return number >= 1 && number <= most && double.IsInteger(number)
            ? (int)number
            : throw new RemoteException(
                $"{what} is {GodotJson.Short(value.GetRawText())}, and must be an integer from 1 to {most}"
            );
    }

    private static float BoundOf(JsonElement described, string name, float standard)
    {
        if (!described.TryGetProperty(name, out JsonElement value))
        {
            return standard;
        }

        return value.ValueKind == JsonValueKind.Number
            ? (float)value.GetDouble()
            : throw new RemoteException($"the bound {name} of an observation must be a number");
    }

    private static void Require(bool holds, string what)
    {
        if (!holds)
        {
            throw new RemoteException(what);
        }
    }
}
