namespace FunTrpo.Plots

open System
open System.Collections.Immutable
open System.Globalization
open FunTrpo
open FunTrpo.Ddpg

/// The quantities of the iterations of a run, from its reports or from its progress.csv.
type Progress =
    {
        Algorithm: RunAlgorithm
        /// How many iterations stand behind each row: 1, or more for runs of more than `Progress.mostRows` iterations, of which every n-th
        /// one is kept.
        Every: int
        /// The values of each quantity, by its name in `Report.fields` or `DdpgReport.fields`.
        Columns: Map<string, ImmutableArray<ReportValue>>
        /// The warnings of all iterations, each with the iteration.
        Warnings: (int64 * string) list
    }

module Progress =

    /// The number of rows that a page shows at most.
    let mostRows = 2000

    /// The progress that rows tell of: each has the values of the algorithm's quantities, in their order. The warnings are those of all iterations.
    let internal ofRows algorithm (rows: ReportValue[][]) warnings =
        let every, rows = CsvTable.thinned mostRows rows

        { Algorithm = algorithm
          Every = every
          Columns =
            Map
                [ for index, (name, _) in List.indexed (RunAlgorithm.quantities algorithm) do
                      name, rows |> Seq.map (Array.item index) |> ImmutableArray.CreateRange ]
          Warnings = warnings }

    let private rowsOf (fields: ReportField<'Report> list) reports =
        [| for report in reports -> [| for field in fields -> field.Read report |] |]

    /// The progress that these reports tell of.
    let ofReports (reports: Report seq) =
        let reports = Array.ofSeq reports

        ofRows
            RunAlgorithm.OnPolicy
            (rowsOf Report.fields reports)
            [ for report in reports do
                  match Report.value "warnings" report with
                  | ReportValue.Text text -> int64 report.Iteration, text
                  | _ -> () ]

    /// The progress that these reports of DDPG tell of.
    let ofDdpgReports (reports: DdpgReport seq) = ofRows RunAlgorithm.Ddpg (rowsOf DdpgReport.fields reports) []

    /// The warnings in a table. The iteration of a damaged line is left out here, and reported as damage elsewhere.
    let private warningsIn table =
        Array.zip (CsvTable.column "iteration" table) (CsvTable.column "warnings" table)
        |> Array.choose (fun (iteration, text) ->
            match Int64.TryParse(iteration, CultureInfo.InvariantCulture) with
            | true, iteration when text <> "" -> Some(iteration, text)
            | _ -> None)
        |> List.ofArray

    let private parse source name read (cells: string[]) =
        let values = cells |> Array.map read

        match Array.tryFindIndex Option.isNone values with
        | Some row -> Error(Damaged(source, $"{name} cannot be \"{cells[row]}\""))
        | None -> Ok(name, values |> Seq.map Option.get |> ImmutableArray.CreateRange)

    /// The quantity of the first column.
    let private first = Report.fields.Head.Name

    /// The progress in the table of a progress.csv. `source` names it in a fault. Fault: `Damaged`.
    let internal ofTable algorithm source (table: CsvTable) =
        if Array.tryHead table.Names <> Some first then
            Error(Damaged(source, "it is not the progress.csv of a run"))
        else
            let every, rows = CsvTable.thinned mostRows table.Rows
            let warnings = warningsIn table
            let table = { table with Rows = rows }

            (Ok [], RunAlgorithm.quantities algorithm)
            ||> List.fold (fun soFar (name, read) ->
                result {
                    let! columns = soFar
                    let! column = parse source name read (CsvTable.column name table)
                    return column :: columns
                })
            |> Result.map (fun columns ->
                { Algorithm = algorithm; Every = every; Columns = Map columns; Warnings = warnings })

    /// The algorithm that wrote a table: DDPG's have a column of their own.
    let private algorithmOf (table: CsvTable) =
        if Array.contains "criticLoss" table.Names then RunAlgorithm.Ddpg else RunAlgorithm.OnPolicy

    /// The progress in the text of a progress.csv. Quantities that it does not have are missing; a last line that is not whole is left out.
    /// `source` names the text in a fault. Fault: `Damaged` if the text is not that of a progress.csv.
    let ofCsv source text =
        let table = CsvTable.parse text
        ofTable (algorithmOf table) source table

    /// The steps of the first of these rows, each with its steps, its episodes and its mean return, in which a goal is reached.
    let internal firstToReach (goal: float) (rows: (float * float * float)[]) =
        rows
        |> Array.tryFind (fun (_, episodes, mean) -> episodes >= 100.0 && mean >= goal)
        |> Option.map (fun (steps, _, _) -> int64 steps)

    /// As `stepsToGoal`, for the table of a progress.csv.
    let internal stepsToGoalIn (table: CsvTable) goal =
        let numbers name =
            [| for cell in CsvTable.column name table ->
                   match Double.TryParse(cell, NumberStyles.Float, CultureInfo.InvariantCulture) with
                   | true, number -> number
                   | _ -> nan |]

        Array.zip3 (numbers "steps") (numbers "episodes") (numbers "meanReturn") |> firstToReach goal

    /// The environment steps after which the mean return of the last 100 episodes was first at least `goal`, in the text of a progress.csv; none if
    /// it never was, or if the text is not that of a progress.csv. Before 100 episodes have finished, no goal is reached.
    let stepsToGoal goal text = stepsToGoalIn (CsvTable.parse text) goal

    /// The values of a quantity. Throws `KeyNotFoundException` for a name that the algorithm does not have.
    let values name progress = progress.Columns[name]

    /// The numbers of a quantity; NaN where it is missing or a text.
    let numbers name progress =
        [| for value in values name progress ->
               match value with
               | ReportValue.Whole number -> float number
               | ReportValue.Number number -> number
               | ReportValue.Text _
               | ReportValue.Missing -> nan |]

    /// The texts of a quantity; empty where it is missing.
    let texts name progress = [| for value in values name progress -> Report.toText value |]

    /// The number of rows.
    let length progress = (values first progress).Length
