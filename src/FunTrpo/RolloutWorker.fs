namespace FunTrpo

open System
open System.Collections.Generic
open System.Collections.Immutable
open System.Runtime.ExceptionServices
open FunTrpo.Kernels

/// The rows of a batch while they are written.
[<NoComparison; NoEquality>]
type internal BatchRows = { Observations: float32[]; Actions: float32[]; Rewards: float[]; Ends: End[] }

/// What all workers of a rollout share.
[<NoComparison; NoEquality; RequireQualifiedAccess>]
type internal RolloutTask<'State> =
    {
        Environment: Environment<'State>
        /// The calls of the environment for several instances, if it has them.
        Batch: BatchSteps<'State> option
        Actor: Actor
        /// The network of the actor's policy at its parameters.
        Network: NetworkAt
        Horizon: int
        Key: Key
        Instances: ImmutableArray<Instance<'State>>
        /// The number of the first instance in the whole rollout, of which the others may be stepped elsewhere.
        First: int
        Rows: BatchRows
    }

/// The phases of one step of a rollout, in their order.
type internal RolloutPhase =
    /// The environments write their observations.
    | Observation = 0
    /// The policy computes distributions and draws actions. No environment is called.
    | Policy = 1
    /// The environments take the actions.
    | Step = 2

/// Where a fault occurred: the time step, the phase and the number of the instance. The first fault in this order is reported, so the report does not
/// depend on the number of threads.
type internal RolloutPlace = (struct (int * RolloutPhase * int))

module internal RolloutKey =

    /// The key of one of the things that happen to an instance in a rollout. Step t uses it at t.
    let ofInstance name (instance: int) key = key |> Key.at (int64 instance) |> Key.named name

    /// The name of the key that draws actions.
    let action = "action"

