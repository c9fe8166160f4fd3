namespace FunTrpo

open System
open System.Collections.Concurrent
open System.Collections.Generic
open System.Runtime.CompilerServices
open System.Runtime.ExceptionServices

/// An environment made of mutable simulators: functions over immutable `ReplayPoint` values. `Simulator.environment` makes one.
///
/// It makes as many simulators as are needed at the same time, and uses each of them again when its episode is over. Dispose of the
/// environment to dispose of the simulators that are `IDisposable`. If some of their disposals throw, the first exception is thrown in the
/// end. States can still be continued afterwards: their episodes are played again with new simulators.
[<Sealed>]
type SimulatorEnvironment internal (make: Func<Simulator>, mostKept: int) =

    /// The lock that is held while the factory runs, because the factory may use shared state.
    let making = obj ()

    /// Instances whose episodes are over.
    let idle = ConcurrentBag<SimulatorInstance>()

    /// The instances that are disposable and have not been disposed of. Also the lock for this set.
    let disposable = HashSet<SimulatorInstance>()

    /// All simulators that were made and are still alive, to detect a factory that returns the same one twice.
    let made = ConditionalWeakTable<Simulator, SimulatorInstance>()

    let addInstance (simulator: Simulator) =
        if isNull (box simulator) then
            invalidOp "the factory gave null"

        let instance = SimulatorInstance(simulator, idle)

        if not (made.TryAdd(simulator, instance)) then
            invalidOp "the factory gave the same instance a second time; it must make a new one each time"

        if simulator :? IDisposable then
            lock disposable (fun () -> disposable.Add instance |> ignore)

        instance

    /// Calls the factory, one thread at a time.
    let makeInstance () = lock making (fun () -> addInstance (make.Invoke()))

    /// Disposes of an instance that is not used again, if it is disposable and has not been disposed of before.
    let discard (instance: SimulatorInstance) =
        if lock disposable (fun () -> disposable.Remove instance) then
            try
                (instance.Simulator :?> IDisposable).Dispose()
            with _ ->
                () // The caller throws the earlier exception, because of which the instance is discarded.

    let first = makeInstance ()

    let id, observationSpace, actionSpace =
        try
            first.Simulator.Id, first.Simulator.ObservationSpace, first.Simulator.ActionSpace
        with _ ->
            discard first
            reraise ()

    let observationWidth = Space.width observationSpace
    let actionWidth = Space.width actionSpace
    do idle.Add first

    let makeAnother () =
        let another = makeInstance ()

        try
            let simulator = another.Simulator

            if simulator.ObservationSpace <> observationSpace || simulator.ActionSpace <> actionSpace then
                invalidOp "the spaces of this instance are not those of the first one"

            another
        with _ ->
            discard another
            reraise ()

    /// Begins an episode with an idle instance or a new one, and writes the observation.
    let beginEpisode seed (observation: float32[]) =
        let instance =
            match idle.TryTake() with
            | true, waiting -> waiting
            | _ -> makeAnother ()

        try
            instance.Simulator.Reset(seed, observation.AsSpan())
            instance
        with _ ->
            discard instance
            reraise ()

    /// Takes a step and writes the observation. If the step fails, the instance is discarded, because its state is unknown.
    let stepOrDiscard (instance: SimulatorInstance) (action: ReadOnlySpan<float32>) (observation: float32[]) =
        try
            instance.Simulator.Step(action, observation.AsSpan())
        with _ ->
            discard instance
            reraise ()

    /// Returns an instance at the given point, by playing its episode again with the same seed and actions.
    let replay (point: ReplayPoint) =
        if point.IsForgotten then
            invalidOp
                $"it cannot be continued from this state a second time: its episode has gone on for {point.Steps} steps, and of one whose actions are more than {mostKept} numbers they are not kept. Give it a time limit."

        let observation = Array.zeroCreate observationWidth
        let instance = beginEpisode point.Seed observation

        for i in 0 .. point.Steps - 1 do
            Array.Clear observation
            stepOrDiscard instance (point.Actions.Slice(i * actionWidth, actionWidth)) observation |> ignore

        if not (point.Shows observation) then
            invalidOp
                $"it cannot be continued from this state a second time: reset with the same seed ({point.Seed}) and given the same {point.Steps} actions, it showed something else. All its randomness must come from the seed of Reset."

        instance

    /// At most 2²⁰ numbers of actions (4 MB) are kept for an episode. If an episode has more, none are kept.
    new(make) = new SimulatorEnvironment(make, 1 <<< 20)

    interface Environment<ReplayPoint> with
        member _.Id = id
        member _.ObservationSpace = observationSpace
        member _.ActionSpace = actionSpace

        member _.Reset key =
            let struct (bits, _) = Key.bits 0UL key
            let seed = int (bits >>> 33)
            let observation = Array.zeroCreate observationWidth
            let instance = beginEpisode seed observation
            let start = ReplayPoint.Start(seed, observation, instance)
            instance.MoveTo start
            start

        member _.Step(_, action, state) =
            let isFirst = state.TryAcquire()
            let instance = if isFirst then state.Instance else replay state
            let observation = Array.zeroCreate observationWidth
            let result = stepOrDiscard instance action observation
            let isOver = result.Terminated || result.Truncated
            let following = if isOver then null else instance
            let next = state.Next(action, isFirst, mostKept, observation, following)

            if isOver then instance.MakeIdle() else instance.MoveTo next

            { State = next
              Reward = result.Reward
              Terminated = result.Terminated
              Truncated = result.Truncated }

        member _.Observe(state, observation) = state.Observation.CopyTo observation

    interface CheckpointableEnvironment<ReplayPoint> with
        /// The seed of the episode, the actions and the observation: training that goes on from it plays the episode again.
        member _.StateCodec =
            Ok
                { new StateCodec<ReplayPoint> with
                    member _.Encode point = ReplayPoint.encode mostKept point
                    member _.Decode bytes = ReplayPoint.decode observationWidth actionWidth bytes }

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

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Simulator =

    /// An environment of the simulators that `make` returns, a new one at each call. `make` is never called by two threads at the same time,
    /// but the calls may come from different threads. Throws what `make` throws for the first simulator.
    ///
    /// To continue from a state a second time, the environment resets a simulator with the same seed and gives it the same actions. This
    /// costs as many steps as the episode has had. It throws an `InvalidOperationException` if the simulator then shows another
    /// observation, or if the episode is so long (more than 2²⁰ numbers of actions) that its actions are not kept.
    let environment (make: unit -> 'Simulator :> Simulator) = new SimulatorEnvironment(fun () -> make () :> Simulator)
