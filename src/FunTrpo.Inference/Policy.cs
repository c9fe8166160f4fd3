using System;
using System.Buffers;
using System.IO;
using System.Text;

namespace FunTrpo.Inference;

/// <summary>
/// A trained policy that chooses actions for observations. It is immutable, and several threads may use it at the same time. Choosing an
/// action allocates no memory.
/// </summary>
/// <remarks>
/// Pass observations as the environment returns them, one after another without gaps: if training standardised them, the policy does so
/// too. Actions lie in the action space; continuous actions are clipped to it. An <see cref="ArithmeticException"/> is thrown if an
/// observation is so large that the distribution of actions is not finite. A policy that was trained with action masks also needs which
/// actions are legal (<see cref="TakesMask"/>). The methods are those of <c>Policy</c> in FunTrpo.CSharp, and
/// most probable actions, means and probabilities agree with it up to the rounding of float32.
/// </remarks>
public sealed partial class Policy
{
    private const long MaxFileSize = 1_000_000_000;

    private readonly Network network;
    private readonly Head head;

    internal Policy(
        string environmentName,
        Space observations,
        Space actions,
        int maskWidth,
        Network network,
        Head head
    )
    {
        MaskWidth = maskWidth;
        EnvironmentName = environmentName;
        ObservationSpace = observations;
        ActionSpace = actions;
        this.network = network;
        this.head = head;
    }

    /// <summary>The name of the environment that the policy was trained on.</summary>
    public string EnvironmentName { get; }

    /// <summary>The number of numbers in one observation.</summary>
    public int ObservationWidth => ObservationSpace.Width;

    /// <summary>The observation space of the environment that the policy was trained on, without the mask of actions.</summary>
    public Space ObservationSpace { get; }

    /// <summary>The action space of the environment that the policy was trained on.</summary>
    public Space ActionSpace { get; }

