/// The runs below a folder, as their files show them, for `funtrpo watch`. It only reads, and takes no lock.
module FunTrpo.Cli.WatchedRuns

open System
open System.Collections.Concurrent
open System.Collections.Generic
open System.Globalization
open System.IO
open FunTrpo
open FunTrpo.Environments
open FunTrpo.Plots
open FunTrpo.Watch

/// The number of returns that the list of runs shows of each.
let private shownReturns = 60

/// The names and the folders of the runs.
let private find root =
    [ for folder in FoundRuns.from root -> Path.GetRelativePath(root, folder).Replace('\\', '/'), folder ]

/// Changes whenever the page of a run does: the sizes and the times of its files, and whether it is running.
let private stampOf folder =
    let ofFile name =
        let file = FileInfo(Path.Combine(folder, name))
        if file.Exists then $"{file.Length} {file.LastWriteTimeUtc.Ticks}" else ""

    [ RunFiles.configurationFile
      RunFiles.progressFile
      RunFiles.evaluationsFile
      RunFiles.summaryFile ]
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

/// The number of environments of a run. DDPG has one.
let private environmentsOf (settings: RunSettings) =
    match settings.Algorithm with
    | RunAlgorithm.OnPolicy ->
        Arguments.fields Configuration.standard settings.Fields
        |> Result.map _.Environments
        |> Result.defaultValue 1
    | RunAlgorithm.Ddpg -> 1

/// Whether a run has ended by itself. It makes its steps to within one of each environment.
let private hasEnded (settings: RunSettings) (summary: RunSummary) evaluations =
    summary.Steps > settings.Steps - int64 (environmentsOf settings)
    || (settings.StopAt.IsSome && summary.Solved)
    || settings.Evaluation |> Option.exists (fun plan -> evaluationsEnd plan summary.Best evaluations)

let private stateOf folder settings summary evaluations =
    if RunFolder.isHeld folder then RunState.Running
    elif hasEnded settings summary evaluations then RunState.Finished
    else RunState.Stopped

let private verdict folder solvedAt (settings: RunSettings) (summary: RunSummary) evaluations =
    let goal = settings.StopAt |> Option.orElse solvedAt
    let text (number: float) = number.ToString CultureInfo.InvariantCulture

    match stateOf folder settings summary evaluations, goal with
    | RunState.Running, Some goal ->
        $"Is training: {RunPage.count summary.Steps} of at most {RunPage.count settings.Steps} environment steps. Its goal is a mean return of {text goal} over 100 episodes."
    | RunState.Running, None ->
        $"Is training: {RunPage.count summary.Steps} of {RunPage.count settings.Steps} environment steps."
    | RunState.Stopped, _ -> $"Was stopped before its end. {RunPage.verdict goal summary}"
    | _ -> RunPage.verdict goal summary

/// The run in the list of runs.
let private entryOf name folder table : RunEntry =
    let settings = RunSettings.ofFolder folder
    let algorithm = settings |> Result.map _.Algorithm |> Result.defaultValue RunAlgorithm.OnPolicy
    let progress = Progress.ofTable algorithm (Path.Combine(folder, RunFiles.progressFile)) table
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
            let! summary = RunSummary.ofFolder folder
            let! evaluations = RunPage.evaluationsIn folder
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

/// The page of a run without its episode, with this table of its progress.
let private tryPage (known: EnvironmentFiles.Known list) folder table =
    result {
        let! run = RunRecord.ofTable table folder
        let! evaluations = RunPage.evaluationsIn folder

        let registered =
            EnvironmentFiles.find known run.Settings.Environment |> Result.toOption |> Option.map _.Registered

        let verdict = verdict folder (registered |> Option.bind _.SolvedAt) run.Settings run.Summary evaluations
        return! RunPage.withoutEpisode verdict (registered |> Option.map _.Preset) run evaluations
    }
    |> Result.mapError Fault.message

/// An episode of the policy that a folder has now.
let private episodeOf folder environment seed =
    match RunPage.policyIn folder with
    | Ok actor -> RunPage.episode environment actor seed
    | Error fault -> NotRecorded(Fault.message fault)

/// An episode of the policy of a run as it is now, and the name of its environment.
let private episode (known: EnvironmentFiles.Known list) folder =
    match RunSettings.ofFolder folder with
    | Error fault -> "", NotRecorded(Fault.message fault)
    | Ok settings ->
        settings.Environment,
        match
            CommandOptions.recordedEnvironment "the run trains on" known settings.Environment settings.EnvironmentFrom
        with
        | Error fault -> NotRecorded(Fault.message fault)
        | Ok chosen ->
            chosen.Registered.Use
                { new EnvironmentUse<_> with
                    member _.With environment = episodeOf folder environment settings.Seed }

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
    let tables = ConcurrentDictionary<string, GrowingTable>()

    /// The table of a run's progress, of which only the lines that are new are read.
    let tableOf folder =
        let earlier = tables.GetValueOrDefault(folder, GrowingTable.empty)
        let now = GrowingTable.read folder RunFiles.progressFile earlier
        tables[folder] <- now
        now.Table

    let entry (name, folder) =
        let stamp = stampOf folder

        match entries.TryGetValue name with
        | true, (earlier, known) when earlier = stamp -> known
        | _ ->
            let made = tried (fun () -> entryOf name folder (tableOf folder)) (unreadable name)
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
            | Some folder -> tried (fun () -> tryPage known folder (tableOf folder)) Error
            | None -> Error gone
      Episode =
        fun name ->
            match folderOf name with
            | Some folder -> tried (fun () -> episode known folder) (fun why -> "", NotRecorded why)
            | None -> "", NotRecorded gone }
