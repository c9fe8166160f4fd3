using System;
using System.IO;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>The exception that is thrown if training fails. <see cref="State"/> holds the last good state.</summary>
public class TrainingException : Exception
{
    /// <summary>Creates an exception with the last good state.</summary>
    public TrainingException(string message, TrainingState? state, Exception? inner = null)
        : base(message, inner) => State = state;

    /// <summary>
    /// The last good state: the state before the iteration that failed, or, if a callback of <see cref="TrainingPlan.OnIteration"/> failed,
    /// the state after that iteration. Null if training had not begun, and in an evaluation.
    /// </summary>
    public TrainingState? State { get; }
}

/// <summary>
/// The exception that is thrown if an environment threw an exception (see <see cref="Exception.InnerException"/>), or returned an
/// observation that does not fit its space, or an observation or reward that is NaN, infinite or too large, or allowed no action.
/// </summary>
public sealed class EnvironmentException : TrainingException
{
    /// <summary>Creates an exception that names the environment, the instance and the step.</summary>
    public EnvironmentException(
        string message,
        string environment,
        int instance,
        long step,
        TrainingState? state = null,
        Exception? inner = null
    )
        : base(message, state, inner)
    {
        EnvironmentName = environment;
        Instance = instance;
        Step = step;
    }

    /// <summary>The name of the environment.</summary>
    public string EnvironmentName { get; }

    /// <summary>
    /// The index, from 0, of the instance among the environments that are stepped side by side; in an evaluation, the index of the episode.
    /// </summary>
    public int Instance { get; }

    /// <summary>
    /// The step of that instance, counted from 1 since training (or the episode of an evaluation) began; 0 means before the first step.
    /// </summary>
    public long Step { get; }
}

/// <summary>Turns faults of the pipeline, which are values, into exceptions.</summary>
internal static class Faults
{
    /// <summary>Returns the value, or throws the fault as an exception that holds the last good state.</summary>
    public static T OrThrow<T>(this FSharpResult<T, Core.Fault> result, TrainingState? state = null) =>
        result.IsOk ? result.ResultValue : throw ToException(result.ErrorValue, state);

    private static Exception ToException(Core.Fault fault, TrainingState? state)
    {
        string message = FaultModule.message(fault);
        return fault switch
        {
            Core.Fault.InvalidSetting e => Refused(
                char.ToUpperInvariant(e.field[0]) + e.field[1..],
                e.value,
                e.allowed
            ),
            Core.Fault.FailedEnvironment e => new EnvironmentException(
                message,
                e.environment,
                e.instance,
                e.step,
                state,
                e.error
            ),
            Core.Fault.NonFiniteEnvironment e => new EnvironmentException(
                message,
                e.environment,
                e.instance,
                e.step,
                state
            ),
            Core.Fault.OversizedEnvironment e => new EnvironmentException(
                message,
                e.environment,
                e.instance,
                e.step,
                state
            ),
            Core.Fault.InvalidObservation e => new EnvironmentException(
                message,
                e.environment,
                e.instance,
                e.step,
                state
            ),
            Core.Fault.NoLegalAction e => new EnvironmentException(message, e.environment, e.instance, e.step, state),
            Core.Fault.Mismatch => new ArgumentException(message),
            Core.Fault.Damaged => new InvalidDataException(message),
            Core.Fault.NotSaved or Core.Fault.NotConfirmed => new IOException(message),
            _ => new TrainingException(message, state),
        };
    }

    private static ArgumentOutOfRangeException Refused(string option, string value, string allowed) =>
        new(option, value, $"{option} = {value} is not allowed: {allowed}");
}

/// <summary>The errors of files as the facade throws them.</summary>
internal static class FileErrors
{
    /// <summary>Accesses a file. What the system does not permit is an <see cref="IOException"/>, too.</summary>
    public static T AsIOException<T>(Func<T> access)
    {
        try
        {
            return access();
        }
        catch (UnauthorizedAccessException refused)
        {
            throw new IOException(refused.Message, refused);
        }
    }

    /// <inheritdoc cref="AsIOException{T}(Func{T})"/>
    public static void AsIOException(Action access) =>
        AsIOException(() =>
        {
            access();
            return true;
        });
}
