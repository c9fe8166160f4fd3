namespace FunTrpo

open System
open System.Runtime.ExceptionServices
open System.Threading

/// Work that is cut into pieces whose number does not depend on the threads, so that the results do not either.
module Parallel =

    /// A number of pieces, of which whoever is free takes the next.
    [<AllowNullLiteral>]
    type private Job(count: int, f: int -> unit) =
        let mutable next = -1
        let mutable failedPiece = Int32.MaxValue
        let mutable failure: ExceptionDispatchInfo = null

        /// Does pieces until none is left.
        member job.Work() =
            let mutable piece = Interlocked.Increment &next

            while piece < count do
                try
                    f piece
                with error ->
                    lock job (fun () ->
                        if piece < failedPiece then
                            failedPiece <- piece
                            failure <- ExceptionDispatchInfo.Capture error)

                    Volatile.Write(&next, count)

                piece <- Interlocked.Increment &next

        /// Throws what the first of the failed pieces threw.
        member _.ThrowFailure() =
            if not (isNull failure) then
                failure.Throw()

    // What a worker is doing.
    let private waiting = 0
    let private working = 1
    let private asleep = 2

    /// A thread that waits for jobs: awake for a while, since the next one usually follows at once, and then asleep.
    type private Worker() =
        let mutable state = waiting
        let mutable job: Job = null
        let wake = new SemaphoreSlim(0)

        /// Somewhat less than 1 ms of looking out for the next job.
        let patience = 2000

        let await () =
            let mutable looks = 0

            while Volatile.Read &state = waiting do
                if looks < patience then
                    looks <- looks + 1
                    Thread.SpinWait 10
                elif Interlocked.CompareExchange(&state, asleep, waiting) = waiting then
                    wake.Wait()

        let run () =
            while true do
                await ()
                job.Work()
                job <- null
                Volatile.Write(&state, waiting)

        /// Begins to wait. The constructor does not: its thread could be faster than the rest of the constructor.
        member _.Start() = Thread(run, IsBackground = true, Name = "FunTrpo").Start()

        member _.Give next =
            job <- next

            if Interlocked.Exchange(&state, working) = asleep then
                wake.Release() |> ignore

        member _.IsDone = Volatile.Read &state <> working

    /// The workers of this process: they live as long as it does, and one job at a time is theirs.
    let private team = ResizeArray<Worker>()
    let mutable private isTaken = 0

    let private together helpers count f =
        try
            while team.Count < helpers do
                let worker = Worker()
                worker.Start()
                team.Add worker

            let job = Job(count, f)

            for i in 0 .. helpers - 1 do
                team[i].Give job

            job.Work()
            let mutable spin = SpinWait()

            for i in 0 .. helpers - 1 do
                while not team[i].IsDone do
                    spin.SpinOnce -1

            job.ThrowFailure()
        finally
            Volatile.Write(&isTaken, 0)

    /// Does f 0 … f (count − 1), at most `threads` of them at a time. Where the workers are busy already, as in work inside of
    /// such work, the caller does it alone.
    let iter threads count (f: int -> unit) =
        let helpers = min (min threads count) Environment.ProcessorCount - 1

        if helpers > 0 && Interlocked.CompareExchange(&isTaken, 1, 0) = 0 then
            together helpers count f
        else
            for i in 0 .. count - 1 do
                f i

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
