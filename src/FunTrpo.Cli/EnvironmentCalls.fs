namespace FunTrpo.Cli

open FunTrpo

/// How the environment of a run is called.
type EnvironmentCalls =
    {
        /// The number of calls that are waited for at the same time, if they mostly wait.
        InFlight: int option
        /// The number of simulators that may fail and be replaced by fresh ones.
        RestartFailed: int
    }

    /// The environment that is called so.
    member calls.Of(environment: Environment<'State>) =
        Restarts.allow calls.RestartFailed environment
        Environment.inFlight calls.InFlight environment