/// Steps the instances first … last − 1 of a rollout side by side on one thread, so that the network evaluates all their observations at
/// once.
type internal RolloutWorker<'State>(task: RolloutTask<'State>, first: int, last: int) =
    let environment, actor, network = task.Environment, task.Actor, task.Network
    let horizon, rows = task.Horizon, task.Rows
    let width = last - first
    let family = actor.Policy.Family
    let observationWidth = Space.width environment.ObservationSpace
    let parameterWidth = family.ParameterWidth
    let actionWidth = family.ActionWidth
    let current = Array.init width (fun i -> task.Instances[first + i])

    /// The number of instance i in the whole rollout, by which its keys and its faults know it.
    let numberOf i = task.First + first + i

    let keysNamed name = Array.init width (fun i -> RolloutKey.ofInstance name (numberOf i) task.Key)

    let actionKeys = keysNamed RolloutKey.action
    let stepKeys = keysNamed "environment"
    let resetKeys = keysNamed "reset"
    let networkInputs = Array.zeroCreate<float32>(width * observationWidth)
    let distributions = Array.zeroCreate<float32>(width * parameterWidth)

    /// What the policy remembers of the episode of each instance.
    let memory = Array.init width (fun i -> Vector.toArray task.Instances[first + i].Memory) |> Array.concat

    let memoryOf i = memory.AsMemory(i * network.Memory, network.Memory)
    let clipped = Array.zeroCreate<float32> actionWidth
    let following = Array.zeroCreate<float32> observationWidth
    // In the order of time: `Bootstraps` sorts them by row.
    let bootstrapRows = List<int>()
    let bootstrapObservations = List<float32>()
    let faults = List<struct (RolloutPlace * Fault)>()
    let rowOf i t = (first + i) * horizon + t

    /// The current phase.
    let mutable phase = RolloutPhase.Observation

    /// The instance whose environment is called, to which an exception is attributed; without meaning in the phase `Policy`.
    let mutable called = 0

    let fail t phase i fault = faults.Add(struct (struct (t, phase, numberOf i), fault))

    let failObservation t phase i (observation: Span<float32>) steps =
        Environment.observationFault environment (Span.op_Implicit observation) (numberOf i) steps
        |> fail t phase i

    /// Writes the observation of the state to a row of a block. Returns whether it is valid.
    let writeObservation state (block: float32[]) row =
        let observation = block.AsSpan(row * observationWidth, observationWidth)
        environment.Observe(state, observation)
        Space.isValidObservation environment.ObservationSpace (Span.op_Implicit observation)

    /// Writes the raw observations of all instances before step t to the batch and to the inputs of the network.
    let observe t =
        phase <- RolloutPhase.Observation

        for i in 0 .. width - 1 do
            called <- i

            let isValid = writeObservation current[i].State rows.Observations (rowOf i t)
            let observation = rows.Observations.AsSpan(rowOf i t * observationWidth, observationWidth)

            if not isValid then
                failObservation t RolloutPhase.Observation i observation current[i].Steps
            elif not (Mask.hasLegalAction environment.ObservationSpace (Span.op_Implicit observation)) then
                NoLegalAction(environment.Id, numberOf i, current[i].Steps) |> fail t RolloutPhase.Observation i

            observation.CopyTo(networkInputs.AsSpan(i * observationWidth))

    let distributionOf i = ReadOnlySpan(distributions, i * parameterWidth, parameterWidth)

    /// Computes the action distributions of all instances from their normalised observations.
    let forward t =
        phase <- RolloutPhase.Policy
        Normaliser.applyToRows observationWidth actor.Normaliser (ReadOnlySpan networkInputs) (networkInputs.AsSpan())

        if network.Memory > 0 then
            network.Step(ReadOnlySpan networkInputs, memory.AsMemory(), distributions.AsSpan())
        else
            network.Forward(ReadOnlyMemory networkInputs, distributions.AsMemory())

        for i in 0 .. width - 1 do
            if not (Reductions.AllFinite(distributionOf i)) then
                let observation = ReadOnlySpan(rows.Observations, rowOf i t * observationWidth, observationWidth)

                Actor.nonFiniteAction environment actor observation (numberOf i) current[i].Steps
                |> fail t RolloutPhase.Policy i

    let actionOf i t = rows.Actions.AsSpan(rowOf i t * actionWidth, actionWidth)

    /// Draws an action for each instance and stores it in the batch. A distribution of the library with finite parameters only draws finite
    /// actions; a family of a caller may not.
    let draw t =
        for i in 0 .. width - 1 do
            let action = actionOf i t
            family.Sample(distributionOf i, Key.at (int64 t) actionKeys[i], action)

            if not (Reductions.AllFinite(Span.op_Implicit action)) then
                fail t RolloutPhase.Policy i (NonFinitePolicy(environment.Id, numberOf i, current[i].Steps))

    /// Steps the environment of instance i with its action of step t, scaled and clipped to the action space.
    let act t i =
        phase <- RolloutPhase.Step
        called <- i
        Policy.toAction actor.Policy (Span.op_Implicit (actionOf i t)) (clipped.AsSpan())
        environment.Step(Key.at (int64 t) stepKeys[i], ReadOnlySpan clipped, current[i].State)

    let endOf t (next: Transition<'State>) =
        if next.Terminated then End.Terminated
        elif next.Truncated then End.Truncated
        elif t = horizon - 1 then End.Interrupted
        else End.Continues

    /// Writes the row of the transition of instance i in step t.
    let writeRow t i (next: Transition<'State>) =
        let row = rowOf i t
        let steps = current[i].Steps + 1L
        rows.Rewards[row] <- next.Reward
        rows.Ends[row] <- endOf t next

        if not (Environment.isValidReward next.Reward) then
            fail t RolloutPhase.Step i (Environment.rewardFault environment (numberOf i) steps next.Reward)

        if Batch.hasBootstrap rows.Ends[row] then
            following.AsSpan().Clear()

            if not (writeObservation next.State following 0) then
                failObservation t RolloutPhase.Step i (following.AsSpan()) steps

            bootstrapRows.Add row
            bootstrapObservations.AddRange following

    /// Moves instance i to the start of a new episode.
    let beginEpisode i start =
        current[i] <- { current[i] with State = start; Return = 0.0; Length = 0; Steps = current[i].Steps + 1L }
        (memoryOf i).Span.Clear()

    /// Moves instance i to the next state of its episode.
    let continueEpisode i (next: Transition<'State>) =
        current[i] <-
            { current[i] with
                State = next.State
                Return = current[i].Return + next.Reward
                Length = current[i].Length + 1
                Steps = current[i].Steps + 1L }

    let isOver (next: Transition<'State>) = next.Terminated || next.Truncated

    /// Records the transition of instance i in step t, and moves the instance to the next state or to a new episode.
    let record t i (next: Transition<'State>) =
        writeRow t i next

        if isOver next then
            beginEpisode i (environment.Reset(Key.at (int64 t) resetKeys[i]))
        else
            continueEpisode i next

    /// The result of a call for these instances. An exception is attributed to the instance at which the call failed.
    let callFor (instances: int[]) (call: unit -> 'Result) =
        try
            call ()
        with error ->
            let struct (position, cause) = BatchSteps.failureOf instances.Length error
            called <- instances[position]
            ExceptionDispatchInfo.Throw cause
            Unchecked.defaultof<'Result>

    /// Steps all instances in one call, with the same results as one after another, and then resets in one call those whose episodes ended.
    let stepTogether t (batch: BatchSteps<'State>) =
        phase <- RolloutPhase.Step
        let all = Array.init width id
        let actions = Array.zeroCreate<float32>(width * actionWidth)

        for i in all do
            Policy.toAction
                actor.Policy
                (Span.op_Implicit (actionOf i t))
                (actions.AsSpan(i * actionWidth, actionWidth))

        let keysOf (keys: Key[]) = Array.map (fun i -> Key.at (int64 t) keys[i])
        let states = current |> Array.map _.State
        let following = callFor all (fun () -> batch.Step(keysOf stepKeys all, actions, states))

        for i in all do
            called <- i
            writeRow t i following[i]

        let ended = all |> Array.filter (fun i -> isOver following[i])

        let starts =
            if ended.Length = 0 then [||] else callFor ended (fun () -> batch.Reset(keysOf resetKeys ended))

        for i in all do
            if not (isOver following[i]) then
                continueEpisode i following[i]

        Array.iter2 beginEpisode ended starts

    /// The instances after the last step taken.
    member _.Current =
        if network.Memory = 0 then
            current
        else
            current
            |> Array.mapi (fun i instance -> { instance with Memory = Vector.adopt ((memoryOf i).ToArray()) })

    member _.Faults = faults

    /// The observations after truncated and interrupted rows, in the order of those rows.
    member _.Bootstraps =
        let order = Array.init bootstrapRows.Count id
        Array.sortInPlaceBy (fun i -> bootstrapRows[i]) order

        [| for i in order do
               for column in 0 .. observationWidth - 1 do
                   bootstrapObservations[i * observationWidth + column] |]

    /// Advances all instances by one step, or up to the phase with a fault.
    member private _.StepAll t =
        observe t

        if faults.Count = 0 then
            forward t

        if faults.Count = 0 then
            draw t

        if faults.Count = 0 then
            match task.Batch with
            | Some batch -> stepTogether t batch
            | None ->
                for i in 0 .. width - 1 do
                    record t i (act t i)

    /// Takes all steps of the horizon, or stops after the step with the first fault.
    member this.Run() =
        let mutable t = 0

        while t < horizon && faults.Count = 0 do
            try
                this.StepAll t
            with error ->
                if phase = RolloutPhase.Policy then
                    reraise () // No environment was called.

                let steps = current[called].Steps + (if phase = RolloutPhase.Step then 1L else 0L)
                fail t phase called (FailedEnvironment(error, environment.Id, numberOf called, steps))

            t <- t + 1
