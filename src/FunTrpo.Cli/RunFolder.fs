/// The folder of a training run: its lock, and the changes of its files.
///
/// A process can end at any moment, and the files must be consistent then. So every change of the folder is a `Write`, and each
/// `Write` is atomic.
module FunTrpo.Cli.RunFolder

open System
open System.Collections.Generic
open System.Diagnostics
open System.Globalization
open System.IO
open System.Text
open System.Text.RegularExpressions
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Plots.RunFiles

/// The folder of the event files, which TensorBoard shows.
let eventsFolder = "tensorboard"

/// The names of the event files.
let eventFiles = "events.out.tfevents.*"

/// Whether the folder of a run has event files.
let hasEvents folder =
    let path = Path.Combine(folder, eventsFolder)
    Directory.Exists path && Directory.EnumerateFiles(path, eventFiles) |> Seq.isEmpty |> not

let private holdFile = ".running"

/// Names the process that holds the lock.
let private ownerFile = ".owner"

/// The name of a run's folder for this environment: an id such as `gym:Taxi-v3` or `MinAtar/Breakout-v1` without the characters that names of
/// files cannot have.
let nameOf (environment: string) = environment |> String.map (fun c -> if Seq.contains c @":/\?" then '-' else c)

/// The path of the last checkpoint in a run's folder.
let checkpointIn folder = Path.Combine(folder, checkpointFile)

/// The files that a run leaves.
let private contents =
    [ policyFile
      configurationFile
      progressFile
      summaryFile
      evaluationsFile
      bestFile
      reportFile
      scoreFile
      checkpointFile ]

/// One change of a run's folder.
type Write =
    /// Removes a file, if it exists.
    | Remove of file: string
    /// Removes the files of a folder whose names match, one after another.
    | RemoveAll of folder: string * pattern: string
    /// Creates or replaces a file.
    | Replace of file: string * content: string
    /// Creates or replaces a table, with this line alone.
    | Start of file: string * line: string
    /// Adds a line to a table.
    | Append of file: string * line: string
    /// Keeps the header and the lines of this many iterations in a table, for more lines behind them.
    | Continue of file: string * header: string * iterations: int

/// Appends a line to a file. If the whole line cannot be written, for example because the disk is full, the file stays unchanged
/// and an `IOException` is thrown.
let addLine (file: Stream) (line: string) =
    let before = file.Length
    file.Seek(0L, SeekOrigin.End) |> ignore

    try
        file.Write(ReadOnlySpan(Encoding.UTF8.GetBytes(line + "\n")))
        file.Flush()
    with error ->
        file.SetLength before

        match error with
        | :? IOException -> reraise ()
        // .NET throws another type of exception if the file would exceed its size limit.
        | _ -> raise (IOException(error.Message, error))

/// Returns when the lines are on the disk.
let private flush (file: FileStream) = RandomAccess.FlushToDisk file.SafeFileHandle

/// Creates or replaces a file with its first line, and keeps it open for more lines. The line is on the disk before the file has its name. A
/// link of this name is replaced, not followed.
let private startLines (path: string) line =
    AtomicFile.create path (fun written ->
        let file =
            new FileStream(written, FileMode.CreateNew, FileAccess.Write, FileShare.Read ||| FileShare.Delete, 0)

        try
            addLine file line
            flush file
            file
        with _ ->
            file.Dispose()
            reraise ())

/// The header and the lines of the first iterations of a table, whose first column is the iteration. Lines that are missing, or not whole, are
/// left out.
let private earlierLines folder name header iterations =
    let isEarlier (line: string) =
        let first = line.Split(',')[0]

        match Int32.TryParse(first, CultureInfo.InvariantCulture) with
        // .NET also reads numbers with spaces and zero bytes around them.
        | true, iteration -> iteration >= 1 && iteration <= iterations && string iteration = first
        | _ -> false

    let lines = (tryText folder name |> Option.defaultValue "").Split('\n') |> List.ofArray
    // What follows the last line break is no whole line.
    let whole = List.truncate (lines.Length - 1) lines
    header :: (whole |> List.filter isEarlier)

