using System;
using System.IO;
using System.Text.Json.Serialization;
using FunTrpo.Kernels;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// A trained policy that chooses actions for observations. It is immutable, and several threads may use it at the same time. Choosing an
/// action allocates no memory.
/// </summary>
/// <remarks>
/// Pass observations as the environment returns them, one after another without gaps: if training standardised them, the policy does so
/// too. Actions lie in the action space; continuous actions are clipped to it. An <see cref="ArithmeticException"/> is thrown if an
/// observation is so large that the distribution of actions is not finite. A policy that was trained with action masks also needs which
/// actions are legal (<see cref="TakesMask"/>). Two policies are equal if the contents of their files are equal.
/// System.Text.Json reads and writes a policy as the content of its file.
/// </remarks>
[JsonConverter(typeof(PolicyAsJson))]
public sealed partial class Policy : IEquatable<Policy>
{
    private readonly Core.InferencePolicy player;

    internal Policy(Core.SavedPolicy saved)
    {
        Saved = saved;
        player = new(saved.Actor);
        ObservationSpace = new(SpaceModule.observed(saved.ObservationSpace));
        ActionSpace = new(saved.ActionSpace);
    }

    /// <summary>The name of the environment that the policy was trained on.</summary>
    public string EnvironmentName => Saved.Environment;

    /// <summary>The number of numbers in one observation.</summary>
    public int ObservationWidth => ObservationSpace.Width;

    /// <summary>The observation space of the environment that the policy was trained on, without the mask of actions.</summary>
    public Space ObservationSpace { get; }

    /// <summary>The action space of the environment that the policy was trained on.</summary>
    public Space ActionSpace { get; }

    /// <summary>The number of parameters of the policy's network.</summary>
    public int ParameterCount => Saved.Actor.Parameters.Length;

    /// <summary>Returns the environment's name, the spaces and the number of parameters in one line.</summary>
    public override string ToString() =>
        $"Policy for {FaultModule.printable(EnvironmentName)}: {ObservationWidth} observations, actions {ActionSpace}, {ParameterCount} parameters";

    internal Core.SavedPolicy Saved { get; }

