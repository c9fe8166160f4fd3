using System;
using System.Text;
using System.Text.Json.Serialization;
using static System.FormattableString;

namespace FunTrpo.CSharp;

/// <summary>
/// An environment that you implement, in the manner of Gymnasium. It may be a mutable class. Training makes as many instances as it steps
/// side by side, with the factory that you pass to <see cref="Trpo.For{TEnvironment}"/>. No two threads use an instance at the same time.
/// An instance that is <see cref="IDisposable"/> is disposed of when training ends, unless you pass <c>dispose: false</c>.
/// </summary>
public interface IEnvironment
{
    /// <summary>
    /// The set of possible observations. It is the same for all instances and never changes. An index is one number of the observation.
    /// The bounds of a box are only informative: an observation outside them is used unchanged.
    /// </summary>
    Space ObservationSpace { get; }

    /// <summary>The set of possible actions. It is the same for all instances and never changes.</summary>
    Space ActionSpace { get; }

    /// <summary>
    /// Begins a new episode and returns its first observation. All randomness of the episode must come from <paramref name="seed"/>: the
    /// same seed and the same actions must give the same episode. Then training is reproducible, and a state can be continued twice.
    /// </summary>
    /// <param name="seed">The seed of the episode.</param>
    /// <returns>
    /// The observation, with <see cref="Space.Width"/> numbers of the observation space. It may be the same array each time, because it is
    /// copied at once.
    /// </returns>
    float[] Reset(int seed);

    /// <summary>
    /// Takes an action and returns the next observation and the reward. Every episode must end: terminated if the task itself has ended,
    /// truncated if only a time limit has been reached (see also <see cref="TrainingPlan.WithTimeLimit"/>).
    /// </summary>
    /// <param name="action">An element of the action space.</param>
    StepResult Step(AgentAction action);
}

/// <summary>The result of one step of an environment.</summary>
/// <param name="Observation">The observation after the step. It may be the same array each time.</param>
/// <param name="Reward">The reward of the step.</param>
/// <param name="Terminated">Whether the task itself has ended. No reward follows, so the value of what follows is 0.</param>
/// <param name="Truncated">
/// Whether a time limit has ended the episode. The critic then estimates the value of what would have followed.
/// </param>
[JsonNumberHandling(JsonNumberHandling.AllowNamedFloatingPointLiterals)]
public readonly record struct StepResult(
    float[] Observation,
    double Reward,
    bool Terminated = false,
    bool Truncated = false
)
{
    /// <summary>Returns whether all numbers and both flags are the same.</summary>
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
        string observation = Observation is null ? "null" : ValueList.Print(Observation);
        builder.Append(
            Invariant(
                $"Observation = {observation}, Reward = {Reward}, Terminated = {Terminated}, Truncated = {Truncated}"
            )
        );
        return true;
    }
}

/// <summary>
/// An action that an environment receives: an index, or one or more numbers. An <c>int</c>, a <c>float[]</c> and a span of <c>float</c>
/// convert to it implicitly.
/// </summary>
/// <remarks>
/// It is a <c>ref struct</c>, so that no step allocates. It is valid only during the call of <see cref="IEnvironment.Step"/>. It cannot be
/// stored in a field or a list, cross an <c>await</c> or be captured by a lambda: copy <see cref="Index"/> or <c>Values.ToArray()</c>
/// first.
/// </remarks>
public readonly ref struct AgentAction
{
    private readonly int index;
    private readonly bool isIndex;
    private readonly ReadOnlySpan<float> values;

    /// <summary>Creates an action that is an index.</summary>
    public AgentAction(int index)
    {
        this.index = index;
        isIndex = true;
    }

    /// <summary>Creates an action that is one or more numbers.</summary>
    public AgentAction(ReadOnlySpan<float> values) => this.values = values;

    /// <summary>The index of the chosen alternative, if the action space is <see cref="SpaceKind.Discrete"/>.</summary>
    /// <exception cref="InvalidOperationException">The action space is not discrete: use <see cref="Values"/>.</exception>
    public int Index =>
        isIndex ? index : throw new InvalidOperationException("This action is no index: use its numbers, action[i].");

    /// <summary>
    /// The numbers of the action, if the action space is not discrete: the coordinates of a <see cref="SpaceKind.Box"/>, or the index of
    /// each choice.
    /// </summary>
    /// <exception cref="InvalidOperationException">The action space is discrete: use <see cref="Index"/>.</exception>
    public ReadOnlySpan<float> Values =>
        isIndex ? throw new InvalidOperationException("This action is an index: use action.Index.") : values;

    /// <summary>The number at position <paramref name="i"/> of <see cref="Values"/>.</summary>
    /// <exception cref="InvalidOperationException">The action space is discrete: use <see cref="Index"/>.</exception>
    public float this[int i] => Values[i];

    /// <summary>Returns the action as the row of numbers that the pipeline uses.</summary>
    internal float[] ToNumbers() => isIndex ? [index] : values.ToArray();

    /// <summary>Converts an index to an action.</summary>
    public static implicit operator AgentAction(int index) => new(index);

    /// <summary>Converts one or more numbers to an action.</summary>
    public static implicit operator AgentAction(float[] values) => new(values);

    /// <summary>Converts one or more numbers to an action.</summary>
    public static implicit operator AgentAction(ReadOnlySpan<float> values) => new(values);
}
