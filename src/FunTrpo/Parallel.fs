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

    // What a worker is doing. An offer that it has not yet taken can be taken back, so that nobody waits for a worker to which
    // the system gives no processor.
    let private waiting = 0
    let private offered = 1
    let private working = 2
    let private asleep = 3

    /// A thread that waits for jobs: awake for a while, since the next one usually follows at once, and then asleep.
    type private Worker() =
        let mutable state = waiting
        let mutable job: Job = null
        let wake = new SemaphoreSlim(0)

        /// A fraction of a millisecond of looking out for the next job.
        let patience = 2000

        /// Changes the state, if it is still what it was.
        let change before after = Interlocked.CompareExchange(&state, after, before) = before

        let run () =
            let mutable looks = 0

            while true do
                if Volatile.Read &state = offered && change offered working then
                    job.Work()
                    job <- null
                    Volatile.Write(&state, waiting)
                    looks <- 0
                elif looks < patience then
                    looks <- looks + 1
                    Thread.SpinWait 10
                elif change waiting asleep then
                    wake.Wait()
                    looks <- 0

        /// Begins to wait. The constructor does not: its thread could be faster than the rest of the constructor.
        member _.Start() = Thread(run, IsBackground = true, Name = "FunTrpo").Start()

        member _.Offer next =
            job <- next

            if Interlocked.Exchange(&state, offered) = asleep then
                wake.Release() |> ignore

        /// Returns when the worker does nothing for the job that it was offered, and will do nothing.
        member _.Leave() =
            if not (change offered waiting) then
                let mutable spin = SpinWait()

                while Volatile.Read &state = working do
                    spin.SpinOnce -1

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
                team[i].Offer job

            job.Work()

            for i in 0 .. helpers - 1 do
                team[i].Leave()

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
