namespace FunTrpo.Bench

open System
open System.Diagnostics

/// How often something is measured.
type Effort =
    {
        /// Seconds for one measurement.
        Seconds: float
        /// Repeats at least, even where they take longer.
        Repeats: int
    }

module Timing =

    /// The middle one, or the mean of the two in the middle.
    let median (numbers: float[]) =
        let sorted = Array.sort numbers
        (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2.0

    /// How long a call takes, in seconds.
    let seconds (action: unit -> unit) =
        let start = Stopwatch.GetTimestamp()
        action ()
        Stopwatch.GetElapsedTime(start).TotalSeconds

    /// Calls the action for long enough that the just-in-time compiler has made its final code of it; once, where it takes
    /// seconds.
    let warmUp action =
        let clock = Stopwatch.StartNew()
        action ()

        while clock.Elapsed.TotalSeconds < 0.8 do
            action ()

    /// What each of the measurements gives, in rounds of one each, so that whatever else the machine does meets them alike.
    /// One array a measurement.
    let inTurn effort (measurements: (unit -> float) list) =
        let clock = Stopwatch.StartNew()

        let rounds =
            Seq.initInfinite id
            |> Seq.takeWhile (fun round -> round < effort.Repeats || clock.Elapsed.TotalSeconds < effort.Seconds)
            |> Seq.map (fun _ -> measurements |> List.map (fun measure -> measure ()))
            |> Array.ofSeq

        measurements |> List.mapi (fun i _ -> rounds |> Array.map (fun round -> round[i]))

    /// The seconds of several calls, after others that warm up.
    let repeated effort action =
        warmUp action
        inTurn effort [ fun () -> seconds action ] |> List.head

    /// A measurement that takes at least about so many seconds: the mean time of as many calls as that needs.
    let lasting (least: float) action =
        let calls = max 1 (int (least / max 1e-6 (seconds action)))

        fun () ->
            seconds (fun () ->
                for _ in 1..calls do
                    action ())
            / float calls

    /// The bytes that a call allocates, on all threads.
    let allocated action =
        let before = GC.GetTotalAllocatedBytes true
        action ()
        float (GC.GetTotalAllocatedBytes true - before)
