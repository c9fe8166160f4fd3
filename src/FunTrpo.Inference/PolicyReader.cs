using System;
using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;

namespace FunTrpo.Inference;

/// <summary>Reads the file of a policy, whose format <c>docs/policy-format.md</c> describes.</summary>
internal static class PolicyReader
{
    private const string Format = "funtrpo-policy";
    private const int Version = 3;

    /// <summary>The version of files that name the distribution of actions in a box.</summary>
    private const int VersionWithDistribution = 4;

    /// <summary>The number of hidden layers that a network may have.</summary>
    private const int MaxLayers = 1000;

    /// <summary>Returns the policy of the text of a file in UTF-8.</summary>
    /// <exception cref="InvalidDataException">The text is not a policy, or is damaged.</exception>
    public static Policy Read(ReadOnlyMemory<byte> file)
    {
        RequireText(file.Span);
        string hash = Json.Hash(file.Span, "checksum");
        JsonNode root = JsonNode.Root(file);
        if (!root.IsObject || root.Text("format") != Format)
        {
            throw new InvalidDataException("It is not a FunTrpo policy.");
        }

        if (root.Integer("version") is int found and not (Version or VersionWithDistribution))
        {
            throw new InvalidDataException(
                $"It has version {found}, and only the versions {Version} and {VersionWithDistribution} are known."
            );
        }

        if (root.Text("checksum") != hash)
        {
            throw new InvalidDataException("It is not what was saved (its checksum differs).");
        }

        Space actions = SpaceReader.Read(root, "actionSpace");
        Space observations = SpaceReader.ReadObservations(root, "observationSpace", actions, out int maskWidth);
        BoxDistribution distribution = BoxDistributions.Read(root, actions);
        Network network = ReadNetwork(root, observations, actions, distribution, out float[] logSigmas);
        Head head = Head.For(actions, distribution, logSigmas, root.Boolean("scaledActions"));
        return new Policy(root.Text("environment"), observations, actions, maskWidth, network, head);
    }

    private static void RequireText(ReadOnlySpan<byte> file)
    {
        try
        {
            new UTF8Encoding(false, true).GetCharCount(file);
        }
        catch (DecoderFallbackException)
        {
            throw new InvalidDataException("It is not text.");
        }
    }

    /// <summary>
    /// The network, and the state-independent log σ of the coordinates of a box, which follow its parameters if there are any.
    /// </summary>
    private static Network ReadNetwork(
        JsonNode root,
        Space observations,
        Space actions,
        BoxDistribution distribution,
        out float[] logSigmas
    )
    {
        bool isBox = actions.Kind == SpaceKind.Box;
        bool hasStateIndependent = isBox && BoxDistributions.HasStateIndependent(distribution);
        long outputs =
            !isBox ? actions.AlternativeCount
            : hasStateIndependent ? actions.Width
            : 2L * actions.Width;
        List<HiddenLayer> descriptions = ReadHidden(root);
        int lastUnits = (int)Math.Min(outputs, int.MaxValue);
        descriptions.Add(new HiddenLayer.Dense(lastUnits, Activation.Named("identity")));
        List<int[]> shapes = Shapes(observations, descriptions);
        byte[] bytes = ReadBytes(root);
        int stateIndependent = hasStateIndependent ? actions.Width : 0;
        RequireCount(bytes.Length / sizeof(float), descriptions, shapes, observations, stateIndependent);
        float[] parameters = ToParameters(bytes);

        List<Layer> layers = new();
        int offset = 0;
        for (int i = 0; i < descriptions.Count; i++)
        {
            Layer? layer =
                i == 0 && observations.HasIndices
                    ? Embedding((HiddenLayer.Dense)descriptions[0], parameters, observations)
                    : descriptions[i].Create(parameters, offset, shapes[i]);
            offset += (int)Count(descriptions, shapes, observations, i);
            if (layer is not null)
            {
                layers.Add(layer);
            }
        }

        logSigmas = parameters.AsSpan(offset).ToArray();
        return new Network(observations.Width, ReadNormaliser(root, observations), layers.ToArray());
    }

    /// <summary>The shape of the inputs of each layer.</summary>
    private static List<int[]> Shapes(Space observations, List<HiddenLayer> layers)
    {
        if (observations.HasIndices && layers[0] is not HiddenLayer.Dense)
        {
            throw new InvalidDataException("Its observations are indices, which only a dense layer can read first.");
        }

        List<int[]> shapes = new() { observations.Shape.ToArray() };
        foreach (HiddenLayer layer in layers)
        {
            int[] next = layer.OutputShape(shapes[shapes.Count - 1]);
            if (HiddenLayer.Size(next) > Space.MaxCount)
            {
                throw new InvalidDataException($"Its network has a layer with more than {Space.MaxCount} outputs.");
            }

            shapes.Add(next);
        }

        return shapes;
    }

