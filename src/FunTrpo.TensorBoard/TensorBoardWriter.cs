using System;
using System.IO;
using System.Threading;
using FunTrpo.CSharp;
using FunTrpo.TensorBoard.Messages;

namespace FunTrpo.TensorBoard;

/// <summary>Writes iterations and evaluations of training to an event file, which TensorBoard shows.</summary>
/// <remarks>
/// <para>
/// Every quantity of progress.csv has the tag <c>funtrpo/</c> and its name. Those that Stable-Baselines3 logs have its tags, too, such as
/// <c>rollout/ep_rew_mean</c>. The horizontal axis is environment steps. A quantity without a value in an iteration is left out there.
/// </para>
/// <para>Each event is in the file when its method returns, so TensorBoard follows training. Several threads may write.</para>
/// </remarks>
public sealed class TensorBoardWriter : IDisposable
{
    private readonly Lock gate = new();
    private readonly TimeProvider clock;
    private readonly long opened;
    private readonly EventFile file;

    /// <summary>Creates an event file in a folder, beside those that are already there.</summary>
    /// <param name="folder">The folder of the run: TensorBoard shows each folder as one curve. It is created if necessary.</param>
    /// <param name="after">
    /// The number of environment steps after which training continues, such as <see cref="TrainingState.Steps"/> of a loaded state.
    /// TensorBoard ignores later events of earlier files in the folder: training made them before it was interrupted.
    /// </param>
    /// <exception cref="IOException">The folder or the file cannot be created.</exception>
    /// <exception cref="ArgumentException">The path is not valid.</exception>
    public TensorBoardWriter(string folder, long after = 0)
        : this(folder, after, TimeProvider.System) { }

    internal TensorBoardWriter(string folder, long after, TimeProvider clock)
    {
        ArgumentException.ThrowIfNullOrEmpty(folder);
        ArgumentOutOfRangeException.ThrowIfNegative(after);
        this.clock = clock;
        opened = clock.GetTimestamp();
        file = FileErrors(() => new EventFile(folder, clock.GetUtcNow()));
        Append(new Event { FileVersion = "brain.Event:2" });
        Append(
            new Event
            {
                Step = after + 1,
                SessionLog = new SessionLog { Status = SessionLog.Types.SessionStatus.Start },
            }
        );
    }

    /// <summary>The path of the event file.</summary>
    public string Path => file.Path;

    /// <summary>Writes the quantities of an iteration: <c>plan.OnIteration(writer.Write)</c>.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(IterationReport report)
    {
        ArgumentNullException.ThrowIfNull(report);
        double elapsed = clock.GetElapsedTime(opened).TotalSeconds;
        Write(report.Steps, [.. IterationTags.Of(report), new("time/time_elapsed", elapsed)]);
    }

    /// <summary>Writes an evaluation: <c>plan.OnEvaluation(writer.Write)</c>.</summary>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(TrainingEvaluation evaluation)
    {
        ArgumentNullException.ThrowIfNull(evaluation);
        Write(evaluation.Steps, EvaluationTags.Of(evaluation));
    }

    /// <summary>Writes a number of your own. A number that is not finite is left out.</summary>
    /// <param name="tag">The name of the curve. The part before the first slash is the name of its group.</param>
    /// <param name="step">The number of environment steps so far.</param>
    /// <param name="value">The number. TensorBoard keeps it as float32.</param>
    /// <exception cref="IOException">The file cannot be written.</exception>
    public void Write(string tag, long step, double value)
    {
        ArgumentException.ThrowIfNullOrEmpty(tag);
        Write(step, new TaggedValue(tag, value));
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => file.Dispose();

    private void Write(long step, params ReadOnlySpan<TaggedValue> values)
    {
        Summary summary = new();
        foreach (TaggedValue value in values)
        {
            if (value.ToMessage() is { } message)
            {
                summary.Value.Add(message);
            }
        }

        if (summary.Value.Count > 0)
        {
            Append(new Event { Step = step, Summary = summary });
        }
    }

    private void Append(Event written)
    {
        written.WallTime = (clock.GetUtcNow() - DateTimeOffset.UnixEpoch).TotalSeconds;
        lock (gate)
        {
            file.Append(written);
        }
    }

    /// <summary>Creates a file. What the system does not permit is an <see cref="IOException"/>, too, as in the facade.</summary>
    private static EventFile FileErrors(Func<EventFile> create)
    {
        try
        {
            return create();
        }
        catch (UnauthorizedAccessException refused)
        {
            throw new IOException(refused.Message, refused);
        }
    }
}
