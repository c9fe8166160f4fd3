namespace FunTrpo

/// An environment whose calls mostly wait, for example for a simulator in another process. It is optional: without it, as many states are
/// stepped at the same time as there are computing threads. `Environment.inFlight` makes one of any environment.
type WaitingEnvironment =

    /// The number of calls that may be waited for at the same time, at least 1, or none for one on each computing thread.
    abstract InFlight: int option

/// Simulators that make you wait: how many calls of an environment are in flight at the same time. The results do not depend on it.
module InFlight =

    /// The number of calls of the environment that may be in flight, if it is one whose calls wait.
    let ofEnvironment (environment: obj) =
        match environment with
        | :? WaitingEnvironment as waiting -> waiting.InFlight
        | _ -> None

    /// The number of workers that step the environment when `threads` compute.
    let workers environment threads = ofEnvironment environment |> Option.defaultValue (max 1 threads)

    /// [| f 0; …; f (count − 1) |], where f calls the environment: as many at a time as may be in flight, each on a thread that waits, or
    /// else as many as `threads` compute. Throws as `Parallel.iter` does.
    let map environment threads count f =
        match ofEnvironment environment with
        | Some inFlight -> Parallel.mapWaiting inFlight count f
        | None -> Parallel.map threads count f
