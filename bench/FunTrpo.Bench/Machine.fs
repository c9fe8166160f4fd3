namespace FunTrpo.Bench

open System
open System.IO
open System.Runtime.InteropServices
open System.Threading
open FunTrpo.Bench.Machine

/// The machine that a report was made on, and what it can do.
type Machine =
    {
        Processor: string
        Cores: int
        /// Of the widest vectors that it calculates with, in bits.
        VectorBits: int
        Runtime: string
        System: string
        Date: DateOnly
        /// Fused multiply-adds of float32, in GFLOP/s: threads and rate.
        Peaks: (int * float) list
        /// The same on one core with narrower vectors: bits and rate.
        NarrowPeaks: (int * float) list
        /// The triad's, in GB/s: threads and rate.
        Bandwidths: (int * float) list
    }

module Machine =

    /// The name after a colon, in the first line of a file that begins with the key.
    let private nameIn file (key: string) =
        File.ReadLines file
        |> Seq.tryFind _.StartsWith(key)
        |> Option.map (fun line -> line.Substring(line.IndexOf ':' + 1).Trim())

    let private processor () =
        let fromFile = if File.Exists "/proc/cpuinfo" then nameIn "/proc/cpuinfo" "model name" else None

        fromFile
        |> Option.orElse (Option.ofObj (Environment.GetEnvironmentVariable "PROCESSOR_IDENTIFIER"))
        |> Option.defaultValue (string RuntimeInformation.ProcessArchitecture)

    /// The width of the widest vectors, in bits.
    let vectorBits = Peak.VectorBits

    /// What each of several threads gives when all of them measure at the same time.
    let private together threads (measure: int -> float) =
        use barrier = new Barrier(threads)
        let results = Array.zeroCreate threads

        let start index =
            let thread =
                Thread(fun () ->
                    barrier.SignalAndWait()
                    results[index] <- measure index)

            thread.Start()
            thread

        Array.init threads start |> Array.iter _.Join()
        results

    /// Rounds of the measurement of the peak that take about two milliseconds.
    let private briefly = 1_000_000L

    /// Fused multiply-adds of float32 that so many threads do at once, in operations a second.
    let private peakOver rounds threads =
        let measure _ = Peak.Measure(vectorBits, rounds)
        if threads = 1 then measure 0 else together threads measure |> Array.sum

    /// The peak of so many threads now, over about 50 milliseconds.
    let peakNow threads = peakOver (25L * briefly) threads

    /// The best of several measurements: what the machine does when nothing disturbs it.
    let private best count measure = Array.init count (fun _ -> measure ()) |> Array.max

    let private narrowPeaks () =
        [ 128; 256 ]
        |> List.filter (fun bits -> bits < vectorBits)
        |> List.map (fun bits -> bits, best 20 (fun () -> Peak.Measure(bits, briefly)) / 1e9)

    /// The triad's bytes a second of so many threads, each on its own three arrays of so many elements.
    let private bandwidth elements threads =
        let arrays = Array.init threads (fun _ -> Array.init 3 (fun i -> Array.create elements (float32 i)))

        let measure thread =
            let own = arrays[thread]
            let run () = Triad.Run(own[0].AsSpan(), ReadOnlySpan own[1], 3f, ReadOnlySpan own[2])
            float elements * float Triad.BytesPerElement / Timing.seconds run

        best 6 (fun () -> together threads measure |> Array.sum) / 1e9

    /// Measures the machine with one thread and with `threads`, on arrays of so many elements (more than the caches hold).
    let measure elements threads =
        let counts = List.distinct [ 1; threads ]

        { Processor = processor ()
          Cores = Environment.ProcessorCount
          VectorBits = vectorBits
          Runtime = RuntimeInformation.FrameworkDescription
          System = RuntimeInformation.OSDescription
          Date = DateOnly.FromDateTime DateTime.Now
          Peaks = counts |> List.map (fun threads -> threads, best 50 (fun () -> peakOver briefly threads) / 1e9)
          NarrowPeaks = narrowPeaks ()
          Bandwidths = counts |> List.map (fun threads -> threads, bandwidth (elements / threads) threads) }

    /// How much of the peak all threads reach over half a second: near 1 where nothing else runs on the machine.
    let steadiness machine =
        let threads, best = List.last machine.Peaks
        peakOver (250L * briefly) threads / 1e9 / best
