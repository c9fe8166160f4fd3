using System;
using Microsoft.FSharp.Core;
using Core = FunTrpo;

namespace FunTrpo.CSharp;

/// <summary>Training could not go on. What was learned until then is in <see cref="State"/>.</summary>
public class TrainingException : Exception
{
    /// <summary>An exception with the last good state.</summary>
    public TrainingException(string message, TrainingState? state, Exception? inner = null)
        : base(message, inner) => State = state;

    /// <summary>
    /// The state before the iteration that failed, or after the iteration where what was to be called then failed; null where training had
    /// not begun, and in an evaluation.
    /// </summary>
    public TrainingState? State { get; }
}

/// <summary>
/// An environment threw an exception (the inner one), or gave something that is not what its spaces say, or NaN.
/// </summary>
public sealed class EnvironmentException : TrainingException
{
    /// <summary>An exception that names where it happened.</summary>
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

    /// <summary>Which of those stepped side by side it was, counted from 0; in an evaluation, which episode.</summary>
    public int Instance { get; }

    /// <summary>At which of its steps since training (or the episode of an evaluation) began; 0 is before the first.</summary>
    public long Step { get; }
}

/// <summary>The errors of the pipeline, which are values there, as exceptions.</summary>
internal static class Faults
{
    /// <summary>The value, or the error as an exception that holds the last good state.</summary>
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
            Core.Fault.StrayObservation e => new EnvironmentException(
                message,
                e.environment,
                e.instance,
                e.step,
                state
            ),
            Core.Fault.Mismatch => new ArgumentException(message),
            _ => new TrainingException(message, state),
        };
    }

    private static ArgumentOutOfRangeException Refused(string option, string value, string allowed) =>
        new(option, value, $"{option} = {value} is not allowed: {allowed}");
}
