/// The files that a training run writes to its folder, and the order in which it writes them.
///
/// A process can end at any moment, and the files must be consistent then. So every change of the folder is a `Write`, and each
/// `Write` is atomic. Their order guarantees that after each of them
///
/// - all files belong to one run;
/// - if there is a summary.json, which is written last and removed first, policy.json is the policy that it describes, and
///   progress.csv has a line for each of its iterations, and perhaps for some later ones;
/// - if there was a policy.json before, there still is one.
module FunTrpo.Cli.RunFiles

open System
open System.Globalization
open System.IO
open System.Text
open System.Text.Json
open System.Text.Json.Nodes
open System.Text.RegularExpressions
open FunTrpo

let private policyFile = "policy.json"
let private configurationFile = "config.json"
let private progressFile = "progress.csv"
let private summaryFile = "summary.json"
let private holdFile = ".running"

/// Names the process that holds the lock.
let private ownerFile = ".owner"

/// The file of the last checkpoint.
let private checkpointFile = "checkpoint"

/// The path of the last checkpoint in a run's folder.
let checkpointIn folder = Path.Combine(folder, checkpointFile)

/// One change of a run's folder.
type Write =
    /// Removes a file, if it exists.
    | Remove of file: string
    /// Creates or replaces a file.
    | Replace of file: string * content: string
    /// Creates or replaces progress.csv, with this line alone.
    | Start of line: string
    /// Adds a line to progress.csv.
    | Append of line: string
    /// Keeps the header and the lines of this many iterations in progress.csv, for more lines behind them.
    | Continue of header: string * iterations: int

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

/// Creates or replaces a file with its first line, and keeps it open for more lines. A link of this name is replaced, not
/// followed.
let private startLines (path: string) line =
    AtomicFile.create path (fun written ->
        let file =
            new FileStream(written, FileMode.CreateNew, FileAccess.Write, FileShare.Read ||| FileShare.Delete, 0)

        try
            addLine file line
            file
        with _ ->
            file.Dispose()
            reraise ())

/// The header and the lines of the first iterations of progress.csv. Lines that are missing, or not whole, are left out.
let private earlierLines path header iterations =
    let isEarlier (line: string) =
        match Int32.TryParse(line.Split(',')[0], CultureInfo.InvariantCulture) with
        | true, iteration -> iteration <= iterations
        | _ -> false

    let lines = if File.Exists path then (File.ReadAllText path).Split('\n') |> List.ofArray else []
    // What follows the last line break is no whole line.
    let whole = List.truncate (lines.Length - 1) lines
    header :: (whole |> List.filter isEarlier)

/// The folder of a run. The run holds a lock on it until it is disposed of, because two runs in one folder would mix their files.
type Folder(path: string, isReused: bool, hold: FileStream) =
    let at name = Path.Combine(path, name)
    let mutable progress: FileStream option = None

    let close () =
        progress |> Option.iter _.Dispose()
        progress <- None

    member _.Path = path

    /// The path of the file of the last checkpoint.
    member _.Checkpoint = at checkpointFile

    /// True if the folder has the files of an earlier run, which this run replaces.
    member _.IsReused = isReused

    member _.Do write =
        match write with
        | Remove name ->
            if name = progressFile then
                close ()

            File.Delete(at name)
        | Replace(name, content) -> AtomicFile.replaceText (at name) content
        | Start line ->
            close ()
            progress <- Some(startLines (at progressFile) line)
        | Append line ->
            match progress with
            | Some file -> addLine file line
            | None -> invalidOp $"{progressFile} has not been started"
        | Continue(header, iterations) ->
            close ()
            let lines = earlierLines (at progressFile) header iterations
            progress <- Some(startLines (at progressFile) (String.concat "\n" lines))

    /// Saves a checkpoint of the state. The lines of its iterations in progress.csv are on the disk before it.
    member _.Keep(setup: Setup<'State>, note, state: TrainingState<'State>) =
        progress |> Option.iter (fun file -> RandomAccess.FlushToDisk file.SafeFileHandle)
        Checkpoint.save (at checkpointFile) setup note state

    interface IDisposable with
        member _.Dispose() =
            close ()

            try
                File.Delete(at ownerFile)
            with
            // What went wrong with the folder before is what matters.
            | :? IOException
            | :? UnauthorizedAccessException -> ()

            hold.Dispose()

