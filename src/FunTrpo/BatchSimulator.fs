namespace FunTrpo

open System
open System.Runtime.CompilerServices
open System.Runtime.ExceptionServices
open System.Threading

/// Several simulators in one object that resets and steps any of them in one call: those of another process, or of a processor that is fast
/// with many at a time. `Simulator.environmentOfBatches` (in `SimulatorEnvironment.fs`) makes an environment of it.
///
/// No two threads use the object at the same time. If a call fails, the object is disposed of, if it is `IDisposable`, and not used again:
/// throw a `BatchException` to tell which of the simulators it was. No index occurs twice in a call.
type BatchSimulator =

    /// The name of the simulators in reports and errors.
    abstract Id: string

    /// The set of possible observations. It never changes.
    abstract ObservationSpace: Space

    /// The set of possible actions. It never changes.
    abstract ActionSpace: Space

    /// The number of simulators, at least 1.
    abstract Count: int

    /// Begins a new episode in each of the simulators with these indices, as `Simulator.Reset` does: with its seed, and with its row of
    /// `observations`, which holds zeros.
    abstract Reset: indices: ReadOnlySpan<int> * seeds: ReadOnlySpan<int> * observations: Span<float32> -> unit

    /// Steps each of the simulators with these indices, as `Simulator.Step` does: with its row of `actions`, and with its row of
    /// `observations`, which holds zeros. Writes their results.
    abstract Step:
        indices: ReadOnlySpan<int> *
        actions: ReadOnlySpan<float32> *
        observations: Span<float32> *
        results: Span<SimulatorStep> ->
            unit

/// A batch whose simulators only move on together, such as the characters of one game. It is optional. Every call of `Step` has all of its
/// simulators that are in an episode, so one thread steps them. If a rollout has several such batches, it calls them at the same time.
///
/// An episode cannot be played again from its seed and its actions. So a state cannot be continued a second time (branches of a vine do that),
/// there are no checkpoints, and a batch that fails is not replaced.
type LockstepBatch =
    inherit BatchSimulator

    /// Says that nobody goes on with the episode of the simulator with this index, whether it has ended or not: the simulator is in no
    /// episode until its next reset.
    abstract Abandon: index: int -> unit

/// A call to a batch that another call has retired, with the error of that one.
type internal RetiredException(error: exn) =
    inherit Exception(error.Message, error)

/// A batch of simulators that several threads use in turn. After a failure it is retired, because nothing is known of its state.
[<Sealed; AllowNullLiteral>]
type internal SharedBatch(batch: BatchSimulator) =
    let turn = obj ()
    let mutable isRetired = false

    /// The error because of which the batch was retired.
    let mutable cause: exn = ObjectDisposedException batch.Id

    let requireUse () =
        if isRetired then
            raise (RetiredException cause)

    member _.Id = batch.Id
    member _.ObservationSpace = batch.ObservationSpace
    member _.ActionSpace = batch.ActionSpace
    member val Count = batch.Count

    /// Whether its simulators only move on together.
    member _.IsLockstep = batch :? LockstepBatch

    /// Tells the batch, if its simulators only move on together, that an episode is left.
    member _.Abandon index =
        match batch with
        | :? LockstepBatch as lockstep ->
            lock turn (fun () ->
                if not isRetired then
                    lockstep.Abandon index)
        | _ -> ()

    /// Whether it is not used again.
    member _.IsRetired = Volatile.Read &isRetired

    /// Disposes of the batch, unless it is retired.
    member _.Retire() =
        lock turn (fun () ->
            if not isRetired then
                Volatile.Write(&isRetired, true)

                match box batch with
                | :? IDisposable as disposable -> disposable.Dispose()
                | _ -> ())

    /// Retires the batch because of an exception.
    member private this.Abandon error =
        cause <- error

        try
            this.Retire()
        with _ ->
            () // The caller throws the earlier exception.

    member this.Reset(indices: int[], seeds: int[], observations: Span<float32>) =
        Monitor.Enter turn

        try
            requireUse ()

            try
                batch.Reset(ReadOnlySpan indices, ReadOnlySpan seeds, observations)
            with error ->
                this.Abandon error
                reraise ()
        finally
            Monitor.Exit turn

    member this.Step
        (indices: int[], actions: ReadOnlySpan<float32>, observations: Span<float32>, results: SimulatorStep[])
        =
        Monitor.Enter turn

        try
            requireUse ()

            try
                batch.Step(ReadOnlySpan indices, actions, observations, results.AsSpan())
            with error ->
                this.Abandon error
                reraise ()
        finally
            Monitor.Exit turn

/// One of the simulators of a batch.
[<Sealed>]
type internal BatchSlot(batch: SharedBatch, index: int) =
    let indices = [| index |]
    let seeds = [| 0 |]
    let results = [| Unchecked.defaultof<SimulatorStep> |]

    /// Throws the error of the only simulator of a call.
    let throwCause (error: exn) =
        let struct (_, cause) = BatchSteps.failureOf 1 error
        ExceptionDispatchInfo.Throw cause

    member _.Batch = batch
    member _.Index = index

    /// Tells the batch that the episode of this simulator is left.
    member _.Abandon() = batch.Abandon index

    interface Simulator with
        member _.Id = batch.Id
        member _.ObservationSpace = batch.ObservationSpace
        member _.ActionSpace = batch.ActionSpace

        member _.Reset(seed, observation) =
            seeds[0] <- seed

            try
                batch.Reset(indices, seeds, observation)
            with error ->
                throwCause error

        member _.Step(action, observation) =
            try
                batch.Step(indices, action, observation, results)
            with error ->
                throwCause error

            results[0]

    interface IDisposable with
        member _.Dispose() = batch.Retire()

/// The simulators of batches, one after another.
[<Sealed>]
type internal BatchSlots(make: Func<BatchSimulator>) =
    /// All batches that are still alive, to detect a factory that returns the same one twice.
    let known = ConditionalWeakTable<BatchSimulator, SharedBatch>()

    let mutable batch: SharedBatch = null
    let mutable next = 0

    let create () =
        let made = make.Invoke()

        if isNull (box made) then
            invalidOp "the factory gave null"

        let shared = SharedBatch made

        if not (known.TryAdd(made, shared)) then
            invalidOp "the factory gave the same batch a second time; it must make a new one each time"

        if shared.Count < 1 then
            invalidOp $"a batch has at least 1 simulator, and this one has {shared.Count}"

        shared

    /// A simulator of the current batch that is not in use, or the first one of a new batch.
    member _.Next() =
        if isNull batch || batch.IsRetired || next = batch.Count then
            batch <- create ()
            next <- 0

        next <- next + 1
        new BatchSlot(batch, next - 1) :> Simulator

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module BatchSimulator =

    /// A factory of single simulators: those of the batches that `make` returns, which makes a new batch when all of the last one are in use.
    let simulators (make: Func<BatchSimulator>) =
        let slots = BatchSlots make
        Func<Simulator>(fun () -> slots.Next())