    /// <summary>Reads a policy from a file.</summary>
    /// <param name="path">
    /// The path of a file that FunTrpo wrote (<c>policy.json</c>), of at most 1 GB. The file may come from anybody; a path that does should
    /// not lead to a pipe, which would block.
    /// </param>
    /// <exception cref="InvalidDataException">The path is a folder, or the file is not a policy or is damaged.</exception>
    /// <exception cref="IOException">The file cannot be read, or does not exist (<see cref="FileNotFoundException"/>).</exception>
    /// <exception cref="ArgumentException">The path is not a valid file name.</exception>
    public static Policy Load(string path)
    {
        Require(path, nameof(path));
        if (Directory.Exists(path))
        {
            throw new InvalidDataException($"{path} is a folder, and not a file.");
        }

        try
        {
            using FileStream stream = new(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            return PolicyReader.Read(WithoutMark(ReadAll(stream)));
        }
        catch (InvalidDataException wrong)
        {
            throw new InvalidDataException($"{path} is no policy: {wrong.Message}", wrong);
        }
        catch (UnauthorizedAccessException refused)
        {
            throw new IOException(refused.Message, refused);
        }
    }

    /// <summary>Reads a policy from the text of its file, for instance from an embedded resource or a <c>TextAsset</c> of Unity.</summary>
    /// <exception cref="InvalidDataException">The text is not a policy, or is damaged.</exception>
    public static Policy FromJson(string json)
    {
        Require(json, nameof(json));
        try
        {
            return PolicyReader.Read(WithoutMark(new UTF8Encoding(false, true).GetBytes(json)));
        }
        catch (EncoderFallbackException wrong)
        {
            throw new InvalidDataException("It is not text.", wrong);
        }
    }

    /// <summary>Returns the index of the most probable action for one observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy <see cref="TakesMask"/>.
    /// </exception>
    public int Act(ReadOnlySpan<float> observation)
    {
        Span<int> action = stackalloc int[1];
        RequireIndex();
        Act(observation, action);
        return action[0];
    }

    /// <summary>Writes the most probable action for each row of observations as indices, if actions are not continuous.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="actions">For each row, as many indices as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">
    /// The action space is a <see cref="SpaceKind.Box"/> or has one among its parts, or the policy <see cref="TakesMask"/>.
    /// </exception>
    public void Act(ReadOnlySpan<float> observations, Span<int> actions)
    {
        RequireNoMask();
        ActByIndex(observations, default, WithoutMemory(), null, actions);
    }

    /// <summary>Writes the most probable action for each row of observations as numbers.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="actions">For each row, as many numbers as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">The policy <see cref="TakesMask"/>.</exception>
    public void Act(ReadOnlySpan<float> observations, Span<float> actions)
    {
        RequireNoMask();
        Act(observations, default, WithoutMemory(), null, actions);
    }

    /// <summary>Returns the index of an action sampled from the policy for one observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy <see cref="TakesMask"/>.
    /// </exception>
    public int Sample(ReadOnlySpan<float> observation, Random random)
    {
        Span<int> action = stackalloc int[1];
        RequireIndex();
        Sample(observation, random, action);
        return action[0];
    }

    /// <summary>Samples an action for each row of observations and writes the actions as indices, if actions are not continuous.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="random">The generator from which the actions are drawn. One thread at a time may use a generator.</param>
    /// <param name="actions">For each row, as many indices as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">
    /// The action space is a <see cref="SpaceKind.Box"/> or has one among its parts, or the policy <see cref="TakesMask"/>.
    /// </exception>
    public void Sample(ReadOnlySpan<float> observations, Random random, Span<int> actions)
    {
        Require(random, nameof(random));
        RequireNoMask();
        ActByIndex(observations, default, WithoutMemory(), random, actions);
    }

    /// <summary>Samples an action for each row of observations and writes the actions as numbers.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="random">The generator from which the actions are drawn. One thread at a time may use a generator.</param>
    /// <param name="actions">For each row, as many numbers as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">The policy <see cref="TakesMask"/>.</exception>
    public void Sample(ReadOnlySpan<float> observations, Random random, Span<float> actions)
    {
        Require(random, nameof(random));
        RequireNoMask();
        Act(observations, default, WithoutMemory(), random, actions);
    }

    /// <summary>Returns the distribution of actions for one observation. The result is allocated.</summary>
    /// <exception cref="InvalidOperationException">The policy <see cref="TakesMask"/>.</exception>
    public ActionDistribution Distribution(ReadOnlySpan<float> observation)
    {
        RequireNoMask();
        return Distribution(observation, default, WithoutMemory());
    }

    /// <summary>Whether the policy remembers earlier observations of an episode: its network has a layer <c>gru</c> or <c>lstm</c>.</summary>
    /// <remarks>Such a policy acts in episodes (<see cref="Begin"/>) only; the other methods throw an <see cref="InvalidOperationException"/>.</remarks>
    public bool HasMemory => network.Memory > 0;

    /// <summary>Begins an episode, which takes its observations one at a time. Policies without memory have episodes, too.</summary>
    public PolicyEpisode Begin() => new(this, network.Memory);

    /// <summary>The distribution for an observation, with its mask and the memory of its episode, which is replaced.</summary>
    internal ActionDistribution Distribution(
        ReadOnlySpan<float> observation,
        ReadOnlySpan<bool> legal,
        Span<float> memory
    )
    {
        RequireObservation(observation);
        RequireMasks(legal, 1);
        float[] outputs = new float[network.Outputs];
        network.Forward(observation, memory, outputs);
        RequireFinite(outputs);
        ApplyMask(legal, 0, outputs);
        return head.Distribution(outputs);
    }

    /// <summary>Returns the environment's name and the spaces in one line.</summary>
    public override string ToString() =>
        $"Policy for {EnvironmentName}: observations {ObservationSpace}, actions {ActionSpace}";

    private static byte[] ReadAll(FileStream stream)
    {
        if (!stream.CanSeek || stream.Length == 0)
        {
            throw new InvalidDataException("It is empty, or no regular file.");
        }

        if (stream.Length > MaxFileSize)
        {
            throw new InvalidDataException($"It has {stream.Length} bytes, and at most {MaxFileSize} are read.");
        }

        byte[] bytes = new byte[stream.Length];
        int count = 0;
        int read;
        do
        {
            read = stream.Read(bytes, count, bytes.Length - count);
            count += read;
        } while (read > 0);

        Array.Resize(ref bytes, count);
        return bytes;
    }

    /// <summary>The bytes without the mark of their encoding.</summary>
    private static ReadOnlyMemory<byte> WithoutMark(byte[] bytes)
    {
        bool isMarked = bytes.Length >= 3 && bytes[0] == 0xEF && bytes[1] == 0xBB && bytes[2] == 0xBF;
        return bytes.AsMemory(isMarked ? 3 : 0);
    }

    internal void ActByIndex(
        ReadOnlySpan<float> observations,
        ReadOnlySpan<bool> legal,
        Span<float> memory,
        Random? random,
        Span<int> actions
    )
    {
        if (ActionSpace.HasBox)
        {
            throw new InvalidOperationException(
                $"The actions of this policy, {ActionSpace}, are no indices: take a span of float."
            );
        }

        float[] numbers = ArrayPool<float>.Shared.Rent(actions.Length);
        try
        {
            Act(observations, legal, memory, random, numbers.AsSpan(0, actions.Length));
            for (int i = 0; i < actions.Length; i++)
            {
                actions[i] = (int)numbers[i];
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(numbers);
        }
    }

    /// <summary>
    /// Writes the most probable action for each row, or one that is drawn with the generator. The masks are empty if the policy takes none. Only
    /// one row may have a memory, which is replaced.
    /// </summary>
    internal void Act(
        ReadOnlySpan<float> observations,
        ReadOnlySpan<bool> legal,
        Span<float> memory,
        Random? random,
        Span<float> actions
    )
    {
        int rows = Math.DivRem(observations.Length, ObservationWidth, out int rest);
        if (rest != 0 || actions.Length != (long)rows * ActionSpace.Width)
        {
            throw new ArgumentException(
                $"There are {observations.Length} numbers for observations of {ObservationWidth}, and room for {actions.Length} for actions of {ActionSpace.Width}.",
                nameof(observations)
            );
        }

        RequireMasks(legal, rows);
        float[] rented = ArrayPool<float>.Shared.Rent(network.Outputs);
        try
        {
            Span<float> outputs = rented.AsSpan(0, network.Outputs);
            for (int row = 0; row < rows; row++)
            {
                ReadOnlySpan<float> observation = observations.Slice(row * ObservationWidth, ObservationWidth);
                Span<float> action = actions.Slice(row * ActionSpace.Width, ActionSpace.Width);
                RequireObservation(observation);
                network.Forward(observation, memory, outputs);
                RequireFinite(outputs);
                ApplyMask(legal, row, outputs);
                Choose(outputs, random, action);
                RequireFinite(action);
            }
        }
        finally
        {
            ArrayPool<float>.Shared.Return(rented);
        }
    }

    /// <summary>The memory of a policy that has none. Throws if it has.</summary>
    private Span<float> WithoutMemory() =>
        network.Memory == 0
            ? default
            : throw new InvalidOperationException(
                "This policy has memory, so its observations must come in order: Begin() starts an episode of them."
            );

    private void Choose(ReadOnlySpan<float> outputs, Random? random, Span<float> action)
    {
        if (random is null)
        {
            head.Mode(outputs, action);
        }
        else
        {
            head.Sample(outputs, random, action);
        }
    }

    /// <summary>Throws unless this is one observation that a network can take: indices of the space, or finite numbers.</summary>
    private void RequireObservation(ReadOnlySpan<float> observation)
    {
        if (observation.Length != ObservationWidth)
        {
            throw new ArgumentException(
                $"It has {observation.Length} numbers, and must have {ObservationWidth}.",
                nameof(observation)
            );
        }

        foreach (Place leaf in ObservationSpace.Leaves)
        {
            for (int i = 0; i < leaf.Space.Width; i++)
            {
                RequireNumber(leaf.Space, i, observation[leaf.First + i]);
            }
        }
    }

    /// <summary>Throws unless a network can take the number in a column of a space without parts.</summary>
    private static void RequireNumber(Space space, int column, float number)
    {
        bool isValid = space.HasIndices
            ? number >= 0f && number < space.Count(column) && number == MathF.Floor(number)
            : float.IsFinite(number);
        if (!isValid)
        {
            throw new ArgumentException(
                FormattableString.Invariant($"{number} is not finite, or not an index of {space}."),
                "observation"
            );
        }
    }

    /// <summary>Throws if a distribution or an action is not finite.</summary>
    private static void RequireFinite(ReadOnlySpan<float> numbers)
    {
        foreach (float number in numbers)
        {
            if (!float.IsFinite(number))
            {
                throw new ArithmeticException(
                    "The policy gives no finite action distribution for this observation: the numbers of one or of both are too large."
                );
            }
        }
    }

    internal void RequireIndex()
    {
        if (ActionSpace.Kind != SpaceKind.Discrete)
        {
            throw new InvalidOperationException(
                $"An action of this policy is not one index: it is {ActionSpace}, written to a span."
            );
        }
    }

    internal static void Require(object? value, string name)
    {
        if (value is null)
        {
            throw new ArgumentNullException(name);
        }
    }
}