/// Recognises a temporary file that a killed process could not rename to its final name.
let private isLeftOver (path: string) =
    let names =
        [ policyFile; configurationFile; progressFile; summaryFile; checkpointFile; ownerFile ]
        |> List.map Regex.Escape
        |> String.concat "|"

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

/// Returns the folder at this path, locked for this run, or `InvalidSetting`. If another process holds the lock, the fault names it; the lock
/// of a process that has ended is free. It creates the folder if necessary, and deletes the
/// temporary files of killed runs.
let prepare (path: string) =
    let refuse why = Error(InvalidSetting("--out", path, $"it must be a folder that can be written to ({why})"))

    let reasonAgainst name =
        RegularFile.reasonAgainst (Path.Combine(path, name))
        |> Option.map (fun reason -> $"its {name} {reason}")

    let names =
        [ policyFile; configurationFile; progressFile; summaryFile; checkpointFile; holdFile; ownerFile ]

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

let private print (node: JsonObject) = node.ToJsonString(JsonSerializerOptions(WriteIndented = true)) + "\n"

/// The number as JSON, or null for none.
let private numberOrNull (value: float option) =
    value |> Option.map (fun x -> JsonValue.Create x :> JsonNode) |> Option.toObj

/// The contents of config.json: all that is needed to repeat a run.
type Settings =
    {
        Environment: string
        /// The name of the caller's assembly that registers the environment, if it is not one of the library. A run that is repeated
        /// needs `--env-from` again: a configuration alone must not be able to run code.
        EnvironmentFrom: string option
        Seed: int64
        Steps: int64
        StopAt: float option
        /// The SHA-256 of the parameters of the saved policy that the run started from, if there was one.
        StartedFrom: string option
        /// The number of iterations from one checkpoint to the next, if checkpoints are saved.
        CheckpointEvery: int option
        /// The name and the text of every field of the configuration.
        Fields: (string * string) list
    }

let private settingsText settings =
    let isText = Configuration.fields |> List.map (fun field -> field.Name, field.IsText) |> Map
    let fields = JsonObject()

    for name, text in settings.Fields do
        fields.Add(name, (if isText[name] then JsonValue.Create text :> JsonNode else JsonNode.Parse text))

    let textOrNull (text: string option) =
        text |> Option.map (fun text -> JsonValue.Create text :> JsonNode) |> Option.toObj

    let node = JsonObject()
    node.Add("environment", JsonValue.Create settings.Environment)
    node.Add("environmentFrom", textOrNull settings.EnvironmentFrom)
    node.Add("seed", JsonValue.Create settings.Seed)
    node.Add("steps", JsonValue.Create settings.Steps)
    node.Add("stopAt", numberOrNull settings.StopAt)
    node.Add("startedFrom", textOrNull settings.StartedFrom)

    settings.CheckpointEvery
    |> Option.iter (fun every -> node.Add("checkpointEvery", JsonValue.Create every))

    node.Add("configuration", fields)
    print node

