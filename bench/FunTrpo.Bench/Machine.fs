namespace FunTrpo.Bench

open System
open System.IO
open System.Runtime.InteropServices
open System.Threading
open FunTrpo.Bench.Machine

/// The machine on which a report was made, with its peak rates.
type Machine =
    {
        Processor: string
        Cores: int
        /// The width of the widest vectors, in bits.
        VectorBits: int
        Runtime: string
        System: string
        Date: DateOnly
        /// The number of threads, and the peak rate of float32 fused multiply-adds in GFLOP/s.
        Peaks: (int * float) list
        /// The width of narrower vectors in bits, and the peak rate of one core with them in GFLOP/s.
        NarrowPeaks: (int * float) list
        /// The number of threads, and the memory bandwidth of the triad in GB/s.
        Bandwidths: (int * float) list
    }

module Machine =

    /// Returns the text after the colon in the first line of the file that begins with the key.
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

    /// Runs `measure` on several threads at the same time and returns their results.
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

    /// The rounds of a measurement of the peak that takes about two milliseconds.
    let private shortRounds = 1_000_000L

    /// Measures the rate of float32 fused multiply-adds of all threads together, in operations per second.
    let private peakOver rounds threads =
        let measure _ = Peak.Measure(vectorBits, rounds)
        if threads = 1 then measure 0 else together threads measure |> Array.sum

    /// Measures the peak rate of `threads` threads over about 50 milliseconds, in operations per second.
    let peakNow threads = peakOver (25L * shortRounds) threads

    /// Returns the highest of several measurements: the rate if nothing else uses the machine.
    let private best count measure = Array.init count (fun _ -> measure ()) |> Array.max

    let private narrowPeaks () =
        [ 128; 256 ]
        |> List.filter (fun bits -> bits < vectorBits)
        |> List.map (fun bits -> bits, best 20 (fun () -> Peak.Measure(bits, shortRounds)) / 1e9)

    /// Measures the bandwidth of the triad in GB/s. Each thread has three arrays of its own, of `elements` elements each.
    let private bandwidth elements threads =
        let arrays = Array.init threads (fun _ -> Array.init 3 (fun i -> Array.create elements (float32 i)))

        let measure thread =
            let own = arrays[thread]
            let run () = Triad.Run(own[0].AsSpan(), ReadOnlySpan own[1], 3f, ReadOnlySpan own[2])
            float elements * float Triad.BytesPerElement / Timing.seconds run

        best 6 (fun () -> together threads measure |> Array.sum) / 1e9

    /// Measures the machine with one thread and with `threads` threads. The arrays of the triad have `elements` elements in all threads
    /// together, which must be more than the caches hold.
    let measure elements threads =
        let counts = List.distinct [ 1; threads ]

        { Processor = processor ()
          Cores = Environment.ProcessorCount
          VectorBits = vectorBits
          Runtime = RuntimeInformation.FrameworkDescription
          System = RuntimeInformation.OSDescription
          Date = DateOnly.FromDateTime DateTime.Now
          Peaks = counts |> List.map (fun threads -> threads, best 50 (fun () -> peakOver shortRounds threads) / 1e9)
          NarrowPeaks = narrowPeaks ()
          Bandwidths = counts |> List.map (fun threads -> threads, bandwidth (elements / threads) threads) }

    /// Returns the fraction of the peak that all threads reach over half a second. It is near 1 if nothing else runs on the machine.
    let steadiness machine =
        let threads, best = List.last machine.Peaks
        peakOver (250L * shortRounds) threads / 1e9 / best
