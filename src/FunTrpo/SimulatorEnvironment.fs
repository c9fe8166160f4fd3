namespace FunTrpo

open System

/// An environment made of mutable simulators: functions over immutable `ReplayPoint` values. `Simulator.environment` makes one.
///
/// It makes as many simulators as are needed at the same time, and uses each of them again when its episode is over. Dispose of the
/// environment to dispose of the simulators that are `IDisposable`. If some of their disposals throw, the first exception is thrown in the
/// end. States can still be continued afterwards: their episodes are played again with new simulators.
[<Sealed>]
type SimulatorEnvironment internal (factory: Func<Simulator>, maxActionNumbers: int) =

    let pool = new SimulatorPool(factory)
    let observationWidth = Space.width pool.ObservationSpace
    let actionWidth = Space.width pool.ActionSpace

    /// Whether the simulators of a batch only move on together. Their episodes cannot be played again.
    let isLockstep =
        match pool.First with
        | :? BatchSlot as slot -> slot.Batch.IsLockstep
        | _ -> false

    /// No actions are kept of episodes that cannot be played again.
    let maxActionNumbers = if isLockstep then 0 else maxActionNumbers

    /// Begins an episode with an idle instance or a new one, and writes the observation.
    let rec beginEpisode seed (observation: float32[]) =
        let instance = pool.Take()

        try
            instance.Simulator.Reset(seed, observation.AsSpan())
            instance
        with error ->
            pool.Discard instance

            if pool.MayRestart error then
                Array.Clear observation
                beginEpisode seed observation
            else
                reraise ()

    /// Takes a step and writes the observation. If the step fails, the instance is discarded, because its state is unknown.
    let stepOrDiscard (instance: SimulatorInstance) (action: ReadOnlySpan<float32>) (observation: float32[]) =
        try
            instance.Simulator.Step(action, observation.AsSpan())
        with _ ->
            pool.Discard instance
            reraise ()

    /// Throws the exception of a state that cannot be continued a second time, and why.
    let refuseReplay why = invalidOp $"it cannot be continued from this state a second time: {why}"

    /// Takes the actions of a point with an instance at the start of its episode, and writes the observation.
    let repeatActions (point: ReplayPoint) instance (observation: float32[]) =
        for i in 0 .. point.Steps - 1 do
            Array.Clear observation
            stepOrDiscard instance (point.Actions.Slice(i * actionWidth, actionWidth)) observation |> ignore

    /// Refuses an instance that shows something else than the point. It is at no replay point, but another episode can begin with it.
    let requireSame (point: ReplayPoint) (instance: SimulatorInstance) observation =
        if not (point.Shows observation) then
            instance.MakeIdle()

            refuseReplay
                $"reset with the same seed ({point.Seed}) and given the same {point.Steps} actions, it showed something else. All its randomness must come from the seed of Reset."

    /// Returns an instance at the given point, by playing its episode again with the same seed and actions.
    let rec replay (point: ReplayPoint) =
        if isLockstep then
            refuseReplay "its simulator only moves on together with others, so its episode cannot be played again"

        if point.IsForgotten then
            refuseReplay
                $"its episode has had {point.Steps} steps, and at most {maxActionNumbers} numbers of actions are kept. Give it a time limit."

        let observation = Array.zeroCreate observationWidth
        let instance = beginEpisode point.Seed observation

        let isThere =
            try
                repeatActions point instance observation
                true
            with error when pool.MayRestart error ->
                false

        if not isThere then
            replay point
        else
            requireSame point instance observation
            instance

    /// Takes a step from a point with an instance that is there. If that fails, and a fresh simulator may take its place, plays the episode
    /// again with it. Returns the instance that took the step.
    let rec stepFrom (point: ReplayPoint) instance (action: ReadOnlySpan<float32>) (observation: float32[]) =
        let mutable taken = ValueNone

        try
            taken <- ValueSome(stepOrDiscard instance action observation)
        with error when pool.MayRestart error ->
            Array.Clear observation

        match taken with
        | ValueSome result -> struct (instance, result)
        | ValueNone -> stepFrom point (replay point) action observation

    /// The instance that is still at a point, if there is one.
    let acquire (point: ReplayPoint) = point.TryAcquire() && point.Instance.IsUsable

    /// The transition to the point that a step has reached. The instance goes on from there, or is made idle at the end of the episode.
    let reached (from: ReplayPoint) action isFirst (instance: SimulatorInstance) observation (result: SimulatorStep) =
        let isOver = result.Terminated || result.Truncated
        let following = if isOver then null else instance
        let next = from.Next(action, isFirst, maxActionNumbers, observation, following)

        if isOver then instance.MakeIdle() else instance.MoveTo next

        { State = next
          Reward = result.Reward
          Terminated = result.Terminated
          Truncated = result.Truncated }

    let seedOf key =
        let struct (bits, _) = Key.bits 0UL key
        int (bits >>> 33)

    let startAt seed observation instance =
        let start = ReplayPoint.Start(seed, observation, instance)
        instance.MoveTo start
        start

    let slotOf (instance: SimulatorInstance) = instance.Simulator :?> BatchSlot

    /// Calls each batch that has some of the instances once: with the indices of its simulators, and with the positions of their instances.
    /// Batches whose simulators only move on together are called at the same time, because a single thread steps all of them.
    let forEachBatch (instances: SimulatorInstance[]) (call: SharedBatch -> int[] -> int[] -> unit) =
        let batches = [| 0 .. instances.Length - 1 |] |> Array.groupBy (fun i -> (slotOf instances[i]).Batch)

        let callOne (batch, positions) =
            let indices = positions |> Array.map (fun i -> (slotOf instances[i]).Index)
            BatchSteps.forSome positions (fun () -> call batch indices positions)

        if isLockstep then
            Parallel.mapWaiting batches.Length batches.Length (fun i -> callOne batches[i]) |> ignore
        else
            Array.iter callOne batches

    /// Copies the rows of a block to the observations at these positions.
    let scatter (block: float32[]) (positions: int[]) (observations: float32[][]) =
        for row in 0 .. positions.Length - 1 do
            let observation = observations[positions[row]]
            Array.Copy(block, row * observationWidth, observation, 0, observationWidth)

    /// Makes a call for several instances of batches. After a failure they are released, and the call is made anew by `again` if fresh
    /// simulators may take their place.
    let attempt (instances: SimulatorInstance[]) (call: unit -> 'Result) (again: unit -> 'Result) =
        let mutable result = ValueNone

        try
            result <- ValueSome(call ())
        with error ->
            pool.Release instances
            let struct (_, cause) = BatchSteps.failureOf instances.Length error

            if not (pool.MayRestart cause) then
                reraise ()

        match result with
        | ValueSome result -> result
        | ValueNone -> again ()

    /// Begins an episode for each seed, in one call for each batch.
    let rec resetTogether (seeds: int[]) =
        let instances = seeds |> Array.map (fun _ -> pool.Take())
        let observations = seeds |> Array.map (fun _ -> Array.zeroCreate observationWidth)

        attempt
            instances
            (fun () ->
                forEachBatch instances (fun batch indices positions ->
                    let block = Array.zeroCreate (positions.Length * observationWidth)
                    batch.Reset(indices, positions |> Array.map (Array.get seeds), block.AsSpan())
                    scatter block positions observations)

                Array.map3 startAt seeds observations instances)
            (fun () -> resetTogether seeds)

    /// The results of steps of instances, in one call for each batch. Writes the observations.
    let stepBatches (instances: SimulatorInstance[]) (actions: float32[]) observations =
        let results = Array.zeroCreate<SimulatorStep> instances.Length

        forEachBatch instances (fun batch indices positions ->
            let count = positions.Length
            let block = Array.zeroCreate (count * observationWidth)
            let rows = Array.zeroCreate<float32>(count * actionWidth)

            for row in 0 .. count - 1 do
                Array.Copy(actions, positions[row] * actionWidth, rows, row * actionWidth, actionWidth)

            let batchResults = Array.zeroCreate<SimulatorStep> count
            batch.Step(indices, ReadOnlySpan rows, block.AsSpan(), batchResults)
            scatter block positions observations
            Array.iteri (fun row result -> results[positions[row]] <- result) batchResults)

        results

    /// Brings an instance to each point that has none that is usable. A failure of one retires the others of its batch.
    let rec bringBack (points: ReplayPoint[]) (instances: SimulatorInstance[]) =
        let isThere (instance: SimulatorInstance) = not (isNull instance) && instance.IsUsable

        for i in 0 .. points.Length - 1 do
            if not (isThere instances[i]) then
                instances[i] <- BatchSteps.forSome [| i |] (fun () -> replay points[i])

        if not (Array.forall isThere instances) then
            bringBack points instances

    /// Takes a step from each point with its row of the actions, in one call for each batch.
    let rec stepTogether (points: ReplayPoint[]) (actions: float32[]) =
        let isFirst = points |> Array.map acquire
        let instances = points |> Array.mapi (fun i point -> if isFirst[i] then point.Instance else null)
        let observations = points |> Array.map (fun _ -> Array.zeroCreate observationWidth)

        attempt
            instances
            (fun () ->
                bringBack points instances

                stepBatches instances actions observations
                |> Array.mapi (fun i result ->
                    let action = ReadOnlySpan(actions, i * actionWidth, actionWidth)
                    reached points[i] action isFirst[i] instances[i] observations[i] result))
            (fun () -> stepTogether points actions)

    let isPictured = pool.First :? PicturedSimulator

    /// What the instance draws, if it does. If it throws, the instance is discarded.
    let pictureOf (instance: SimulatorInstance) =
        match instance.Simulator with
        | :? PicturedSimulator as pictured ->
            try
                pictured.Picture()
            with _ ->
                pool.Discard instance
                reraise ()
        | _ -> None

    /// At most 2²⁰ numbers of actions (4 MB) are kept for an episode. If an episode has more, none are kept.
    new(factory) = new SimulatorEnvironment(factory, 1 <<< 20)

    /// Lets so many simulators fail from now on: each is replaced by a fresh one, which plays the episode again up to the same point. The
    /// results are those of simulators that have not failed. An `OperationCanceledException` is no failure. Simulators that only move on
    /// together (`LockstepBatch`) are never replaced.
    member _.AllowRestarts times = pool.AllowRestarts(if isLockstep then 0 else times)

    interface RestartableEnvironment with
        member this.AllowRestarts times = this.AllowRestarts times

    interface Environment<ReplayPoint> with
        member _.Id = pool.Id
        member _.ObservationSpace = pool.ObservationSpace
        member _.ActionSpace = pool.ActionSpace

        member _.Reset key =
            let seed = seedOf key
            let observation = Array.zeroCreate observationWidth
            startAt seed observation (beginEpisode seed observation)

        member _.Step(_, action, state) =
            let isFirst = acquire state
            let instance = if isFirst then state.Instance else replay state
            let observation = Array.zeroCreate observationWidth
            let struct (instance, result) = stepFrom state instance action observation
            reached state action isFirst instance observation result

        member _.Observe(state, observation) = state.Observation.CopyTo observation

    interface WaitingEnvironment with
        /// One thread steps all simulators that only move on together.
        member _.InFlight = if isLockstep then Some 1 else None

    interface BatchEnvironment<ReplayPoint> with
        member _.Batch =
            match pool.First with
            | :? BatchSlot as slot ->
                Some
                    { new BatchSteps<ReplayPoint> with
                        member _.Size = slot.Batch.Count
                        member _.Reset keys = resetTogether (Array.map seedOf keys)
                        member _.Step(_, actions, states) = stepTogether states actions }
            | _ -> None

    interface CheckpointableEnvironment<ReplayPoint> with
        /// The seed of the episode, the actions and the observation: training that goes on from it plays the episode again.
        member _.StateCodec =
            if isLockstep then
                Error "its simulators only move on together, so their episodes cannot be played again"
            else
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
        member _.Dispose() = (pool :> IDisposable).Dispose()

[<CompilationRepresentation(CompilationRepresentationFlags.ModuleSuffix)>]
module Simulator =

    /// An environment of the simulators that `make` returns, a new one at each call. `make` is never called by two threads at the same time,
    /// but the calls may come from different threads. Throws what `make` throws for the first simulator.
    ///
    /// To continue from a state a second time, the environment resets a simulator with the same seed and gives it the same actions. This
    /// costs as many steps as the episode has had. It throws an `InvalidOperationException` if the simulator then shows another
    /// observation, or if the episode is so long (more than 2²⁰ numbers of actions) that its actions are not kept.
    let environment (make: unit -> 'Simulator :> Simulator) = new SimulatorEnvironment(fun () -> make () :> Simulator)

    /// An environment of the simulators of the batches that `make` returns, a new one at each call. `environment` says what holds of it.
    let environmentOfBatches (make: unit -> 'Batch :> BatchSimulator) =
        new SimulatorEnvironment(BatchSimulator.simulators (Func<_>(fun () -> make () :> BatchSimulator)))
