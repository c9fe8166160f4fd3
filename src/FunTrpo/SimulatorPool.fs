namespace FunTrpo

open System
open System.Collections.Concurrent
open System.Collections.Generic
open System.Runtime.CompilerServices
open System.Runtime.ExceptionServices
open System.Threading

/// The simulators of an environment: as many as are needed at the same time. Each is used again when its episode is over.
[<Sealed>]
type internal SimulatorPool(factory: Func<Simulator>) =

    /// The lock that is held while the factory runs, because the factory may use shared state.
    let factoryLock = obj ()

    /// Instances whose episodes are over.
    let idle = ConcurrentBag<SimulatorInstance>()

    /// The instances that are disposable and have not been disposed of. Also the lock for this set.
    let disposable = HashSet<SimulatorInstance>()

    /// All simulators that were made and are still alive, to detect a factory that returns the same one twice.
    let knownSimulators = ConditionalWeakTable<Simulator, SimulatorInstance>()

    /// The number of simulators that may fail and be replaced by fresh ones, and how many of them are left.
    let mutable restarts = 0
    let mutable restartsLeft = 0

    let addInstance (simulator: Simulator) =
        if isNull (box simulator) then
            invalidOp "the factory gave null"

        let instance = SimulatorInstance(simulator, idle)

        if not (knownSimulators.TryAdd(simulator, instance)) then
            invalidOp "the factory gave the same instance a second time; it must make a new one each time"

        if simulator :? IDisposable then
            lock disposable (fun () -> disposable.Add instance |> ignore)

        instance

    /// Calls the factory, one thread at a time.
    let createInstance () = lock factoryLock (fun () -> addInstance (factory.Invoke()))

    /// Disposes of an instance that is not used again, if it is disposable and has not been disposed of before.
    let discard (instance: SimulatorInstance) =
        if lock disposable (fun () -> disposable.Remove instance) then
            try
                (instance.Simulator :?> IDisposable).Dispose()
            with _ ->
                () // The caller throws the earlier exception, because of which the instance is discarded.

    let first = createInstance ()

    let id, observationSpace, actionSpace =
        try
            first.Simulator.Id, first.Simulator.ObservationSpace, first.Simulator.ActionSpace
        with _ ->
            discard first
            reraise ()

    do idle.Add first

    /// Creates an instance whose spaces are those of the first one.
    let createChecked () =
        let another = createInstance ()

        try
            let simulator = another.Simulator

            if simulator.ObservationSpace <> observationSpace || simulator.ActionSpace <> actionSpace then
                invalidOp "the spaces of this instance are not those of the first one"

            another
        with _ ->
            discard another
            reraise ()

    let rec take () =
        match idle.TryTake() with
        | true, waiting when waiting.IsUsable -> waiting
        | true, _ -> take ()
        | _ -> createChecked ()

    member _.Id = id
    member _.ObservationSpace = observationSpace
    member _.ActionSpace = actionSpace

    /// The simulator that was made first, which tells what all of them can do.
    member _.First = first.Simulator

    /// An idle instance, or a new one.
    member _.Take() = take ()

    /// Makes the usable ones of the instances available for other episodes, wherever they are. Some may be null.
    member _.Release(instances: SimulatorInstance[]) =
        for instance in instances do
            if not (isNull instance) && instance.IsUsable then
                instance.MakeIdle()

    /// Disposes of an instance that has failed, if it is disposable. It is not used again.
    member _.Discard instance = discard instance

    /// Lets so many instances fail from now on and be replaced.
    member _.AllowRestarts times =
        restarts <- times
        Volatile.Write(&restartsLeft, times)

    /// Whether an instance that has failed with this error may be replaced by a fresh one. A cancellation is no failure, and all simulators of
    /// a batch fail together.
    member _.MayRestart(error: exn) =
        match error with
        | :? OperationCanceledException -> false
        | :? RetiredException -> restarts > 0
        | _ -> Volatile.Read &restartsLeft > 0 && Interlocked.Decrement &restartsLeft >= 0

    interface IDisposable with
        member _.Dispose() =
            let errors = List<exn>()

            lock disposable (fun () ->
                idle.Clear()

                for instance in disposable do
                    instance.Withdraw()

                    try
                        (instance.Simulator :?> IDisposable).Dispose()
                    with error ->
                        errors.Add error

                disposable.Clear())

            if errors.Count > 0 then
                ExceptionDispatchInfo.Throw errors[0]
