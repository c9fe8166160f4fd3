namespace FunTrpo

open System
open System.Collections.Generic
open System.Collections.Immutable
open System.IO
open FunTrpo.Kernels

/// Where shares of a rollout are stepped: other processes, maybe on other machines. A share is a task in bytes, and its answer is the bytes
/// that a `ShareRunner` of the same environment gives for it.
type ShareWorkers =

    /// The number of processes that can step shares now.
    abstract Count: int

    /// The answers to the tasks, which are at most as many as `Count` was; in their order. If a process fails, its task goes to another one:
    /// wherever a task runs, its answer has the same bits. An exception ends the iteration with a fault.
    abstract Answers: tasks: byte[][] -> byte[][]

/// Steps shares of the rollouts of an environment.
type ShareRunner =

    /// The answer to a task. A task that is damaged or of another training is answered by the fault.
    abstract Answer: task: byte[] -> byte[]

    /// Releases what the runner holds of the environments that it has stepped.
    inherit IDisposable

/// A task: so many steps of these instances of a rollout.
type internal ShareTask<'State> =
    {
        /// The number of the first instance in the rollout.
        First: int
        Horizon: int
        Key: Key
        Actor: Actor
        Instances: ImmutableArray<Instance<'State>>
    }

/// The faults of rollouts as bytes, and back.
module internal FaultBytes =

    let private placed (writer: BinaryWriter) (tag: byte) environment (instance: int) (step: int64) =
        writer.Write tag
        ByteWriter.writeText writer environment
        writer.Write instance
        writer.Write step

    /// An exception becomes its message. Faults of other stages become a `Mismatch` with their message.
    let write (writer: BinaryWriter) fault =
        match fault with
        | NonFiniteEnvironment(what, environment, instance, step) ->
            placed writer 1uy environment instance step
            ByteWriter.writeText writer what
        | OversizedEnvironment(what, value, environment, instance, step) ->
            placed writer 2uy environment instance step
            ByteWriter.writeText writer what
            writer.Write value
        | InvalidObservation(environment, instance, step) -> placed writer 3uy environment instance step
        | NoLegalAction(environment, instance, step) -> placed writer 4uy environment instance step
        | FailedEnvironment(error, environment, instance, step) ->
            placed writer 5uy environment instance step
            ByteWriter.writeText writer error.Message
        | NonFinitePolicy(environment, instance, step) -> placed writer 6uy environment instance step
        | other ->
            writer.Write 0uy
            ByteWriter.writeText writer (Fault.message other)

    let read (reader: ByteReader) =
        match reader.Byte() with
        | 0uy -> Mismatch(reader.Text())
        | tag ->
            let environment, instance, step = reader.Text(), reader.Int32(), reader.Int64()

            match tag with
            | 1uy -> NonFiniteEnvironment(reader.Text(), environment, instance, step)
            | 2uy -> OversizedEnvironment(reader.Text(), reader.Float(), environment, instance, step)
            | 3uy -> InvalidObservation(environment, instance, step)
            | 4uy -> NoLegalAction(environment, instance, step)
            | 5uy -> FailedEnvironment(Exception(reader.Text()), environment, instance, step)
            | 6uy -> NonFinitePolicy(environment, instance, step)
            | other -> reader.Fail $"there is no fault {other}"

