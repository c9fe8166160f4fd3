/// The runs below a folder, as their files show them, for `funtrpo watch`. It only reads, and takes no lock.
module FunTrpo.Cli.WatchedRuns

open System
open System.Collections.Concurrent
open System.Globalization
open System.IO
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Plots
open FunTrpo.Watch

/// How far below the folder runs are looked for.
let private deepest = 3

/// The number of returns that the list of runs shows of each.
let private shownReturns = 60

let private isRun folder =
    [ RunFolder.configurationFile; RunFolder.summaryFile; RunFolder.progressFile ]
    |> List.exists (fun name -> File.Exists(Path.Combine(folder, name)))

/// The folders inside a folder, without links, which could lead back to it.
let private inner folder =
    let options =
        EnumerationOptions(IgnoreInaccessible = true, AttributesToSkip = FileAttributes.ReparsePoint)

    try
        Directory.GetDirectories(folder, "*", options) |> Array.sort |> List.ofArray
    with :? DirectoryNotFoundException ->
        [] // It has been deleted meanwhile.

/// The folders of runs from this folder downward.
let rec private foldersFrom depth folder =
    [ if isRun folder then
          folder
      if depth < deepest then
          yield! inner folder |> List.collect (foldersFrom (depth + 1)) ]

/// The names and the folders of the runs.
let private find root =
    [ for folder in foldersFrom 0 root -> Path.GetRelativePath(root, folder).Replace('\\', '/'), folder ]

/// Changes whenever the page of a run does: the sizes and the times of its files, and whether it is running.
let private stampOf folder =
    let ofFile name =
        let file = FileInfo(Path.Combine(folder, name))
        if file.Exists then $"{file.Length} {file.LastWriteTimeUtc.Ticks}" else ""

    [ RunFolder.configurationFile
      RunFolder.progressFile
      RunFolder.evaluationsFile
      RunFolder.summaryFile ]
    |> List.map ofFile
    |> List.append [ string (RunFolder.isHeld folder) ]
    |> String.concat ";"

/// Whether the evaluations have ended the run.
let private evaluationsEnd (plan: EvaluationPlan) (best: EvaluationMeans option) (evaluations: EvaluationPoint list) =
    let after = best |> Option.map _.Steps |> Option.defaultValue 0L

    let history =
        { Best = best
          SinceBest = evaluations |> List.filter (fun point -> point.Steps > after) |> List.length }

    EvaluationHistory.hasReached plan history || EvaluationHistory.isOutOfPatience plan history

/// Whether a run has ended by itself. It makes its steps to within one of each environment.
let private hasEnded (settings: RunFiles.Settings) (summary: RunFiles.Summary) evaluations =
    let environments =
        Arguments.fields Configuration.standard settings.Fields
        |> Result.map _.Environments
        |> Result.defaultValue 1

    summary.Steps > settings.Steps - int64 environments
    || (settings.StopAt.IsSome && summary.Solved)
    || settings.Evaluation |> Option.exists (fun plan -> evaluationsEnd plan summary.Best evaluations)

let private stateOf folder settings summary evaluations =
    if RunFolder.isHeld folder then RunState.Running
    elif hasEnded settings summary evaluations then RunState.Finished
    else RunState.Stopped

let private verdict folder solvedAt (settings: RunFiles.Settings) (summary: RunFiles.Summary) evaluations =
    let goal = settings.StopAt |> Option.orElse solvedAt
    let text (number: float) = number.ToString CultureInfo.InvariantCulture

    match stateOf folder settings summary evaluations, goal with
    | RunState.Running, Some goal ->
        $"Is training: {RunReport.count summary.Steps} of at most {RunReport.count settings.Steps} environment steps. Its goal is a mean return of {text goal} over 100 episodes."
    | RunState.Running, None ->
        $"Is training: {RunReport.count summary.Steps} of {RunReport.count settings.Steps} environment steps."
    | RunState.Stopped, _ -> $"Was stopped before its end. {RunReport.verdict goal summary}"
    | _ -> RunReport.verdict goal summary

