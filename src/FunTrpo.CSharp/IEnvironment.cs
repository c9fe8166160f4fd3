using System;
using System.Text;
using System.Text.Json.Serialization;
using static System.FormattableString;

namespace FunTrpo.CSharp;

/// <summary>
/// A task to be learned, in the manner of Gymnasium: your simulator. It may be a mutable class. Training makes as many as it steps
/// side by side, through the factory that <see cref="Trpo.For{TEnvironment}"/> is given, and no two threads use one at a time. One
/// that is <see cref="IDisposable"/> is disposed of when training ends, unless it was said that somebody else does that.
/// </summary>
public interface IEnvironment
{
    /// <summary>
    /// What an observation can be; the same for all instances and at all times. Where it is an index, or several, it is one number each.
    /// The bounds of a box are for whoever reads them: an observation beyond them is taken as it is.
    /// </summary>
    Space ObservationSpace { get; }

    /// <summary>What an action can be; the same for all instances and at all times.</summary>
    Space ActionSpace { get; }

    /// <summary>
    /// Begins a new episode, and gives what is seen at its start. All chance of the episode comes from <paramref name="seed"/>: the
    /// same seed and actions give the same episode, so that training is reproducible and its states can be gone on from twice.
    /// </summary>
    /// <returns>As many numbers as the observation space is wide. It may be the same array each time: it is copied at once.</returns>
    float[] Reset(int seed);

    /// <summary>
    /// Takes an action, which lies in the action space. Every episode must end: terminated when the task came to an end, truncated
    /// when only the watching did (a time limit, for which there is also <see cref="TrainingPlan.WithTimeLimit"/>).
    /// </summary>
    StepResult Step(AgentAction action);
}

/// <summary>What one step of an environment gives.</summary>
/// <param name="Observation">What is seen after the step; it may be the same array each time.</param>
/// <param name="Reward">What the step was worth.</param>
/// <param name="Terminated">Whether the task itself came to an end: no further reward exists.</param>
/// <param name="Truncated">Whether only the watching ends here (a time limit): what would have followed still has a value.</param>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public readonly record struct StepResult(
    float[] Observation,
    double Reward,
    bool Terminated = false,
    bool Truncated = false
)
{
    /// <summary>Whether both are the same, number by number.</summary>
    public bool Equals(StepResult other) =>
        (Observation is null == other.Observation is null)
        && Observation.AsSpan().SequenceEqual(other.Observation)
        && Reward.Equals(other.Reward)
        && Terminated == other.Terminated
        && Truncated == other.Truncated;

    /// <inheritdoc/>
    public override int GetHashCode() =>
        HashCode.Combine(
            Observation?.Length,
            Observation is [float first, ..] ? first : 0,
            Reward,
            Terminated,
            Truncated
        );

    private bool PrintMembers(StringBuilder builder)
    {
        string seen = Observation is null ? "null" : ValueList.Print(Observation);
        builder.Append(
            Invariant($"Observation = {seen}, Reward = {Reward}, Terminated = {Terminated}, Truncated = {Truncated}")
        );
        return true;
    }
}

/// <summary>An action as an environment gets it: an index, or numbers. An <c>int</c> or numbers can be given in its place.</summary>
/// <remarks>
/// It is a <c>ref struct</c>, so that no step allocates: it lives during the call of <see cref="IEnvironment.Step"/> and no longer. It
/// cannot be kept in a field or a list, cross an <c>await</c> or be captured by a lambda: take <see cref="Index"/>, or
/// <c>Values.ToArray()</c>, first.
/// </remarks>
public readonly ref struct AgentAction
{
    private readonly int index;
    private readonly bool isIndex;
    private readonly ReadOnlySpan<float> values;

    /// <summary>An action that is an index.</summary>
    public AgentAction(int index)
    {
        this.index = index;
        isIndex = true;
    }

    /// <summary>An action that is one or more numbers.</summary>
    public AgentAction(ReadOnlySpan<float> values) => this.values = values;

    /// <summary>Which alternative was chosen, where the action space is <see cref="SpaceKind.Discrete"/>.</summary>
    public int Index =>
        isIndex ? index : throw new InvalidOperationException("This action is no index: use its numbers, action[i].");

    /// <summary>The coordinates, or the index of each choice, where the action space is not discrete.</summary>
    public ReadOnlySpan<float> Values =>
        isIndex ? throw new InvalidOperationException("This action is an index: use action.Index.") : values;

    /// <summary>The coordinate, or the index of the choice, number <paramref name="i"/>.</summary>
    public float this[int i] => Values[i];

    /// <summary>The numbers of the row that it is in the pipeline.</summary>
    internal float[] ToNumbers() => isIndex ? [index] : values.ToArray();

    /// <summary>An action that is an index.</summary>
    public static implicit operator AgentAction(int index) => new(index);

    /// <summary>An action that is one or more numbers.</summary>
    public static implicit operator AgentAction(float[] values) => new(values);

    /// <summary>An action that is one or more numbers.</summary>
    public static implicit operator AgentAction(ReadOnlySpan<float> values) => new(values);
}
