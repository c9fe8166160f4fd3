namespace FunTrpo.Bench

open System
open System.Diagnostics
open System.Globalization

/// One update of the paper's network for Atari, in a process of its own, so that its peak of memory is that of the update.
module Frames =

    /// The network on so many frames.
    let shape frames = { ArchitectureShape.atari with Batch = frames; Sequences = frames }

    let private minibatch = 128

    let private update threads frames = (Subjects.ofArchitecture threads (shape frames)).Update

    /// Makes an update on a few frames, until the just-in-time compiler has produced its final code, and then one on all. Prints the seconds of
    /// the latter, and the most memory that the process has had, in bytes.
    let run (arguments: string list) =
        match List.map Int32.Parse arguments with
        | [ threads; frames ] ->
            Timing.warmUp (update threads minibatch)
            let seconds = Timing.seconds (update threads frames)
            let bytes = float (Process.GetCurrentProcess().PeakWorkingSet64)
            let invariant (number: float) = number.ToString("R", CultureInfo.InvariantCulture)
            Console.Out.WriteLine $"{invariant seconds} {invariant bytes}"
            0
        | _ -> invalidArg (nameof arguments) "they must be the numbers of threads and of frames"