/// The run in the list of runs.
let private entryOf name folder : RunEntry =
    let path file = Path.Combine(folder, file)
    let text file = RunFolder.tryText folder file |> Option.defaultValue ""
    let settings = RunFiles.settings (path RunFolder.configurationFile)
    let progress = Progress.ofCsv (path RunFolder.progressFile) (text RunFolder.progressFile)
    let latest column = progress |> Result.map (Progress.numbers column >> Array.tryLast) |> Result.defaultValue None

    let returns =
        progress
        |> Result.map (
            Progress.numbers "meanReturn" >> Array.fold (fun all number -> Series.add number all) Series.empty
        )
        |> Result.defaultValue Series.empty

    let state =
        result {
            let! settings = settings
            let! _ = progress
            let! summary = RunFiles.summary (path RunFolder.summaryFile)

            let! evaluations =
                EvaluationPoint.ofCsv (path RunFolder.evaluationsFile) (text RunFolder.evaluationsFile)

            return stateOf folder settings summary evaluations
        }

    { Name = name
      Environment = settings |> Result.map _.Environment |> Result.defaultValue ""
      Seed = settings |> Result.map _.Seed |> Result.toOption
      Steps = latest "steps" |> Option.map int64 |> Option.defaultValue 0L
      Budget = settings |> Result.map _.Steps |> Result.defaultValue 0L
      Return = latest "meanReturn"
      Returns = Series.inParts shownReturns returns
      State =
        match state with
        | Ok state -> state
        | Error _ when RunFolder.isHeld folder -> RunState.Running // Its files are being replaced.
        | Error fault -> RunState.Damaged(Fault.message fault) }

/// The entry of a run whose files cannot be read for this reason.
let private unreadable name why : RunEntry =
    { Name = name
      Environment = ""
      Seed = None
      Steps = 0L
      Budget = 0L
      Return = None
      Returns = [||]
      State = RunState.Damaged why }

let private tryPage (known: EnvironmentFiles.Known list) folder =
    let registered =
        RunFiles.settings (Path.Combine(folder, RunFolder.configurationFile))
        |> Result.bind (fun settings -> EnvironmentFiles.find known settings.Environment)
        |> Result.toOption
        |> Option.map _.Registered

    let solvedAt = registered |> Option.bind _.SolvedAt

    RunReport.page (verdict folder solvedAt) (registered |> Option.map _.Preset) folder
    |> Result.mapError Fault.message

/// An episode of the policy of a run as it is now, and the name of its environment.
let private episode (known: EnvironmentFiles.Known list) folder =
    match RunFiles.settings (Path.Combine(folder, RunFolder.configurationFile)) with
    | Error fault -> "", NotRecorded(Fault.message fault)
    | Ok settings ->
        settings.Environment,
        match CommandOptions.recordedEnvironment "the run trains on" known settings with
        | Error fault -> NotRecorded(Fault.message fault)
        | Ok chosen ->
            chosen.Registered.Use
                { new EnvironmentUse<_> with
                    member _.With environment = RunReport.episode folder environment settings.Seed }

/// What of the files fails while they are read, as a text. A caller's environment may fail in any way.
let private tried read orElse =
    try
        read ()
    with error ->
        orElse (Fault.printable error.Message)

/// The last part of a folder's full path.
let private nameOf (folder: string) =
    match Path.GetFileName(Path.TrimEndingDirectorySeparator(Path.GetFullPath folder)) with
    | "" -> folder
    | name -> name

/// The runs below a folder. `known` are the environments that can play.
let source root known : Source =
    let entries = ConcurrentDictionary<string, string * RunEntry>()

    let entry (name, folder) =
        let stamp = stampOf folder

        match entries.TryGetValue name with
        | true, (earlier, known) when earlier = stamp -> known
        | _ ->
            let made = tried (fun () -> entryOf name folder) (unreadable name)
            entries[name] <- (stamp, made)
            made

    let folderOf name = find root |> List.tryFind (fst >> (=) name) |> Option.map snd
    let gone = "its folder is gone"

    { Folder = nameOf root
      Runs = fun () -> find root |> List.map entry
      Stamp = fun name -> folderOf name |> Option.map stampOf
      Page =
        fun name ->
            match folderOf name with
            | Some folder -> tried (fun () -> tryPage known folder) Error
            | None -> Error gone
      Episode =
        fun name ->
            match folderOf name with
            | Some folder -> tried (fun () -> episode known folder) (fun why -> "", NotRecorded why)
            | None -> "", NotRecorded gone }
