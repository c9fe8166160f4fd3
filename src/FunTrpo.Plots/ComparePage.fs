namespace FunTrpo.Plots

open System.Globalization
open System.Net
open System.Text.Json
open FunTrpo

/// What a page of several runs shows.
type ComparePage =
    {
        Runs: ComparedRun list
        /// What is known of the environments; those of runs may be missing.
        Environments: ComparedEnvironment list
    }

/// The page of several runs: one HTML file with all that it needs. It loads nothing from anywhere.
module ComparePage =

    /// A table of the page. `Group` is the column that names a group, beside which its colour is shown.
    type private Table = { Title: string; Reading: string; Columns: string list; Rows: string list list }

    let private groupColumn = "group"
    let private number (value: float) = value.ToString("N2", CultureInfo.InvariantCulture)
    let private count (value: float) = value.ToString("N0", CultureInfo.InvariantCulture)
    let private orDash print value = value |> Option.map print |> Option.defaultValue "–"
    let private between (interval: Interval) = $"{number interval.Low} … {number interval.High}"

    /// The column of environments is left out where there is one.
    let private withEnvironment isOne (environment: string) cells = if isOne then cells else environment :: cells

    let private finalTable isOne isScored (groups: RunGroup list) =
        let row (group: RunGroup) =
            let final = Comparison.finalScores isScored group
            let reached = group.Runs |> List.filter _.StepsToGoal.IsSome |> List.length

            withEnvironment
                isOne
                group.Environment
                [ group.Name
                  string group.Runs.Length
                  final |> orDash (_.Median >> number)
                  final |> orDash (_.Mean >> number)
                  final |> orDash (_.Interval >> between)
                  final |> orDash (_.Worst >> number)
                  final |> orDash (_.Best >> number)
                  $"{reached} of {group.Runs.Length}"
                  Comparison.medianSteps group |> orDash count ]

        { Title = "Final scores"
          Reading =
            (if isScored then
                 "A score is the mean return of the episodes that the last policy of a run played after training."
             else
                 "A score is the mean return of the last 100 training episodes of a run.")
            + " IQM is the interquartile mean, the mean of the middle half, with its 95 % bootstrap interval. Steps to the goal: the median, where a run that has not reached it counts as infinite."
          Columns =
            withEnvironment
                isOne
                "environment"
                [ groupColumn
                  "runs"
                  "median"
                  "IQM"
                  "95 % interval"
                  "worst"
                  "best"
                  "reached the goal"
                  "steps to the goal" ]
          Rows = List.map row groups }

    /// The scores over several environments.
    let private overallTable (ids: string list) (all: NamedScores list) =
        let row (named: NamedScores) =
            let interval = Comparison.interval named
            [ named.Name; $"{Comparison.mean named:F3}"; $"{interval.Low:F3} … {interval.High:F3}" ]

        { Title = "All environments together"
          Reading =
            $"""Scores are normalised: 0 is the mean return of random actions, and 1 is the goal. Over {String.concat ", " ids}."""
          Columns = [ groupColumn; "IQM"; "95 % interval" ]
          Rows = List.map row all }

    let private settingsTable isOne (environments: ComparedEnvironment list) (groups: RunGroup list) =
        let differences (group: RunGroup) =
            let settings = group.Runs |> List.collect _.Settings |> List.distinct

            let preset =
                environments
                |> List.tryFind (fun environment -> environment.Id = group.Environment)
                |> Option.map (ComparedEnvironment.presetFor settings)
                |> Option.defaultValue []

            settings
            |> List.filter (fun setting -> snd setting <> "" && not (List.contains setting preset))
            |> List.map (fun (name, value) -> $"{name}={value}")
            |> String.concat ", "

        { Title = "Settings"
          Reading = "The settings of each group, as far as they differ from the preset of the environment."
          Columns = withEnvironment isOne "environment" [ groupColumn; "settings"; "seeds" ]
          Rows =
            [ for group in groups ->
                  withEnvironment
                      isOne
                      group.Environment
                      [ group.Name; differences group; group.Runs |> List.map (_.Seed >> string) |> String.concat ", " ] ] }

    /// Whether the page was made from folders of runs.
    let private isOfFolders (runs: ComparedRun list) = runs |> List.exists (fun run -> run.Folder <> "")

    let private runsTable isOne isScored (groups: RunGroup list) =
        let hasFolders = groups |> List.collect _.Runs |> isOfFolders

        { Title = "Every run"
          Reading = "The mean of the last 100 is that of training episodes."
          Columns =
            withEnvironment
                isOne
                "environment"
                [ groupColumn
                  "seed"
                  "score"
                  "mean of the last 100"
                  "steps to the goal"
                  if hasFolders then
                      "folder" ]
          Rows =
            [ for group in groups do
                  for run in group.Runs ->
                      withEnvironment
                          isOne
                          group.Environment
                          [ group.Name
                            string run.Seed
                            Comparison.final isScored run |> orDash number
                            run.MeanReturn |> orDash number
                            run.StepsToGoal |> orDash (float >> count)
                            if hasFolders then
                                run.Folder ] ] }

    let private counted (number: int) noun = if number = 1 then $"1 {noun}" else $"{number} {noun}s"

    let private writeTable (writer: Utf8JsonWriter) (table: Table) =
        let writeTexts (texts: string list) =
            writer.WriteStartArray()
            texts |> List.iter writer.WriteStringValue
            writer.WriteEndArray()

        writer.WriteStartObject()
        writer.WriteString("title", table.Title)
        writer.WriteString("reading", table.Reading)
        writer.WritePropertyName "columns"
        writeTexts table.Columns
        writer.WriteNumber("group", List.findIndex ((=) groupColumn) table.Columns)
        writer.WriteStartArray "rows"
        table.Rows |> List.iter writeTexts
        writer.WriteEndArray()
        writer.WriteEndObject()

    /// The charts that compare the groups over all environments; none for a single group.
    let private comparisons isOne index (all: NamedScores list) =
        let unit = if isOne then "score" else "normalised score"

        if all.Length < 2 then
            []
        else
            [ CompareCharts.means unit index all
              CompareCharts.profiles unit index all
              CompareCharts.improvements index all ]

    let private title (ids: string list) =
        match ids with
        | [ only ] -> only
        | several -> counted several.Length "environment"

    /// The page as HTML. There must be at least one run.
    let html page =
        let groups = Comparison.groups page.Runs
        let ids = groups |> List.map _.Environment |> List.distinct
        let names = groups |> List.map _.Name |> List.distinct
        let isOne = ids.Length = 1
        let isScored = Comparison.areScored page.Runs
        let index name = List.findIndex ((=) name) names
        let normalisedIds, all = Comparison.named isScored page.Environments groups

        let goalOf id = page.Environments |> List.tryFind (fun known -> known.Id = id) |> Option.bind _.Goal

        let curves =
            [ for id in ids ->
                  groups
                  |> List.filter (fun (group: RunGroup) -> group.Environment = id)
                  |> CompareCharts.learning id (goalOf id) index ]

        let tables =
            [ finalTable isOne isScored groups
              if not isOne && not all.IsEmpty then
                  overallTable normalisedIds all
              settingsTable isOne page.Environments groups
              runsTable isOne isScored groups ]

        let data =
            ReportPage.json (fun writer ->
                writer.WriteString("title", title ids)

                writer.WriteString(
                    "verdict",
                    $"""{counted page.Runs.Length "run"} in {counted names.Length "group"}: {String.concat "; " names}."""
                )

                ReportPage.writePairs writer "palette" Palette.roles

                ReportPage.writePairs
                    writer
                    "groups"
                    [ for i, name in List.indexed names -> let role, _, _, _ = CompareCharts.styleOf i in name, role ]

                ReportPage.writeAll writer "charts" ReportPage.writeChart (curves @ comparisons isOne index all)
                ReportPage.writeAll writer "tables" writeTable tables)

        let version = typeof<Fault>.Assembly.GetName().Version.ToString 3
        let origin = if isOfFolders page.Runs then " from the files of the runs" else ""

        Page.selfContained
            { Title = $"{title ids} – comparison of runs"
              Body =
                Page.resource "compare.html"
                |> Page.fill [ "footer", WebUtility.HtmlEncode $"Made by FunTrpo {version}{origin}." ]
              Data = Some data
              Scripts = [ Page.plotly; Page.common; Page.script "compare.js" ] }
