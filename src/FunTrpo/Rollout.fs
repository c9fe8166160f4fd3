namespace FunTrpo

open System
open System.Collections.Generic
open System.Collections.Immutable
open System.Runtime.InteropServices
open FunTrpo.Kernels

/// What follows a row of a batch.
type End =
    /// The next row belongs to the same episode.
    | Continues = 0uy
    /// The task ended: no reward follows.
    | Terminated = 1uy
    /// A time limit ended the episode: the value of what would have followed is bootstrapped.
    | Truncated = 2uy
    /// The rollout ended inside the episode, which the next rollout continues: the value of what follows is bootstrapped.
    | Interrupted = 3uy

/// The state of one of the environments that a rollout steps side by side, between two steps.
[<Struct>]
type Instance<'State> =
    {
        State: 'State
        /// The sum of the rewards of the current episode so far.
        Return: float
        /// The number of steps of the current episode so far.
        Length: int
        /// The number of steps of this instance since training began.
        Steps: int64
    }

/// An episode that ended during a rollout.
[<Struct>]
type Episode =
    {
        /// The undiscounted sum of the rewards.
        Return: float
        /// The number of steps.
        Length: int
    }

/// The steps of a rollout as rows: instance after instance, and step after step within each instance.
type Batch =
    {
        Instances: int
        Horizon: int
        /// The raw observations before each step.
        Observations: Matrix
        /// The actions as the policy drew them, before scaling and clipping.
        Actions: Matrix
        Rewards: ImmutableArray<float>
        Ends: ImmutableArray<End>
        /// The observation after each truncated or interrupted row, in the order of those rows.
        BootstrapObservations: Matrix
        /// The episodes that ended, in the order in which they ended.
        Episodes: ImmutableArray<Episode>
    }