/// The folder of a run. The run holds a lock on it until it is disposed of, because two runs in one folder would mix their files.
type Folder(path: string, isReused: bool, hold: FileStream) =
    let at name = Path.Combine(path, name)
    /// The tables that lines are added to.
    let tables = Dictionary<string, FileStream>()

    let close name =
        match tables.TryGetValue name with
        | true, table ->
            table.Dispose()
            tables.Remove name |> ignore
        | _ -> ()

    let openTable name text =
        close name
        tables[name] <- startLines (at name) text

    member _.Path = path

    /// The path of the file of the last checkpoint.
    member _.Checkpoint = at checkpointFile

    /// True if the folder has the files of an earlier run, which this run replaces.
    member _.IsReused = isReused

    member _.Do write =
        match write with
        | Remove name ->
            close name
            File.Delete(at name)
        | RemoveAll(folder, pattern) ->
            if Directory.Exists(at folder) then
                Directory.GetFiles(at folder, pattern) |> Array.iter File.Delete
        | Replace(name, content) -> AtomicFile.replaceText (at name) content
        | Start(name, line) -> openTable name line
        | Append(name, line) ->
            match tables.TryGetValue name with
            | true, table -> addLine table line
            | _ -> invalidOp $"{name} has not been started"
        | Continue(name, header, iterations) ->
            earlierLines path name header iterations |> String.concat "\n" |> openTable name

    /// Saves a checkpoint by a function of its path. The lines of its iterations in the tables are on the disk before it.
    member _.Keep(save: string -> Result<unit, Fault>) =
        tables.Values |> Seq.iter flush
        save (at checkpointFile)

    interface IDisposable with
        member _.Dispose() =
            tables.Keys |> List.ofSeq |> List.iter close

            try
                File.Delete(at ownerFile)
            with error when FileFailure.isOfFiles error ->
                () // What went wrong with the folder before is what matters.

            hold.Dispose()

/// Recognises a temporary file that a killed process could not rename to its final name.
let private isLeftOver (path: string) =
    let names = (ownerFile :: contents) |> List.map Regex.Escape |> String.concat "|"

    Regex.IsMatch(Path.GetFileName path, $@"^({names})\.[a-z0-9]{{8}}\.[a-z0-9]{{3}}$")

/// Opens the lock file of a run, so that no other run can open it. A link of this name is deleted, not followed.
let private holdOf path =
    let name = Path.Combine(path, holdFile)

    if not (isNull (FileInfo(name).LinkTarget)) then
        File.Delete name

    new FileStream(name, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None, 1, FileOptions.DeleteOnClose)

/// Describes this process to another one that finds the folder locked.
let private writeOwner path =
    let time = DateTime.UtcNow.ToString("u", CultureInfo.InvariantCulture)
    let owner = $"process {Environment.ProcessId} on {Environment.MachineName}, since {time}"
    AtomicFile.replaceText (Path.Combine(path, ownerFile)) owner

/// The process that holds the lock, as it describes itself.
let private ownerOf path =
    try
        match RegularFile.read 1000L (Path.Combine(path, ownerFile)) with
        | Ok bytes -> Encoding.UTF8.GetString bytes.Span
        | Error _ -> "another process"
    with
    | :? IOException
    | :? UnauthorizedAccessException -> "another process"

/// Whether this process is alive and is no younger than `since`, as which another process may have got its number.
let private isAlive (id: int) (since: DateTime) =
    try
        use running = Process.GetProcessById id
        running.StartTime.ToUniversalTime() <= since.AddSeconds 2.0
    with
    | :? ArgumentException
    | :? InvalidOperationException
    | :? ComponentModel.Win32Exception -> false

/// Whether a run is writing to the folder, as far as its files tell. This takes no lock, so no run can be disturbed by it. A process on
/// another machine counts as running until it removes its files.
let isHeld path =
    let owner = Regex.Match(ownerOf path, @"^process (\d{1,9}) on (.*), since (.*)$")
    let part (i: int) = owner.Groups[i].Value

    let isOwnerAlive () =
        match DateTime.TryParse(part 3, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal) with
        | true, since when part 2 = Environment.MachineName -> isAlive (int (part 1)) since
        | _ -> true

    File.Exists(Path.Combine(path, holdFile)) && isOwnerAlive ()

/// Returns the folder at this path, locked for this run, or `InvalidSetting`. If another process holds the lock, the fault names it; the lock
/// of a process that has ended is free. It creates the folder if necessary, and deletes the
/// temporary files of killed runs.
let prepare (path: string) =
    let refuse why = Error(InvalidSetting("--out", path, $"it must be a folder that can be written to ({why})"))

    let reasonAgainst name =
        RegularFile.reasonAgainst (Path.Combine(path, name))
        |> Option.map (fun reason -> $"its {name} {reason}")

    let names = holdFile :: ownerFile :: contents

    if path = "" then
        refuse "it has no name"
    else
        try
            Directory.CreateDirectory path |> ignore

            match List.tryPick reasonAgainst names with
            | Some reason -> refuse reason
            | None ->
                let hold = holdOf path
                writeOwner path
                Directory.GetFiles path |> Array.filter isLeftOver |> Array.iter File.Delete
                Ok(new Folder(path, File.Exists(Path.Combine(path, policyFile)), hold))
        with
        | :? IOException as e when e.HResult = 11 || e.Message.Contains "being used" ->
            refuse $"another run is writing to it: {ownerOf path}"
        | :? IOException
        | :? UnauthorizedAccessException
        | :? ArgumentException as e -> refuse e.Message

/// Does the same, and returns what `load` reads from the path of the folder's checkpoint, too. If that is a fault, the lock is given back.
let prepareAndLoad path (load: string -> Result<'T, Fault>) =
    prepare path
    |> Result.bind (fun folder ->
        match load folder.Checkpoint with
        | Ok loaded -> Ok(folder, loaded)
        | Error fault ->
            (folder :> IDisposable).Dispose()
            Error fault)
