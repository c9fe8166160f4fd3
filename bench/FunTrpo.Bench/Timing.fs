namespace FunTrpo.Bench

open System
open System.Diagnostics

/// The length and the number of measurements of a subject.
type Effort =
    {
        /// The seconds for which a subject is measured.
        Seconds: float
        /// The minimum number of repeats, even if they take longer.
        Repeats: int
    }

module Timing =

    /// Returns the median.
    let median (numbers: float[]) =
        let sorted = Array.sort numbers
        (sorted[(sorted.Length - 1) / 2] + sorted[sorted.Length / 2]) / 2.0

    /// Returns the duration of a call, in seconds.
    let seconds (action: unit -> unit) =
        let start = Stopwatch.GetTimestamp()
        action ()
        Stopwatch.GetElapsedTime(start).TotalSeconds

    /// Calls the action until at least 0.8 seconds have passed, so that the just-in-time compiler has produced its final code. An action
    /// that takes longer is called once.
    let warmUp action =
        let clock = Stopwatch.StartNew()
        action ()

        while clock.Elapsed.TotalSeconds < 0.8 do
            action ()

    /// Repeats the measurements in rounds of one each, so that disturbances of the machine affect all alike. Returns one array of results
    /// for each measurement.
    let inTurn effort (measurements: (unit -> float) list) =
        let clock = Stopwatch.StartNew()

        let rounds =
            Seq.initInfinite id
            |> Seq.takeWhile (fun round -> round < effort.Repeats || clock.Elapsed.TotalSeconds < effort.Seconds)
            |> Seq.map (fun _ -> measurements |> List.map (fun measure -> measure ()))
            |> Array.ofSeq

        measurements |> List.mapi (fun i _ -> rounds |> Array.map (fun round -> round[i]))

    /// Warms up, and then returns the duration of each of several calls, in seconds.
    let repeated effort action =
        warmUp action
        inTurn effort [ fun () -> seconds action ] |> List.head

    /// Returns a measurement that takes about `least` seconds or more. It gives the mean time of a call.
    let lasting (least: float) action =
        let calls = max 1 (int (least / max 1e-6 (seconds action)))

        fun () ->
            seconds (fun () ->
                for _ in 1..calls do
                    action ())
            / float calls

    /// Returns the bytes that a call allocates, on all threads.
    let allocated action =
        let before = GC.GetTotalAllocatedBytes true
        action ()
        float (GC.GetTotalAllocatedBytes true - before)