    /// <summary>The number of parameters of a layer. If it reads indices, it has a row of weights for each, and no biases.</summary>
    private static double Count(List<HiddenLayer> layers, List<int[]> shapes, Space observations, int i) =>
        i == 0 && observations.HasIndices
            ? (double)observations.AlternativeCount * shapes[1][0]
            : layers[i].ParameterCount(shapes[i]);

    private static DenseLayer Embedding(HiddenLayer.Dense layer, float[] parameters, Space observations) =>
        new(parameters, 0, (int)observations.AlternativeCount, layer.Units, FirstRows(observations), layer.Activation);

    private static int[] FirstRows(Space observations)
    {
        int[] first = new int[observations.Width];
        for (int i = 1; i < first.Length; i++)
        {
            first[i] = first[i - 1] + observations.Count(i - 1);
        }

        return first;
    }

    /// <summary>The hidden layers: <c>hidden</c> with a common <c>activation</c>, or the text <c>architecture</c>.</summary>
    private static List<HiddenLayer> ReadHidden(JsonNode root)
    {
        List<HiddenLayer> hidden;
        if (!root.Has("architecture"))
        {
            Func<float, float> activation = Activation.Named(root.Text("activation"));
            int[] units = root.Integers("hidden");
            hidden = units.Select(count => (HiddenLayer)new HiddenLayer.Dense(count, activation)).ToList();
            if (units.Any(count => count < 1))
            {
                throw new InvalidDataException("It has a hidden layer without units.");
            }
        }
        else if (!root.Has("hidden") && !root.Has("activation"))
        {
            string text = root.Text("architecture");
            hidden = text == "" ? new() : text.Split(';', ',').Select(HiddenLayer.Parse).ToList();
        }
        else
        {
            throw new InvalidDataException(
                "It has an architecture twice: as architecture, and as hidden or activation."
            );
        }

        return hidden.Count <= MaxLayers
            ? hidden
            : throw new InvalidDataException($"It has more than {MaxLayers} hidden layers.");
    }

    /// <summary>Refuses a number of parameters that is not that of the network, before anything of its size is made.</summary>
    private static void RequireCount(
        int found,
        List<HiddenLayer> layers,
        List<int[]> shapes,
        Space observations,
        int stateIndependent
    )
    {
        // In float64, which does not overflow and is exact for all that an array could hold.
        double needed = stateIndependent;
        for (int i = 0; i < layers.Count; i++)
        {
            needed += Count(layers, shapes, observations, i);
        }

        if (needed != found)
        {
            throw new InvalidDataException(
                FormattableString.Invariant($"Its network needs {needed:F0} parameters, and it holds {found}.")
            );
        }
    }

    /// <summary>The bytes of the parameters, which are base64.</summary>
    private static byte[] ReadBytes(JsonNode root)
    {
        byte[] base64 = root.Ascii("parameters");
        OperationStatus status = Base64.DecodeFromUtf8InPlace(base64, out int count);
        if (status != OperationStatus.Done || count % sizeof(float) != 0)
        {
            throw new InvalidDataException("Its parameters are not float32 in base64.");
        }

        Array.Resize(ref base64, count);
        return base64;
    }

    private static float[] ToParameters(byte[] bytes)
    {
        float[] parameters = new float[bytes.Length / sizeof(float)];
        for (int i = 0; i < parameters.Length; i++)
        {
            int bits = BinaryPrimitives.ReadInt32LittleEndian(bytes.AsSpan(sizeof(float) * i));
            parameters[i] = BitConverter.Int32BitsToSingle(bits);
            if (!float.IsFinite(parameters[i]))
            {
                throw new InvalidDataException("Its parameters are not all finite.");
            }
        }

        return parameters;
    }

    /// <summary>The normaliser, or none if there is none, or if it has seen no observation.</summary>
    private static Normaliser? ReadNormaliser(JsonNode root, Space observations)
    {
        if (root.Optional("normaliser") is not JsonNode node)
        {
            return null;
        }

        double count = node.Number("count");
        double[] means = node.Numbers("means");
        double[] squares = node.Numbers("squaredDeviations");
        bool isFinite = double.IsFinite(count) && means.All(double.IsFinite) && squares.All(double.IsFinite);
        bool isPositive = count >= 0.0 && squares.All(square => square >= 0.0);
        if (observations.HasIndices || means.Length != observations.Width || squares.Length != observations.Width)
        {
            throw new InvalidDataException($"Its normaliser is not for observations of width {observations.Width}.");
        }

        if (!isFinite || !isPositive)
        {
            throw new InvalidDataException("Its normaliser has a number that is not finite, or negative.");
        }

        return count > 0.0 ? new Normaliser(count, means, squares) : null;
    }
}
