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
    /// The network, and the state-independent log σ of the coordinates of boxes, which follow its parameters if there are any.
    /// </summary>
    private static Network ReadNetwork(
        JsonNode root,
        Space observations,
        Space actions,
        BoxDistribution distribution,
        out float[] logSigmas
    )
    {
        (long outputs, long stateIndependent) = BoxDistributions.Sizes(actions, distribution);
        List<HiddenLayer> descriptions = ReadHidden(root);
        int lastUnits = (int)Math.Min(outputs, int.MaxValue);
        descriptions.Add(new HiddenLayer.Dense(lastUnits, Activation.Named("identity")));
        LayerStack stack = new(observations, descriptions);
        byte[] bytes = ReadBytes(root);
        int stacked = RequireCount(bytes.Length / sizeof(float), stack.ParameterCount, stateIndependent);
        float[] parameters = ToParameters(bytes);
        logSigmas = parameters.AsSpan(stacked).ToArray();
        return new Network(observations.Width, ReadNormaliser(root, observations), stack.Create(parameters, 0));
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
            hidden = ArchitectureText.Parse(root.Text("architecture"));
        }
        else
        {
            throw new InvalidDataException(
                "It has an architecture twice: as architecture, and as hidden or activation."
            );
        }

        return hidden.Count <= ArchitectureText.MaxLayers
            ? hidden
            : throw new InvalidDataException($"It has {hidden.Count} hidden layers, which are too many.");
    }

    /// <summary>
    /// Refuses a number of parameters that is not that of the network, before anything of its size is made. Returns how many are those of
    /// layers.
    /// </summary>
    private static int RequireCount(int found, double stacked, long stateIndependent)
    {
        double needed = stacked + stateIndependent;
        return needed == found
            ? (int)stacked
            : throw new InvalidDataException(
                FormattableString.Invariant($"Its network needs {needed:F0} parameters, and it holds {found}.")
            );
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

        return count > 0.0 ? new Normaliser(count, means, squares, observations) : null;
    }
}