/// Tasks and answers as bytes, and back. What is wrong with bytes throws `Unreadable`.
module internal ShareBytes =

    let private taskMark, answerMark = "FunTrpoT", "FunTrpoA"
    let private format = 1

    /// The version of the library. Another one may compute other bits.
    let private library = string (typeof<ShareRunner>.Assembly.GetName().Version)

    let private written mark sections =
        use stream = new MemoryStream()
        SectionFile.write mark format sections stream
        stream.ToArray()

    let private opened mark (bytes: byte[]) = SectionReader(new MemoryStream(bytes, false), mark, format)

    // ---- Tasks ----

    let writeTask (codec: StateCodec<'State>) (setup: Setup<'State>) (task: ShareTask<'State>) =
        written
            taskMark
            [ CheckpointSections.environmentSection setup.Environment
              CheckpointSections.configurationSection setup.Configuration
              Section.written "share" (fun writer ->
                  ByteWriter.writeText writer library
                  writer.Write Lanes.Width
                  writer.Write task.First
                  writer.Write task.Instances.Length
                  writer.Write task.Horizon
                  writer.Write task.Key.K0
                  writer.Write task.Key.K1)
              Section.ofVector "policy" task.Actor.Parameters
              CheckpointSections.normaliserSection task.Actor.Normaliser
              yield! CheckpointSections.policyMemorySection task.Instances
              CheckpointSections.instancesSection codec task.Instances ]

    /// Refuses the task of a training whose results this process would not give.
    let private requireSame (reader: ByteReader) =
        let version, width = reader.Text(), reader.Int32()

        if version <> library then
            reader.Fail $"the training has FunTrpo {version}, and this process {library}: both must have the same"

        if width <> Lanes.Width then
            reader.Fail
                $"the training computes with vectors of {width} numbers, and the processor here with {Lanes.Width}: results would be rounded differently"

    let private positive what (reader: ByteReader) =
        let number = reader.Int32()
        if number < 1 then reader.Fail $"{what} is {number}" else number

    /// What a task says first: its environment and configuration, and where it lies in its rollout.
    let readTask (bytes: byte[]) =
        let sections = opened taskMark bytes
        let origin = CheckpointSections.readOrigin sections
        let reader = sections.Bytes "share"
        requireSame reader
        let first = reader.Int32()
        let count, horizon = positive "the number of instances" reader, positive "the horizon" reader
        let key = { K0 = reader.UInt64(); K1 = reader.UInt64() }
        reader.End()

        if first < 0 || int64 first + int64 count > int64 Int32.MaxValue then
            reader.Fail $"it begins with instance {first}"

        struct (origin, first, count, horizon, key, sections)

    /// The rest of a task, for a setup of its environment and its configuration. `decode` turns the bytes of the state of an instance into
    /// the state.
    let readRest (setup: Setup<'State>) decode first count horizon key (sections: SectionReader) =
        let network = setup.Policy.Network
        let parameters = sections.Vector("policy", network.ParameterCount)
        let space = setup.Environment.ObservationSpace
        let normaliser = CheckpointSections.readNormaliser space sections
        let memory = CheckpointSections.readMemory "policy memory" count network sections
        let instances = sections.Bytes "instances" |> CheckpointSections.readInstances decode count memory
        sections.End()

        { First = first
          Horizon = horizon
          Key = key
          Actor = { Policy = setup.Policy; Parameters = parameters; Normaliser = normaliser }
          Instances = instances }

    // ---- Answers ----

    let private faultSection (struct (struct (t: int, phase: RolloutPhase, instance: int), fault)) =
        Section.written "fault" (fun writer ->
            writer.Write t
            writer.Write(int phase)
            writer.Write instance
            FaultBytes.write writer fault)

    let private readFault (reader: ByteReader) =
        let t, phase, instance = reader.Int32(), enum<RolloutPhase>(reader.Int32()), reader.Int32()
        let fault = FaultBytes.read reader
        reader.End()
        struct (struct (t, phase, instance), fault)

    let private rowSections (batch: Batch) =
        [ Section.ofVector "observations" (Matrix.flatten batch.Observations)
          Section.ofVector "actions" (Matrix.flatten batch.Actions)
          Section.written "rewards" (fun writer -> CheckpointSections.writeFloats writer batch.Rewards)
          Section.ofBytes "ends" (batch.Ends |> Seq.map byte |> Array.ofSeq)
          Section.written "bootstraps" (fun writer -> writer.Write batch.BootstrapObservations.Rows)
          Section.ofVector "bootstrap observations" (Matrix.flatten batch.BootstrapObservations) ]

    let writeAnswer (codec: StateCodec<'State>) result =
        let isDone = Section.written "done" (fun writer -> writer.Write(Result.isOk result))

        match result with
        | Error fault -> written answerMark [ isDone; faultSection fault ]
        | Ok(batch, instances) ->
            written
                answerMark
                [ isDone
                  yield! rowSections batch
                  yield! CheckpointSections.policyMemorySection instances
                  CheckpointSections.instancesSection codec instances ]

    let private readEnds count (reader: ByteReader) =
        let ends =
            Array.init count (fun _ ->
                match reader.Byte() with
                | ending when ending <= byte End.Interrupted -> LanguagePrimitives.EnumOfValue<byte, End> ending
                | other -> reader.Fail $"there is no end {other}")

        reader.End()
        ends

    let private readRows (setup: Setup<'State>) (task: ShareTask<'State>) (sections: SectionReader) =
        let count = task.Instances.Length
        let total = Size.product count task.Horizon
        let width = Space.width setup.Environment.ObservationSpace
        let actionWidth = setup.Policy.Family.ActionWidth
        let memory = task.Instances |> Seq.map _.Memory |> Vector.concat
        let matrix name rows columns = Matrix(rows, columns, sections.Vector(name, Size.product rows columns).Memory)
        let observations = matrix "observations" total width
        let actions = matrix "actions" total actionWidth
        let rewards = sections.Bytes "rewards"
        let rewardNumbers = CheckpointSections.readFloats rewards total
        rewards.End()
        let ends = sections.Bytes "ends" |> readEnds total
        let bootstraps = sections.Bytes "bootstraps"
        let bootstrapCount = bootstraps.Int32()

        let needed =
            ends |> Seq.filter (fun ending -> ending = End.Truncated || ending = End.Interrupted) |> Seq.length

        if bootstrapCount <> needed then
            bootstraps.Fail $"it has {bootstrapCount} bootstraps, and its ends need {needed}"

        { Instances = count
          Horizon = task.Horizon
          Observations = observations
          Memory = Matrix(count, setup.Policy.Network.Memory, memory.Memory)
          Actions = actions
          Rewards = ImmutableArray.Create<float> rewardNumbers
          Ends = ImmutableArray.Create<End> ends
          BootstrapObservations = matrix "bootstrap observations" bootstrapCount width
          // The whole rollout has those of all shares in the order of time.
          Episodes = ImmutableArray.Empty }

    /// The rows of a task and its instances afterwards, or its first fault with the place.
    let readAnswer (codec: StateCodec<'State>) (setup: Setup<'State>) (task: ShareTask<'State>) (bytes: byte[]) =
        let sections = opened answerMark bytes
        let isDone = sections.Bytes "done"

        if isDone.Bool() then
            let batch = readRows setup task sections
            let count = task.Instances.Length
            let memory = CheckpointSections.readMemory "policy memory" count setup.Policy.Network sections

            let instances = sections.Bytes "instances" |> CheckpointSections.readInstances codec.Decode count memory

            sections.End()
            Ok(batch, instances)
        else
            sections.Bytes "fault" |> readFault |> Error

/// Rollouts whose instances are stepped by several processes. A rollout is a function of keys, so where an instance is stepped changes no bit.
module RolloutShare =

    let private codecOf (environment: Environment<'State>) =
        StateCodec.ofEnvironment<'State> environment
        |> Result.mapError (fun why ->
            Mismatch
                $"other processes cannot step {environment.Id}, because its states cannot be sent: {why}. Make the states plain values, or let the environment implement CheckpointableEnvironment")

    // ---- The process that steps a share ----

    /// The states of the last answer, by their instance and bytes. A simulator whose episode goes on need not play it again from its start.
    type private KnownStates<'State>() =
        let known = Dictionary<int, struct (byte[] * 'State)>()

        member _.Decode (codec: StateCodec<'State>) number (bytes: ReadOnlyMemory<byte>) =
            match known.TryGetValue number with
            | true, struct (earlier: byte[], state) when bytes.Span.SequenceEqual(ReadOnlySpan earlier) ->
                known.Remove number |> ignore
                state
            | _ -> codec.Decode bytes

        /// Forgets all states that were not asked for.
        member _.Clear() =
            for struct (_, state) in known.Values do
                Releasable.release state

            known.Clear()

        member _.Keep (codec: StateCodec<'State>) first (instances: ImmutableArray<Instance<'State>>) =
            for i in 0 .. instances.Length - 1 do
                known[first + i] <- struct (codec.Encode instances[i].State, instances[i].State)

    /// Returns a setup of the environment for the configuration of a task, or why the task is one of another training.
    let private setupOf threads (environment: Environment<'State>) origin =
        let ours = Space.describe environment.ObservationSpace, Space.describe environment.ActionSpace

        if origin.Environment <> environment.Id || (origin.ObservationSpace, origin.ActionSpace) <> ours then
            Error(
                Mismatch
                    $"the training is one on {origin.Environment} with observations {origin.ObservationSpace} and actions {origin.ActionSpace}; this process steps {environment.Id} with observations {fst ours} and actions {snd ours}"
            )
        else
            Setup.create threads origin.Configuration environment

    /// Steps shares of the rollouts of an environment, on so many threads and one share at a time. Returns a `Mismatch` if its states cannot be
    /// sent.
    let runner threads (environment: Environment<'State>) : Result<ShareRunner, Fault> =
        codecOf environment
        |> Result.map (fun codec ->
            let gate = obj ()
            let known = KnownStates<'State>()
            let mutable last: (CheckpointOrigin * Result<Setup<'State>, Fault>) option = None

            /// The last setup, if the task is of the same training.
            let setupFor origin =
                match last with
                | Some(before, setup) when before = origin -> setup
                | _ ->
                    let setup = setupOf threads environment origin
                    last <- Some(origin, setup)
                    setup

            let collect (task: ShareTask<'State>) =
                Rollout.collectPlaced task.First environment task.Actor task.Horizon threads task.Key task.Instances

            let step bytes =
                let struct (origin, first, count, horizon, key, sections) = ShareBytes.readTask bytes
                let unplaced fault = struct (struct (0, RolloutPhase.Observation, first), fault)

                match setupFor origin with
                | Error fault -> Error(unplaced fault)
                | Ok setup ->
                    let mutable next = first - 1

                    let decode state =
                        next <- next + 1
                        known.Decode codec next state

                    let task = ShareBytes.readRest setup decode first count horizon key sections
                    known.Clear()
                    let result = collect task
                    result |> Result.iter (fun (_, instances) -> known.Keep codec first instances)
                    result

            { new ShareRunner with
                member _.Answer task =
                    lock gate (fun () ->
                        try
                            step task
                        with Unreadable why ->
                            Error(struct (struct (0, RolloutPhase.Observation, 0), Mismatch why))
                        |> ShareBytes.writeAnswer codec)

                member _.Dispose() = lock gate known.Clear })

    // ---- The process that trains ----

    /// The parts of a rollout, each with about the same number of instances.
    let private tasksOf parts horizon key actor (instances: ImmutableArray<Instance<'State>>) =
        let edge part = int (int64 part * int64 instances.Length / int64 parts)

        Array.init parts (fun part ->
            { First = edge part
              Horizon = horizon
              Key = key
              Actor = actor
              Instances = instances.Slice(edge part, edge (part + 1) - edge part) })

    /// The rollout of the answers, or the first fault of all shares.
    let private joined instances answers =
        let faults =
            answers
            |> Array.choose (fun answer ->
                match answer with
                | Error fault -> Some fault
                | Ok _ -> None)

        if faults.Length = 0 then
            answers |> Array.choose Result.toOption |> Rollout.join instances |> Ok
        else
            let struct (_, fault) = faults |> Array.minBy (fun struct (place, _) -> place)
            Error fault

    /// A setup whose rollouts are stepped by other processes: a share by each. Results have the same bits as those of `Rollout.collect`,
    /// whatever the number of processes. Branches of a vine and evaluations are played in this process. Returns a `Mismatch` if the states of the
    /// environment cannot be sent.
    let onWorkers (workers: ShareWorkers) (setup: Setup<'State>) : Result<Setup<'State>, Fault> =
        codecOf setup.Environment
        |> Result.map (fun codec ->
            let collect environment actor horizon _ key (instances: ImmutableArray<Instance<'State>>) =
                try
                    let setup = { setup with Environment = environment }
                    let tasks = tasksOf (Math.Clamp(workers.Count, 1, instances.Length)) horizon key actor instances

                    tasks
                    |> Array.map (ShareBytes.writeTask codec setup)
                    |> workers.Answers
                    |> Array.map2 (ShareBytes.readAnswer codec setup) tasks
                    |> joined instances
                with
                | Unreadable why ->
                    Error(Mismatch $"a process that steps shares of {environment.Id} gave no proper answer: {why}")
                | error -> Error(FailedEnvironment(error, environment.Id, 0, instances[0].Steps))

            { setup with Collect = collect })
