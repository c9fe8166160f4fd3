using System;
using System.IO;
using System.Text.Json.Serialization;
using FunTrpo.Kernels;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>
/// A trained policy, ready to act. It never changes, and any number of threads may use it at a time. Acting allocates nothing.
/// </summary>
/// <remarks>
/// Observations are given as training saw them, one after another without gaps: a policy standardises them itself where training did.
/// Actions lie in the action space: continuous ones are clipped to it. An observation so large that the policy gives no finite
/// distribution there ends in an <see cref="ArithmeticException"/>. Two policies are equal when their files are; System.Text.Json
/// writes and reads what the file holds.
/// </remarks>
[PolicyInJson]
public sealed class Policy : IEquatable<Policy>
{
    private readonly Core.InferencePolicy player;

    internal Policy(Core.SavedPolicy saved)
    {
        Saved = saved;
        player = new(saved.Actor);
        ObservationSpace = new(saved.ObservationSpace);
        ActionSpace = new(saved.ActionSpace);
    }

    /// <summary>The name of the environment that it was trained on.</summary>
    public string EnvironmentName => Saved.Environment;

    /// <summary>How many numbers an observation is.</summary>
    public int ObservationWidth => ObservationSpace.Width;

    /// <summary>What it has seen in training.</summary>
    public Space ObservationSpace { get; }

    /// <summary>What its actions are.</summary>
    public Space ActionSpace { get; }

    /// <summary>How many parameters its network has.</summary>
    public int ParameterCount => Saved.Actor.Parameters.Length;

    /// <summary>What it is for.</summary>
    public override string ToString() =>
        $"Policy for {FaultModule.printable(EnvironmentName)}: {ObservationWidth} observations, actions {ActionSpace}, {ParameterCount} parameters";

    internal Core.SavedPolicy Saved { get; }

    /// <summary>Reads a policy from a file.</summary>
    /// <remarks>No more than 1 GB is read. Pipes and devices, which may have no end, are refused, and so is a policy that cannot act.</remarks>
    /// <exception cref="InvalidDataException">It is a folder, no policy, or a damaged one.</exception>
    /// <exception cref="IOException">The file cannot be read, or is not there (<see cref="FileNotFoundException"/>).</exception>
    /// <exception cref="ArgumentException">No file can have this name.</exception>
    public static Policy Load(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        try
        {
            return OrThrow(PolicyFile.read(path));
        }
        catch (UnauthorizedAccessException refused)
        {
            throw new IOException(refused.Message, refused);
        }
    }

    /// <summary>The policy that <see cref="ToJson"/> wrote, for instance from an embedded resource.</summary>
    /// <exception cref="InvalidDataException">The text is not a policy, or is damaged.</exception>
    public static Policy FromJson(string json)
    {
        ArgumentNullException.ThrowIfNull(json);
        return OrThrow(PolicyFile.parse("the text", json.TrimStart('\uFEFF')));
    }

    /// <summary>Writes the policy to a file, which is replaced; `funtrpo evaluate` reads it, too.</summary>
    /// <remarks>
    /// It is replaced at once, keeps its mode, and is the one behind the link where the path is a symbolic link. Where that fails, the old
    /// file is as it was.
    /// </remarks>
    /// <exception cref="IOException">The file cannot be written.</exception>
    /// <exception cref="ArgumentException">No file can have this name.</exception>
    public void Save(string path)
    {
        ArgumentNullException.ThrowIfNull(path);
        try
        {
            PolicyFile.save(path, Saved);
        }
        catch (UnauthorizedAccessException refused)
        {
            throw new IOException(refused.Message, refused);
        }
    }

    /// <summary>The text of its file.</summary>
    public string ToJson() => PolicyFile.print(Saved);

    /// <summary>The most probable of discrete actions: its index.</summary>
    public int Act(ReadOnlySpan<float> observation)
    {
        Span<float> action = stackalloc float[1];
        RequireIndex();
        Act(observation, action);
        return (int)action[0];
    }

    /// <summary>The most probable action for each row of observations, as indices: where actions are counted.</summary>
    public void Act(ReadOnlySpan<float> observations, Span<int> actions)
    {
        RequireCounted();
        using PooledBuffer numbers = PooledBuffer.Rent(actions.Length);
        Act(observations, numbers.Span);
        ToIndices(numbers.Span, actions);
    }

    /// <summary>The most probable action for each row of observations, as numbers.</summary>
    public void Act(ReadOnlySpan<float> observations, Span<float> actions)
    {
        RequireFinite(observations);
        player.Act(observations, actions);
    }

    /// <summary>An action drawn at random from the policy: the index of a discrete one.</summary>
    public int Sample(ReadOnlySpan<float> observation, Random random)
    {
        Span<float> action = stackalloc float[1];
        RequireIndex();
        Sample(observation, random, action);
        return (int)action[0];
    }

    /// <summary>An action drawn at random for each row of observations, as indices: where actions are counted.</summary>
    public void Sample(ReadOnlySpan<float> observations, Random random, Span<int> actions)
    {
        RequireCounted();
        using PooledBuffer numbers = PooledBuffer.Rent(actions.Length);
        Sample(observations, random, numbers.Span);
        ToIndices(numbers.Span, actions);
    }

    /// <summary>An action drawn at random for each row of observations, as numbers.</summary>
    /// <param name="observations">One or more of them.</param>
    /// <param name="random">One number is drawn from it; <see cref="Random.Shared"/> may be used by many threads.</param>
    /// <param name="actions">Where they are written.</param>
    public void Sample(ReadOnlySpan<float> observations, Random random, Span<float> actions)
    {
        ArgumentNullException.ThrowIfNull(random);
        RequireFinite(observations);
        player.Sample(observations, KeyModule.ofSeed(random.NextInt64()), actions);
    }

    /// <summary>How probable each action is for one observation, or how continuous actions are spread. It allocates its result.</summary>
    public ActionDistribution Distribution(ReadOnlySpan<float> observation)
    {
        RequireFinite(observation);
        return new(player.Distribution(observation));
    }

    /// <summary>Whether the files of both are the same.</summary>
    public bool Equals(Policy? other) => other is not null && ToJson() == other.ToJson();

    /// <inheritdoc/>
    public override bool Equals(object? obj) => Equals(obj as Policy);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(EnvironmentName, Saved.Actor.Parameters);

    private static Policy OrThrow(FSharpResult<Core.SavedPolicy, Core.Fault> read) =>
        read.IsOk ? new Policy(read.ResultValue) : throw new InvalidDataException(FaultModule.message(read.ErrorValue));

    private static void ToIndices(ReadOnlySpan<float> numbers, Span<int> indices)
    {
        for (int i = 0; i < numbers.Length; i++)
        {
            indices[i] = (int)numbers[i];
        }
    }

    private static void RequireFinite(ReadOnlySpan<float> observations)
    {
        if (!Reductions.AllFinite(observations))
        {
            throw new ArgumentException("It holds NaN or an infinite number.", nameof(observations));
        }
    }

    private void RequireIndex()
    {
        if (ActionSpace.Kind != SpaceKind.Discrete)
        {
            throw new InvalidOperationException(
                $"An action of this policy is not one index: it is {ActionSpace}, written to a span."
            );
        }
    }

    private void RequireCounted()
    {
        if (ActionSpace.Kind == SpaceKind.Box)
        {
            throw new InvalidOperationException(
                $"The actions of this policy, {ActionSpace}, are no indices: take a span of float."
            );
        }
    }
}
