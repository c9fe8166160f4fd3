namespace FunTrpo

open System
open System.Runtime.ExceptionServices
open System.Threading

/// Runs work in parallel pieces. The number of pieces does not depend on the number of threads, so the results do not either.
module Parallel =

    /// A number of pieces of work. The calling thread and the workers that join it take the pieces one after another. If the job is started
    /// inside a piece of another job, that job is its parent; otherwise the parent is null.
    [<AllowNullLiteral>]
    type private Job(parent: Job, threads: int, count: int, f: int -> unit) =
        /// The job whose piece this thread is running, or null.
        [<ThreadStatic; DefaultValue>]
        static val mutable private current: Job

        let mutable next = -1

        /// The number of threads that work on the job, the caller included.
        let mutable joined = 1

        let mutable failedPiece = Int32.MaxValue
        let mutable failure: ExceptionDispatchInfo = null

        /// The job whose piece the calling thread is running, or null.
        static member Current = Job.current

        member private _.Parent = parent

        /// Whether this job is `outer`, or is nested inside one of its pieces at any depth.
        member job.IsWithin(outer: Job) =
            let mutable ancestor = job

            while not (isNull ancestor || obj.ReferenceEquals(ancestor, outer)) do
                ancestor <- ancestor.Parent

            not (isNull ancestor)

        /// Whether pieces are left and fewer threads work on the job than it may have.
        member _.IsOpen = Volatile.Read &next < count - 1 && Volatile.Read &joined < threads

        /// Whether the calling thread is the only one that works on the job.
        member _.HasOnlyCaller = Volatile.Read &joined = 1

        /// Runs pieces until none is left. After a failure no further piece is started.
        member job.Work() =
            let previous = Job.current
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

            Job.current <- previous

        /// Joins the job and runs its pieces if it is open. Returns whether the thread has joined.
        member job.Join() =
            if job.IsOpen then
                let isWanted = Interlocked.Increment &joined <= threads

                if isWanted then
                    job.Work()

                Interlocked.Decrement &joined |> ignore
                isWanted
            else
                false

        /// Throws the exception of the failed piece with the lowest index, if any piece has failed.
        member _.ThrowFailure() =
            if not (isNull failure) then
                failure.Throw()

    /// The running jobs, which idle workers may join. If the queue is full, a job is run by its caller alone.
    let private workQueue = Array.zeroCreate<Job> 8

    /// Joins the open jobs of the queue. If `outer` is not null, joins only `outer` and the jobs nested inside it. Returns whether it has
    /// joined any.
    let private runQueued (outer: Job) =
        let mutable hasRun = false

        for i in 0 .. workQueue.Length - 1 do
            let job = Volatile.Read &workQueue[i]

            if not (isNull job) && (isNull outer || job.IsWithin outer) && job.Join() then
                hasRun <- true

        hasRun

    /// The number of worker threads. They live as long as the process. A worker without work first spins, because the next job usually
    /// follows at once, and is then parked.
    let mutable private threadCount = 0

    let mutable private parked = 0
    let private parkingLock = obj ()

    /// The number of times a worker looks for work before it is parked, which takes about 10 ms.
    let private spinLimit = 20000

    /// The number of times a caller looks whether the others are done before it sleeps in between, which takes about 0.1 s. A piece that
    /// never ends then costs no processor time.
    let private sleepAfter = 200_000

    let private park () =
        lock parkingLock (fun () ->
            Interlocked.Increment &parked |> ignore

            // A caller enqueues its job before it reads `parked`. If it missed the increment above, its job is already in the queue here.
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

    /// Starts workers until there are at least `wanted`.
    let private startWorkers wanted =
        if Volatile.Read &threadCount < wanted then
            lock workQueue (fun () ->
                while threadCount < wanted do
                    // The thread outlives this call, and must not keep the caller's context.
                    Thread(runWorker, IsBackground = true, Name = "FunTrpo").UnsafeStart()
                    threadCount <- threadCount + 1)

    /// Puts the job into a free slot of the queue. Returns the slot, or −1 if the queue is full.
    let private enqueue (job: Job) =
        let mutable i = 0

        while i < workQueue.Length && not (isNull (Interlocked.CompareExchange(&workQueue[i], job, null))) do
            i <- i + 1

        if i < workQueue.Length then i else -1

    let private runOnThreads threads count f =
        startWorkers (threads - 1)
        let job = Job(Job.Current, threads, count, f)
        let slot = enqueue job
        unpark ()
        job.Work()

        if slot >= 0 then
            Volatile.Write(&workQueue[slot], null)

        // Other threads are still running their last pieces. Those pieces may wait for nested jobs, so this thread helps with them. It does
        // not join any other job: that one might never end, or might wait for something that this thread holds.
        let mutable spin = SpinWait()

        while not job.HasOnlyCaller do
            if runQueued job then spin.Reset()
            elif spin.Count < sleepAfter then spin.SpinOnce -1
            else Thread.Sleep 1

        job.ThrowFailure()

    /// The number of threads that are used if `threads` are requested: at least one, and at most the number of processors.
    let effective threads = max 1 (min threads Environment.ProcessorCount)

    /// Runs f 0 … f (count − 1), at most `threads` of them at a time. If pieces throw, no further piece is started, and the exception of
    /// the failed piece with the lowest index is thrown.
    ///
    /// Pieces may call `iter` themselves, and idle workers join these nested jobs too. While the caller waits for the last pieces, it helps
    /// only with jobs nested inside them. A piece that blocks therefore delays only the callers that wait for it.
    let iter threads count (f: int -> unit) =
        let threads = effective (min threads count)

        if threads > 1 then
            runOnThreads threads count f
        else
            for i in 0 .. count - 1 do
                f i

    /// The results of f and g, which run at the same time if there are at least two threads. Throws as `iter` does.
    let both threads (f: unit -> 'F) (g: unit -> 'G) =
        let resultOfF = ref Unchecked.defaultof<'F>
        let resultOfG = ref Unchecked.defaultof<'G>
        iter threads 2 (fun i -> if i = 0 then resultOfF.Value <- f () else resultOfG.Value <- g ())
        struct (resultOfF.Value, resultOfG.Value)

    /// [| f 0; …; f (count − 1) |], computed at most `threads` at a time. Throws as `iter` does.
    let map threads count (f: int -> 'T) =
        let results = Array.zeroCreate<'T> count
        iter threads count (fun i -> results[i] <- f i)
        results

    /// Does the same as `iter` for pieces that mostly wait, such as calls to a simulator in another process. They run on the calling thread
    /// and on threads of their own, of which there may be more than processors. These sleep while they wait, and end with the call.
    let private iterWaiting threads count (f: int -> unit) =
        let job = Job(Job.Current, threads, count, f)

        let helpers =
            Array.init (max 1 (min threads count) - 1) (fun _ ->
                Thread((fun () -> job.Work()), IsBackground = true, Name = "FunTrpo, waiting"))

        for helper in helpers do
            helper.Start()

        job.Work()

        for helper in helpers do
            helper.Join()

        job.ThrowFailure()

    /// Does the same as `map` for pieces that mostly wait: at most `threads` at a time, even if there are fewer processors. The caller's
    /// execution context flows to all of them.
    let mapWaiting threads count (f: int -> 'T) =
        let results = Array.zeroCreate<'T> count
        iterWaiting threads count (fun i -> results[i] <- f i)
        results

    let internal blockCount size total = (total + size - 1) / size

    /// Splits `total` items into blocks of `size` consecutive items, of which the last may be shorter. Calls f first count for each block,
    /// which has `count` items from item `first` on. Throws as `iter` does.
    let iterBlocks threads size total (f: int -> int -> unit) =
        iter threads (blockCount size total) (fun block ->
            let first = block * size
            f first (min size (total - first)))

    /// Splits the items as `iterBlocks` does. Returns f first count of each block, in the order of the blocks. Throws as `iter` does.
    let blocks threads size total (f: int -> int -> 'T) =
        map threads (blockCount size total) (fun block ->
            let first = block * size
            f first (min size (total - first)))
