using System;
using System.Buffers;
using System.Buffers.Binary;
using System.Buffers.Text;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;

namespace FunTrpo.Inference;

/// <summary>Reads the file of a policy, whose format <c>docs/policy-format.md</c> describes.</summary>
internal static class PolicyReader
{
    private const string Format = "funtrpo-policy";
    private const int Version = 3;

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

        if (root.Integer("version") is int found and not Version)
        {
            throw new InvalidDataException($"It has version {found}, and only version {Version} is known.");
        }

        if (root.Text("checksum") != hash)
        {
            throw new InvalidDataException("It is not what was saved (its checksum differs).");
        }

        Space observations = SpaceReader.Read(root, "observationSpace");
        Space actions = SpaceReader.Read(root, "actionSpace");
        Network network = ReadNetwork(root, observations, actions, out float[] logSigmas);
        Head head = Head.For(actions, logSigmas, root.Boolean("scaledActions"));
        return new Policy(root.Text("environment"), observations, actions, network, head);
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

    /// <summary>The network, and the log σ of the coordinates of a box, which follow its parameters.</summary>
    private static Network ReadNetwork(JsonNode root, Space observations, Space actions, out float[] logSigmas)
    {
        List<(int Units, Func<float, float> Activation)> hidden = ReadHidden(root);
        bool isBox = actions.Kind == SpaceKind.Box;
        long outputs = isBox ? actions.Width : actions.AlternativeCount;
        byte[] bytes = ReadBytes(root);
        RequireCount(bytes.Length / sizeof(float), hidden, observations, outputs, isBox ? actions.Width : 0);
        float[] parameters = ToParameters(bytes);

        Layer[] layers = new Layer[hidden.Count + 1];
        int inputs = (int)InputCount(observations);
        int offset = 0;
        for (int i = 0; i < layers.Length; i++)
        {
            (int units, Func<float, float> activation) =
                i < hidden.Count ? hidden[i] : ((int)outputs, Activation.Named("identity"));
            int[]? firstRows = i == 0 && observations.HasIndices ? FirstRows(observations) : null;
            layers[i] = new Layer(parameters, offset, inputs, units, firstRows, activation);
            offset = layers[i].End;
            inputs = units;
        }

        logSigmas = parameters.AsSpan(offset).ToArray();
        return new Network(observations.Width, ReadNormaliser(root, observations), layers);
    }

    /// <summary>The number of rows of weights in the first layer: one for each index, or for each number of an observation.</summary>
    private static long InputCount(Space observations) =>
        observations.HasIndices ? observations.AlternativeCount : observations.Width;

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
    private static List<(int Units, Func<float, float> Activation)> ReadHidden(JsonNode root)
    {
        List<(int Units, Func<float, float> Activation)> hidden;
        if (!root.Has("architecture"))
        {
            Func<float, float> activation = Activation.Named(root.Text("activation"));
            hidden = root.Integers("hidden").Select(units => (units, activation)).ToList();
        }
        else if (!root.Has("hidden") && !root.Has("activation"))
        {
            string text = root.Text("architecture");
            hidden = text == "" ? new() : text.Split(',').Select(ReadLayer).ToList();
        }
        else
        {
            throw new InvalidDataException(
                "It has an architecture twice: as architecture, and as hidden or activation."
            );
        }

        if (hidden.Count > MaxLayers || hidden.Exists(layer => layer.Units < 1))
        {
            throw new InvalidDataException($"It has more than {MaxLayers} hidden layers, or one without units.");
        }

        return hidden;
    }

    /// <summary>A layer such as <c>dense 64 tanh</c>.</summary>
    private static (int Units, Func<float, float> Activation) ReadLayer(string text)
    {
        string[] words = text.Split(' ', StringSplitOptions.RemoveEmptyEntries);
        return
            words.Length == 3
            && words[0] == "dense"
            && int.TryParse(words[1], NumberStyles.None, CultureInfo.InvariantCulture, out int units)
            ? (units, Activation.Named(words[2]))
            : throw new InvalidDataException($"Its architecture has the unknown layer {text.Trim()}.");
    }

    /// <summary>Refuses a number of parameters that is not that of the network, before anything of its size is made.</summary>
    private static void RequireCount(
        int found,
        List<(int Units, Func<float, float> Activation)> hidden,
        Space observations,
        long outputs,
        int stateIndependent
    )
    {
        // In float64, which does not overflow and is exact for all that an array could hold.
        double needed = stateIndependent;
        double inputs = InputCount(observations);
        bool hasBiases = !observations.HasIndices;
        foreach (double units in hidden.Select(layer => (double)layer.Units).Append(outputs))
        {
            needed += (inputs * units) + (hasBiases ? units : 0.0);
            inputs = units;
            hasBiases = true;
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
