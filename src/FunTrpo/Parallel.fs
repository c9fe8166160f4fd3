namespace FunTrpo

open System
open System.Runtime.ExceptionServices
open System.Threading

/// Work that is cut into pieces whose number does not depend on the threads, so that the results do not either.
module Parallel =

    /// A number of pieces, of which whoever is free takes the next: the caller and those who join it. A job that begins inside of a
    /// piece of another one has that one as its parent, which is null where there is none.
    [<AllowNullLiteral>]
    type private Job(parent: Job, threads: int, count: int, f: int -> unit) =
        /// The job of which this thread does a piece.
        [<ThreadStatic; DefaultValue>]
        static val mutable private current: Job

        let mutable next = -1
        let mutable workers = 1
        let mutable failedPiece = Int32.MaxValue
        let mutable failure: ExceptionDispatchInfo = null

        /// The job in whose piece the caller is, or null.
        static member Current = Job.current

        member private _.Parent = parent

        /// Whether it is this job, or one inside of its pieces.
        member job.IsWithin(outer: Job) =
            let mutable it = job

            while not (isNull it || obj.ReferenceEquals(it, outer)) do
                it <- it.Parent

            not (isNull it)

        /// Whether there are pieces left, and not yet enough who do them.
        member _.IsOpen = Volatile.Read &next < count - 1 && Volatile.Read &workers < threads

        /// Whether nobody but the caller works on it.
        member _.IsLeftAlone = Volatile.Read &workers = 1

        /// Does pieces until none is left.
        member job.Work() =
            let before = Job.current
            Job.current <- job
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

            Job.current <- before

        /// Works on it too, if it is open; gives whether it was.
        member job.Join() =
            if job.IsOpen then
                let isWanted = Interlocked.Increment &workers <= threads

                if isWanted then
                    job.Work()

                Interlocked.Decrement &workers |> ignore
                isWanted
            else
                false

        /// Throws what the first of the failed pieces threw.
        member _.ThrowFailure() =
            if not (isNull failure) then
                failure.Throw()

    /// The jobs under way, where all who have nothing to do find them. A job that finds no place is done by its caller alone.
    let private workQueue = Array.zeroCreate<Job> 8

    /// Joins the jobs under way, those inside of one of them where that is not null; gives whether there was anything to do.
    let private runQueued (outer: Job) =
        let mutable hasRun = false

        for i in 0 .. workQueue.Length - 1 do
            let job = Volatile.Read &workQueue[i]

            if not (isNull job) && (isNull outer || job.IsWithin outer) && job.Join() then
                hasRun <- true

        hasRun

    /// The workers of this process live as long as it does. Each waits for jobs, awake for a while, since the next one usually
    /// follows at once, and then parked.
    let mutable private workers = 0

    let mutable private parked = 0
    let private parkingLock = obj ()

    /// So many spins at the workQueue are about ten milliseconds.
    let private spinLimit = 20000

    let private park () =
        lock parkingLock (fun () ->
            Interlocked.Increment &parked |> ignore

            // Whoever has not seen that this one is parked has put up the job before.
            if not (workQueue |> Array.exists (fun job -> not (isNull job) && job.IsOpen)) then
                Monitor.Wait parkingLock |> ignore

            Interlocked.Decrement &parked |> ignore)

    let private unpark () =
        if Volatile.Read &parked > 0 then
            lock parkingLock (fun () -> Monitor.PulseAll parkingLock)

    let private runWorker () =
        let mutable spins = 0

        while true do
            if runQueued null then
                spins <- 0
            elif spins < spinLimit then
                spins <- spins + 1
                Thread.SpinWait 10
            else
                park ()
                spins <- 0

    /// As many workers as are wanted, at least.
    let private startWorkers wanted =
        if Volatile.Read &workers < wanted then
            lock workQueue (fun () ->
                while workers < wanted do
                    Thread(runWorker, IsBackground = true, Name = "FunTrpo").Start()
                    workers <- workers + 1)

    /// Puts up a job where there is room, and gives the place, or −1.
    let private enqueue (job: Job) =
        let mutable i = 0

        while i < workQueue.Length && not (isNull (Interlocked.CompareExchange(&workQueue[i], job, null))) do
            i <- i + 1

        if i < workQueue.Length then i else -1

    let private together threads count f =
        startWorkers (threads - 1)
        let job = Job(Job.Current, threads, count, f)
        let place = enqueue job
        unpark ()
        job.Work()

        if place >= 0 then
            Volatile.Write(&workQueue[place], null)

        // The others finish their pieces; some of them may be waiting for runQueued themselves. What is not inside of this job may take for
        // ever, or wait for something that this thread holds.
        let mutable spin = SpinWait()

        while not job.IsLeftAlone do
            if runQueued job then spin.Reset() else spin.SpinOnce -1

        job.ThrowFailure()

    /// How many threads work where so many are asked for: never more than the machine has processors, and at least one.
    let effective threads = max 1 (min threads Environment.ProcessorCount)

    /// Does f 0 … f (count − 1), at most `threads` of them at a time. Pieces may do such work themselves: whoever is free joins. While
    /// the caller waits for the last pieces it helps with what is inside of them, and with nothing else: a piece that stands still holds
    /// up those who wait for it, and no others.
    let iter threads count (f: int -> unit) =
        let threads = effective (min threads count)

        if threads > 1 then
            together threads count f
        else
            for i in 0 .. count - 1 do
                f i

    /// What f and g give, side by side where there are two threads.
    let both threads (f: unit -> 'F) (g: unit -> 'G) =
        let ofF = ref Unchecked.defaultof<'F>
        let ofG = ref Unchecked.defaultof<'G>
        iter threads 2 (fun i -> if i = 0 then ofF.Value <- f () else ofG.Value <- g ())
        struct (ofF.Value, ofG.Value)

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
