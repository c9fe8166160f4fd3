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
type SimulatorEnvironment internal (factory: Func<Simulator>, maxActionNumbers: int) =

    /// The lock that is held while the factory runs, because the factory may use shared state.
    let factoryLock = obj ()

    /// Instances whose episodes are over.
    let idle = ConcurrentBag<SimulatorInstance>()

    /// The instances that are disposable and have not been disposed of. Also the lock for this set.
    let disposable = HashSet<SimulatorInstance>()

    /// All simulators that were made and are still alive, to detect a factory that returns the same one twice.
    let knownSimulators = ConditionalWeakTable<Simulator, SimulatorInstance>()

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

    let observationWidth = Space.width observationSpace
    let actionWidth = Space.width actionSpace
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

    /// Begins an episode with an idle instance or a new one, and writes the observation.
    let beginEpisode seed (observation: float32[]) =
        let instance =
            match idle.TryTake() with
            | true, waiting -> waiting
            | _ -> createChecked ()

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

    /// Throws the exception of a state that cannot be continued a second time, and why.
    let refuseReplay why = invalidOp $"it cannot be continued from this state a second time: {why}"

    /// Returns an instance at the given point, by playing its episode again with the same seed and actions.
    let replay (point: ReplayPoint) =
        if point.IsForgotten then
            refuseReplay
                $"its episode has had {point.Steps} steps, and at most {maxActionNumbers} numbers of actions are kept. Give it a time limit."

        let observation = Array.zeroCreate observationWidth
        let instance = beginEpisode point.Seed observation

        for i in 0 .. point.Steps - 1 do
            Array.Clear observation
            stepOrDiscard instance (point.Actions.Slice(i * actionWidth, actionWidth)) observation |> ignore

        if not (point.Shows observation) then
            // It is at no replay point, but another episode can begin with it.
            instance.MakeIdle()

            refuseReplay
                $"reset with the same seed ({point.Seed}) and given the same {point.Steps} actions, it showed something else. All its randomness must come from the seed of Reset."

        instance

    let isPictured = first.Simulator :? PicturedSimulator

    /// What the instance draws, if it does. If it throws, the instance is discarded.
    let pictureOf (instance: SimulatorInstance) =
        match instance.Simulator with
        | :? PicturedSimulator as pictured ->
            try
                pictured.Picture()
            with _ ->
                discard instance
                reraise ()
        | _ -> None

    /// At most 2²⁰ numbers of actions (4 MB) are kept for an episode. If an episode has more, none are kept.
    new(factory) = new SimulatorEnvironment(factory, 1 <<< 20)

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
            let next = state.Next(action, isFirst, maxActionNumbers, observation, following)

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
                    member _.Encode point = ReplayPoint.encode maxActionNumbers point
                    member _.Decode bytes = ReplayPoint.decode observationWidth actionWidth bytes }

    interface PicturedEnvironment<ReplayPoint> with
        /// The picture of the simulator that is at this point, or else of one that plays the episode again up to it. None if the simulators
        /// do not draw, or the actions of the episode are not kept.
        member _.Picture point =
            if point.TryAcquire() then
                let instance = point.Instance
                let picture = pictureOf instance
                instance.MoveTo point
                picture
            elif not isPictured || point.IsForgotten then
                None
            else
                let instance = replay point
                let picture = pictureOf instance
                instance.MakeIdle()
                picture

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
