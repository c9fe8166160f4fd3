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

/// A training state as it was read from a file.
[<NoComparison>]
type Checkpoint<'State when 'State: equality> =
    {
        State: TrainingState<'State>
        /// The text that was saved with the state.
        Note: string
    }

/// Saves training states to files and reads them back, so that training goes on with the same bits as if it had not been interrupted.
/// docs/checkpoint-format.md describes the files.
module Checkpoint =

    let private mark = "FunTrpoC"
    let private version = 1

    // ---- Writing ----

    let private writeText (writer: BinaryWriter) (text: string) =
        let utf8 = Encoding.UTF8.GetBytes text
        writer.Write utf8.Length
        writer.Write utf8

    let private writeFloats (writer: BinaryWriter) (numbers: seq<float>) =
        for number in numbers do
            writer.Write number

    let private writeMoments (writer: BinaryWriter) (moments: Moments) =
        writer.Write moments.Width
        writer.Write moments.Count
        writeFloats writer (Seq.init moments.Width moments.Mean)
        writeFloats writer (Seq.init moments.Width moments.SquaredDeviations)

    /// What the state belongs to: the environment and its spaces.
    let private environmentSection (environment: Environment<'State>) =
        Section.written "environment" (fun writer ->
            writeText writer environment.Id
            writeText writer (Space.describe environment.ObservationSpace)
            writeText writer (Space.describe environment.ActionSpace))

    let private configurationSection configuration =
        Section.written "configuration" (fun writer ->
            writer.Write Configuration.fields.Length

            for field in Configuration.fields do
                writeText writer field.Name
                writeText writer (field.Get configuration))

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

    let private returnsSection (state: TrainingState<'State>) =
        Section.written "returns" (fun writer ->
            writer.Write state.RecentReturns.Length
            writeFloats writer state.RecentReturns
            writer.Write state.BestMeanReturn.IsSome
            writer.Write(defaultArg state.BestMeanReturn 0.0))

    let private unitSection unit =
        Section.written "return unit" (fun writer ->
            match unit with
            | Plain -> writer.Write false
            | Standardised moments ->
                writer.Write true
                writeMoments writer moments)

    let private normaliserSection normaliser =
        Section.written "normaliser" (fun writer ->
            match normaliser with
            | Unnormalised -> writer.Write false
            | Standardise moments ->
                writer.Write true
                writeMoments writer moments)

    let private instancesSection (codec: StateCodec<'State>) (instances: ImmutableArray<Instance<'State>>) =
        Section.written "instances" (fun writer ->
            writer.Write instances.Length

            for instance in instances do
                let bytes = codec.Encode instance.State
                writer.Write instance.Return
                writer.Write instance.Length
                writer.Write instance.Steps
                writer.Write bytes.Length
                writer.Write bytes)

    let private sectionsOf (setup: Setup<'State>) codec (note: string) (state: TrainingState<'State>) =
        let optimiser = state.Critic.Optimiser

        [ environmentSection setup.Environment
          configurationSection setup.Configuration
          countersSection state
          returnsSection state
          Section.ofVector "policy" state.PolicyParameters
          normaliserSection state.Normaliser
          Section.ofVector "critic" state.Critic.Parameters
          unitSection state.Critic.Unit
          Section.written "optimiser" (fun writer -> writer.Write optimiser.Steps)
          Section.ofVector "first moment" optimiser.FirstMoment
          Section.ofVector "second moment" optimiser.SecondMoment
          instancesSection codec state.Instances
          Section.ofBytes "note" (Encoding.UTF8.GetBytes note) ]

    /// The codec of the environment's states. Returns a `Mismatch` that says what to implement if there is none.
    let private codecOf (environment: Environment<'State>) =
        StateCodec.ofEnvironment<'State> environment
        |> Result.mapError (fun why ->
            Mismatch
                $"checkpoints cannot keep the states of {environment.Id}: {why}. Make the states plain values, or let the environment implement CheckpointableEnvironment")

    /// Returns a `Mismatch` if checkpoints cannot keep the states of the environment. It says what to implement.
    let requireCodec environment = codecOf environment |> Result.map ignore

    /// The exceptions of the file system, and those of .NET for paths that the file system cannot have.
    let private (|FileFailure|_|) (error: exn) =
        match error with
        | :? IOException
        | :? UnauthorizedAccessException
        | :? ArgumentException
        | :? NotSupportedException -> Some error.Message
        | _ -> None

    let private trySections setup codec note state =
        try
            Ok(sectionsOf setup codec note state)
        with error ->
            Error(Mismatch $"checkpoints cannot keep a state of {setup.Environment.Id}: {error.Message}")

    /// The sections, with the states of the environment encoded.
    let private prepare setup note (state: TrainingState<'State>) =
        result {
            do! TrainingState.requireFit setup state
            do! state.Failure |> Option.map Error |> Option.defaultValue (Ok())
            let! codec = codecOf setup.Environment

            return! trySections setup codec note state
        }

    /// Saves the state to a file, with a text that belongs to it. The file is replaced atomically, and the new one is on the disk when the
    /// function returns: after a crash or a power cut at any moment, the file is the old one or the new one. The setup is that with which
    /// training goes on.
    ///
    /// Returns a `Mismatch` if the state does not fit the setup or cannot be written, and `NotSaved` with the reason of the file system.
    let save path (setup: Setup<'State>) note (state: TrainingState<'State>) =
        prepare setup note state
        |> Result.bind (fun sections ->
            try
                Ok(AtomicFile.replaceDurably path (SectionFile.write mark version sections))
            with FileFailure why ->
                Error(NotSaved(path, why)))

    // ---- Reading ----

    let private readFloats (reader: ByteReader) count =
        Array.init count (fun _ ->
            let number = reader.Float()

            if not (Double.IsFinite number) then
                reader.Fail "the number is not finite"

            number)

    let private atLeast smallest (reader: ByteReader) (number: int64) =
        if number < smallest then
            reader.Fail $"{number} is less than {smallest}"

        number

    let private readCount (reader: ByteReader) = reader.Int64() |> atLeast 0L reader
    let private readSmallCount (reader: ByteReader) = reader.Int32() |> int64 |> atLeast 0L reader |> int

    let private readMoments width (reader: ByteReader) =
        let found = reader.Int32()

        if found <> width then
            reader.Fail $"it has {found} columns, and {width} are expected"

        let count = (readFloats reader 1)[0]
        let means = readFloats reader width
        let squares = readFloats reader width

        if count < 0.0 || Array.exists (fun square -> square < 0.0) squares then
            reader.Fail "a count or a sum of squares is negative"

        Moments.create count means squares

    let private readConfiguration (reader: ByteReader) =
        let count = reader.Count 8

        let configuration =
            (Configuration.standard, seq { 1..count })
            ||> Seq.fold (fun configuration _ ->
                match Configuration.set (reader.Text()) (reader.Text()) configuration with
                | Ok next -> next
                | Error fault -> reader.Fail(Fault.message fault))

        reader.End()
        configuration

    let private readStreak (reader: ByteReader) : Streak =
        { Count = readSmallCount reader; LongestReported = readSmallCount reader }

    let private readInstance (codec: StateCodec<'State>) (reader: ByteReader) : Instance<'State> =
        let total = (readFloats reader 1)[0]
        let length = readSmallCount reader
        let steps = readCount reader
        let bytes = reader.Take(reader.Count 1)

        let state =
            try
                codec.Decode bytes
            with error ->
                reader.Fail $"it is not a state of the environment ({error.Message})"

        { State = state; Return = total; Length = length; Steps = steps }

    let private readInstances codec count (reader: ByteReader) =
        let found = reader.Count 1

        if found <> count then
            reader.Fail $"it has {found} instances, and {count} are expected"

        let instances = Array.init count (fun _ -> readInstance codec reader)
        reader.End()
        ImmutableArray.Create<Instance<'State>> instances

    /// The moments after a Boolean that says whether there are any.
    let private readOptionalMoments width (reader: ByteReader) =
        let moments = if reader.Bool() then Some(readMoments width reader) else None
        reader.End()
        moments

    let private readOrigin (sections: SectionReader) =
        let reader = sections.Bytes "environment"
        let environment, observationSpace, actionSpace = reader.Text(), reader.Text(), reader.Text()
        reader.End()

        { Environment = environment
          ObservationSpace = observationSpace
          ActionSpace = actionSpace
          Configuration = sections.Bytes "configuration" |> readConfiguration }

    /// Refuses the file of another training.
    let private requireOrigin (setup: Setup<'State>) origin =
        let environment = setup.Environment
        let ours = Space.describe environment.ObservationSpace, Space.describe environment.ActionSpace

        if origin.Environment <> environment.Id then
            Error(Mismatch $"the checkpoint is one of {origin.Environment}, and not of {environment.Id}")
        elif (origin.ObservationSpace, origin.ActionSpace) <> ours then
            Error(
                Mismatch
                    $"the checkpoint has observations {origin.ObservationSpace} and actions {origin.ActionSpace}, and {environment.Id} has observations {fst ours} and actions {snd ours}"
            )
        else
            Setup.requireSameStates origin.Configuration setup

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

    /// The recent returns, and the best mean return.
    let private readReturns (reader: ByteReader) =
        let count = reader.Count 8

        if count > TrainingState.window then
            reader.Fail $"it has {count} returns, and at most {TrainingState.window} are kept"

        let returns = ImmutableArray.Create<float>(readFloats reader count)
        let hasBest = reader.Bool()
        let best = (readFloats reader 1)[0]
        reader.End()
        returns, (if hasBest then Some best else None)

    let private readCritic count (sections: SectionReader) =
        let parameters = sections.Vector("critic", count)
        let unit = sections.Bytes "return unit" |> readOptionalMoments 1
        let optimiser = sections.Bytes "optimiser"
        let steps = readCount optimiser
        optimiser.End()

        { Parameters = parameters
          Unit = unit |> Option.map Standardised |> Option.defaultValue Plain
          Optimiser =
            { FirstMoment = sections.Vector("first moment", count)
              SecondMoment = sections.Vector("second moment", count)
              Steps = steps } }

    /// The state of the sections after the configuration.
    let private readState (setup: Setup<'State>) codec (sections: SectionReader) =
        let key, iteration, steps, episodes, vectorWidth, streaks = sections.Bytes "counters" |> readCounters
        let returns, best = sections.Bytes "returns" |> readReturns
        let policy = sections.Vector("policy", setup.Policy.Network.ParameterCount)
        let width = Space.width setup.Environment.ObservationSpace
        let normaliser = sections.Bytes "normaliser" |> readOptionalMoments width
        let critic = readCritic setup.Critic.ParameterCount sections
        let instances = sections.Bytes "instances" |> readInstances codec setup.Configuration.Environments

        { Key = key
          Iteration = iteration
          Steps = steps
          Episodes = episodes
          PolicyParameters = policy
          Critic = critic
          Normaliser = normaliser |> Option.map Standardise |> Option.defaultValue Unnormalised
          Instances = instances
          RecentReturns = returns
          BestMeanReturn = best
          Streaks = streaks
          VectorWidth = vectorWidth
          Failure = None }

    /// Opens the file and reads from it. What is wrong with the file is `Damaged`.
    let private reading path (read: SectionReader -> Result<'T, Fault>) =
        try
            match RegularFile.reasonAgainst path with
            | Some reason -> Error(Damaged(path, $"it {reason}"))
            | None ->
                use stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.Read ||| FileShare.Delete)
                read (SectionReader(stream, mark, version))
        with
        | Unreadable why -> Error(Damaged(path, why))
        | FileFailure why -> Error(Damaged(path, why))

    /// What the file says about its training: enough to make the setup that `load` needs.
    let origin path = reading path (readOrigin >> Ok)

    /// Reads the state of a file. The setup must be one of the same environment, and its configuration may differ only in fields that may
    /// change during training (`Setup.change`).
    ///
    /// Returns a `Mismatch` or an `InvalidSetting` if the file belongs to another training, and `Damaged` with the section and the offset if
    /// it is not, or not all of, a checkpoint. Nothing in a file is run as code.
    let load path (setup: Setup<'State>) : Result<Checkpoint<'State>, Fault> =
        reading path (fun sections ->
            result {
                let! codec = codecOf setup.Environment
                do! readOrigin sections |> requireOrigin setup
                let state = readState setup codec sections
                let note = sections.Bytes "note"
                let text = note.Take note.Remaining
                sections.End()
                return { State = state; Note = Encoding.UTF8.GetString text.Span }
            })
