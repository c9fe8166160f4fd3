namespace FunTrpo.Watch

open FunTrpo.Plots

[<RequireQualifiedAccess>]
type RunState =
    | Running
    /// It has ended by itself.
    | Finished
    /// It was interrupted or killed before its end.
    | Stopped
    /// Its files cannot be read, for this reason.
    | Damaged of why: string

/// A run in the list of all runs.
type RunEntry =
    {
        /// Its folder below the one that is watched, with slashes; "." for that folder itself.
        Name: string
        /// Empty if it is not known.
        Environment: string
        Seed: int64 option
        /// The environment steps so far, and at most.
        Steps: int64
        Budget: int64
        /// The mean return of the last 100 episodes.
        Return: float option
        /// Mean returns from the beginning until now, few enough for a small chart; NaN before the first episode has finished.
        Returns: float[]
        State: RunState
    }

/// The runs that are watched. Its functions only read, from several threads, and tell what the files say when they are called. A name that
/// is not in the list of runs is none of a run, whatever file it may lead to.
type Source =
    {
        /// The folder, as it is shown.
        Folder: string
        Runs: unit -> RunEntry list
        /// Changes if `Page` does; none if there is no such run.
        Stamp: string -> string option
        /// The page of a run without its episode, or what is wrong with its files.
        Page: string -> Result<ReportPage, string>
        /// The environment of a run, and an episode of its policy as it is now.
        Episode: string -> string * PageEpisode
    }
