namespace FunTrpo

open System
open System.Runtime.CompilerServices
open System.Threading
open System.Threading.Tasks

/// A simulator that you implement as a mutable class, whose answers are awaited: those of a device, a server or another process.
/// `AsyncSimulator.environment` makes an environment of it, of which `Environment.inFlight` says how many are awaited at the same time.
///
/// No two calls of an instance are made at the same time. An exception ends training with a `FailedEnvironment`.
type AsyncSimulator =

    /// The name of the simulator in reports and errors. It is the same for all instances.
    abstract Id: string

    /// The set of possible observations. It is the same for all instances and never changes.
    abstract ObservationSpace: Space

    /// The set of possible actions. It is the same for all instances and never changes.
    abstract ActionSpace: Space

    /// Begins a new episode and writes its first observation to `observation`, as `Simulator.Reset` does. The memory is valid until the
    /// answer is there.
    abstract Reset: seed: int * observation: Memory<float32> * cancellation: CancellationToken -> ValueTask

    /// Takes `action` and writes the next observation to `observation`, as `Simulator.Step` does. Both are valid until the answer is there.
    abstract Step:
        action: ReadOnlyMemory<float32> * observation: Memory<float32> * cancellation: CancellationToken ->
            ValueTask<SimulatorStep>

/// Waits for asynchronous calls.
[<AbstractClass; Sealed>]
type Awaiting private () =

    /// Makes the call outside of the synchronisation context of this thread: the call could not come back to it, because the thread sleeps.
    static member private WithoutContext(call: unit -> 'T) =
        let context = SynchronizationContext.Current
        SynchronizationContext.SetSynchronizationContext null

        try
            call ()
        finally
            SynchronizationContext.SetSynchronizationContext context

    /// The result of the call. The thread sleeps until it is there. Throws what the call throws.
    static member Result(call: Func<ValueTask<'T>>) =
        Awaiting.WithoutContext(fun () -> call.Invoke().AsTask().GetAwaiter().GetResult())

    /// Does the same for a call without a result.
    static member Finish(call: Func<ValueTask>) =
        Awaiting.WithoutContext(fun () -> call.Invoke().AsTask().GetAwaiter().GetResult())

/// An asynchronous simulator as one whose calls sleep until the answer is there.
type private AwaitedSimulator(simulator: AsyncSimulator, cancellation: CancellationToken) =
    let action = Array.zeroCreate<float32>(Space.width simulator.ActionSpace)
    let observation = Array.zeroCreate<float32>(Space.width simulator.ObservationSpace)

    interface Simulator with
        member _.Id = simulator.Id
        member _.ObservationSpace = simulator.ObservationSpace
        member _.ActionSpace = simulator.ActionSpace

        member _.Reset(seed, destination) =
            Array.Clear observation

            Awaiting.Finish(fun () -> simulator.Reset(seed, observation.AsMemory(), cancellation))
            observation.CopyTo destination

        member _.Step(taken, destination) =
            taken.CopyTo action
            Array.Clear observation

            let step =
                Awaiting.Result(fun () -> simulator.Step(ReadOnlyMemory action, observation.AsMemory(), cancellation))

            observation.CopyTo destination
            step

    interface IDisposable with
        member _.Dispose() =
            match box simulator with
            | :? IAsyncDisposable as disposable -> Awaiting.Finish(fun () -> disposable.DisposeAsync())
            | :? IDisposable as disposable -> disposable.Dispose()
            | _ -> ()

module AsyncSimulator =

    /// An environment of the asynchronous simulators that `make` returns, a new one at each call, as `Simulator.environment` makes one of
    /// simulators. Its calls pass `cancellation` on. If a simulator then throws an `OperationCanceledException`, the iteration ends with a
    /// `FailedEnvironment` that has it. Simulators that are `IAsyncDisposable` or `IDisposable` are disposed of with the environment.
    ///
    /// Give the number of simulators that are awaited at the same time with `Environment.inFlight`.
    let environment cancellation (make: unit -> 'Simulator :> AsyncSimulator) =
        // A simulator that is returned a second time gives the same awaited one, which is refused.
        let awaited = ConditionalWeakTable<AsyncSimulator, AwaitedSimulator>()

        Simulator.environment (fun () ->
            match box (make ()) with
            | null -> Unchecked.defaultof<Simulator>
            | made ->
                awaited.GetValue(
                    made :?> AsyncSimulator,
                    fun simulator -> new AwaitedSimulator(simulator, cancellation)
                ))