let private settingsOf (node: JsonNode) =
    let known =
        [ "environment"
          "environmentFrom"
          "seed"
          "steps"
          "stopAt"
          "startedFrom"
          "checkpointEvery"
          "configuration" ]

    let textOf name (node: JsonNode) =
        match node with
        | :? JsonValue as value when value.GetValueKind() = JsonValueKind.String -> value.GetValue<string>()
        | :? JsonValue as value -> value.ToJsonString()
        | _ -> Json.unreadable $"its {name} is no value"

    let property (name: string) =
        match node[name] with
        | null -> Json.unreadable $"it has no {name}"
        | value -> value

    for KeyValue(name, _) in node.AsObject() do
        if not (List.contains name known) then
            Json.unreadable $"it has the unknown {name}{Suggestion.among known name}"

    /// A value that has been checked as that of the command's option.
    let orUnreadable (value: Result<'T, Fault>) =
        match value with
        | Ok value -> value
        | Error fault -> Json.unreadable (Fault.message fault)

    let steps = (property "steps").GetValue<int64>()

    let stopAt =
        node["stopAt"]
        |> Option.ofObj
        |> Option.map (fun goal ->
            goal.GetValue<float>() |> ignore
            Arguments.number "stopAt" (goal.ToJsonString()) |> orUnreadable)

    let textOrNone (name: string) = node[name] |> Option.ofObj |> Option.map _.GetValue<string>()

    { Environment = (property "environment").GetValue<string>()
      EnvironmentFrom = textOrNone "environmentFrom"
      Seed = (property "seed").GetValue<int64>()
      Steps = Arguments.steps "steps" (string steps) |> orUnreadable
      StopAt = stopAt
      StartedFrom = textOrNone "startedFrom"
      CheckpointEvery =
        node["checkpointEvery"]
        |> Option.ofObj
        |> Option.map (fun every -> Arguments.iterations "checkpointEvery" (every.ToJsonString()) |> orUnreadable)
      Fields = [ for KeyValue(name, value) in (property "configuration").AsObject() -> name, textOf name value ] }

/// The maximum size of a config.json in bytes.
let private largestSettings = 1_000_000L

/// Returns the settings in a config.json, or `Damaged`.
let settings path =
    let damaged why = Error(Damaged(path, why))

    let parse (bytes: ReadOnlyMemory<byte>) =
        let options = JsonDocumentOptions(AllowDuplicateProperties = false)

        match JsonNode.Parse(bytes.Span, documentOptions = options) with
        | :? JsonObject as node -> Ok(settingsOf node)
        | _ -> damaged "it is not the config.json of a run"

    try
        match RegularFile.read largestSettings path with
        | Ok bytes -> parse bytes
        | Error why -> damaged why
    with
    | Unreadable why -> damaged why
    | :? JsonException as error -> damaged (Json.notJson error)
    | :? FormatException
    | :? InvalidOperationException -> damaged "a field of it is not of the type that it should be"
    | :? IOException
    | :? ArgumentException
    | :? UnauthorizedAccessException as e -> damaged e.Message

/// The result of a run, as in summary.json.
type Summary =
    {
        Environment: string
        Seed: int64
        Steps: int64
        Iterations: int
        Episodes: int64
        /// The mean return of the last 100 finished episodes, or of all if fewer have finished.
        MeanReturn100: float option
        /// The best mean return of 100 consecutive finished episodes, if at least 100 have finished.
        BestMeanReturn100: float option
        Solved: bool
        WallSeconds: float
        ParametersSha256: string
    }

let private summaryText summary =
    let node = JsonObject()
    node.Add("environment", JsonValue.Create summary.Environment)
    node.Add("seed", JsonValue.Create summary.Seed)
    node.Add("steps", JsonValue.Create summary.Steps)
    node.Add("iterations", JsonValue.Create summary.Iterations)
    node.Add("episodes", JsonValue.Create summary.Episodes)
    node.Add("meanReturn100", numberOrNull summary.MeanReturn100)
    node.Add("bestMeanReturn100", numberOrNull summary.BestMeanReturn100)
    node.Add("solved", JsonValue.Create summary.Solved)
    node.Add("wallSeconds", JsonValue.Create summary.WallSeconds)
    node.Add("parametersSha256", JsonValue.Create summary.ParametersSha256)
    print node

let private header = Report.fields |> List.map _.Name |> String.concat ","

/// Appends the line of one iteration to progress.csv, with a column for each of `Report.fields`.
let line (report: Report) =
    Append(Report.fields |> List.map (fun field -> Report.toText (field.Read report)) |> String.concat ",")

/// The writes that save a policy and its summary during a run.
let saving policy summary =
    [ Remove summaryFile
      Replace(policyFile, PolicyFile.print policy)
      Replace(summaryFile, summaryText summary) ]

/// The writes when a run goes on from the checkpoint of an iteration.
let resuming settings iteration policy summary =
    [ Remove summaryFile
      Replace(configurationFile, settingsText settings)
      Continue(header, iteration)
      Replace(policyFile, PolicyFile.print policy)
      Replace(summaryFile, summaryText summary) ]

/// The writes at the start of a run. They replace the files of an earlier run.
let beginning settings policy summary =
    [ Remove summaryFile
      Remove checkpointFile
      Remove progressFile
      Remove configurationFile
      Replace(policyFile, PolicyFile.print policy)
      Replace(configurationFile, settingsText settings)
      Start header
      Replace(summaryFile, summaryText summary) ]
