namespace FunTrpo

open System
open System.Runtime.ExceptionServices
open System.Threading.Tasks

/// Work that is cut into pieces whose number does not depend on the threads, so that the results do not either.
module Parallel =

    /// Does f 0 … f (count − 1), at most `threads` of them at a time.
    let iter threads count (f: int -> unit) =
        if threads <= 1 || count <= 1 then
            for i in 0 .. count - 1 do
                f i
        else
            try
                Parallel.For(0, count, ParallelOptions(MaxDegreeOfParallelism = threads), f) |> ignore
            with :? AggregateException as several ->
                // As it would have come from the loop above.
                ExceptionDispatchInfo.Throw several.InnerExceptions[0]

    /// [| f 0; …; f (count − 1) |], at most `threads` of them at a time.
    let map threads count (f: int -> 'T) =
        let results = Array.zeroCreate<'T> count
        iter threads count (fun i -> results[i] <- f i)
        results

    /// f first count for each block of `size` consecutive items out of `total`, in order; the last may be shorter.
    let blocks threads size total (f: int -> int -> 'T) =
        map threads ((total + size - 1) / size) (fun block ->
            let first = block * size
            f first (min size (total - first)))
