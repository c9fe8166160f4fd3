/// The table of a sweep: one row for each run, in sweep.csv and sweep.parquet.
module FunTrpo.Cli.SweepTable

open System
open System.Globalization
open System.IO
open System.Runtime.CompilerServices
open System.Threading.Tasks
open FunTrpo
open FunTrpo.Plots
open FunTrpo.Cli.Sweep
open FunTrpo.Cli.SweepPlan
open Parquet
open Parquet.Schema

let csvFile = "sweep.csv"
let parquetFile = "sweep.parquet"

/// The cells of a column, from the first row to the last. A missing number is none.
type Cells =
    | Texts of string[]
    | Truths of bool[]
    | Wholes of int64 option[]
    | Numbers of float option[]

type Column = { Name: string; Cells: Cells }

/// The values of a setting: numbers or truth values if the setting has such values, and texts otherwise.
let private settingCells name (values: string[]) =
    let field = Configuration.fields |> List.find (fun field -> field.Name = name)

    if field.IsText then
        Texts values
    elif values |> Array.forall (fun value -> value = "true" || value = "false") then
        Truths(values |> Array.map ((=) "true"))
    else
        Numbers [| for value in values -> Some(Double.Parse(value, CultureInfo.InvariantCulture)) |]

/// The results of a run, if it has reached its end.
type private Row = { Run: SweepRun; Summary: RunSummary option; Score: RunScore option; StepsToGoal: int64 option }

/// The columns. `stepsToGoal` says when a run reached its goal. `folder` is where the folders of the runs are, which the table names from there.
/// A run that has not reached its end has no numbers.
let columns folder grid (stepsToGoal: SweepRun -> int64 option) (runs: (SweepRun * Outcome) list) =
    let rows =
        [| for run, outcome in runs ->
               match outcome with
               | Finished(summary, score) ->
                   { Run = run; Summary = Some summary; Score = Some score; StepsToGoal = stepsToGoal run }
               | Failed _
               | Unfinished -> { Run = run; Summary = None; Score = None; StepsToGoal = None } |]

    let texts read = Texts(rows |> Array.map read)
    let column name cells = { Name = name; Cells = cells }
    let ofScore read = Numbers(rows |> Array.map (_.Score >> Option.map read))
    let ofSummary read = Numbers(rows |> Array.map (_.Summary >> Option.bind read))

    [ column "environment" (texts _.Run.Chosen.Registered.Id)
      column "seed" (Wholes(rows |> Array.map (fun row -> Some row.Run.Options.Seed)))
      for name, _ in grid do
          column
              name
              (settingCells name (rows |> Array.map (fun row -> row.Run.Point |> List.find (fst >> (=) name) |> snd)))
      column "score" (ofScore _.Mean)
      column "scoreStd" (ofScore _.Std)
      column "meanReturn100" (ofSummary _.MeanReturn100)
      column "bestMeanReturn100" (ofSummary _.BestMeanReturn100)
      column "steps" (Wholes(rows |> Array.map (_.Summary >> Option.map _.Steps)))
      column "stepsToGoal" (Wholes(rows |> Array.map _.StepsToGoal))
      column "seconds" (ofSummary (_.WallSeconds >> Some))
      column
          "parametersSha256"
          (texts (fun row -> row.Summary |> Option.map _.ParametersSha256 |> Option.defaultValue ""))
      column "folder" (texts (fun row -> Path.GetRelativePath(folder, row.Run.Options.Folder))) ]

/// A text as a cell of a CSV file (RFC 4180).
let private quoted (text: string) =
    if text.IndexOfAny [| ','; '"'; '\n'; '\r' |] >= 0 then
        "\"" + text.Replace("\"", "\"\"") + "\""
    else
        text

let private cellTexts cells =
    let orEmpty print value = value |> Option.map print |> Option.defaultValue ""

    match cells with
    | Texts texts -> texts |> Array.map quoted
    | Truths truths -> truths |> Array.map (fun truth -> if truth then "true" else "false")
    | Wholes numbers -> numbers |> Array.map (orEmpty string)
    | Numbers numbers -> numbers |> Array.map (orEmpty _.ToString("R", CultureInfo.InvariantCulture))

/// The table as CSV. A missing value is an empty cell.
let csv (columns: Column list) =
    let header = columns |> List.map (_.Name >> quoted) |> String.concat ","
    let rows = columns |> List.map (_.Cells >> cellTexts) |> Array.transpose

    header :: [ for row in rows -> String.concat "," row ]
    |> List.map (fun line -> line + "\n")
    |> String.concat ""

let private fieldOf column : DataField =
    match column.Cells with
    | Texts _ -> DataField<string>(column.Name, Nullable false)
    | Truths _ -> DataField<bool>(column.Name)
    | Wholes _ -> DataField<Nullable<int64>>(column.Name)
    | Numbers _ -> DataField<Nullable<float>>(column.Name)

let private writeCells (group: ParquetRowGroupWriter) (field: DataField) cells : Task =
    match cells with
    | Texts texts -> group.WriteAsync(field, texts)
    | Truths truths -> group.WriteAsync<bool>(field, ReadOnlyMemory truths)
    | Wholes numbers -> group.WriteAsync<int64>(field, ReadOnlyMemory(numbers |> Array.map Option.toNullable))
    | Numbers numbers -> group.WriteAsync<float>(field, ReadOnlyMemory(numbers |> Array.map Option.toNullable))

/// Writes the table as a Parquet file to a stream. A missing value is null.
// Not inlined: Parquet.Net is loaded when this function is first called, and not before.
[<MethodImpl(MethodImplOptions.NoInlining)>]
let writeParquet (stream: Stream) (columns: Column list) =
    let fields = columns |> List.map fieldOf

    let write =
        task {
            use! writer = ParquetWriter.CreateAsync(ParquetSchema(fields |> Seq.cast<Field>), stream)
            use group = writer.CreateRowGroup()

            for field, column in List.zip fields columns do
                do! writeCells group field column.Cells

            group.CompleteValidate()
        }

    write.GetAwaiter().GetResult()
