namespace FunTrpo

open System
open System.Collections.Immutable
open System.IO
open System.Text

/// What a checkpoint says about the training that it belongs to.
type CheckpointOrigin =
    {
        /// The id of the environment.
        Environment: string
        ObservationSpace: string
        ActionSpace: string
        Configuration: Configuration
    }

/// The sections of a checkpoint, and the state in them. docs/checkpoint-format.md describes them.
module internal CheckpointSections =

    // ---- Writing ----

    let writeFloats (writer: BinaryWriter) (numbers: seq<float>) =
        for number in numbers do
            writer.Write number

    let private writeMoments (writer: BinaryWriter) (moments: Moments) =
        writer.Write moments.Width
        writer.Write moments.Count
        writeFloats writer (Seq.init moments.Width moments.Mean)
        writeFloats writer (Seq.init moments.Width moments.SquaredDeviations)

    /// What the state belongs to: the environment and its spaces.
    let environmentSection (environment: Environment<'State>) =
        Section.written "environment" (fun writer ->
            ByteWriter.writeText writer environment.Id
            ByteWriter.writeText writer (Space.describe environment.ObservationSpace)
            ByteWriter.writeText writer (Space.describe environment.ActionSpace))

    /// The names and the values of these fields.
    let fieldsSection name (fields: Field<'Record> list) record =
        Section.written name (fun writer ->
            writer.Write fields.Length

            for field in fields do
                ByteWriter.writeText writer field.Name
                ByteWriter.writeText writer (field.Get record))

    let configurationSection configuration = fieldsSection "configuration" Configuration.fields configuration

    let private countersSection (state: TrainingState<'State>) =
        Section.written "counters" (fun writer ->
            writer.Write state.Key.K0
            writer.Write state.Key.K1
            writer.Write state.Iteration
            writer.Write state.Steps
            writer.Write state.Episodes
            writer.Write state.VectorWidth

            for streak in [ state.Streaks.Unmoved; state.Streaks.LowEntropy; state.Streaks.SigmaBound ] do
                writer.Write streak.Count
                writer.Write streak.LongestReported)

    /// Writes the returns of finished episodes.
    let writeReturns (writer: BinaryWriter) (returns: ImmutableArray<float>) =
        writer.Write returns.Length
        writeFloats writer returns

    let private returnsSection (state: TrainingState<'State>) =
        Section.written "returns" (fun writer ->
            writeReturns writer state.RecentReturns
            writer.Write state.BestMeanReturn.IsSome
            writer.Write(defaultArg state.BestMeanReturn 0.0))

    /// Whether there are moments, and the moments.
    let private momentsSection name (moments: Moments option) =
        Section.written name (fun writer ->
            writer.Write moments.IsSome
            moments |> Option.iter (writeMoments writer))

    let private unitSection unit =
        momentsSection
            "return unit"
            (match unit with
             | Plain -> None
             | Standardised moments -> Some moments)

    let normaliserSection normaliser =
        momentsSection
            "normaliser"
            (match normaliser with
             | Unnormalised -> None
             | Standardise moments -> Some moments)

    /// The instances but for their memory. `encode` turns the index of an instance and its state into bytes.
    let instancesSection (encode: int -> 'State -> byte[]) (instances: ImmutableArray<Instance<'State>>) =
        Section.written "instances" (fun writer ->
            writer.Write instances.Length

            for i in 0 .. instances.Length - 1 do
                let instance = instances[i]
                let bytes = encode i instance.State
                writer.Write instance.Return
                writer.Write instance.Length
                writer.Write instance.Steps
                writer.Write bytes.Length
                writer.Write bytes)

    /// A section of what a network remembers. One without memory has no such section.
    let private memorySection name (memory: Vector) = if memory.Length = 0 then [] else [ Section.ofVector name memory ]

    /// What the policy remembers of the episode of each instance.
    let policyMemorySection (instances: ImmutableArray<Instance<'State>>) =
        instances
        |> Seq.map (fun instance -> instance.Memory)
        |> Vector.concat
        |> memorySection "policy memory"

    /// The optimiser of the policy; one that has not begun has no sections.
    let private policyOptimiserSections (optimiser: AdamState) =
        if optimiser.FirstMoment.Length = 0 then
            []
        else
            [ Section.written "policy optimiser" (fun writer -> writer.Write optimiser.Steps)
              Section.ofVector "policy first moment" optimiser.FirstMoment
              Section.ofVector "policy second moment" optimiser.SecondMoment ]

    /// The sections of a state. An exception of the codec passes through.
    let ofState (setup: Setup<'State>) (codec: StateCodec<'State>) (note: string) (state: TrainingState<'State>) =
        let optimiser = state.Critic.Optimiser

        [ environmentSection setup.Environment
          configurationSection setup.Configuration
          countersSection state
          returnsSection state
          Section.ofVector "policy" state.PolicyParameters
          yield! policyOptimiserSections state.PolicyOptimiser
          normaliserSection state.Normaliser
          Section.ofVector "critic" state.Critic.Parameters
          unitSection state.Critic.Unit
          Section.written "optimiser" (fun writer -> writer.Write optimiser.Steps)
          Section.ofVector "first moment" optimiser.FirstMoment
          Section.ofVector "second moment" optimiser.SecondMoment
          yield! policyMemorySection state.Instances
          yield! state.Critic.Memory |> Matrix.flatten |> memorySection "critic memory"
          instancesSection (fun _ -> codec.Encode) state.Instances
          Section.ofBytes "note" (Encoding.UTF8.GetBytes note) ]

    // ---- Reading ----

    let private readFloat (reader: ByteReader) =
        let number = reader.Float()

        if not (Double.IsFinite number) then
            reader.Fail $"the number is {number}, which is not finite"

        number

    let readFloats reader count = Array.init count (fun _ -> readFloat reader)

    let private atLeast smallest (reader: ByteReader) (number: int64) =
        if number < smallest then
            reader.Fail $"{number} is less than {smallest}"

        number

    let readCount (reader: ByteReader) = reader.Int64() |> atLeast 0L reader
    let readSmallCount (reader: ByteReader) = reader.Int32() |> int64 |> atLeast 0L reader |> int

    let private readMoments width (reader: ByteReader) =
        let found = reader.Int32()

        if found <> width then
            reader.Fail $"it has {found} columns, and {width} are expected"

        let readPositive () =
            let number = readFloat reader

            if number < 0.0 then
                reader.Fail $"a number of rows or a sum of squares is {number}"

            number

        let count = readPositive ()
        let means = readFloats reader width
        let squares = Array.init width (fun _ -> readPositive ())
        Moments.create count means squares

    /// The record `standard` with the fields of the section. `set` sets the field of a name from its text.
    let readFields standard (set: string -> string -> 'Record -> Result<'Record, Fault>) (reader: ByteReader) =
        let count = reader.Count 8

        let record =
            (standard, seq { 1..count })
            ||> Seq.fold (fun record _ ->
                match set (reader.Text()) (reader.Text()) record with
                | Ok next -> next
                | Error fault -> reader.Fail(Fault.message fault))

        reader.End()
        record

    let private readStreak (reader: ByteReader) : Streak =
        { Count = readSmallCount reader; LongestReported = readSmallCount reader }

    /// An instance that remembers nothing. `decode` turns bytes into a state.
    let private readInstance (decode: ReadOnlyMemory<byte> -> 'State) (reader: ByteReader) : Instance<'State> =
        let total = readFloat reader
        let length = readSmallCount reader
        let steps = readCount reader
        let bytes = reader.Take(reader.Count 1)

        let state =
            try
                decode bytes
            with error ->
                reader.Fail $"it is not a state of the environment ({error.Message})"

        { State = state; Return = total; Length = length; Steps = steps; Memory = Vector.zero 0 }

    /// So many instances, with what the policy remembers of each: the rows of `memory`. `decode` turns the index of an instance and bytes into
    /// its state.
    let readInstances decode count (memory: Matrix) (reader: ByteReader) =
        let found = reader.Count 1

        if found <> count then
            reader.Fail $"it has {found} instances, and {count} are expected"

        let withMemory i (instance: Instance<'State>) = { instance with Memory = Vector(memory.SliceRows(i, 1).Memory) }
        let instances = Array.init count (fun i -> readInstance (decode i) reader |> withMemory i)
        reader.End()
        ImmutableArray.Create<Instance<'State>> instances

    /// The moments after a Boolean that says whether there are any.
    let private readOptionalMoments width (reader: ByteReader) =
        let moments = if reader.Bool() then Some(readMoments width reader) else None
        reader.End()
        moments

    /// The id of the environment, and the descriptions of its observations and actions.
    let readEnvironment (sections: SectionReader) =
        let reader = sections.Bytes "environment"
        let environment, observationSpace, actionSpace = reader.Text(), reader.Text(), reader.Text()
        reader.End()
        struct (environment, observationSpace, actionSpace)

    /// Refuses what `readEnvironment` has read if it is another environment.
    let requireEnvironment (environment: Environment<'State>) (struct (id, observationSpace, actionSpace)) =
        let ours = Space.describe environment.ObservationSpace, Space.describe environment.ActionSpace

        if id <> environment.Id then
            Error(Mismatch $"the checkpoint is one of {id}, and not of {environment.Id}")
        elif (observationSpace, actionSpace) <> ours then
            Error(
                Mismatch
                    $"the checkpoint has observations {observationSpace} and actions {actionSpace}, and {environment.Id} has observations {fst ours} and actions {snd ours}"
            )
        else
            Ok()

    /// What the first two sections say.
    let readOrigin (sections: SectionReader) =
        let struct (environment, observationSpace, actionSpace) = readEnvironment sections

        { Environment = environment
          ObservationSpace = observationSpace
          ActionSpace = actionSpace
          Configuration = sections.Bytes "configuration" |> readFields Configuration.standard Configuration.set }

    /// The key, the iterations, the steps, the episodes, the vector width and the streaks.
    let private readCounters (reader: ByteReader) =
        let key = { K0 = reader.UInt64(); K1 = reader.UInt64() }
        let iteration = readSmallCount reader
        let steps, episodes = readCount reader, readCount reader
        let vectorWidth = readSmallCount reader
        let unmoved, lowEntropy, sigmaBound = readStreak reader, readStreak reader, readStreak reader
        reader.End()

        let streaks = { Unmoved = unmoved; LowEntropy = lowEntropy; SigmaBound = sigmaBound }
        key, iteration, steps, episodes, vectorWidth, streaks

    /// The returns of finished episodes, which `writeReturns` has written.
    let readRecentReturns (reader: ByteReader) =
        let count = reader.Count 8

        if count > TrainingState.window then
            reader.Fail $"it has {count} returns, and at most {TrainingState.window} are kept"

        ImmutableArray.Create<float>(readFloats reader count)

    /// The recent returns, and the best mean return.
    let private readReturns (reader: ByteReader) =
        let returns = readRecentReturns reader
        let hasBest = reader.Bool()
        let best = readFloat reader
        reader.End()
        returns, (if hasBest then Some best else None)

    /// The rows of memory of so many instances; empty for a network without memory.
    let readMemory name instances (network: Network) (sections: SectionReader) =
        let total = Size.product instances network.Memory
        let memory = if total = 0 then Vector.zero 0 else sections.Vector(name, total)
        Matrix(instances, network.Memory, memory.Memory)

    /// The state of Adam for so many parameters, in three sections.
    let readAdam steps first second count (sections: SectionReader) =
        let reader = sections.Bytes steps
        let steps = readCount reader
        reader.End()

        { FirstMoment = sections.Vector(first, count)
          SecondMoment = sections.Vector(second, count)
          Steps = steps }

    let private readPolicyOptimiser count (sections: SectionReader) =
        let steps = "policy optimiser"

        if sections.IsNext steps then
            sections |> readAdam steps "policy first moment" "policy second moment" count
        else
            Adam.none

    /// The critic without what it remembers.
    let private readCritic count (sections: SectionReader) =
        let parameters = sections.Vector("critic", count)
        let unit = sections.Bytes "return unit" |> readOptionalMoments 1

        { Parameters = parameters
          Unit = unit |> Option.map Standardised |> Option.defaultValue Plain
          Optimiser = sections |> readAdam "optimiser" "first moment" "second moment" count
          Memory = Matrix.adopt 0 0 [||] }

    /// The normaliser of observations of the space.
    let readNormaliser space (sections: SectionReader) =
        sections.Bytes "normaliser"
        |> readOptionalMoments (Space.width (Space.observed space))
        |> Option.map (Moments.withLabels (Space.labels space) >> Standardise)
        |> Option.defaultValue Unnormalised

    /// The state of the sections after the configuration.
    let readState (setup: Setup<'State>) (codec: StateCodec<'State>) (sections: SectionReader) =
        let key, iteration, steps, episodes, vectorWidth, streaks = sections.Bytes "counters" |> readCounters
        let returns, best = sections.Bytes "returns" |> readReturns
        let policy = sections.Vector("policy", setup.Policy.Network.ParameterCount)
        let policyOptimiser = sections |> readPolicyOptimiser policy.Length
        let normaliser = readNormaliser setup.Environment.ObservationSpace sections
        let count = setup.Configuration.Environments
        let critic = readCritic setup.Critic.ParameterCount sections
        let policyMemory = sections |> readMemory "policy memory" count setup.Policy.Network
        let critic = { critic with Memory = sections |> readMemory "critic memory" count setup.Critic }
        let instances = sections.Bytes "instances" |> readInstances (fun _ -> codec.Decode) count policyMemory

        { Key = key
          Iteration = iteration
          Steps = steps
          Episodes = episodes
          PolicyParameters = policy
          PolicyOptimiser = policyOptimiser
          Critic = critic
          Normaliser = normaliser
          Instances = instances
          RecentReturns = returns
          BestMeanReturn = best
          Streaks = streaks
          VectorWidth = vectorWidth
          Failure = None }