    /// <summary>Reads a policy from a file.</summary>
    /// <param name="path">The path of a file that <see cref="Save"/> wrote, of at most 1 GB.</param>
    /// <exception cref="InvalidDataException">
    /// The path is a folder, a pipe or a device; or the file is not a policy, is damaged, or holds a policy that gives no finite actions.
    /// </exception>
    /// <exception cref="IOException">The file cannot be read, or does not exist (<see cref="FileNotFoundException"/>).</exception>
    /// <exception cref="ArgumentException">The path is not a valid file name.</exception>
    public static Policy Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        return FileErrors.AsIOException(() => OrThrow(PolicyFile.read(path)));
    }

    /// <summary>Reads a policy from the text that <see cref="ToJson"/> returned, for instance from an embedded resource.</summary>
    /// <exception cref="InvalidDataException">
    /// The text is not a policy, is damaged, or holds a policy that gives no finite actions.
    /// </exception>
    public static Policy FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        return OrThrow(PolicyFile.parse("the text", json.TrimStart('\uFEFF')));
    }

    /// <summary>
    /// Writes the policy to a file and replaces the file if it exists. <see cref="Load"/> and <c>funtrpo evaluate</c> read the file.
    /// </summary>
    /// <remarks>
    /// The file is replaced atomically and keeps its Unix mode. If the path is a symbolic link, the target of the link is replaced. If
    /// writing fails, the old file is unchanged.
    /// </remarks>
    /// <exception cref="IOException">
    /// The file cannot be written, or the path is a folder, a pipe, a device or a socket.
    /// </exception>
    /// <exception cref="ArgumentException">The path is not a valid file name.</exception>
    public void Save(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        FileErrors.AsIOException(() => PolicyFile.save(path, Saved));
    }

    /// <summary>Returns the text of the file that <see cref="Save"/> writes.</summary>
    public string ToJson() => PolicyFile.print(Saved);

    /// <summary>Returns the index of the most probable action for one observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy <see cref="TakesMask"/>.
    /// </exception>
    public int Act(ReadOnlySpan<float> observation)
    {
        Span<float> action = stackalloc float[1];
        RequireIndex();
        Act(observation, action);
        return (int)action[0];
    }

    /// <summary>
    /// Writes the most probable action for each row of <paramref name="observations"/> as indices, if actions are not continuous.
    /// </summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="actions">For each row, as many indices as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">
    /// The action space is a <see cref="SpaceKind.Box"/>, or the policy <see cref="TakesMask"/>.
    /// </exception>
    public void Act(ReadOnlySpan<float> observations, Span<int> actions)
    {
        RequireCounted();
        using PooledBuffer numbers = PooledBuffer.Rent(actions.Length);
        Act(observations, numbers.Span);
        ToIndices(numbers.Span, actions);
    }

    /// <summary>Writes the most probable action for each row of <paramref name="observations"/> as numbers.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="actions">For each row, as many numbers as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">The policy <see cref="TakesMask"/>.</exception>
    public void Act(ReadOnlySpan<float> observations, Span<float> actions)
    {
        RequireNoMask();
        RequireFinite(observations);
        player.Act(observations, actions);
    }

    /// <summary>Returns the index of an action sampled from the policy for one observation, if actions are discrete.</summary>
    /// <exception cref="InvalidOperationException">
    /// The action space is not <see cref="SpaceKind.Discrete"/>, or the policy <see cref="TakesMask"/>.
    /// </exception>
    public int Sample(ReadOnlySpan<float> observation, Random random)
    {
        Span<float> action = stackalloc float[1];
        RequireIndex();
        Sample(observation, random, action);
        return (int)action[0];
    }

    /// <summary>
    /// Samples an action for each row of <paramref name="observations"/> and writes the actions as indices, if actions are not continuous.
    /// </summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="random">The generator from which one number is taken. Several threads may share <see cref="Random.Shared"/>.</param>
    /// <param name="actions">For each row, as many indices as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">
    /// The action space is a <see cref="SpaceKind.Box"/>, or the policy <see cref="TakesMask"/>.
    /// </exception>
    public void Sample(ReadOnlySpan<float> observations, Random random, Span<int> actions)
    {
        RequireCounted();
        using PooledBuffer numbers = PooledBuffer.Rent(actions.Length);
        Sample(observations, random, numbers.Span);
        ToIndices(numbers.Span, actions);
    }

    /// <summary>Samples an action for each row of <paramref name="observations"/> and writes the actions as numbers.</summary>
    /// <param name="observations">One or more rows of <see cref="ObservationWidth"/> numbers.</param>
    /// <param name="random">The generator from which one number is taken. Several threads may share <see cref="Random.Shared"/>.</param>
    /// <param name="actions">For each row, as many numbers as the action space is wide.</param>
    /// <exception cref="InvalidOperationException">The policy <see cref="TakesMask"/>.</exception>
    public void Sample(ReadOnlySpan<float> observations, Random random, Span<float> actions)
    {
        ArgumentNullException.ThrowIfNull(random);
        RequireNoMask();
        RequireFinite(observations);
        player.Sample(observations, KeyModule.ofSeed(random.NextInt64()), actions);
    }

    /// <summary>Returns the distribution of actions for one observation. The result is allocated.</summary>
    /// <exception cref="InvalidOperationException">The policy <see cref="TakesMask"/>.</exception>
    public ActionDistribution Distribution(ReadOnlySpan<float> observation)
    {
        RequireNoMask();
        RequireFinite(observation);
        return new(player.Distribution(observation));
    }

    /// <summary>Whether the policy remembers earlier observations of an episode: its network has a layer <c>gru</c> or <c>lstm</c>.</summary>
    /// <remarks>Such a policy acts in episodes (<see cref="Begin"/>) only; the other methods throw an <see cref="InvalidOperationException"/>.</remarks>
    public bool HasMemory => player.Memory > 0;

    /// <summary>Begins an episode, which takes its observations one at a time. Policies without memory have episodes, too.</summary>
    public PolicyEpisode Begin() => new(this, player.Begin());

    /// <summary>Returns whether the contents of the files of both policies are the same.</summary>
    public bool Equals(Policy? other) => other is not null && ToJson() == other.ToJson();

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Policy);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(EnvironmentName, Saved.Actor.Parameters);

    private static Policy OrThrow(FSharpResult<Core.SavedPolicy, Core.Fault> read) =>
        read.IsOk ? new Policy(read.ResultValue) : throw new InvalidDataException(FaultModule.message(read.ErrorValue));

    internal static void ToIndices(ReadOnlySpan<float> numbers, Span<int> indices)
    {
        for (int i = 0; i < numbers.Length; i++)
        {
            indices[i] = (int)numbers[i];
        }
    }

    internal static void RequireFinite(ReadOnlySpan<float> observations)
    {
        if (!Reductions.AllFinite(observations))
        {
            throw new ArgumentException("It holds NaN or an infinite number.", nameof(observations));
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

    internal void RequireCounted()
    {
        if (Core.Distribution.hasDensity(ActionSpace.Value))
        {
            throw new InvalidOperationException(
                $"The actions of this policy, {ActionSpace}, are no indices: take a span of float."
            );
        }
    }
}
