using System;

namespace FunTrpo.MuJoCo.Engine;

/// <summary>The engine has reported an error: a model that it cannot read, or a simulation that it cannot go on with.</summary>
public sealed class MuJoCoException : Exception
{
    /// <summary>Creates the exception with the engine's words.</summary>
    public MuJoCoException(string message)
        : base(message) { }
}

/// <summary>The engine is not installed, or is of a version that this binding does not know. The message says what to do.</summary>
public sealed class MuJoCoNotFoundException : Exception
{
    /// <summary>Creates the exception with a message that says what to do.</summary>
    public MuJoCoNotFoundException(string message)
        : base(message) { }
}
