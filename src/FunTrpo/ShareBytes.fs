namespace FunTrpo

open System
open System.Collections.Immutable
open System.IO
open FunTrpo.Kernels

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

/// What a task says first: the training that it belongs to, and where it lies in a rollout.
type internal ShareHeader =
    {
        Origin: CheckpointOrigin
        /// The number of the first instance in the rollout.
        First: int
        Count: int
        Horizon: int
        Key: Key
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
    let private library = string (typeof<Fault>.Assembly.GetName().Version)

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
              CheckpointSections.instancesSection (fun _ -> codec.Encode) task.Instances ]

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

    /// What a task says first, and its other sections.
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

        struct ({ Origin = origin; First = first; Count = count; Horizon = horizon; Key = key }, sections)

    /// The rest of a task, for a setup of its environment and its configuration. `decode` turns the number of an instance and the bytes of its
    /// state into the state.
    let readRest (setup: Setup<'State>) decode (header: ShareHeader) (sections: SectionReader) =
        let network, count = setup.Policy.Network, header.Count
        let decode i = decode (header.First + i)
        let parameters = sections.Vector("policy", network.ParameterCount)
        let space = setup.Environment.ObservationSpace
        let normaliser = CheckpointSections.readNormaliser space sections
        let memory = CheckpointSections.readMemory "policy memory" count network sections
        let instances = sections.Bytes "instances" |> CheckpointSections.readInstances decode count memory
        sections.End()

        { First = header.First
          Horizon = header.Horizon
          Key = header.Key
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
          Section.ofVector "bootstrap observations" (Matrix.flatten batch.BootstrapObservations) ]

    let private doneSection isDone = Section.written "done" (fun writer -> writer.Write(isDone: bool))

    /// The answer that is a fault.
    let writeFault fault = written answerMark [ doneSection false; faultSection fault ]

    /// The answer with the rows of a task and its instances afterwards. `encode` turns the index of an instance and its state into bytes.
    let writeRows encode (batch: Batch, instances) =
        written
            answerMark
            [ doneSection true
              yield! rowSections batch
              yield! CheckpointSections.policyMemorySection instances
              CheckpointSections.instancesSection encode instances ]

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
        let bootstraps = ends |> Seq.filter Batch.hasBootstrap |> Seq.length

        { Instances = count
          Horizon = task.Horizon
          Observations = observations
          Memory = Matrix(count, setup.Policy.Network.Memory, memory.Memory)
          Actions = actions
          Rewards = ImmutableArray.Create<float> rewardNumbers
          Ends = ImmutableArray.Create<End> ends
          BootstrapObservations = matrix "bootstrap observations" bootstraps width
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

            let instances =
                sections.Bytes "instances" |> CheckpointSections.readInstances (fun _ -> codec.Decode) count memory

            sections.End()
            Ok(batch, instances)
        else
            sections.Bytes "fault" |> readFault |> Error