module Rollout =

    /// Whether a row with this end is the last row of its episode.
    let endsEpisode ending = ending = End.Terminated || ending = End.Truncated

    /// `count` instances, each at the start of an episode. Returns a `FailedEnvironment` for the first instance whose reset throws.
    let start (environment: Environment<'State>) count key =
        let instances = Array.zeroCreate<Instance<'State>> count
        let mutable i = 0
        let mutable failure = None

        while failure.IsNone && i < count do
            try
                instances[i] <-
                    { State = environment.Reset(Key.at (int64 i) key); Return = 0.0; Length = 0; Steps = 0L }
            with error ->
                failure <- Some(FailedEnvironment(error, environment.Id, i, 0L))

            i <- i + 1

        match failure with
        | Some fault -> Error fault
        | None -> Ok(ImmutableCollectionsMarshal.AsImmutableArray instances)

    /// The rows of a batch while they are written.
    [<NoComparison; NoEquality>]
    type private Rows = { Observations: float32[]; Actions: float32[]; Rewards: float[]; Ends: End[] }

    /// Where a fault occurred: the time step, the phase (0: observation, 1: policy, 2: step) and the instance. The first fault in this
    /// order is reported, so the report does not depend on the number of threads.
    type private Place = (struct (int * int * int))

    /// Steps the instances first … last − 1 side by side on one thread, so that the network evaluates all their observations at once.
    type private RolloutWorker<'State>
        (
            environment: Environment<'State>,
            actor: Actor,
            network: NetworkAt,
            horizon: int,
            key: Key,
            instances: ImmutableArray<Instance<'State>>,
            rows: Rows,
            first: int,
            last: int
        ) =
        let width = last - first
        let family = actor.Policy.Family
        let observationWidth = Space.width environment.ObservationSpace
        let parameterWidth = family.ParameterWidth
        let actionWidth = family.ActionWidth
        let current = Array.init width (fun i -> instances[first + i])

        let keysNamed name = Array.init width (fun i -> key |> Key.at (int64 (first + i)) |> Key.named name)

        let actionKeys = keysNamed "action"
        let stepKeys = keysNamed "environment"
        let resetKeys = keysNamed "reset"
        let networkInputs = Array.zeroCreate<float32>(width * observationWidth)
        let distributions = Array.zeroCreate<float32>(width * parameterWidth)
        let clipped = Array.zeroCreate<float32> actionWidth
        let following = Array.zeroCreate<float32> observationWidth
        // In the order of time: `Bootstraps` sorts them by row.
        let bootstrapRows = List<int>()
        let bootstrapObservations = List<float32>()
        let faults = List<struct (Place * Fault)>()
        let rowOf i t = (first + i) * horizon + t

        /// The instance and the phase of the current call to the environment, to which an exception is attributed. The instance is −1
        /// while the network computes.
        let mutable currentCall = struct (-1, 0)

        let fail t phase i fault = faults.Add(struct (struct (t, phase, first + i), fault))

        let failObservation t phase i steps =
            fail t phase i (Environment.observationFault environment (first + i) steps)

        /// Writes the observation of the state to a row of a block. Returns whether it is valid.
        let writeObservation state (block: float32[]) row =
            let observation = block.AsSpan(row * observationWidth, observationWidth)
            environment.Observe(state, observation)
            Space.isValidObservation environment.ObservationSpace (Span.op_Implicit observation)

        /// Writes the observations of all instances before step t: raw to the batch, and normalised to the inputs of the network.
        let observe t =
            for i in 0 .. width - 1 do
                currentCall <- struct (i, 0)

                if not (writeObservation current[i].State rows.Observations (rowOf i t)) then
                    failObservation t 0 i current[i].Steps

                rows.Observations
                    .AsSpan(rowOf i t * observationWidth, observationWidth)
                    .CopyTo(networkInputs.AsSpan(i * observationWidth))

            Normaliser.applyTo actor.Normaliser (ReadOnlySpan networkInputs) (networkInputs.AsSpan())

        let distributionOf i = ReadOnlySpan(distributions, i * parameterWidth, parameterWidth)

        /// Computes the action distributions of all instances.
        let forward t =
            currentCall <- struct (-1, 1)
            network.Forward(ReadOnlyMemory networkInputs, distributions.AsMemory())

            for i in 0 .. width - 1 do
                if not (Reductions.AllFinite(distributionOf i)) then
                    let observation = ReadOnlySpan(rows.Observations, rowOf i t * observationWidth, observationWidth)
                    fail t 1 i (Actor.nonFiniteAction environment actor observation (first + i) current[i].Steps)

        /// Draws an action for instance i, records it, and takes it, scaled and clipped to the action space.
        let act t i =
            currentCall <- struct (i, 2)
            let action = rows.Actions.AsSpan(rowOf i t * actionWidth, actionWidth)
            family.Sample(distributionOf i, Key.at (int64 t) actionKeys[i], action)
            Policy.toAction actor.Policy (Span.op_Implicit action) (clipped.AsSpan())
            environment.Step(Key.at (int64 t) stepKeys[i], ReadOnlySpan clipped, current[i].State)

        let endOf t (next: Transition<'State>) =
            if next.Terminated then End.Terminated
            elif next.Truncated then End.Truncated
            elif t = horizon - 1 then End.Interrupted
            else End.Continues

        /// Records the transition of instance i in step t, and moves the instance to the next state or to a new episode.
        let record t i (next: Transition<'State>) =
            let row = rowOf i t
            let steps = current[i].Steps + 1L
            rows.Rewards[row] <- next.Reward
            rows.Ends[row] <- endOf t next

            if not (Environment.isValidReward next.Reward) then
                fail t 2 i (Environment.rewardFault environment (first + i) steps next.Reward)

            if rows.Ends[row] = End.Truncated || rows.Ends[row] = End.Interrupted then
                following.AsSpan().Clear()

                if not (writeObservation next.State following 0) then
                    failObservation t 2 i steps

                bootstrapRows.Add row
                bootstrapObservations.AddRange following

            current[i] <-
                if next.Terminated || next.Truncated then
                    { State = environment.Reset(Key.at (int64 t) resetKeys[i])
                      Return = 0.0
                      Length = 0
                      Steps = steps }
                else
                    { State = next.State
                      Return = current[i].Return + next.Reward
                      Length = current[i].Length + 1
                      Steps = steps }

        member _.Current = current
        member _.Faults = faults

        /// The observations after truncated and interrupted rows, in the order of those rows.
        member _.Bootstraps =
            let order = Array.init bootstrapRows.Count id
            Array.sortInPlaceBy (fun i -> bootstrapRows[i]) order

            [| for i in order do
                   for column in 0 .. observationWidth - 1 do
                       bootstrapObservations[i * observationWidth + column] |]

        /// Advances all instances by one step.
        member private _.StepAll t =
            observe t

            if faults.Count = 0 then
                forward t

                if faults.Count = 0 then
                    for i in 0 .. width - 1 do
                        record t i (act t i)

        /// Takes all steps of the horizon, or stops after the step with the first fault.
        member this.Run() =
            let mutable t = 0

            while t < horizon && faults.Count = 0 do
                try
                    this.StepAll t
                with error ->
                    let struct (i, phase) = currentCall

                    if i < 0 then
                        reraise ()

                    let steps = current[i].Steps + (if phase = 2 then 1L else 0L)
                    fail t phase i (FailedEnvironment(error, environment.Id, first + i, steps))

                t <- t + 1

    /// The episode that ends with the given row. Its first rows may lie in earlier batches.
    let private episodeTo row horizon (instances: ImmutableArray<Instance<'State>>) rows =
        let instance = row / horizon
        let mutable first = row

        while first > instance * horizon && not (endsEpisode rows.Ends[first - 1]) do
            first <- first - 1

        let reachesBatchStart = first = instance * horizon
        let mutable sum = if reachesBatchStart then instances[instance].Return else 0.0

        for r in first..row do
            sum <- sum + rows.Rewards[r]

        { Return = sum
          Length = row - first + 1 + (if reachesBatchStart then instances[instance].Length else 0) }

    /// All episodes that ended, in the order in which they ended.
    let private episodesOf horizon (instances: ImmutableArray<Instance<'State>>) rows =
        let mutable count = 0

        for row in 0 .. rows.Ends.Length - 1 do
            if endsEpisode rows.Ends[row] then
                count <- count + 1

        let episodes = Array.zeroCreate<Episode> count
        let mutable found = 0

        for t in 0 .. horizon - 1 do
            for instance in 0 .. instances.Length - 1 do
                let row = instance * horizon + t

                if endsEpisode rows.Ends[row] then
                    episodes[found] <- episodeTo row horizon instances rows
                    found <- found + 1

        ImmutableCollectionsMarshal.AsImmutableArray episodes

    /// Steps each instance `horizon` times with the actor. Returns the batch and the instances after the last step, or the first fault of
    /// an environment or of the policy. Instance i uses its own keys, so the result does not depend on the number of threads.
    let collect
        (environment: Environment<'State>)
        (actor: Actor)
        horizon
        threads
        (key: Key)
        (instances: ImmutableArray<Instance<'State>>)
        : Result<Batch * ImmutableArray<Instance<'State>>, Fault> =
        let count = instances.Length
        let total = Size.product count horizon
        let observationWidth = Space.width environment.ObservationSpace
        let actionWidth = actor.Policy.Family.ActionWidth

        let rows =
            { Observations = Array.zeroCreate (Size.product total observationWidth)
              Actions = Array.zeroCreate (Size.product total actionWidth)
              Rewards = Array.zeroCreate total
              Ends = Array.zeroCreate total }

        let workerCount = min (max 1 threads) count
        use network = Network.at actor.Policy.Network actor.Parameters

        let workers =
            Parallel.map threads workerCount (fun s ->
                let first, last = s * count / workerCount, (s + 1) * count / workerCount
                let worker = RolloutWorker(environment, actor, network, horizon, key, instances, rows, first, last)
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
                  Actions = Matrix.adopt total actionWidth rows.Actions
                  Rewards = ImmutableCollectionsMarshal.AsImmutableArray rows.Rewards
                  Ends = ImmutableCollectionsMarshal.AsImmutableArray rows.Ends
                  BootstrapObservations =
                    Matrix.adopt (bootstraps.Length / observationWidth) observationWidth bootstraps
                  Episodes = episodesOf horizon instances rows }

            Ok(batch, workers |> Array.collect _.Current |> ImmutableCollectionsMarshal.AsImmutableArray)
        | failed ->
            let struct (_, fault) = failed |> Seq.collect _.Faults |> Seq.minBy (fun struct (place, _) -> place)
            Error fault
