namespace FunTrpo

open System.Collections.Immutable
open System.Runtime.InteropServices

module Rollout =

    /// The start states of `count` episodes. Throws a `BatchException` for the first one whose reset throws.
    let private startStates (environment: Environment<'State>) count key =
        let keyOf (i: int) = Key.at (int64 i) key

        match BatchSteps.ofEnvironment<'State> environment with
        | Some batch -> BatchSteps.forSome (Array.init count id) (fun () -> batch.Reset(Array.init count keyOf))
        | None ->
            InFlight.map environment 1 count (fun i ->
                try
                    environment.Reset(keyOf i)
                with error ->
                    raise (BatchException(i, error)))

    /// `count` instances, each at the start of an episode, for a policy with so much memory. Returns a `FailedEnvironment` for the first instance whose reset throws.
    let startWithMemory memory (environment: Environment<'State>) count key =
        try
            startStates environment count key
            |> Array.map (fun start ->
                { State = start; Return = 0.0; Length = 0; Steps = 0L; Memory = Vector.zero memory })
            |> ImmutableCollectionsMarshal.AsImmutableArray
            |> Ok
        with :? BatchException as failed ->
            Error(FailedEnvironment(failed.InnerException, environment.Id, failed.Position, 0L))

    /// The same, for a policy without memory.
    let start environment count key = startWithMemory 0 environment count key

    /// The episode that ends with the given row. Its first rows may lie in earlier batches.
    let private episodeTo row horizon (instances: ImmutableArray<Instance<'State>>) (rewards: float[]) (ends: End[]) =
        let instance = row / horizon
        let mutable first = row

        while first > instance * horizon && not (Batch.endsEpisode ends[first - 1]) do
            first <- first - 1

        let reachesBatchStart = first = instance * horizon
        let mutable sum = if reachesBatchStart then instances[instance].Return else 0.0

        for r in first..row do
            sum <- sum + rewards[r]

        { Return = sum
          Length = row - first + 1 + (if reachesBatchStart then instances[instance].Length else 0) }

    /// All episodes that ended, in the order in which they ended.
    let private episodesOf horizon (instances: ImmutableArray<Instance<'State>>) (rewards: float[]) (ends: End[]) =
        let mutable count = 0

        for row in 0 .. ends.Length - 1 do
            if Batch.endsEpisode ends[row] then
                count <- count + 1

        let episodes = Array.zeroCreate<Episode> count
        let mutable found = 0

        for t in 0 .. horizon - 1 do
            for instance in 0 .. instances.Length - 1 do
                let row = instance * horizon + t

                if Batch.endsEpisode ends[row] then
                    episodes[found] <- episodeTo row horizon instances rewards ends
                    found <- found + 1

        ImmutableCollectionsMarshal.AsImmutableArray episodes

    /// Does what `collectFrom` does. A fault comes with its place.
    let internal collectPlaced
        first
        (environment: Environment<'State>)
        (actor: Actor)
        horizon
        threads
        (key: Key)
        (instances: ImmutableArray<Instance<'State>>)
        : Result<Batch * ImmutableArray<Instance<'State>>, struct (RolloutPlace * Fault)> =
        let count = instances.Length
        let total = Size.product count horizon
        let observationWidth = Space.width environment.ObservationSpace
        let actionWidth = actor.Policy.Family.ActionWidth

        let rows: BatchRows =
            { Observations = Array.zeroCreate (Size.product total observationWidth)
              Actions = Array.zeroCreate (Size.product total actionWidth)
              Rewards = Array.zeroCreate total
              Ends = Array.zeroCreate total }

        let workerCount = min (InFlight.workers environment threads) count
        use network = Network.at actor.Policy.Network actor.Parameters
        let memory = instances |> Seq.map (fun instance -> Vector.toArray instance.Memory) |> Array.concat

        if memory.Length <> Size.product count network.Memory then
            invalidArg
                (nameof instances)
                $"their memory has {memory.Length} numbers, and must have {count} × {network.Memory}"

        let task: RolloutTask<'State> =
            { Environment = environment
              Batch = BatchSteps.ofEnvironment<'State> environment
              Actor = actor
              Network = network
              Horizon = horizon
              Key = key
              Instances = instances
              First = first
              Rows = rows }

        let workers =
            InFlight.map environment threads workerCount (fun s ->
                let worker = RolloutWorker(task, s * count / workerCount, (s + 1) * count / workerCount)
                worker.Run()
                worker)

        match workers |> Array.filter (fun worker -> worker.Faults.Count > 0) with
        | [||] ->
            // All rows of a worker come before those of the next worker, so the order of the bootstraps is right.
            let bootstraps = workers |> Array.collect _.Bootstraps

            let batch =
                { Instances = count
                  Horizon = horizon
                  Observations = Matrix.adopt total observationWidth rows.Observations
                  Memory = Matrix.adopt count network.Memory memory
                  Actions = Matrix.adopt total actionWidth rows.Actions
                  Rewards = ImmutableCollectionsMarshal.AsImmutableArray rows.Rewards
                  Ends = ImmutableCollectionsMarshal.AsImmutableArray rows.Ends
                  BootstrapObservations =
                    Matrix.adopt (bootstraps.Length / observationWidth) observationWidth bootstraps
                  Episodes = episodesOf horizon instances rows.Rewards rows.Ends }

            Ok(batch, workers |> Array.collect _.Current |> ImmutableCollectionsMarshal.AsImmutableArray)
        | failed -> failed |> Seq.collect _.Faults |> Seq.minBy (fun struct (place, _) -> place) |> Error

    /// Steps each instance `horizon` times with the actor, as a part of a rollout of more instances: these are the ones with the numbers
    /// `first`, `first` + 1 and so on. Returns the batch and the instances after the last step, or the first fault of an environment or of the
    /// policy. An instance uses the keys of its number, so the parts of a rollout may be stepped in different processes: `join` makes the
    /// whole of them, with the same bits.
    let collectFrom first environment actor horizon threads key instances =
        collectPlaced first environment actor horizon threads key instances
        |> Result.mapError (fun struct (_, fault) -> fault)

    /// Steps each instance `horizon` times with the actor. Returns the batch and the instances after the last step, or the first fault of
    /// an environment or of the policy. Instance i uses its own keys, so the result does not depend on the number of threads.
    let collect
        environment
        actor
        horizon
        threads
        key
        instances
        : Result<Batch * ImmutableArray<Instance<'State>>, Fault> =
        collectFrom 0 environment actor horizon threads key instances

    /// A rollout of the instances `before`, whose parts were stepped by `collectFrom`: the parts in the order of their instances, at least one
    /// and all with the same horizon.
    let join
        (before: ImmutableArray<Instance<'State>>)
        (parts: (Batch * ImmutableArray<Instance<'State>>)[])
        : Batch * ImmutableArray<Instance<'State>> =
        let batches = parts |> Array.map fst

        let all (read: Batch -> ImmutableArray<'T>) =
            batches |> Array.collect (read >> ImmutableCollectionsMarshal.AsArray)

        let rows (read: Batch -> Matrix) = batches |> Seq.map read |> Matrix.concat
        let horizon = batches[0].Horizon
        let rewards, ends = all _.Rewards, all _.Ends

        { Instances = before.Length
          Horizon = horizon
          Observations = rows _.Observations
          Memory = rows _.Memory
          Actions = rows _.Actions
          Rewards = ImmutableCollectionsMarshal.AsImmutableArray rewards
          Ends = ImmutableCollectionsMarshal.AsImmutableArray ends
          BootstrapObservations = rows _.BootstrapObservations
          Episodes = episodesOf horizon before rewards ends },
        parts |> Seq.collect snd |> ImmutableArray.CreateRange
