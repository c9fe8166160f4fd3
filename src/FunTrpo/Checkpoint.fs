namespace FunTrpo

open System
open System.Collections.Immutable
open System.Text

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

    /// The codec of the environment's states. Returns a `Mismatch` that says what to implement if there is none.
    let private codecOf (environment: Environment<'State>) =
        StateCodec.required<'State> $"checkpoints cannot keep the states of {environment.Id}" environment

    /// Returns a `Mismatch` if checkpoints cannot keep the states of the environment. It says what to implement.
    let requireCodec environment = codecOf environment |> Result.map ignore

    let private trySections setup codec note state =
        try
            Ok(CheckpointSections.ofState setup codec note state)
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

    /// Does the same as `save`, on a disk.
    let internal saveOn disk path (setup: Setup<'State>) note (state: TrainingState<'State>) =
        prepare setup note state |> Result.bind (SectionDisk.save disk path mark version)

    /// Saves the state to a file, with a text that belongs to it. The file is replaced atomically, and the new one is on the disk when the
    /// function returns: after a crash or a power cut at any moment, the file is the old one or the new one. The setup is that with which
    /// training goes on.
    ///
    /// Returns a `Mismatch` if the state does not fit the setup or cannot be written; `NotSaved`, with the reason and a remedy, if the file
    /// system refuses the file, and then an earlier file is unchanged; and `NotConfirmed` if the new file is there, but may not survive a power
    /// cut.
    let save path (setup: Setup<'State>) note (state: TrainingState<'State>) = saveOn Disk.real path setup note state

    /// Refuses the file of another training.
    let private requireOrigin (setup: Setup<'State>) (origin: CheckpointOrigin) =
        struct (origin.Environment, origin.ObservationSpace, origin.ActionSpace)
        |> CheckpointSections.requireEnvironment setup.Environment
        |> Result.bind (fun () -> Setup.requireSameStates origin.Configuration setup)

    let private reading path read = SectionDisk.reading path mark version read

    /// What the file says about its training: enough to make the setup that `load` needs.
    let origin path = reading path (CheckpointSections.readOrigin >> Ok)

    /// Reads the state of a file. The setup must be one of the same environment, and its configuration may differ only in fields that may
    /// change during training (`Setup.change`).
    ///
    /// Returns a `Mismatch` or an `InvalidSetting` if the file belongs to another training, and `Damaged` with the section and the offset if
    /// it is not, or not all of, a checkpoint. Nothing in a file is run as code.
    let load path (setup: Setup<'State>) : Result<Checkpoint<'State>, Fault> =
        reading path (fun sections ->
            result {
                let! codec = codecOf setup.Environment
                do! CheckpointSections.readOrigin sections |> requireOrigin setup
                let state = CheckpointSections.readState setup codec sections
                let note = sections.Bytes "note"
                let text = note.Take note.Remaining
                sections.End()
                return { State = state; Note = Encoding.UTF8.GetString text.Span }
            })
