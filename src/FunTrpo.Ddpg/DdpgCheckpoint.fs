namespace FunTrpo.Ddpg

open System
open System.Collections.Immutable
open System.Text
open FunTrpo

/// A state of DDPG as it was read from a file.
[<NoComparison>]
type DdpgCheckpoint<'State when 'State: equality> =
    {
        State: DdpgState<'State>
        /// The text that was saved with the state.
        Note: string
    }

/// What a checkpoint says about the training that it belongs to.
type DdpgOrigin =
    {
        /// The id of the environment.
        Environment: string
        ObservationSpace: string
        ActionSpace: string
        Settings: DdpgSettings
    }

/// Saves states of DDPG to files and reads them back, replay memory and all, so that training goes on with the same bits as if it had not
/// been interrupted. docs/checkpoint-format.md describes the files.
module DdpgCheckpoint =

    let private mark = "FunTrpoD"
    let private version = 1

    let private codecOf (environment: Environment<'State>) =
        StateCodec.required<'State> $"checkpoints cannot keep the states of {environment.Id}" environment

    // ---- Writing ----

    let private countersSection (state: DdpgState<'State>) =
        Section.written "counters" (fun writer ->
            writer.Write state.Key.K0
            writer.Write state.Key.K1
            writer.Write state.Iteration
            writer.Write state.Steps
            writer.Write state.Updates
            writer.Write state.Episodes
            writer.Write state.VectorWidth
            CheckpointSections.writeReturns writer state.RecentReturns)

    /// A network with its target and its optimiser.
    let private learnedSections name (learned: Learned) =
        [ Section.ofVector name learned.Parameters
          Section.ofVector $"{name} target" learned.Target
          Section.written $"{name} optimiser" (fun writer -> writer.Write learned.Optimiser.Steps)
          Section.ofVector $"{name} first moment" learned.Optimiser.FirstMoment
          Section.ofVector $"{name} second moment" learned.Optimiser.SecondMoment ]

    let private nameOfChunk (chunk: int) = $"experiences {chunk}"

    let private memorySections (memory: ReplayMemory) =
        Section.written "memory" (fun writer -> writer.Write memory.Added)
        :: [ for chunk in 0 .. memory.Chunks.Length - 1 -> Section.ofVector (nameOfChunk chunk) memory.Chunks[chunk] ]

    /// The sections of a state. An exception of the codec passes through.
    let private sectionsOf (setup: DdpgSetup<'State>) (codec: StateCodec<'State>) (note: string) state =
        [ CheckpointSections.environmentSection setup.Environment
          CheckpointSections.fieldsSection "settings" DdpgSettings.fields setup.Settings
          countersSection state
          yield! learnedSections "actor" state.Actor
          yield! learnedSections "critic" state.Critic
          CheckpointSections.normaliserSection state.Normaliser
          Section.ofVector "noise" state.Noise
          CheckpointSections.instancesSection (fun _ -> codec.Encode) (ImmutableArray.Create state.Instance)
          yield! memorySections state.Memory
          Section.ofBytes "note" (Encoding.UTF8.GetBytes note) ]

    let private trySections setup codec note state =
        try
            Ok(sectionsOf setup codec note state)
        with error ->
            Error(Mismatch $"checkpoints cannot keep a state of {setup.Environment.Id}: {error.Message}")

    /// Saves the state to a file, with a text that belongs to it. The file is replaced atomically and durably, as by `Checkpoint.save`, and
    /// with the same faults. The setup is that with which training goes on.
    let save path (setup: DdpgSetup<'State>) note (state: DdpgState<'State>) =
        result {
            do! DdpgState.requireFit setup state
            let! codec = codecOf setup.Environment
            let! sections = trySections setup codec note state
            return! SectionDisk.save Disk.real path mark version sections
        }

    // ---- Reading ----

    /// What the first two sections say.
    let private readOrigin (sections: SectionReader) =
        let struct (environment, observationSpace, actionSpace) = CheckpointSections.readEnvironment sections

        let settings =
            sections.Bytes "settings" |> CheckpointSections.readFields DdpgSettings.standard DdpgSettings.set

        { Environment = environment
          ObservationSpace = observationSpace
          ActionSpace = actionSpace
          Settings = settings }

    /// The fields that determine what a state consists of.
    let private stateFields = [ "actor"; "critic"; "capacity"; "normaliseObservations"; "logSigma" ]

    /// Refuses the file of another training.
    let private requireOrigin (setup: DdpgSetup<'State>) (origin: DdpgOrigin) =
        let isOther (field: Field<DdpgSettings>) =
            List.contains field.Name stateFields && field.Get origin.Settings <> field.Get setup.Settings

        struct (origin.Environment, origin.ObservationSpace, origin.ActionSpace)
        |> CheckpointSections.requireEnvironment setup.Environment
        |> Result.bind (fun () ->
            match DdpgSettings.fields |> List.tryFind isOther with
            | Some field ->
                setup.Settings
                |> DdpgSettings.refuse
                    field.Name
                    $"it is {field.Get origin.Settings}, and cannot change during training"
            | None -> Ok())

    let private readCounters (reader: ByteReader) =
        let key = { K0 = reader.UInt64(); K1 = reader.UInt64() }
        let iteration = CheckpointSections.readSmallCount reader
        let steps = CheckpointSections.readCount reader
        let updates = CheckpointSections.readCount reader
        let episodes = CheckpointSections.readCount reader
        let vectorWidth = CheckpointSections.readSmallCount reader
        let returns = CheckpointSections.readRecentReturns reader
        reader.End()
        key, iteration, steps, updates, episodes, vectorWidth, returns

    let private readLearned name count (sections: SectionReader) : Learned =
        let parameters = sections.Vector(name, count)
        let target = sections.Vector($"{name} target", count)

        { Parameters = parameters
          Target = target
          Optimiser =
            sections
            |> CheckpointSections.readAdam $"{name} optimiser" $"{name} first moment" $"{name} second moment" count }

    /// The memory that `empty` becomes with the experiences of the file.
    let private readMemory (empty: ReplayMemory) (sections: SectionReader) =
        let reader = sections.Bytes "memory"
        let added = CheckpointSections.readCount reader
        reader.End()
        let kept = { empty with Added = added }
        let chunkCount = (kept.Count + ReplayMemory.chunkRows - 1) / ReplayMemory.chunkRows

        let chunks =
            [| for chunk in 0 .. chunkCount - 1 ->
                   sections.Vector(nameOfChunk chunk, ReplayMemory.rowsOf chunk empty * ReplayMemory.rowWidth empty) |]

        { kept with Chunks = ImmutableArray.Create<Vector> chunks }

    let private readState (setup: DdpgSetup<'State>) (codec: StateCodec<'State>) (sections: SectionReader) =
        let environment = setup.Environment
        let observations, actions = environment.ObservationSpace, environment.ActionSpace

        let key, iteration, steps, updates, episodes, vectorWidth, returns =
            sections.Bytes "counters" |> readCounters

        let actor = sections |> readLearned "actor" setup.Policy.Network.ParameterCount
        let critic = sections |> readLearned "critic" setup.Critic.ParameterCount
        let normaliser = sections |> CheckpointSections.readNormaliser observations
        let noise = sections.Vector("noise", Space.width actions)

        let instances =
            sections.Bytes "instances"
            |> CheckpointSections.readInstances (fun _ -> codec.Decode) 1 (Matrix.adopt 1 0 [||])

        let memory =
            sections
            |> readMemory (ReplayMemory.create (Space.width observations) (Space.width actions) setup.Settings.Capacity)

        { Key = key
          Iteration = iteration
          Steps = steps
          Updates = updates
          Episodes = episodes
          Actor = actor
          Critic = critic
          Normaliser = normaliser
          Memory = memory
          Noise = noise
          Instance = instances[0]
          RecentReturns = returns
          VectorWidth = vectorWidth }

    /// What the file says about its training: enough to make the setup that `load` needs. Returns `Damaged` if it is no checkpoint of DDPG.
    let origin path = SectionDisk.reading path mark version (readOrigin >> Ok)

    /// Reads the state of a file. The setup must be one of the same environment, and its settings may differ only in fields that do not determine
    /// what a state consists of: other than `actor`, `critic`, `capacity`, `normaliseObservations` and `logSigma`.
    ///
    /// Returns a `Mismatch` or an `InvalidSetting` if the file belongs to another training, and `Damaged` with the section and the offset if
    /// it is not, or not all of, a checkpoint. Nothing in a file is run as code.
    let load path (setup: DdpgSetup<'State>) : Result<DdpgCheckpoint<'State>, Fault> =
        SectionDisk.reading path mark version (fun sections ->
            result {
                let! codec = codecOf setup.Environment
                do! readOrigin sections |> requireOrigin setup
                let state = readState setup codec sections
                let note = sections.Bytes "note"
                let text = note.Take note.Remaining
                sections.End()
                do! DdpgState.requireFit setup state
                return { State = state; Note = Encoding.UTF8.GetString text.Span }
            })
